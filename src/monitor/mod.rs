//! Floor 4: what monitoring is, as rules over entries of the log. Knows no storage and no session, and does no I/O: the same
//! entries give the same flags, whether they come one by one as they are written or all at once years later.

mod actor;
mod context;
mod engine;
mod find;
mod flag;
mod hours;
mod rule;
mod rules;
mod state;
mod suppressor;
mod verdict;

pub(crate) use context::CareHook;
pub use context::{CareAnswer, CareContext, FlagQuestion};
pub use engine::{Monitor, Tally};
pub(crate) use find::is_access;
pub use flag::RaisedFlag;
pub(crate) use flag::{MAX_AGAINST, MAX_EVIDENCE, MAX_WHY};
pub use hours::{InvalidZone, OpeningHours};
pub(crate) use hours::{clock_text, day_text, local};
pub use rule::MonitorRule;
pub use rules::MonitoringRules;
pub use state::InvalidMonitorState;
pub use suppressor::Suppressor;
pub(crate) use suppressor::{MAX_GROUP, MAX_SUPPRESS_REASON};
pub use verdict::{FlagError, FlagVerdict};

#[cfg(test)]
pub(crate) mod tests;
