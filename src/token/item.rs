//! One item of a block, and its bytes.

use super::attestation::Claim;
use super::caveat::Caveat;
use super::{MAX_FACILITIES, MAX_LISTED, MAX_ROLES, MAX_WANTED};
use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::ids::{AttesterId, FacilityId, KindId, PatientId, PrincipalId, RoleId};
use crate::terms::{Action, Confidentiality, Purpose};

/// Everything, or only what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope<T> {
    All,
    /// Ascending, each once, 1 to [`MAX_LISTED`].
    Only(Vec<T>),
}

/// One statement of a block. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Subject(PrincipalId),
    Roles(Vec<CitedRole>),
    NotBefore(u64),
    /// The first second that is not allowed any more.
    NotAfter(u64),
    /// Bits of [`Action`].
    Actions(u32),
    Kinds(Scope<KindId>),
    Patients(Scope<PatientId>),
    /// Bits of [`Purpose`].
    Purposes(u32),
    Sensitivity(Confidentiality),
    MaxUses(u32),
    MaxDepth(u8),
    Mfa {
        level: u8,
        oldest: u32,
    },
    /// Hash of the device's public key.
    Device([u8; 32]),
    /// Seconds.
    Session {
        idle: u32,
        longest: u32,
    },
    Attestations(Vec<Wanted>),
    Facility(Vec<FacilityId>),
    Emergency {
        actions: u32,
        sensitivity: Confidentiality,
        longest: u32,
    },
}

/// A role at one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CitedRole {
    pub(super) id: RoleId,
    pub(super) revision: u32,
}

/// An attestation that must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) attester: [u8; 16],
    pub(super) claim: u16,
    /// Seconds.
    pub(super) oldest: u32,
}

impl Wanted {
    pub(super) const fn attester(&self) -> AttesterId {
        AttesterId::from_bytes(self.attester)
    }

    pub(super) const fn claim(&self) -> Claim {
        Claim::from_code(self.claim)
    }
}

impl From<((AttesterId, Claim), u32)> for Wanted {
    fn from(((attester, claim), oldest): ((AttesterId, Claim), u32)) -> Self {
        Self { attester: *attester.as_bytes(), claim: claim.code(), oldest }
    }
}

/// The value's length, a bit of it, or the order of its list is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadValue;

impl From<Truncated> for BadValue {
    fn from(_: Truncated) -> Self {
        Self
    }
}

/// All bits that stand for an action.
pub(super) fn known_actions() -> u32 {
    Action::ALL.iter().fold(0, |bits, action| bits | action.bit())
}

/// All bits that stand for a purpose.
pub(super) fn known_purposes() -> u32 {
    Purpose::ALL.iter().fold(0, |bits, purpose| bits | purpose.bit())
}

impl Item {
    pub(super) const fn caveat(&self) -> Caveat {
        match self {
            Self::Subject(_) => Caveat::Subject,
            Self::Roles(_) => Caveat::Roles,
            Self::NotBefore(_) => Caveat::NotBefore,
            Self::NotAfter(_) => Caveat::NotAfter,
            Self::Actions(_) => Caveat::Actions,
            Self::Kinds(_) => Caveat::Kinds,
            Self::Patients(_) => Caveat::Patients,
            Self::Purposes(_) => Caveat::Purposes,
            Self::Sensitivity(_) => Caveat::Sensitivity,
            Self::MaxUses(_) => Caveat::MaxUses,
            Self::MaxDepth(_) => Caveat::MaxDepth,
            Self::Mfa { .. } => Caveat::Mfa,
            Self::Device(_) => Caveat::Device,
            Self::Session { .. } => Caveat::Session,
            Self::Attestations(_) => Caveat::Attestations,
            Self::Facility(_) => Caveat::Facility,
            Self::Emergency { .. } => Caveat::Emergency,
        }
    }

