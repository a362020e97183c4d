//! Why entries are not removed from the log.

use crate::ids::{CaseId, LogHoldId};

/// Why nothing was removed from the log; see [`AuditView::prune`](crate::AuditView::prune).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogPruneError {
    /// The vault keeps its log for ever.
    #[error("the vault keeps its log for ever; set other terms with set_log_retention before you prune it")]
    ForEver,
    /// The archive does not begin where the log does.
    #[error("the archive begins with entry {found}, and the log with {first}; archive the log from there on")]
    NotTheBeginning {
        /// The log's first entry.
        first: u64,
        /// The archive's first entry.
        found: u64,
    },
    /// The vault's terms keep entries that the archive has: they are not old enough, or among the newest.
    #[error(
        "the terms keep the log from entry {kept_from} on, and the archive ends before {end}; archive fewer entries"
    )]
    Terms {
        /// The first entry that the terms keep; whole tiles before it may go.
        kept_from: u64,
        /// The number behind the archive's last entry.
        end: u64,
    },
    /// A hold stands on the log.
    #[error("{hold} stands on the log; have it lifted before you prune")]
    Held {
        /// The hold, the oldest one.
        hold: LogHoldId,
    },
    /// An emergency that nobody reviewed yet began before the archive's last entry.
    #[error("the emergency {case} is not reviewed, and the log is kept from entry {kept_from} on; review it first")]
    CaseOpen {
        /// The emergency.
        case: CaseId,
        /// The first entry that it keeps.
        kept_from: u64,
    },
    /// A review of grants is open that began before the archive's last entry.
    #[error("review {round} of grants is open, and the log is kept from entry {kept_from} on; close it first")]
    ReviewOpen {
        /// Its number.
        round: u32,
        /// The first entry that it keeps.
        kept_from: u64,
    },
    /// A sink of the log has not taken the entries yet.
    #[error(
        "the sink {name} has taken the log up to entry {next} alone; wait until it has more, or detach it for good"
    )]
    SinkBehind {
        /// Its name.
        name: String,
        /// The entry that it gets next.
        next: u64,
    },
    /// An entry that was lost would be the last to go: nobody knows the hash that the next one names.
    #[error("entry {seq}, the last of the archive, was lost before the vault was salvaged; archive up to another tile")]
    EndsWithALostOne {
        /// Its number.
        seq: u64,
    },
    /// The second session is one of the same principal.
    #[error("both sessions are of the same principal; pruning takes two, so have another one open a session")]
    SamePrincipal,
    /// The second session is of another vault.
    #[error("the second session is of another vault; have it opened in this one")]
    OtherVault,
    /// One of the sessions was opened by breaking the glass.
    #[error("a session that was opened by breaking the glass does not prune the log; open another one")]
    Emergency,
    /// One of the two may not prune the log any more: revoked, narrowed or ended since it was asked first.
    #[error("one of the two sessions may not read the log any more; nothing was pruned: look up why, and begin anew")]
    NoLongerAllowed,
}
