//! The decision on one operation: allowed if and only if every item of every block allows it.

use std::fmt;

use super::body::Body;
use super::caveat::Caveat;
use super::item::{Item, Scope};
use super::wire::placed_items;
use crate::clock::Timestamp;
use crate::ids::{KindId, PatientId};
use crate::terms::{Action, Confidentiality, Purpose};

/// What an operation touches, along one dimension (kinds, or patients).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach<T> {
    /// Exactly this one.
    One(T),
    /// The whole vault, whatever is in it: only tokens that are not limited here allow it.
    Whole,
    /// Several, which the caller filters: it must ask again with [`Reach::One`] for each thing before giving it out.
    Filtered,
}

/// An operation to decide on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) action: Action,
    pub(crate) kind: Reach<KindId>,
    pub(crate) patient: Reach<PatientId>,
    pub(crate) purpose: Purpose,
    /// `None` where no record's content is given out; decide again with its level before one is.
    pub(crate) confidentiality: Option<Confidentiality>,
    pub(crate) now: Timestamp,
}

/// An operation was refused, and by which block of the token (0 is the grant).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("block {block} of the token: {reason}")]
pub struct Denial {
    /// The first block that refuses.
    pub block: u8,
    /// Why.
    pub reason: DenyReason,
}

/// Why a token does not allow an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// Before the token's validity.
    NotYetValid,
    /// After the token's validity.
    Expired,
    /// The action is not among those allowed.
    Action,
    /// The kind of record is not among those allowed.
    Kind,
    /// The patient is not among those allowed.
    Patient,
    /// The purpose of use is not among those allowed.
    Purpose,
    /// The record is more confidential than allowed.
    Sensitivity,
    /// More blocks follow than allowed.
    Depth,
    /// The subject signed in too weakly, or too long ago.
    SignIn,
    /// The token demands something that this version cannot check.
    Unsupported(Caveat),
}

/// Added to the tag of an item that cannot be checked.
const UNSUPPORTED: u16 = 0x0100;

impl DenyReason {
    const SIMPLE: [Self; 9] = [
        Self::NotYetValid,
        Self::Expired,
        Self::Action,
        Self::Kind,
        Self::Patient,
        Self::Purpose,
        Self::Sensitivity,
        Self::Depth,
        Self::SignIn,
    ];

    /// The caveat that refused.
    #[must_use]
    pub const fn caveat(self) -> Caveat {
        match self {
            Self::NotYetValid => Caveat::NotBefore,
            Self::Expired => Caveat::NotAfter,
            Self::Action => Caveat::Actions,
            Self::Kind => Caveat::Kinds,
            Self::Patient => Caveat::Patients,
            Self::Purpose => Caveat::Purposes,
            Self::Sensitivity => Caveat::Sensitivity,
            Self::Depth => Caveat::MaxDepth,
            Self::SignIn => Caveat::Mfa,
            Self::Unsupported(caveat) => caveat,
        }
    }

    /// The number that stands for it in log entries: the tag of the refusing item, and 0x100 more where the item cannot
    /// be checked. Never changes its meaning.
    #[must_use]
    pub fn code(self) -> u16 {
        let tag = u16::from(self.caveat().tag());
        if let Self::Unsupported(_) = self { UNSUPPORTED | tag } else { tag }
    }

    /// The reason of a code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        let unsupported = Caveat::ALL.iter().map(|caveat| Self::Unsupported(*caveat));
        Self::SIMPLE.into_iter().chain(unsupported).find(|reason| reason.code() == code)
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYetValid => "it is not valid yet",
            Self::Expired => "it is not valid any more",
            Self::Action => "the action is not allowed",
            Self::Kind => "the kind of record is not allowed",
            Self::Patient => "the patient is not allowed",
            Self::Purpose => "the purpose of use is not allowed",
            Self::Sensitivity => "the record is more confidential than allowed",
            Self::Depth => "more blocks follow than allowed",
            Self::SignIn => "the subject signed in too weakly or too long ago",
            Self::Unsupported(caveat) => return write!(f, "it demands `{caveat}`, which is not supported yet"),
        })
    }
}

/// Decides on one operation.
pub(super) fn decide(blocks: &[Body], request: &Request) -> Result<(), Denial> {
    placed_items(blocks.iter()).try_for_each(|placed| {
        placed.item.allows(request, placed.below).map_err(|reason| Denial { block: placed.block, reason })
    })
}