    /// `tag u8 ‖ u16 len ‖ value`.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let mut value = Vec::new();
        self.put_value(&mut value)?;
        out.put_u8(self.caveat().tag());
        out.put_len16(&value)
    }

    fn put_value(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Subject(subject) => out.put(subject.as_bytes()),
            Self::Roles(roles) => {
                put_count(out, roles.len())?;
                for role in roles {
                    out.put(role.id.as_bytes());
                    out.put_u32(role.revision);
                }
            }
            Self::NotBefore(second) | Self::NotAfter(second) => out.put_u64(*second),
            Self::Actions(bits) | Self::Purposes(bits) | Self::MaxUses(bits) => out.put_u32(*bits),
            Self::Kinds(kinds) => put_scope(out, kinds, KindId::as_bytes)?,
            Self::Patients(patients) => put_scope(out, patients, PatientId::as_bytes)?,
            Self::Sensitivity(level) => out.put_u8(level.code()),
            Self::MaxDepth(depth) => out.put_u8(*depth),
            Self::Mfa { level, oldest } => {
                out.put_u8(*level);
                out.put_u32(*oldest);
            }
            Self::Device(hash) => out.put(hash),
            Self::Session { idle, longest } => {
                out.put_u32(*idle);
                out.put_u32(*longest);
            }
            Self::Attestations(wanted) => {
                put_count(out, wanted.len())?;
                for one in wanted {
                    out.put(&one.attester);
                    out.put_u16(one.claim);
                    out.put_u32(one.oldest);
                }
            }
            Self::Facility(ids) => {
                put_count(out, ids.len())?;
                ids.iter().for_each(|id| out.put(id.as_bytes()));
            }
            Self::Emergency { actions, sensitivity, longest } => {
                out.put_u32(*actions);
                out.put_u8(sensitivity.code());
                out.put_u32(*longest);
            }
        }
        Ok(())
    }

    /// The item of this value; every value has one form only.
    pub(super) fn parse(caveat: Caveat, value: &[u8]) -> Result<Self, BadValue> {
        let mut value = Reader::new(value);
        let item = match caveat {
            Caveat::Subject => Self::Subject(PrincipalId::from_bytes(value.array()?)),
            Caveat::Roles => {
                let role = |value: &mut Reader<'_>| {
                    Ok(CitedRole { id: RoleId::from_bytes(value.array()?), revision: value.u32()? })
                };
                Self::Roles(list(&mut value, MAX_ROLES, role, |role| role.id)?)
            }
            Caveat::NotBefore => Self::NotBefore(value.u64()?),
            Caveat::NotAfter => Self::NotAfter(value.u64()?),
            Caveat::Actions => Self::Actions(bits(value.u32()?, known_actions())?),
            Caveat::Kinds => Self::Kinds(scope(&mut value, KindId::from_bytes)?),
            Caveat::Patients => Self::Patients(scope(&mut value, PatientId::from_bytes)?),
            Caveat::Purposes => Self::Purposes(bits(value.u32()?, known_purposes())?),
            Caveat::Sensitivity => Self::Sensitivity(level(value.u8()?)?),
            Caveat::MaxUses => Self::MaxUses(at_least_one(value.u32()?)?),
            Caveat::MaxDepth => match value.u8()? {
                depth @ 0..super::MAX_BLOCKS => Self::MaxDepth(depth),
                _ => return Err(BadValue),
            },
            Caveat::Mfa => Self::Mfa { level: value.u8()?, oldest: value.u32()? },
            Caveat::Device => Self::Device(value.array()?),
            Caveat::Session => {
                Self::Session { idle: at_least_one(value.u32()?)?, longest: at_least_one(value.u32()?)? }
            }
            Caveat::Attestations => {
                let wanted = |value: &mut Reader<'_>| {
                    Ok(Wanted { attester: value.array()?, claim: value.u16()?, oldest: value.u32()? })
                };
                Self::Attestations(list(&mut value, MAX_WANTED, wanted, |wanted| (wanted.attester, wanted.claim))?)
            }
            Caveat::Facility => {
                let ids = list(&mut value, MAX_FACILITIES, Reader::array, |id| *id)?;
                Self::Facility(ids.into_iter().map(FacilityId::from_bytes).collect())
            }
            Caveat::Emergency => Self::Emergency {
                actions: bits(value.u32()?, known_actions())?,
                sensitivity: level(value.u8()?)?,
                longest: at_least_one(value.u32()?)?,
            },
        };
        value.finish()?;
        Ok(item)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), TooLong> {
    out.put_u8(u8::try_from(count).map_err(|_| TooLong)?);
    Ok(())
}

fn put_scope<T>(out: &mut Vec<u8>, scope: &Scope<T>, bytes: impl Fn(&T) -> &[u8; 16]) -> Result<(), TooLong> {
    match scope {
        Scope::All => out.put_u8(0),
        Scope::Only(listed) => {
            out.put_u8(1);
            put_count(out, listed.len())?;
            listed.iter().for_each(|one| out.put(bytes(one)));
        }
    }
    Ok(())
}

fn scope<T>(value: &mut Reader<'_>, make: impl Fn([u8; 16]) -> T) -> Result<Scope<T>, BadValue> {
    match value.u8()? {
        0 => Ok(Scope::All),
        1 => {
            let ids = list(value, MAX_LISTED, Reader::array, |id| *id)?;
            Ok(Scope::Only(ids.into_iter().map(make).collect()))
        }
        _ => Err(BadValue),
    }
}

/// `count u8 ‖ entries`: 1 to `most` of them, their keys strictly ascending.
fn list<'a, T, K: Ord>(
    value: &mut Reader<'a>,
    most: usize,
    entry: impl Fn(&mut Reader<'a>) -> Result<T, Truncated>,
    key: impl Fn(&T) -> K,
) -> Result<Vec<T>, BadValue> {
    let count = usize::from(value.u8()?);
    if count == 0 || count > most {
        return Err(BadValue);
    }
    let entries = (0..count).map(|_| entry(value)).collect::<Result<Vec<T>, Truncated>>()?;
    if entries.is_sorted_by(|a, b| key(a) < key(b)) { Ok(entries) } else { Err(BadValue) }
}

const fn bits(bits: u32, known: u32) -> Result<u32, BadValue> {
    if bits == 0 || bits & !known != 0 { Err(BadValue) } else { Ok(bits) }
}

const fn at_least_one(number: u32) -> Result<u32, BadValue> {
    if number == 0 { Err(BadValue) } else { Ok(number) }
}

fn level(code: u8) -> Result<Confidentiality, BadValue> {
    Confidentiality::from_code(code).ok_or(BadValue)
}
