//! One call under way, as a future.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::{fmt, mem, thread};

use super::Workers;
use crate::observe;

/// A call under way: a future, `Send`, bound to no runtime, borrowing nothing. It does nothing before it is polled.
///
/// Once it was taken in by its [`Workers`] the call is done to its end and logged, even if the future is dropped. One
/// that still waits for room is withdrawn by dropping it: nothing was touched, and nothing is logged. A panic in the work
/// is resumed where the future is awaited. Polled again after it was ready, it stays pending.
#[must_use = "a call does nothing before it is awaited"]
pub struct Call<R>(State<R>);

enum State<R> {
    New(Workers, Box<dyn FnOnce() -> R + Send>),
    /// With the number by which it can be withdrawn, if it was not taken in at once.
    Asked(Workers, Option<u64>, Arc<Slot<R>>),
    Over,
}

/// Where the answer is left.
struct Slot<R>(Mutex<Answer<R>>);

enum Answer<R> {
    Awaited(Waker),
    Here(thread::Result<R>),
    Taken,
}

impl<R> Call<R> {
    pub(super) fn new(workers: Workers, work: Box<dyn FnOnce() -> R + Send>) -> Self {
        Self(State::New(workers, work))
    }
}

impl<R: Send + 'static> Future for Call<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let state = &mut self.get_mut().0;
        match mem::replace(state, State::Over) {
            State::New(workers, work) => {
                let slot = Arc::new(Slot(Mutex::new(Answer::Awaited(context.waker().clone()))));
                let left = Arc::clone(&slot);
                let work = observe::in_this_span(work);
                let number = workers.submit(Box::new(move || left.leave(catch_unwind(AssertUnwindSafe(work)))));
                *state = State::Asked(workers, number, slot);
                Poll::Pending
            }
            State::Asked(workers, number, slot) => match slot.take(context) {
                Some(Ok(answer)) => Poll::Ready(answer),
                Some(Err(panic)) => resume_unwind(panic),
                None => {
                    *state = State::Asked(workers, number, slot);
                    Poll::Pending
                }
            },
            State::Over => Poll::Pending,
        }
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let State::Asked(workers, Some(number), _) = &self.0 {
            workers.withdraw(*number);
        }
    }
}

impl<R> Slot<R> {
    /// Leaves the answer and wakes whoever waits for it.
    fn leave(&self, answer: thread::Result<R>) {
        let before = mem::replace(&mut *self.lock(), Answer::Here(answer));
        if let Answer::Awaited(waker) = before {
            waker.wake();
        }
    }

    /// The answer; until it is there, notes whom to wake.
    fn take(&self, context: &Context<'_>) -> Option<thread::Result<R>> {
        let mut answer = self.lock();
        match mem::replace(&mut *answer, Answer::Taken) {
            Answer::Here(here) => Some(here),
            Answer::Awaited(mut waker) => {
                waker.clone_from(context.waker());
                *answer = Answer::Awaited(waker);
                None
            }
            Answer::Taken => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answer<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::New(..) => "Call(not begun)",
            State::Asked(..) => "Call(under way)",
            State::Over => "Call(over)",
        })
    }
}
