//! The thread that brings the log to one sink: it reads, delivers, and notes how far the sink is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{SharedSink, keep_row};
use crate::audit::{AuditEvent, AuditFilter, Draft, Outcome};
use crate::committer::Growth;
use crate::error::Error;
use crate::policy::{PolicyRow, SinkRow};
use crate::session::Follower;
use crate::sink::{Delivered, SinkError, SinkForm, SinkPolicy, pseudonymise};
use crate::unlocked::{Gate, Unlocked, WeakGate};

/// Entries delivered at once: 16 MiB of the log at most.
const BATCH: u64 = 256;
/// Entries taken, and time passed, until it is noted how far the sink is.
const NOTE_EVERY: u64 = 1_024;
const NOTE_AFTER: Duration = Duration::from_secs(10);
/// Between one try and the next: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the thread shares with the vault.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) policy: SinkPolicy,
    pub(super) next: AtomicU64,
    pub(super) failing: Mutex<Option<String>>,
    stop: AtomicBool,
    /// It is to end as if it had been killed.
    #[cfg(feature = "test-util")]
    abandoned: AtomicBool,
}

/// The thread, from outside.
pub(super) struct Courier {
    pub(super) shared: Arc<Shared>,
    growth: Arc<Growth>,
    done: Mutex<Receiver<()>>,
}

impl Courier {
    pub(super) fn start(gate: &Gate, sink: &SharedSink, row: &SinkRow, policy: SinkPolicy) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            name: row.name.clone(),
            policy,
            next: AtomicU64::new(row.next),
            failing: Mutex::default(),
            stop: AtomicBool::new(false),
            #[cfg(feature = "test-util")]
            abandoned: AtomicBool::new(false),
        });
        let (ended, done) = mpsc::channel::<()>();
        let (growth, row, sink) = (gate.growth(), row.clone(), Arc::clone(sink));
        let run = Run { gate: gate.downgrade(), growth: gate.growth(), shared: Arc::clone(&shared), sink, row };
        thread::Builder::new().name("chartvault-sink".into()).spawn(move || {
            run.run();
            drop(ended);
        })?;
        Ok(Self { shared, growth, done: Mutex::new(done) })
    }

    /// Tells it to end: what it has under way comes first, where that does not hang.
    pub(super) fn tell_to_stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.growth.nudge();
    }

    #[cfg(feature = "test-util")]
    pub(super) fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }

    /// Waits for its end, but not for ever: a sink that hangs is left to itself, and holds nothing of the vault.
    pub(super) fn wait_until(&self, until: Instant) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = done.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

struct Run {
    gate: WeakGate,
    growth: Arc<Growth>,
    shared: Arc<Shared>,
    sink: SharedSink,
    row: SinkRow,
}

/// The vault is closed, or the sink detached.
struct Over;

impl Run {
    fn run(mut self) {
        let mut place = None;
        let mut noted = Instant::now();
        while self.go_on(&mut place, &mut noted).is_ok() {}
        #[cfg(feature = "test-util")]
        if self.shared.abandoned.load(Ordering::SeqCst) {
            return;
        }
        // Where the vault is sealed already, some entries come twice.
        let _ = self.note();
    }

    fn go_on(&mut self, place: &mut Option<Follower>, noted: &mut Instant) -> Result<(), Over> {
        self.still_wanted()?;
        let next = self.shared.next.load(Ordering::SeqCst);
        let ahead = next.saturating_sub(self.row.next);
        if ahead >= NOTE_EVERY || (ahead > 0 && noted.elapsed() >= NOTE_AFTER) {
            self.note()?;
            *noted = Instant::now();
        }
        let form = self.sink_form();
        let batch = self.look_in(|unlocked| read(unlocked, place, next, form))?;
        match batch {
            Ok((batch, end)) if end > next => self.deliver(&batch, end),
            Ok(_) => {
                self.growth.wait_beyond(next, NOTE_AFTER, &self.shared.stop);
                Ok(())
            }
            Err(error) => {
                *place = None;
                self.fails(Some(error.to_string()));
                self.growth.pause(LONGEST_PAUSE, &self.shared.stop);
                Ok(())
            }
        }
    }

