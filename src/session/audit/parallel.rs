//! Many entries looked at by several threads, and handed over in order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::subjects::SubjectKeys;
use chartvault_verify::merkle::Range as Leaves;

use super::{CHUNK, read};
use crate::audit::{EntryRef, Examined};
use crate::error::Error;
use crate::unlocked::Unlocked;

/// More threads than this gain nothing: what has to be in order takes its time, too.
const MOST_THREADS: usize = 16;
/// Stretches that a thread may be ahead of what was handed over.
const AHEAD: usize = 2;

/// Which entries.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) from: u64,
    /// The number behind the last.
    pub(super) to: u64,
    /// Whether they are opened.
    pub(super) keyed: bool,
}

impl Range {
    /// A stretch of them, by its number: as many as are read at once.
    fn stretch(&self, number: u64) -> Option<(u64, u64)> {
        let start = self.from.checked_add(number.checked_mul(CHUNK)?)?;
        (start < self.to).then(|| (start, self.to.min(start.saturating_add(CHUNK))))
    }
}

/// How many threads this machine runs at once.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Reads the entries of a range and looks at each by itself, on so many threads; `take` gets them in order, on this thread,
/// until it refuses one. Fewer than the range holds only where the storage has no more. Gives the part of the Merkle tree that
/// they are, hashed where they were read.
pub(super) fn examine(
    unlocked: &Unlocked,
    range: Range,
    threads: usize,
    take: &mut dyn FnMut(Examined) -> Result<(), Error>,
) -> Result<Leaves, Error> {
    let mut leaves = Leaves::empty(range.from);
    let mut collect = |stretch: LookedAt| {
        stretch.entries.into_iter().try_for_each(&mut *take)?;
        // Each begins where the one before ended; what is out of its place was refused.
        if let Some(joined) = leaves.clone().join(&stretch.leaves) {
            leaves = joined;
        }
        Ok::<(), Error>(())
    };
    let stretches = range.to.saturating_sub(range.from).div_ceil(CHUNK);
    let threads = threads.clamp(1, MOST_THREADS).min(usize::try_from(stretches).unwrap_or(MOST_THREADS));
    if threads < 2 {
        let mut keys = SubjectKeys::new(unlocked);
        for (start, end) in (0..).map_while(|number| range.stretch(number)) {
            collect(look_at(unlocked, &mut keys, (start, end), range.keyed)?)?;
        }
        return Ok(leaves);
    }
    thread::scope(|scope| {
        let started: Vec<Receiver<Stretch>> = (0..threads)
            .map(|first| {
                let (send, receive) = sync_channel(AHEAD);
                scope.spawn(move || work(unlocked, range, (first, threads), &send));
                receive
            })
            .collect();
        // Stretch after stretch, from whoever has it. A thread that ends early has nothing more, or panicked; then the scope
        // tells. Dropping what they send into ends them all.
        for receive in started.iter().cycle() {
            let Ok(stretch) = receive.recv() else { break };
            collect(stretch?)?;
        }
        Ok::<(), Error>(())
    })?;
    Ok(leaves)
}

/// Entries of a stretch, each looked at by itself, and the part of the tree that they are.
struct LookedAt {
    entries: Vec<Examined>,
    leaves: Leaves,
}

type Stretch = Result<LookedAt, Error>;

/// Every `threads`-th stretch, from the `first` on.
fn work(unlocked: &Unlocked, range: Range, (first, threads): (usize, usize), send: &SyncSender<Stretch>) {
    let mut keys = SubjectKeys::new(unlocked);
    let mut number = u64::try_from(first).unwrap_or(u64::MAX);
    while let Some(stretch) = range.stretch(number) {
        let looked_at = look_at(unlocked, &mut keys, stretch, range.keyed);
        let ends = looked_at.is_err();
        if send.send(looked_at).is_err() || ends {
            return;
        }
        number = number.saturating_add(u64::try_from(threads).unwrap_or(u64::MAX));
    }
}

fn look_at(unlocked: &Unlocked, keys: &mut SubjectKeys<'_>, (start, end): (u64, u64), keyed: bool) -> Stretch {
    let entries = read(unlocked.committer.storage(), start, end.saturating_sub(start))?;
    let mut open = |entry: &EntryRef<'_>| keys.open(entry);
    let entries: Vec<Examined> = entries
        .iter()
        .map(|(seq, bytes)| Examined::of(*seq, bytes, if keyed { Some(&mut open) } else { None }))
        .collect();
    let mut leaves = Leaves::empty(start);
    entries.iter().map_while(Examined::leaf).for_each(|leaf| leaves.push(leaf));
    Ok(LookedAt { entries, leaves })
}
