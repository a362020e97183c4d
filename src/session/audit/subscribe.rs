//! Following the log live. The log is the queue: nothing is kept for those who follow it, so nothing is lost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::follow::Follower;
use super::{AuditView, access};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter, Outcome};
use crate::committer::Growth;
use crate::error::Error;
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::terms::Action;
use crate::token::{Reach, Request};
use crate::unlocked::{Lives, Unlocked};

/// Entries read from storage at once: 16 MiB at most.
const CHUNK: u64 = 256;
/// How long the rights of who waits are left unasked.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Entries given out until the log is told of them.
const TELL_EVERY: u64 = 1_000;
/// Never set: a subscription ends with the vault or its session.
static GOES_ON: AtomicBool = AtomicBool::new(false);

impl<'s> AuditView<'s> {
    /// Follows the log as it grows; see [`Subscription`].
    pub const fn subscribe(self, filter: AuditFilter) -> Subscribe<'s> {
        Subscribe { session: self.0, filter }
    }
}

/// What is to be followed; see [`AuditView::subscribe`].
#[derive(Debug)]
#[must_use = "nothing is followed before `from` or `from_now`"]
pub struct Subscribe<'s> {
    session: &'s Session,
    filter: AuditFilter,
}

impl Subscribe<'_> {
    /// Begins with the entry of this number: 0 is the log's first one unless it was pruned, and [`Subscription::position`] the one that a
    /// subscription before would have given next.
    ///
    /// # Errors
    /// [`Error::LogEndsBefore`] where the log has not come so far, [`Error::LogBeginsAfter`] where it was pruned there, and what
    /// [`Session`] lists.
    pub fn from(self, seq: u64) -> Result<Subscription, Error> {
        self.begin(Some(seq))
    }

    /// Begins with what is logged from now on; the first entry is that about the subscription itself.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn from_now(self) -> Result<Subscription, Error> {
        self.begin(None)
    }

    fn begin(self, from: Option<u64>) -> Result<Subscription, Error> {
        let Self { session, filter } = self;
        let (follower, growth) = session.begin(access(AuditEvent::LogSubscribed))?.run(Hold::Nothing, |op| {
            let unlocked = &op.unlocked;
            // What was answered for is followed as well.
            unlocked.committer.flush()?;
            let growth = Arc::clone(unlocked.committer.growth());
            let follower = Follower::new(unlocked, from.unwrap_or_else(|| growth.entries()))?;
            let detail = Some(format!("from entry {}", follower.next()));
            let mut done = Done::read((follower, growth), Vec::new());
            done.detail = detail;
            Ok(done)
        })?;
        let (position, told) = (follower.next(), follower.next());
        let session = session.clone();
        Ok(Subscription {
            session,
            filter,
            follower,
            growth,
            ready: VecDeque::new(),
            position,
            told,
            given: 0,
            over: false,
        })
    }
}

/// The log, followed as it grows: each entry that the filter lets through, in order, without gaps, once it is durable, checked
/// against the chain.
///
/// It reads from the log itself, a chunk at a time (256 entries, at most 16 MiB), so it takes no more memory however slow its
/// reader is, costs writers nothing but a wake-up, and loses nothing: [`Subscription::position`] is where to go on with
/// [`Subscribe::from`], in another process as well. Before each entry is given out, and every two seconds while it waits, the
/// rights of its session are decided anew. Following does not count as use of the session or the vault: where sessions end by idle
/// time, so does it.
///
/// The log has an entry about its beginning (`log-subscribed`), one for each 1,000 entries given out, and one about its end,
/// each with the range. Those are followed as well; being so few, they feed nothing back.
///
/// As an iterator it waits for as long as it takes, and ends behind the first error.
///
/// ```
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let clinic = Clinic::new();
/// use std::time::Duration;
/// let session = clinic.session();
/// let mut following = session.audit()?.subscribe(AuditFilter::new()).from(0)?;
/// let first = following.next_within(Duration::from_secs(5))?.expect("the vault's creation");
/// assert_eq!((first.seq, first.event), (0, AuditEvent::VaultCreated));
/// assert_eq!(following.position(), 1);
/// # Ok::<(), chartvault::Error>(())
/// ```
#[must_use = "it gives entries when it is asked"]
pub struct Subscription {
    session: Session,
    filter: AuditFilter,
    follower: Follower,
    growth: Arc<Growth>,
    ready: VecDeque<AuditEntry>,
    position: u64,
    /// Before which entry the log was told what was given out.
    told: u64,
    /// Entries given out since.
    given: u64,
    over: bool,
}