    /// Offers a batch until it is taken.
    fn deliver(&self, batch: &[Delivered], end: u64) -> Result<(), Over> {
        let (began, mut pause, mut told) = (Instant::now(), FIRST_PAUSE, false);
        self.gate.upgrade().ok_or(Over)?.demand().has_work(&self.shared.name);
        loop {
            let taken = self.offer(batch);
            self.still_wanted()?;
            if !told && began.elapsed() >= self.shared.policy.patience() {
                let why = taken.as_ref().err().map_or_else(|| "hung".to_owned(), ToString::to_string);
                self.tell(&why, began.elapsed())?;
                told = true;
            }
            let Err(error) = taken else { break };
            self.fails(Some(error.to_string()));
            self.growth.pause(pause, &self.shared.stop);
            self.still_wanted()?;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        self.fails(None);
        self.shared.next.store(end, Ordering::SeqCst);
        self.gate.upgrade().ok_or(Over)?.demand().took(&self.shared.name, end);
        Ok(())
    }

    /// Nothing of the vault is held meanwhile: it can be closed while a sink hangs.
    fn offer(&self, batch: &[Delivered]) -> Result<(), SinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = catch_unwind(AssertUnwindSafe(|| sink.deliver(batch)));
        taken.unwrap_or_else(|_| Err(SinkError::Other("the sink panicked".to_owned())))
    }

    fn sink_form(&self) -> SinkForm {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // One that panics over this is asked for nothing more than it may see.
        catch_unwind(AssertUnwindSafe(|| sink.form())).unwrap_or(SinkForm::Sealed)
    }

    fn still_wanted(&self) -> Result<(), Over> {
        if self.shared.stop.load(Ordering::SeqCst) { Err(Over) } else { Ok(()) }
    }

    fn fails(&self, why: Option<String>) {
        *self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn look_in<T>(&self, work: impl FnOnce(&Unlocked) -> T) -> Result<T, Over> {
        self.gate.upgrade().ok_or(Over)?.look_in(work).map_err(|_| Over)
    }

    /// Has the log say that the sink takes nothing.
    fn tell(&self, why: &str, since: Duration) -> Result<(), Over> {
        let mut draft = Draft::new(AuditEvent::SinkDetached, Outcome::Failed);
        let why: String = why.chars().take(200).collect();
        draft.fields.detail = Some(format!("{}: took nothing for {} s: {why}", self.shared.name, since.as_secs()));
        // Where it cannot be written the vault has stopped.
        let _ = self.look_in(|unlocked| unlocked.commit(Vec::new(), vec![draft]))?;
        Ok(())
    }

    /// Notes how far the sink is. Where that fails it is noted later, or entries come twice.
    fn note(&mut self) -> Result<(), Over> {
        let next = self.shared.next.load(Ordering::SeqCst);
        let name = &self.shared.name;
        let noted = self.look_in(|unlocked| {
            keep_row(unlocked, Vec::new(), || {
                // Who detached it, or attached it anew, has noted it.
                let row = unlocked.policy.sink(name).filter(|row| row.policy.is_some() && row.next < next);
                Ok(row.map(|row| PolicyRow::Sink(SinkRow { next, ..row })))
            })
        })?;
        if noted.is_ok() {
            self.row.next = next;
        }
        Ok(())
    }
}

fn read(
    unlocked: &Unlocked,
    place: &mut Option<Follower>,
    next: u64,
    form: SinkForm,
) -> Result<(Vec<Delivered>, u64), Error> {
    let mut follower = match place.take() {
        Some(follower) if follower.next() == next => follower,
        _ => Follower::new(unlocked, next)?,
    };
    let all = AuditFilter::new();
    let filter = (form != SinkForm::Sealed).then_some(&all);
    let read = follower.read(unlocked, BATCH, filter)?;
    let keyring = unlocked.keyring();
    let batch = read.into_iter().map(|followed| {
        let mut entry = followed.entry;
        if let (SinkForm::Pseudonymous, Some(entry)) = (form, &mut entry) {
            pseudonymise(entry, |patient| keyring.sink_pseudonym(patient));
        }
        Delivered::new((followed.seq, followed.time, followed.leaf), entry)
    });
    let (batch, end) = (batch.collect(), follower.next());
    *place = Some(follower);
    Ok((batch, end))
}
