//! The decision on one operation: allowed if and only if every item of every block allows it.

use std::time::Duration;

use super::body::Body;
use super::item::{Item, Scope};
use super::reason::DenyReason;
use super::wire::{Placed, placed_items};
use crate::clock::Timestamp;
use crate::ids::{FacilityId, KindId, PatientId, RoleId};
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
    /// For whom the glass was broken, if it was.
    pub(crate) emergency: Option<PatientId>,
}

/// An operation was refused, and by which block of the token (0 is the grant).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("block {block} of the token: {reason}")]
pub struct Denial {
    /// The first block that refuses; 0 where it is a rule of the vault that does ([`DenyReason::is_rule`]).
    pub block: u8,
    /// Why.
    pub reason: DenyReason,
}

/// What an emergency can allow: what is done with one chart, and can be made good.
pub(super) const URGENT: [Action; 6] =
    [Action::Read, Action::List, Action::Create, Action::Amend, Action::Void, Action::Export];

/// Decides on one operation.
pub(super) fn decide(blocks: &[Body], request: &Request) -> Result<(), Denial> {
    says_emergency(blocks, request)?;
    placed_items(blocks.iter()).try_for_each(|placed| judge(placed, request))
}

/// In an emergency, each block has to speak of it.
fn says_emergency(blocks: &[Body], request: &Request) -> Result<(), Denial> {
    let silent = |body: &Body| !body.items().iter().any(|item| matches!(item, Item::Emergency { .. }));
    match (0..).zip(blocks).find(|(_, body)| request.emergency.is_some() && silent(body)) {
        Some((block, _)) => Err(Denial { block, reason: DenyReason::Emergency }),
        None => Ok(()),
    }
}

/// The roles that a grant cites, each at a revision.
pub(super) fn cited_roles(blocks: &[Body]) -> impl Iterator<Item = (RoleId, u32)> {
    let items = blocks.iter().flat_map(Body::items);
    let cited = items.filter_map(|item| if let Item::Roles(cited) = item { Some(cited) } else { None });
    cited.flatten().map(|role| (role.id, role.revision))
}

/// Whether every block that says anything of kinds names this one.
pub(super) fn names_kind(blocks: &[Body], kind: KindId) -> bool {
    blocks.iter().flat_map(Body::items).all(|item| match item {
        Item::Kinds(Scope::Only(listed)) => listed.binary_search(&kind).is_ok(),
        Item::Kinds(Scope::All) => false,
        _ => true,
    })
}

/// What refuses an operation: the first item of each block that does.
pub(super) fn refusals(blocks: &[Body], request: &Request) -> Vec<Denial> {
    let mut refusals: Vec<Denial> = says_emergency(blocks, request).err().into_iter().collect();
    refusals.extend(placed_items(blocks.iter()).filter_map(|placed| judge(placed, request).err()));
    refusals.dedup();
    refusals
}

fn judge(placed: Placed<'_>, request: &Request) -> Result<(), Denial> {
    let judged = match request.emergency {
        None => placed.item.allows(request, placed.below),
        Some(patient) => placed.item.allows_in_emergency(request, placed, patient),
    };
    judged.map_err(|reason| Denial { block: placed.block, reason })
}

/// For how long an emergency may be invoked: the shortest of all blocks; `None` unless each of them says so.
pub(super) fn emergency(blocks: &[Body]) -> Option<Duration> {
    let of_block = |body: &Body| {
        body.items().iter().find_map(|item| match item {
            Item::Emergency { longest, .. } => Some(Duration::from_secs((*longest).into())),
            _ => None,
        })
    };
    let all: Option<Vec<Duration>> = blocks.iter().map(of_block).collect();
    all?.into_iter().min()
}

/// What refuses a session for a purpose, in a facility, whatever is to be done in it.
pub(super) fn refusals_at_opening(
    blocks: &[Body],
    purpose: Purpose,
    facility: Option<FacilityId>,
) -> impl Iterator<Item = Denial> {
    placed_items(blocks.iter()).filter_map(move |placed| {
        let reason = match placed.item {
            Item::Purposes(bits) if bits & purpose.bit() == 0 => DenyReason::Purpose,
            // Such a session is opened by breaking the glass alone.
            Item::Purposes(_) if purpose == Purpose::BreakGlass => DenyReason::Emergency,
            Item::Facility(listed) if facility.is_none_or(|here| listed.binary_search(&here).is_err()) => {
                DenyReason::Facility
            }
            // A level that only a later version knows.
            Item::Mfa { level: 4.., .. } => DenyReason::Unsupported(placed.item.caveat()),
            _ => return None,
        };
        Some(Denial { block: placed.block, reason })
    })
}

impl Item {
    /// Whether this item allows the operation; `below` blocks follow the item's block.
    pub(super) fn allows(&self, request: &Request, below: u8) -> Result<(), DenyReason> {
        let allow = |allowed: bool, reason| if allowed { Ok(()) } else { Err(reason) };
        match self {
            // Who the subject is, how long a session lasts and what had to be shown to open it bind the session, not the
            // operation. How often it was used is counted by the session. An emergency gives nothing until it is invoked. What a role allows is known to the vault.
            Self::Subject(_)
            | Self::Roles(_)
            | Self::Session { .. }
            | Self::Mfa { level: 0..4, .. }
            | Self::Device(_)
            | Self::Attestations(_)
            | Self::Facility(_)
            | Self::MaxUses(_)
            | Self::Emergency { .. } => Ok(()),
            Self::NotBefore(_) | Self::NotAfter(_) | Self::MaxDepth(_) => self.stands(request.now, below),
            Self::Actions(bits) => allow(bits & request.action.bit() != 0, DenyReason::Action),
            Self::Kinds(kinds) => allow(self::allows(kinds, request.kind), DenyReason::Kind),
            Self::Patients(patients) => allow(allows_patient(patients, request.patient), DenyReason::Patient),
            Self::Purposes(bits) => allow(bits & request.purpose.bit() != 0, DenyReason::Purpose),
            Self::Sensitivity(ceiling) => {
                allow(request.confidentiality.is_none_or(|level| level <= *ceiling), DenyReason::Sensitivity)
            }
            // A level that only a later version knows.
            Self::Mfa { .. } => Err(DenyReason::Unsupported(self.caveat())),
        }
    }

    /// Whether this item allows the operation once the glass was broken for a patient: each block's emergency takes the place
    /// of its actions and its ceiling, and the patient that of the grant's.
    fn allows_in_emergency(&self, request: &Request, placed: Placed<'_>, patient: PatientId) -> Result<(), DenyReason> {
        match self {
            Self::Actions(_) | Self::Sensitivity(_) => Ok(()),
            Self::Emergency { actions, sensitivity, .. } => {
                if !URGENT.contains(&request.action) {
                    return Err(DenyReason::Emergency);
                }
                Self::Actions(*actions).allows(request, placed.below)?;
                Self::Sensitivity(*sensitivity).allows(request, placed.below)
            }
            Self::Patients(_) if placed.block == 0 => {
                let meant = matches!(request.patient, Reach::Filtered) || request.patient == Reach::One(patient);
                if meant && patient != PatientId::FACILITY { Ok(()) } else { Err(DenyReason::Patient) }
            }
            item => item.allows(request, placed.below),
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
}
