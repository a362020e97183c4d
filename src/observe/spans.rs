//! The feature `tracing`: one span an operation, and events for what happens to a vault. All of target `chartvault`.

use std::time::Duration;

use tracing::field::Empty;
use tracing::span::EnteredSpan;
use tracing::{debug, error, info, info_span, trace, warn};

/// A span needs a name that is known when this is compiled, so each has a line of its own.
macro_rules! spans {
    ($($event:literal)*) => {
        fn span(event: &'static str, action: &'static str) -> tracing::Span {
            match event {
                $($event => info_span!(
                    target: "chartvault", concat!("chartvault.", $event),
                    event, action, outcome = Empty, error = Empty, records = Empty,
                ),)*
                _ => info_span!(
                    target: "chartvault", "chartvault.other",
                    event, action, outcome = Empty, error = Empty, records = Empty,
                ),
            }
        }

        /// Whether operations of this event have a span of their own name.
        #[cfg(test)]
        pub(crate) fn has_span(event: &str) -> bool {
            [$($event),*].contains(&event)
        }
    };
}

spans! {
    "vault-created" "vault-opened" "vault-closed" "vault-salvaged" "checkpoint" "issuer-trusted" "issuer-limited" "issuer-revoked" "attester-trusted"
    "slot-added" "slot-removed" "slot-changed" "header-backed-up" "kind-registered" "clock-reset" "read-audit-changed" "journal-compacted" "vault-checked"
    "backup-made" "backup-verified" "vault-restored" "drill-done" "backup-pruned"
    "key-added" "rows-resealed" "root-key-changed" "suite-changed" "compartment-created"
    "session-opened" "session-closed" "signed-in" "sign-in-refused" "stepped-up"
    "principal-enrolled" "principal-changed" "principal-disabled" "principal-enabled" "principals-listed"
    "patient-registered" "patient-found" "identifier-added" "retention-changed" "hold-placed" "hold-lifted"
    "retention-read" "erasure-begun" "patient-erased" "chart-labelled" "chart-label-read"
    "glass-broken" "role-defined" "role-retired" "roles-listed" "access-rules-changed" "denial-explained" "rights-read" "risks-reported"
    "grant-registered" "grants-listed" "revoked" "review-opened" "review-decided" "review-closed" "reviews-listed"
    "case-assigned" "case-closed" "cases-listed"
    "record-put" "record-read" "records-listed" "chart-read" "history-read" "record-amended" "record-voided"
    "kinds-listed" "records-exported" "audit-verified" "audit-queried"
    "entry-disclosed" "log-exported" "log-pruned" "log-hold-placed" "log-hold-lifted" "access-report-read" "disclosures-accounted"
    "sink-attached" "log-subscribed" "flag-assigned" "flag-closed" "flags-listed" "log-monitored" "monitoring-changed"
    "log-summarised" "proof-given" "checkpoint-signed"
}

pub(super) struct Span(EnteredSpan);

impl Span {
    pub(super) fn enter(event: &'static str, action: &'static str) -> Self {
        Self(span(event, action).entered())
    }

    pub(super) fn touched(&self, records: usize) {
        self.0.record("records", records);
    }

    pub(super) fn ended(&self, outcome: &'static str, error: Option<&'static str>, alarming: bool) {
        self.0.record("outcome", outcome);
        if let Some(error) = error {
            self.0.record("error", error);
        }
        match error {
            None => debug!(target: "chartvault", outcome, "operation ended"),
            Some(error) if alarming => error!(target: "chartvault", outcome, error, "operation ended"),
            Some(error) => info!(target: "chartvault", outcome, error, "operation ended"),
        }
    }
}

/// Work that is seen inside the caller's span, whichever thread does it.
#[cfg(feature = "async")]
pub(crate) fn in_this_span<R>(work: impl FnOnce() -> R + Send) -> impl FnOnce() -> R + Send {
    let span = tracing::Span::current();
    move || span.in_scope(work)
}

pub(super) fn opened(clean: bool, replayed_frames: u64, torn_bytes: u64, rebuilt: Option<&'static str>) {
    if let Some(reason) = rebuilt {
        warn!(target: "chartvault", reason, "trees rebuilt while opening");
    }
    if !clean {
        warn!(target: "chartvault", replayed_frames, torn_bytes, "vault recovered");
    }
    info!(target: "chartvault", clean, replayed_frames, "vault opened");
}

pub(super) fn committed(took: Duration, jobs: usize, entries: usize, done: bool) {
    let micros = micros(took);
    if done {
        trace!(target: "chartvault", jobs, entries, micros, "group committed");
    } else {
        error!(target: "chartvault", jobs, entries, micros, "group not committed");
    }
}

pub(super) fn checkpointed(took: Duration, done: bool) {
    let micros = micros(took);
    if done {
        debug!(target: "chartvault", micros, "checkpoint made");
    } else {
        warn!(target: "chartvault", micros, "checkpoint failed");
    }
}

pub(super) fn rolled(bytes: u64) {
    debug!(target: "chartvault", bytes, "journal segment begun");
}

pub(super) fn rebuilt(took: Duration, done: bool) {
    let micros = micros(took);
    if done {
        warn!(target: "chartvault", micros, "trees rebuilt");
    } else {
        error!(target: "chartvault", micros, "trees not rebuilt");
    }
}

pub(super) fn found(mended: bool) {
    if mended {
        warn!(target: "chartvault", "damage found and mended");
    } else {
        error!(target: "chartvault", "damage found");
    }
}

pub(super) fn stopped() {
    error!(target: "chartvault", "vault stopped: it takes no commits until it is opened again");
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