impl Subscription {
    /// The entry to go on with: all before it that the filter lets through were given out.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; `None` if there is none within so long.
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry on the way is missing, was changed or does not open; [`Error::Denied`],
    /// [`Error::SessionEnded`] or [`Error::StepUpNeeded`] once the session may not read the log any more, [`Error::Sealed`]
    /// once the vault is closed; and what else [`Session`] lists.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<AuditEntry>, Error> {
        let until = Instant::now().checked_add(timeout);
        loop {
            let entry = self.take()?;
            if entry.is_some() {
                return Ok(entry);
            }
            let left = until.map_or(ASK_EVERY, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            // Nothing of the vault is held meanwhile.
            self.growth.wait_beyond(self.follower.next(), left.min(ASK_EVERY), &GOES_ON);
        }
    }

    /// The next entry that is there, if its reader may still have it.
    fn take(&mut self) -> Result<Option<AuditEntry>, Error> {
        let Self { session, filter, follower, ready, growth, .. } = self;
        session.0.gate.wait_for_sinks()?;
        if !session.0.gate.look_in(|unlocked| session.reads_the_log(unlocked))?? {
            // Decided once more, and logged, as every access is. A yes leaves no entry: that of the beginning stands for it.
            drop(session.begin(access(AuditEvent::LogSubscribed))?);
        }
        let entry = session.0.gate.look_in(|unlocked| {
            while ready.is_empty() && growth.entries() > follower.next() {
                let read = follower.read(unlocked, CHUNK, Some(filter))?;
                ready.extend(read.into_iter().filter_map(|followed| followed.entry));
            }
            if unlocked.committer.is_stopped() {
                // Says why.
                unlocked.committer.catch_up()?;
            }
            Ok::<_, Error>(ready.pop_front())
        })??;
        let Some(entry) = entry else {
            self.position = self.follower.next();
            return Ok(None);
        };
        self.position = entry.seq.saturating_add(1);
        self.given = self.given.saturating_add(1);
        if self.given >= TELL_EVERY
            && let Err(error) = self.tell()
        {
            // It is not given out, so whoever goes on from here has it first.
            (self.position, self.given) = (entry.seq, self.given.saturating_sub(1));
            self.ready.push_front(entry);
            return Err(error);
        }
        Ok(Some(entry))
    }

    /// Has the log say what was given out since it was told last.
    fn tell(&mut self) -> Result<(), Error> {
        let mut draft = self.session.draft_of(access(AuditEvent::LogSubscribed), Outcome::Allowed);
        draft.fields.detail = Some(format!("given, of entries {} to {}", self.told, self.position.saturating_sub(1)));
        draft.fields.count = u32::try_from(self.given).ok();
        self.session.0.gate.look_in(|unlocked| unlocked.commit(Vec::new(), vec![draft]))??;
        (self.told, self.given) = (self.position, 0);
        Ok(())
    }
}

impl Iterator for Subscription {
    type Item = Result<AuditEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.next_within(ASK_EVERY) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// The log is told of the end.
impl Drop for Subscription {
    fn drop(&mut self) {
        if self.given > 0 {
            // Where it cannot be told, its beginning stands there without an end.
            let _ = self.tell();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("session", &self.session).field("position", &self.position).finish()
    }
}

impl Session {
    /// Whether it may read the log now.
    pub(super) fn reads_the_log(&self, unlocked: &Unlocked) -> Result<bool, Error> {
        let now = unlocked.now()?;
        let signed_in = self.0.sign_in.is_none_or(|demand| self.life().signed_in.meets(demand, now).is_ok());
        if !signed_in || !self.0.is_alive(unlocked, now) {
            return Ok(false);
        }
        let (action, kind, patient) = (Action::Audit, Reach::Whole, Reach::Whole);
        let emergency = self.0.emergency.map(|emergency| emergency.patient);
        let purpose = self.0.purpose;
        let request = Request { action, kind, patient, purpose, confidentiality: None, now, emergency };
        let Ok(standing) = self.0.standing.now(unlocked, self.0.token.verified()) else { return Ok(false) };
        Ok(self.0.token.decide(&request).and_then(|()| standing.allows(&request)).is_ok())
    }
}
