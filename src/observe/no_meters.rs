//! In place of `meters.rs` without the feature `metrics`: nothing.

use std::time::Duration;

pub(super) struct Meter;

impl Meter {
    pub(super) const fn start(_event: &'static str, _action: &'static str) -> Self {
        Self
    }

    pub(super) const fn ended(&self, _outcome: &'static str, _error: Option<&'static str>) {}
}

pub(super) const fn opened(_clean: bool, _replayed_frames: u64, _rebuilt: bool) {}

pub(super) const fn committed(_took: Duration, _jobs: usize, _done: bool) {}

pub(super) const fn queued(_bytes: usize) {}

pub(super) const fn unqueued(_bytes: usize) {}

pub(super) const fn checkpointed(_took: Duration, _done: bool) {}

pub(super) const fn rolled() {}

pub(super) const fn rebuilt() {}

pub(super) const fn found(_mended: bool) {}

pub(super) struct Stopped;

impl Stopped {
    pub(super) const fn new() -> Self {
        Self
    }
}

pub(super) struct OpenSession;

impl OpenSession {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) const fn closed(&self) {}
}
