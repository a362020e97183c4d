//! Threads made for blocking, and the bounded queue before them.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, io, mem, thread};

use super::Call;

const THREADS: usize = 16;
const QUEUE: usize = 256;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that do the blocking work of async calls. Cheap to clone; several vaults may share them.
///
/// At most `queue` calls wait for a thread; further ones are not taken in before there is room, and their futures stay
/// pending. A call that was taken in is done whatever becomes of its future; one that was not is withdrawn when its
/// future is dropped. Calls are begun in the order in which they were first polled. Threads are started when needed and
/// end, once all is done, after the last handle was dropped.
///
/// Work that runs here must not wait for other async calls on the same workers: with every thread waiting, nobody works.
///
/// ```
/// # fn block_on<F: Future>(future: F) -> F::Output { pollster::block_on(future) }
/// use chartvault::Workers;
/// let workers = Workers::start()?;
/// assert_eq!(block_on(workers.call(|| 6 * 7)), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Workers(Arc<Handle>);

/// Ends the threads when the last of its holders is gone; the threads themselves hold what is inside.
struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    most_threads: usize,
    queue: usize,
}

#[derive(Default)]
struct State {
    /// Will be done, come what may.
    accepted: VecDeque<Job>,
    /// Beyond the bound, each kept for a living future. Empty unless `accepted` is full.
    waiting: BTreeMap<u64, Job>,
    next_number: u64,
    threads: usize,
    idle: usize,
    ended: bool,
}

impl Workers {
    /// Up to 16 threads, and 256 calls that wait for one.
    ///
    /// # Errors
    /// The operating system's answer when not even one thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::with_limits(THREADS, QUEUE)
    }

    /// Up to `threads` threads, and `queue` calls that wait for one; 0 counts as 1. More threads let more calls share one
    /// sync to disk; each unlocking call holds the memory of its Argon2id parameters meanwhile.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub fn with_limits(threads: usize, queue: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            most_threads: threads.max(1),
            queue: queue.max(1),
        });
        // One at least, so that whatever is accepted later is done.
        shared.spawn(&mut shared.lock())?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Any blocking work as a future. A panic in it is resumed where the future is awaited.
    pub fn call<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Call<R> {
        Call::new(self.clone(), Box::new(work))
    }

    /// Takes a job in, or notes it until there is room: then the number by which it can be withdrawn.
    pub(super) fn submit(&self, job: Job) -> Option<u64> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let number = if state.accepted.len() < shared.queue {
            state.accepted.push_back(job);
            None
        } else {
            state.next_number += 1;
            let number = state.next_number;
            state.waiting.insert(number, job);
            Some(number)
        };
        if state.accepted.len() > state.idle && state.threads < shared.most_threads {
            // There is one thread already, which will do it if no other can be had.
            let _ = shared.spawn(&mut state);
        }
        shared.work.notify_one();
        number
    }

    /// Forgets a job that was not taken in yet.
    pub(super) fn withdraw(&self, number: u64) {
        let withdrawn = self.0.0.lock().waiting.remove(&number);
        // What the job owns goes after the lock: it may call back.
        drop(withdrawn);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name("chartvault-worker".into()).spawn(move || shared.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.accepted.pop_front() {
                if let Some((_, next)) = state.waiting.pop_first() {
                    state.accepted.push_back(next);
                }
                drop(state);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                    // A waker panicked, or what was thrown away did. The thread goes on; dropping could panic again.
                    mem::forget(panic);
                }
                state = self.lock();
            } else if state.ended {
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.work.notify_all();
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.0.lock();
        let queued = state.accepted.len() + state.waiting.len();
        f.debug_struct("Workers").field("threads", &state.threads).field("queued", &queued).finish_non_exhaustive()
    }
}
