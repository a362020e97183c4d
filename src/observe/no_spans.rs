//! In place of `spans.rs` without the feature `tracing`: nothing.

use std::time::Duration;

pub(super) struct Span;

impl Span {
    pub(super) const fn enter(_event: &'static str, _action: &'static str) -> Self {
        Self
    }

    pub(super) const fn touched(&self, _records: usize) {}

    pub(super) const fn ended(&self, _outcome: &'static str, _error: Option<&'static str>, _alarming: bool) {}
}

/// Work as it is.
#[cfg(feature = "async")]
pub(crate) fn in_this_span<W>(work: W) -> W {
    work
}

pub(super) const fn opened(_clean: bool, _frames: u64, _torn: u64, _rebuilt: Option<&'static str>) {}

pub(super) const fn committed(_took: Duration, _jobs: usize, _entries: usize, _done: bool) {}

pub(super) const fn checkpointed(_took: Duration, _done: bool) {}

pub(super) const fn rolled(_bytes: u64) {}

pub(super) const fn rebuilt(_took: Duration, _done: bool) {}

pub(super) const fn found(_mended: bool) {}

pub(super) const fn stopped() {}