/// Decides whether anything can be done for a purpose.
pub(super) fn decide_opening(blocks: &[Body], purpose: Purpose) -> Result<(), Denial> {
    placed_items(blocks.iter()).try_for_each(|placed| {
        let reason = match placed.item {
            Item::Purposes(bits) if bits & purpose.bit() == 0 => DenyReason::Purpose,
            Item::Roles(_) | Item::MaxUses(_) | Item::Facility(_) => DenyReason::Unsupported(placed.item.caveat()),
            _ => return Ok(()),
        };
        Err(Denial { block: placed.block, reason })
    })
}

impl Item {
    /// Whether this item allows the operation; `below` blocks follow the item's block.
    pub(super) fn allows(&self, request: &Request, below: u8) -> Result<(), DenyReason> {
        let allow = |allowed: bool, reason| if allowed { Ok(()) } else { Err(reason) };
        match self {
            // Who the subject is, how long a session lasts and what had to be shown to open it bind the session, not the
            // operation. An emergency gives nothing until it is invoked.
            Self::Subject(_)
            | Self::Session { .. }
            | Self::Mfa { .. }
            | Self::Device(_)
            | Self::Attestations(_)
            | Self::Emergency { .. } => Ok(()),
            Self::NotBefore(_) | Self::NotAfter(_) | Self::MaxDepth(_) => self.stands(request.now, below),
            Self::Actions(bits) => allow(bits & request.action.bit() != 0, DenyReason::Action),
            Self::Kinds(kinds) => allow(self::allows(kinds, request.kind), DenyReason::Kind),
            Self::Patients(patients) => allow(allows_patient(patients, request.patient), DenyReason::Patient),
            Self::Purposes(bits) => allow(bits & request.purpose.bit() != 0, DenyReason::Purpose),
            Self::Sensitivity(ceiling) => {
                allow(request.confidentiality.is_none_or(|level| level <= *ceiling), DenyReason::Sensitivity)
            }
            Self::Roles(_) | Self::MaxUses(_) | Self::Facility(_) => Err(DenyReason::Unsupported(self.caveat())),
        }
    }

    /// The part of the decision that needs no operation: time and depth.
    pub(super) fn stands(&self, now: Timestamp, below: u8) -> Result<(), DenyReason> {
        match self {
            Self::NotBefore(from) if now.as_secs() < *from => Err(DenyReason::NotYetValid),
            Self::NotAfter(end) if now.as_secs() >= *end => Err(DenyReason::Expired),
            Self::MaxDepth(most) if below > *most => Err(DenyReason::Depth),
            _ => Ok(()),
        }
    }
}

fn allows<T: Ord>(scope: &Scope<T>, reach: Reach<T>) -> bool {
    match (scope, reach) {
        (Scope::All, _) | (Scope::Only(_), Reach::Filtered) => true,
        (Scope::Only(listed), Reach::One(one)) => listed.binary_search(&one).is_ok(),
        (Scope::Only(_), Reach::Whole) => false,
    }
}

/// The facility's chart belongs to no patient, so a list of patients never reaches it.
fn allows_patient(patients: &Scope<PatientId>, reach: Reach<PatientId>) -> bool {
    let listed_facility = reach == Reach::One(PatientId::FACILITY) && *patients != Scope::All;
    !listed_facility && allows(patients, reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_more_than_allowed_stands_no_more() {
        let now = Timestamp::from_micros(0);
        assert_eq!(Item::MaxDepth(1).stands(now, 1), Ok(()));
        assert_eq!(Item::MaxDepth(1).stands(now, 2), Err(DenyReason::Depth));
    }

    #[test]
    fn codes_come_back_and_are_unique() {
        let reasons: Vec<DenyReason> = (0..=u16::MAX).filter_map(DenyReason::from_code).collect();
        assert_eq!(reasons.len(), DenyReason::SIMPLE.len() + Caveat::ALL.len());
        for reason in reasons {
            assert_eq!(DenyReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!((DenyReason::Expired.code(), DenyReason::Unsupported(Caveat::Mfa).code()), (0x11, 0x119));
        assert_eq!(DenyReason::SignIn.code(), 0x19);
    }

    #[test]
    fn denials_name_block_and_caveat() {
        let denial = Denial { block: 2, reason: DenyReason::Unsupported(Caveat::Facility) };
        assert_eq!(denial.to_string(), "block 2 of the token: it demands `facility`, which is not supported yet");
    }
}
