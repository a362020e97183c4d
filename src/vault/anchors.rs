//! The threads that give anchors what they are to hold: one an anchor, none of which commits wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Options, Vault};
use crate::anchor::{Anchor, AnchorError, AnchorPolicy};
use crate::audit::{AuditEvent, Checkpoint, Draft, Outcome};
use crate::clock::{Clock, Timestamp};
use crate::ids::VaultId;
use crate::unlocked::{Gate, Unlocked, WeakGate, guarded};

/// How often it is looked whether something is to be anchored, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long an anchor that fails is left alone, at most.
const MOST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Characters of what is logged of a failure.
const MOST_TOLD: usize = 300;

/// How it stands with an anchor; see [`Vault::anchors`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnchorState {
    /// Its name.
    pub name: String,
    /// Entries of the last checkpoint that it is known to hold.
    pub size: Option<u64>,
    /// When it took that, if it was since the vault was opened.
    pub at: Option<Timestamp>,
    /// Why it did not take the last one that it was given.
    pub failure: Option<String>,
}

/// A final checkpoint on its way, and where it is said that the anchor has answered.
type Final = (Checkpoint, Sender<()>);

/// An anchor of the options.
type Given = (Arc<dyn Anchor>, AnchorPolicy);

/// All anchors of an open vault.
pub(super) struct Anchors(Vec<Post>);

struct Post {
    state: Arc<Mutex<AnchorState>>,
    patience: Duration,
    bell: Sender<Final>,
    stopping: Arc<AtomicBool>,
    /// Held by the thread while it is inside the vault.
    inside: Arc<Mutex<()>>,
}

impl Anchors {
    /// `held`: what each anchor holds, as far as that is known.
    pub(super) fn start(gate: &Gate, vault: VaultId, options: &Options, held: &[Option<u64>]) -> Self {
        // Of a new vault no anchor was asked, and none can hold anything.
        let sizes = held.iter().map(|held| (*held, held.is_some())).chain(std::iter::repeat((None, true)));
        let post = |((anchor, policy), (size, compared)): (&Given, (Option<u64>, bool))| {
            let name = anchor.name().to_owned();
            let state = Arc::new(Mutex::new(AnchorState { name, size, at: None, failure: None }));
            let (bell, rung) = mpsc::channel();
            let post = Post {
                state: Arc::clone(&state),
                patience: policy.patience,
                bell,
                stopping: Arc::default(),
                inside: Arc::default(),
            };
            let worker = Worker {
                anchor: Arc::clone(anchor),
                policy: *policy,
                vault,
                clock: Arc::clone(&options.clock),
                gate: gate.downgrade(),
                state: Arc::clone(&state),
                stopping: Arc::clone(&post.stopping),
                inside: Arc::clone(&post.inside),
                told: false,
                compared,
            };
            let started = thread::Builder::new().name("chartvault-anchor".into()).spawn(move || worker.run(&rung));
            if let Err(error) = started {
                lock(&state).failure = Some(format!("no thread can be had for it: {error}"));
            }
            post
        };
        Self(options.anchors.iter().zip(sizes).map(post).collect())
    }

    /// Gives all of them the checkpoint that closed the vault, and waits as long as each may take.
    pub(super) fn finish(&self, checkpoint: &Checkpoint) {
        let begun = Instant::now();
        let waiting: Vec<_> = self.0.iter().map(|post| (post, post.hand_over(checkpoint))).collect();
        for (post, answered) in waiting {
            let left = post.patience.saturating_sub(begun.elapsed());
            if answered.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                lock(&post.state).failure = Some(AnchorError::TimedOut { after: post.patience }.to_string());
            }
        }
    }

    fn states(&self) -> Vec<AnchorState> {
        self.0.iter().map(|post| lock(&post.state).clone()).collect()
    }
}

impl Post {
    fn hand_over(&self, checkpoint: &Checkpoint) -> Receiver<()> {
        let (answer, answered) = mpsc::channel();
        // Where there is no thread, nobody answers.
        let _ = self.bell.send((checkpoint.clone(), answer));
        answered
    }
}

/// Waits until nobody is inside; for an anchor that hangs it is not waited.
impl Drop for Post {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(lock(&self.inside));
    }
}

struct Worker {
    anchor: Arc<dyn Anchor>,
    policy: AnchorPolicy,
    vault: VaultId,
    clock: Arc<dyn Clock>,
    gate: WeakGate,
    state: Arc<Mutex<AnchorState>>,
    stopping: Arc<AtomicBool>,
    inside: Arc<Mutex<()>>,
    /// Whether the log says that the anchor takes checkpoints; after a failure it does not any more.
    told: bool,
    /// Whether what the anchor holds was compared with the log.
    compared: bool,
}

