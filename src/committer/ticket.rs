//! What a caller waits on between queueing its work and its acknowledgement.

use std::sync::{Condvar, Mutex, PoisonError};

use super::CommitFailed;

/// How a caller's work went.
pub(crate) type Outcome = Result<(), CommitFailed>;

enum State {
    Waiting,
    /// The caller is to lead the next group.
    Lead,
    Done(Outcome),
}

/// What a waiting caller is woken for.
pub(super) enum Woken {
    Lead,
    Done(Outcome),
}

pub(super) struct Ticket {
    /// With whether somebody sleeps: waking nobody would cost a system call.
    state: Mutex<(State, bool)>,
    changed: Condvar,
}

impl Ticket {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new((State::Waiting, false)), changed: Condvar::new() }
    }

    pub(super) fn promote(&self) {
        self.set(State::Lead);
    }

    pub(super) fn finish(&self, outcome: Outcome) {
        self.set(State::Done(outcome));
    }

    fn set(&self, new: State) {
        let asleep = {
            let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            held.0 = new;
            held.1
        };
        if asleep {
            self.changed.notify_one();
        }
    }

    pub(super) fn wait(&self) -> Woken {
        let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &held.0 {
                State::Waiting => {
                    held.1 = true;
                    held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                    held.1 = false;
                }
                State::Lead => {
                    held.0 = State::Waiting;
                    return Woken::Lead;
                }
                State::Done(outcome) => return Woken::Done(outcome.clone()),
            }
        }
    }
}
