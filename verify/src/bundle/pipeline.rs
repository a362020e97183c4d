//! Entries of a bundle from the file to those who look at them, on one thread or on several.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use sha2::Sha256;

use super::BundleError;
use super::format::{Batch, Broken, In};
use super::stretch::{Ground, Stretch};

/// More threads than this gain nothing: the file is read and hashed on one thread each.
pub(super) const MOST_THREADS: usize = 16;
/// Batches that wait for a thread.
const AHEAD: usize = 3;

/// What came of the entries.
pub(super) enum Entries {
    /// All were taken; with the hash of the file up to their end.
    Taken(Sha256),
    /// One was refused.
    Refused,
    /// Behind those that were taken, the file is damaged.
    Broken(&'static str),
}

/// Reads all entries, the first of which should have the number `first`, and has them looked at; `take` gets what came of it, in
/// order, until it refuses.
pub(super) fn read_entries<R: Read>(
    items: &mut In<R>,
    ground: &Ground,
    first: u64,
    threads: usize,
    take: &mut dyn FnMut(Stretch) -> bool,
) -> Result<Entries, BundleError> {
    let hash = items.take_hash();
    if threads < 2 {
        return alone(items, ground, first, hash, take);
    }
    std::thread::scope(|scope| {
        let hasher = Hasher::start(scope, hash)?;
        let mut line = Line::start(scope, ground, threads.min(MOST_THREADS), take)?;
        let mut next = first;
        loop {
            let mut batch = Batch::default();
            let read = items.entries(&mut batch);
            let (number, batch) = (next, Arc::new(batch));
            next = next.saturating_add(batch.len());
            if batch.len() > 0 {
                hasher.hash(&batch);
                if !line.look_at(number, &batch) {
                    return Ok(Entries::Refused);
                }
            }
            let ended = read.is_ok() && batch.len() == 0;
            if (ended || read.is_err()) && !line.finish() {
                return Ok(Entries::Refused);
            }
            match read {
                Ok(()) if ended => return Ok(Entries::Taken(hasher.finish()?)),
                Ok(()) => {}
                Err(Broken::Malformed(what)) => return Ok(Entries::Broken(what)),
                Err(Broken::Io(error)) => return Err(error.into()),
            }
        }
    })
}

fn alone<R: Read>(
    items: &mut In<R>,
    ground: &Ground,
    mut next: u64,
    mut hash: Sha256,
    take: &mut dyn FnMut(Stretch) -> bool,
) -> Result<Entries, BundleError> {
    let mut batch = Batch::default();
    loop {
        let read = items.entries(&mut batch);
        batch.hash(&mut hash);
        if batch.len() > 0 && !take(ground.look_at(next, &batch)) {
            return Ok(Entries::Refused);
        }
        next = next.saturating_add(batch.len());
        match read {
            Ok(()) if batch.len() == 0 => return Ok(Entries::Taken(hash)),
            Ok(()) => {}
            Err(Broken::Malformed(what)) => return Ok(Entries::Broken(what)),
            Err(Broken::Io(error)) => return Err(error.into()),
        }
    }
}

/// The thread that hashes the file.
struct Hasher<'scope> {
    send: SyncSender<Arc<Batch>>,
    thread: ScopedJoinHandle<'scope, Sha256>,
}

impl<'scope> Hasher<'scope> {
    fn start<'env>(scope: &'scope Scope<'scope, 'env>, mut hash: Sha256) -> io::Result<Self> {
        let (send, receive) = sync_channel::<Arc<Batch>>(AHEAD);
        let run = move || {
            receive.iter().for_each(|batch| batch.hash(&mut hash));
            hash
        };
        Ok(Self { send, thread: Builder::new().spawn_scoped(scope, run)? })
    }

    fn hash(&self, batch: &Arc<Batch>) {
        // Where the thread is gone, `finish` says so.
        let _ = self.send.send(Arc::clone(batch));
    }

    fn finish(self) -> io::Result<Sha256> {
        drop(self.send);
        self.thread.join().map_err(|_| io::Error::other("the thread that hashes the bundle ended"))
    }
}

/// A thread that looks at entries: where batches go, with the numbers of their first entries, and what came of them.
type Looker = (SyncSender<(u64, Arc<Batch>)>, Receiver<Stretch>);

/// The threads that look at entries, in turn, and what they found, in order.
struct Line<'t> {
    threads: Vec<Looker>,
    /// Batches handed out, and taken back.
    out: usize,
    back: usize,
    take: &'t mut dyn FnMut(Stretch) -> bool,
}

impl<'t> Line<'t> {
    fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        ground: &'scope Ground,
        threads: usize,
        take: &'t mut dyn FnMut(Stretch) -> bool,
    ) -> io::Result<Self> {
        let start = |_| {
            let (send, batches) = sync_channel::<(u64, Arc<Batch>)>(AHEAD);
            let (found, receive) = sync_channel(AHEAD);
            let run = move || {
                for (first, batch) in batches {
                    if found.send(ground.look_at(first, &batch)).is_err() {
                        return;
                    }
                }
            };
            Builder::new().spawn_scoped(scope, run).map(|_| (send, receive))
        };
        Ok(Self { threads: (0..threads).map(start).collect::<io::Result<_>>()?, out: 0, back: 0, take })
    }

    /// Hands a batch on, and takes back what is due; says whether that was taken.
    fn look_at(&mut self, first: u64, batch: &Arc<Batch>) -> bool {
        let most = self.threads.len().saturating_mul(AHEAD - 1);
        while self.out.saturating_sub(self.back) >= most {
            if !self.take_back() {
                return false;
            }
        }
        if let Some((send, _)) = self.threads.get(self.out % self.threads.len().max(1)) {
            // Where the thread is gone, nothing comes back from it.
            let _ = send.send((first, Arc::clone(batch)));
        }
        self.out = self.out.saturating_add(1);
        true
    }

    fn finish(&mut self) -> bool {
        while self.back < self.out {
            if !self.take_back() {
                return false;
            }
        }
        true
    }

    fn take_back(&mut self) -> bool {
        let found = self.threads.get(self.back % self.threads.len().max(1)).and_then(|(_, found)| found.recv().ok());
        self.back = self.back.saturating_add(1);
        found.is_some_and(|stretch| (self.take)(stretch))
    }
}
