//! A flag as a rule raises it.

use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{FlagId, PatientId, PrincipalId};

use super::rule::MonitorRule;

/// Entries that one flag names.
pub(crate) const MAX_EVIDENCE: usize = 32;
/// Bytes of why it was raised.
pub(crate) const MAX_WHY: usize = 256;
/// Bytes of what speaks against it.
pub(crate) const MAX_AGAINST: usize = 512;

/// Something that a rule found, to be looked at by a person. It is no finding of misuse: in one large hospital system 16 to
/// 43 % of what such rules call high-risk had a simple clinical reason (docs/monitoring.md), so each names its evidence and
/// what speaks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RaisedFlag {
    /// Its id: the same whenever the rules run over the same entries. The vault keeps the flag under an id of its own, made from
    /// this one under a key.
    pub id: FlagId,
    /// Which rule.
    pub rule: MonitorRule,
    /// Whom it is about; `None` where nobody is known.
    pub actor: Option<PrincipalId>,
    /// Whose chart; `None` where it is about no single one.
    pub patient: Option<PatientId>,
    /// The time of the entry with which it was raised.
    pub at: Timestamp,
    /// The entries that it rests on, ascending; the newest 32 of them.
    pub entries: Vec<u64>,
    /// Why, in words without names, at most 256 bytes.
    pub why: String,
    /// What speaks against it, at most 512 bytes; empty where nothing is known.
    pub against: String,
}

/// One flag a rule, actor, patient and stretch of time.
pub(super) fn id(rule: MonitorRule, actor: Option<PrincipalId>, patient: Option<PatientId>, stretch: i64) -> FlagId {
    let actor = actor.map_or([0; 16], |actor| *actor.as_bytes());
    let patient = patient.map_or([0; 16], |patient| *patient.as_bytes());
    kdf::flag_id(rule.code(), &actor, &patient, stretch)
}

/// As much of a text as fits.
pub(super) fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
