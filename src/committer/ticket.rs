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
    state: Mutex<State>,
    changed: Condvar,
}

impl Ticket {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::Waiting), changed: Condvar::new() }
    }

    pub(super) fn promote(&self) {
        self.set(State::Lead);
    }

    pub(super) fn finish(&self, outcome: Outcome) {
        self.set(State::Done(outcome));
    }

    fn set(&self, new: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.changed.notify_one();
    }

    pub(super) fn wait(&self) -> Woken {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*state {
                State::Waiting => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                State::Lead => {
                    *state = State::Waiting;
                    return Woken::Lead;
                }
                State::Done(outcome) => return Woken::Done(outcome.clone()),
            }
        }
    }
}
