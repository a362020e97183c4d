//! The feature `metrics`: names, labels and units as `docs/observability.md` lists them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const OPERATIONS: &str = "chartvault_operations_total";
const OPERATION_SECONDS: &str = "chartvault_operation_duration_seconds";
const DENIALS: &str = "chartvault_denials_total";
const ERRORS: &str = "chartvault_errors_total";
const COMMIT_SECONDS: &str = "chartvault_commit_duration_seconds";
const COMMIT_JOBS: &str = "chartvault_commit_group_size";
const QUEUE: &str = "chartvault_queue_bytes";
const SESSIONS: &str = "chartvault_sessions_open";
const STOPPED: &str = "chartvault_vaults_stopped";
const OPENINGS: &str = "chartvault_openings_total";
const REPLAYED: &str = "chartvault_replayed_frames_total";
const REBUILDS: &str = "chartvault_rebuilds_total";
const FINDINGS: &str = "chartvault_findings_total";
const CHECKPOINT_SECONDS: &str = "chartvault_checkpoint_duration_seconds";
const ROLLS: &str = "chartvault_segment_rolls_total";

/// Tells the recorder, which is there by the time a vault is opened, what the names mean.
fn describe() {
    describe_counter!(OPERATIONS, Unit::Count, "Operations, by event and outcome");
    describe_histogram!(OPERATION_SECONDS, Unit::Seconds, "Time until an operation was answered");
    describe_counter!(DENIALS, Unit::Count, "Operations that a rule refused, by action");
    describe_counter!(ERRORS, Unit::Count, "Operations that did not succeed, by one word for why");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time to append one group to the journal and sync it");
    describe_histogram!(COMMIT_JOBS, Unit::Count, "Jobs that shared one append and sync");
    describe_gauge!(QUEUE, Unit::Bytes, "Bytes that wait to be appended to the journal");
    describe_gauge!(SESSIONS, Unit::Count, "Sessions that were opened and have not ended");
    describe_gauge!(STOPPED, Unit::Count, "Vaults that take no commits until they are opened again");
    describe_counter!(OPENINGS, Unit::Count, "Vaults opened, by whether they had been closed");
    describe_counter!(REPLAYED, Unit::Count, "Journal frames brought over to the trees when opening");
    describe_counter!(REBUILDS, Unit::Count, "Times that the trees had to be rebuilt from the journal");
    describe_histogram!(CHECKPOINT_SECONDS, Unit::Seconds, "Time to make the trees durable");
    describe_counter!(ROLLS, Unit::Count, "Journal segments begun after the first");
    describe_counter!(FINDINGS, Unit::Count, "Things found that are not as they were written");
}

pub(super) struct Meter {
    event: &'static str,
    action: &'static str,
    started: Instant,
}

impl Meter {
    pub(super) fn start(event: &'static str, action: &'static str) -> Self {
        Self { event, action, started: Instant::now() }
    }

    pub(super) fn ended(&self, outcome: &'static str, error: Option<&'static str>) {
        let (event, action) = (self.event, self.action);
        counter!(OPERATIONS, "event" => event, "outcome" => outcome).increment(1);
        histogram!(OPERATION_SECONDS, "event" => event, "outcome" => outcome).record(self.started.elapsed());
        if let Some(error) = error {
            counter!(ERRORS, "error" => error).increment(1);
        }
        if outcome == super::DENIED {
            counter!(DENIALS, "action" => action).increment(1);
        }
    }
}

pub(super) fn opened(clean: bool, replayed_frames: u64, rebuilt: bool) {
    describe();
    counter!(OPENINGS, "clean" => word(clean)).increment(1);
    counter!(REPLAYED).increment(replayed_frames);
    counter!(REBUILDS).increment(u64::from(rebuilt));
}

pub(super) fn committed(took: Duration, jobs: usize, done: bool) {
    histogram!(COMMIT_SECONDS, "done" => word(done)).record(took);
    histogram!(COMMIT_JOBS).record(number(jobs));
}

pub(super) fn queued(bytes: usize) {
    gauge!(QUEUE).increment(number(bytes));
}

pub(super) fn unqueued(bytes: usize) {
    gauge!(QUEUE).decrement(number(bytes));
}

pub(super) fn checkpointed(took: Duration, done: bool) {
    histogram!(CHECKPOINT_SECONDS, "done" => word(done)).record(took);
}

pub(super) fn rolled() {
    counter!(ROLLS).increment(1);
}

pub(super) fn found(mended: bool) {
    counter!(FINDINGS, "mended" => word(mended)).increment(1);
}

pub(super) fn rebuilt() {
    counter!(REBUILDS).increment(1);
}

/// Added to and taken from the gauge, so that several vaults in one process add up.
pub(super) struct Stopped(());

impl Stopped {
    pub(super) fn new() -> Self {
        gauge!(STOPPED).increment(1.0);
        Self(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        gauge!(STOPPED).decrement(1.0);
    }
}

pub(super) struct OpenSession(AtomicBool);

impl OpenSession {
    pub(super) fn new() -> Self {
        gauge!(SESSIONS).increment(1.0);
        Self(AtomicBool::new(true))
    }

    pub(super) fn closed(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            gauge!(SESSIONS).decrement(1.0);
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.closed();
    }
}

const fn word(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

/// Exact up to four thousand million, which no queue or group reaches.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
