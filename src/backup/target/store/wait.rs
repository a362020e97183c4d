//! Runs a future on the thread that asks. The requests themselves are made on it (`http`), so there is no more to wait for than
//! another thread that is just fetching the credential that both need.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use object_store::Error;

use super::http;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a store answers. Where the library that reads the answer panics on it, that is an error like another.
pub(super) fn wait<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // What is in it is not looked at again.
    catch_unwind(AssertUnwindSafe(|| run(future))).unwrap_or_else(|_| Err(http::unreadable()))
}

fn run<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_ends_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || sender.send(7));
        assert_eq!(run(receiver), Ok(7));
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_panic_over_an_answer_is_an_error() {
        let done: Result<(), Error> = wait(async { panic!("over an answer") });
        assert!(done.is_err_and(|error| error.to_string().contains("cannot be read")));
        assert_eq!(http::last(), http::Went::Unfit);
    }
}
