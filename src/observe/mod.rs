//! Floor 0: what operators may see of the work, through `tracing` and `metrics`; nothing at all without these features.
//!
//! Only words known when this crate was compiled (`&'static str`), numbers and durations come in here. So no identifier,
//! kind, name, path or secret can go out, whoever adds a call.

#[cfg_attr(not(feature = "metrics"), path = "no_meters.rs")]
mod meters;
#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
mod spans;

use std::cell::Cell;
use std::thread;
use std::time::Duration;

#[cfg(all(test, feature = "tracing"))]
pub(crate) use spans::has_span;
#[cfg(feature = "async")]
pub(crate) use spans::in_this_span;

const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";
const FAILED: &str = "failed";

/// An error, as far as it may be told.
pub(crate) trait Told {
    /// One word for what went wrong, out of a closed set.
    fn word(&self) -> &'static str;
    /// Whether a rule refused, rather than something failed.
    fn is_denial(&self) -> bool;
    /// Whether stored bytes are not what they must be, or nothing can be stored any more.
    fn is_alarming(&self) -> bool;
}

/// One operation under way: a span that is entered until this is dropped, and a clock.
#[must_use = "an operation is seen from here until this is dropped"]
pub(crate) struct Watch {
    span: spans::Span,
    meter: meters::Meter,
    ended: Cell<bool>,
}

impl Watch {
    pub(crate) fn start(event: &'static str, action: &'static str) -> Self {
        let (span, meter) = (spans::Span::enter(event, action), meters::Meter::start(event, action));
        Self { span, meter, ended: Cell::new(false) }
    }

    /// How many records the operation touches.
    pub(crate) fn touched(&self, records: usize) {
        self.span.touched(records);
    }

    /// Tells how it went. The first telling counts.
    pub(crate) fn end<T, E: Told>(&self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.tell(ALLOWED, None, false),
            Err(error) => {
                let outcome = if error.is_denial() { DENIED } else { FAILED };
                self.tell(outcome, Some(error.word()), error.is_alarming());
            }
        }
    }

    /// Tells that it did not happen; gives the error back.
    pub(crate) fn refused<E: Told>(&self, error: E) -> E {
        self.end(&Err::<(), &E>(&error));
        error
    }

    fn tell(&self, outcome: &'static str, error: Option<&'static str>, alarming: bool) {
        if !self.ended.replace(true) {
            self.span.ended(outcome, error, alarming);
            self.meter.ended(outcome, error);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if cfg!(any(feature = "metrics", feature = "tracing")) && thread::panicking() {
            self.tell(FAILED, Some("panicked"), true);
        }
    }
}

impl<E: Told> Told for &E {
    fn word(&self) -> &'static str {
        E::word(self)
    }

    fn is_denial(&self) -> bool {
        E::is_denial(self)
    }

    fn is_alarming(&self) -> bool {
        E::is_alarming(self)
    }
}

/// An operation that is one call.
pub(crate) fn operation<T, E: Told>(
    event: &'static str,
    action: &'static str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let watch = Watch::start(event, action);
    let result = work();
    watch.end(&result);
    result
}

/// Measures how long something takes.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    started: std::time::Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            started: std::time::Instant::now(),
        }
    }

    fn elapsed(self) -> Duration {
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        return self.started.elapsed();
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        return Duration::ZERO;
    }
}

/// A vault is open. `rebuilt` says why its trees were rebuilt, if they were.
pub(crate) fn opened(clean: bool, replayed_frames: u64, torn_bytes: u64, rebuilt: Option<&'static str>) {
    spans::opened(clean, replayed_frames, torn_bytes, rebuilt);
    meters::opened(clean, replayed_frames, rebuilt.is_some());
}

/// A group of jobs was appended to the journal and synced, or could not be.
pub(crate) fn committed(took: Stopwatch, jobs: usize, entries: usize, done: bool) {
    let took = took.elapsed();
    spans::committed(took, jobs, entries, done);
    meters::committed(took, jobs, done);
}

/// So many bytes joined the queue before the journal.
pub(crate) fn queued(bytes: usize) {
    meters::queued(bytes);
}

/// So many bytes left the queue before the journal.
pub(crate) fn unqueued(bytes: usize) {
    meters::unqueued(bytes);
}

/// The trees were made durable, or could not be.
pub(crate) fn checkpointed(took: Stopwatch, done: bool) {
    let took = took.elapsed();
    spans::checkpointed(took, done);
    meters::checkpointed(took, done);
}

/// A journal segment of so many bytes was begun.
pub(crate) fn rolled(bytes: u64) {
    spans::rolled(bytes);
    meters::rolled();
}

/// The trees were rebuilt while in use, or could not be.
pub(crate) fn rebuilt(took: Stopwatch, done: bool) {
    let took = took.elapsed();
    spans::rebuilt(took, done);
    meters::rebuilt();
}

/// Something is not as it was written; `mended`: it is again.
pub(crate) fn found(mended: bool) {
    spans::found(mended);
    meters::found(mended);
}

/// A vault that takes no more commits, as long as this lives.
pub(crate) struct Stopped(meters::Stopped);

impl Stopped {
    pub(crate) fn new() -> Self {
        spans::stopped();
        Self(meters::Stopped::new())
    }
}

/// A session that can be used, until it is closed or dropped.
pub(crate) struct OpenSession(meters::OpenSession);

impl OpenSession {
    pub(crate) fn new() -> Self {
        Self(meters::OpenSession::new())
    }

    pub(crate) fn closed(&self) {
        self.0.closed();
    }
}