impl Worker {
    fn run(mut self, rung: &Receiver<Final>) {
        let look_every = (self.policy.every / 4).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        let (mut pause, mut not_before) = (look_every, Instant::now());
        let mut since: Option<Instant> = None;
        loop {
            match rung.recv_timeout(look_every) {
                Ok((checkpoint, answer)) => {
                    if self.compare() {
                        self.publish(&checkpoint);
                    }
                    let _ = answer.send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let unseen = self.look(|unlocked| self.unseen(unlocked)).unwrap_or(0);
            let begun = *since.get_or_insert_with(Instant::now);
            if unseen == 0 {
                since = None;
                continue;
            }
            let due = unseen >= self.policy.entries || begun.elapsed() >= self.policy.every;
            if !due || Instant::now() < not_before {
                continue;
            }
            let compared = self.compare();
            let Some(Ok(checkpoint)) = self.look(Unlocked::log_checkpoint) else { continue };
            since = None;
            if compared && self.publish(&checkpoint) {
                pause = look_every;
            } else {
                not_before = Instant::now() + pause;
                pause = pause.saturating_mul(2).min(MOST_PAUSE);
            }
        }
    }

    /// Entries that the anchor does not hold yet.
    fn unseen(&self, unlocked: &Unlocked) -> u64 {
        let size = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        size.saturating_sub(lock(&self.state).size.unwrap_or(0))
    }

    /// Enters the vault, unless that is being closed.
    fn look<T>(&self, work: impl FnOnce(&Unlocked) -> T) -> Option<T> {
        let _inside = lock(&self.inside);
        if self.stopping.load(Ordering::SeqCst) {
            return None;
        }
        self.gate.upgrade()?.look_in(work).ok()
    }

    /// Whether what the anchor holds is of this log, asked again where it could not be read when the vault was opened. Until
    /// then it is given nothing: what it holds may be all that shows that the log was brought back.
    fn compare(&mut self) -> bool {
        if self.compared {
            return true;
        }
        let name = lock(&self.state).name.clone();
        // Outside the vault: it may take its time.
        let held = guarded(|| self.anchor.last(self.vault)).and_then(|held| {
            let Some(text) = held else { return Ok(None) };
            let failed = |why: String| AnchorError::Failed { why };
            let judged = self.look(|unlocked| unlocked.judge_anchored(&name, &text));
            let judged = judged.ok_or_else(|| failed("the vault was closed before the two were compared".into()))?;
            judged.map(Some).map_err(|error| failed(error.to_string()))
        });
        match held {
            Ok(size) => {
                lock(&self.state).size = size;
                self.compared = true;
            }
            Err(error) => self.failed(&error),
        }
        self.compared
    }

    /// Whether the anchor took it. The log is told the first time, and when that changes: were it told every time, an idle
    /// vault would write for ever.
    fn publish(&mut self, checkpoint: &Checkpoint) -> bool {
        let size = checkpoint.size;
        let proof = |old| {
            let failed = |why: String| AnchorError::Failed { why };
            let prove = |unlocked: &Unlocked| {
                let before = unlocked.log_root(old)?;
                unlocked.log_consistency((old, &before), (size, &checkpoint.root))
            };
            let proved = self.look(prove);
            let proved =
                proved.ok_or_else(|| failed("the vault is being closed, and gives no proof any more".into()))?;
            proved.map_err(|error| failed(error.to_string()))
        };
        let published = guarded(|| self.anchor.publish(self.vault, checkpoint, &proof));
        match &published {
            Ok(()) => self.took(size),
            Err(error) => self.failed(error),
        }
        published.is_ok()
    }

    fn took(&mut self, size: u64) {
        let mut state = lock(&self.state);
        (state.size, state.at, state.failure) = (Some(size), Some(self.clock.now()), None);
        let mut draft = Draft::new(AuditEvent::CheckpointAnchored, Outcome::Allowed);
        draft.fields.detail = Some(format!("{}: {size} entries", told(&state.name)));
        drop(state);
        if !std::mem::replace(&mut self.told, true) {
            self.tell(draft);
        }
    }

    fn failed(&mut self, error: &AnchorError) {
        let why = error.to_string();
        let mut draft = Draft::new(AuditEvent::AnchorFailed, Outcome::Failed);
        let mut state = lock(&self.state);
        draft.fields.detail = Some(format!("{}: {}", told(&state.name), told(&why)));
        let failing = state.failure.replace(why).is_some();
        drop(state);
        self.told = false;
        if !failing {
            self.tell(draft);
        }
    }

    fn tell(&self, draft: Draft) {
        // What cannot be told now is in the state.
        let _ = self.look(|unlocked| unlocked.commit(Vec::new(), vec![draft]));
    }
}

fn told(text: &str) -> String {
    text.chars().take(MOST_TOLD).collect()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vault {
    /// How it stands with each anchor of the options, in their order: what it holds, and whether it answers.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # let clinic = clinic::Clinic::new();
    /// assert!(clinic.vault.anchors().is_empty()); // none was registered
    /// ```
    #[must_use]
    pub fn anchors(&self) -> Vec<AnchorState> {
        self.0.anchors.states()
    }
}
