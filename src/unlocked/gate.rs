//! The door through which every handle reaches an unlocked vault, until it is sealed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

use super::Unlocked;
use super::attendant::Attendant;
use super::demand::Demand;
use super::idle::Idle;
use crate::committer::Growth;
use crate::error::Error;
use crate::read_audit::ReadAudit;

/// Shared by the vault's clones and its sessions.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Door>);

/// A door that goes when everybody else has gone.
pub(crate) struct WeakGate(Weak<Door>);

impl WeakGate {
    pub(crate) fn upgrade(&self) -> Option<Gate> {
        self.0.upgrade().map(Gate)
    }
}

// Dropped in this order: nobody but the last handle holds the vault when it goes, so its directory is free then.
struct Door {
    flusher: Mutex<Option<Attendant>>,
    settler: Mutex<Option<Attendant>>,
    inside: RwLock<Option<Arc<Unlocked>>>,
    idle: Option<Idle>,
    growth: Arc<Growth>,
    demand: Demand,
}

impl Gate {
    /// `most_idle`: after so long without anybody entering nobody is let in any more.
    pub(crate) fn new(unlocked: Unlocked, most_idle: Option<Duration>) -> Self {
        let idle = most_idle.map(|most| Idle::new(most, Arc::clone(&unlocked.clock)));
        let unlocked = Arc::new(unlocked);
        // Without the thread those who commit settle what they commit.
        let slowly = unlocked.committer.storage().settles_slowly();
        let settler = Mutex::new(if slowly { Attendant::settler(&unlocked).ok() } else { None });
        let growth = Arc::clone(unlocked.committer.growth());
        let (flusher, inside) = (Mutex::default(), RwLock::new(Some(unlocked)));
        Self(Arc::new(Door { flusher, settler, inside, idle, demand: Demand::new(Arc::clone(&growth)), growth }))
    }

    /// Enters for the length of one operation, once every sink that the vault requires has what it has to have.
    pub(crate) fn enter(&self) -> Result<Arc<Unlocked>, Error> {
        self.wait_for_sinks()?;
        self.enter_whatever_lags()
    }

    /// Waits until every sink that the vault requires has what it has to have.
    pub(crate) fn wait_for_sinks(&self) -> Result<(), Error> {
        Ok(self.0.demand.wait_until_met()?)
    }

    /// Enters to see to the sinks themselves.
    pub(crate) fn enter_whatever_lags(&self) -> Result<Arc<Unlocked>, Error> {
        let unlocked = self.inside()?;
        match &self.0.idle {
            Some(idle) if !idle.enter(&unlocked) => Err(Error::Sealed),
            _ => Ok(unlocked),
        }
    }

    /// Whether both are the same door.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Enters for work that nobody asked for, which does not keep the vault open.
    pub(crate) fn look_in<T>(&self, work: impl FnOnce(&Unlocked) -> T) -> Result<T, Error> {
        let Some(idle) = &self.0.idle else { return Ok(work(&*self.inside()?)) };
        let looking = idle.look_in(|| self.inside())?;
        looking.inside().map(work).ok_or(Error::Sealed)
    }

    /// How long nobody may enter until the vault is to be sealed: nothing once it is. `None` where it never is, or is sealed.
    pub(crate) fn idle_left(&self) -> Option<Duration> {
        let idle = self.0.idle.as_ref()?;
        let unlocked = self.inside().ok()?;
        Some(idle.left(&unlocked))
    }

    /// Whoever waits for the log to grow holds this, and nothing else of the vault.
    pub(crate) fn growth(&self) -> Arc<Growth> {
        Arc::clone(&self.0.growth)
    }

    /// What sinks have to have before anybody may enter.
    pub(crate) fn demand(&self) -> &Demand {
        &self.0.demand
    }

    /// For a thread that is not to keep the vault alive.
    pub(crate) fn downgrade(&self) -> WeakGate {
        WeakGate(Arc::downgrade(&self.0))
    }

    fn inside(&self) -> Result<Arc<Unlocked>, Error> {
        self.0.inside.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Sealed)
    }

    /// Lets entries of reads wait, or not, from now on. If the thread cannot be had that writes them, none waits.
    pub(crate) fn choose(&self, unlocked: &Arc<Unlocked>, choice: ReadAudit) -> io::Result<()> {
        let mut flusher = self.0.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        match (choice, &*flusher) {
            (ReadAudit::Durable, _) => {
                unlocked.committer.choose(choice);
                *flusher = None;
            }
            (ReadAudit::Windowed { .. }, Some(_)) => {}
            (ReadAudit::Windowed { .. }, None) => *flusher = Some(Attendant::flusher(unlocked)?),
        }
        unlocked.committer.choose(choice);
        Ok(())
    }

    /// Lets nobody in any more, waits until everyone inside has left, and hands over what was behind the door, to its only
    /// holder. It stays where it is: what moves leaves a copy behind.
    pub(crate) fn seal(&self) -> Result<Arc<Unlocked>, Error> {
        let taken = self.0.inside.write().unwrap_or_else(PoisonError::into_inner).take();
        let last = taken.ok_or(Error::Sealed)?;
        self.0.growth.end();
        let alone = || {
            while Arc::strong_count(&last) > 1 {
                thread::sleep(Duration::from_micros(200));
            }
        };
        alone();
        // Only now: a call that was under way may have started one.
        for attendant in [&self.0.flusher, &self.0.settler] {
            *attendant.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        alone();
        last.committer.attend(false);
        Ok(last)
    }
}
