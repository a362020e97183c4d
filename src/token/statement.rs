//! What one item says, for people and for hosts that show it in their own way.

use std::fmt;
use std::time::Duration;

use super::attestation::Claim;
use super::caveat::Caveat;
use super::holder::instant;
use super::item::{Item, Scope};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, DeviceId, FacilityId, KindId, PatientId, PrincipalId, RoleId};
use crate::terms::{Action, Confidentiality, Purpose};

/// Everything, or what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<T> {
    /// All there are.
    All,
    /// These alone, ascending.
    Only(Vec<T>),
}

impl<T: Ord + Copy> Listed<T> {
    /// What both allow.
    pub(super) fn meet(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::All) => {}
            (Self::All, Self::Only(_)) => *self = other.clone(),
            (Self::Only(own), Self::Only(theirs)) => own.retain(|one| theirs.binary_search(one).is_ok()),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Listed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(listed) => f.write_str(&words(listed)),
        }
    }
}

/// One statement of a block, read from a token that nobody has verified. Each can only take away from what the others
/// allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statement {
    /// Who it is granted to.
    Subject(PrincipalId),
    /// Roles that bound the grant, each at the revision that was in force when it was issued.
    Roles(Vec<(RoleId, u32)>),
    /// When it starts to count.
    NotBefore(Timestamp),
    /// The first instant at which it does not count any more.
    NotAfter(Timestamp),
    /// What may be done.
    Actions(Vec<Action>),
    /// With which kinds of record.
    Kinds(Listed<KindId>),
    /// In whose charts.
    Patients(Listed<PatientId>),
    /// For which purposes of use.
    Purposes(Vec<Purpose>),
    /// How confidential a record may be at most.
    Sensitivity(Confidentiality),
    /// How often it may be used.
    MaxUses(u32),
    /// How many blocks may still follow.
    MaxDepth(u8),
    /// How the subject must have signed in.
    SignIn {
        /// How strong, as the code of a [`SignInLevel`](crate::SignInLevel); of a higher code, no session opens.
        level: u8,
        /// How long ago at most.
        oldest: Duration,
    },
    /// On which device.
    Device(DeviceId),
    /// How long a session may lie idle and last; `None` is no limit.
    Session {
        /// Idle at most this long.
        idle: Option<Duration>,
        /// In all at most this long.
        longest: Option<Duration>,
    },
    /// What has to be attested: by whom, what, and how long ago at most.
    Attestations(Vec<(AttesterId, Claim, Duration)>),
    /// In which facilities.
    Facility(Vec<FacilityId>),
    /// What it allows once the glass is broken, if every block says so.
    Emergency {
        /// What may be done then.
        actions: Vec<Action>,
        /// How confidential a record may be then.
        sensitivity: Confidentiality,
        /// How long it lasts.
        longest: Duration,
    },
}

impl Statement {
    /// What kind of statement it is.
    #[must_use]
    pub const fn caveat(&self) -> Caveat {
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
            Self::SignIn { .. } => Caveat::Mfa,
            Self::Device(_) => Caveat::Device,
            Self::Session { .. } => Caveat::Session,
            Self::Attestations(_) => Caveat::Attestations,
            Self::Facility(_) => Caveat::Facility,
            Self::Emergency { .. } => Caveat::Emergency,
        }
    }

    /// Whether this version can check it. A token that says anything it cannot check opens no session.
    #[must_use]
    pub const fn is_supported(&self) -> bool {
        // A level that only a later version knows.
        !matches!(self, Self::SignIn { level: 4.., .. })
    }

    pub(super) fn of(item: &Item) -> Self {
        match item {
            Item::Subject(subject) => Self::Subject(*subject),
            Item::Roles(roles) => Self::Roles(roles.iter().map(|role| (role.id, role.revision)).collect()),
            Item::NotBefore(from) => Self::NotBefore(instant(*from)),
            Item::NotAfter(end) => Self::NotAfter(instant(*end)),
            Item::Actions(bits) => Self::Actions(actions(*bits)),
            Item::Kinds(kinds) => Self::Kinds(listed(kinds)),
            Item::Patients(patients) => Self::Patients(listed(patients)),
            Item::Purposes(bits) => {
                Self::Purposes(Purpose::ALL.iter().copied().filter(|purpose| bits & purpose.bit() != 0).collect())
            }
            Item::Sensitivity(level) => Self::Sensitivity(*level),
            Item::MaxUses(uses) => Self::MaxUses(*uses),
            Item::MaxDepth(depth) => Self::MaxDepth(*depth),
            Item::Mfa { level, oldest } => Self::SignIn { level: *level, oldest: seconds(*oldest) },
            Item::Device(device) => Self::Device(DeviceId::from_bytes(*device)),
            Item::Session { idle, longest } => Self::Session { idle: limit(*idle), longest: limit(*longest) },
            Item::Attestations(wanted) => Self::Attestations(
                wanted.iter().map(|one| (one.attester(), one.claim(), seconds(one.oldest))).collect(),
            ),
            Item::Facility(ids) => Self::Facility(ids.clone()),
            Item::Emergency { actions: bits, sensitivity, longest } => {
                Self::Emergency { actions: actions(*bits), sensitivity: *sensitivity, longest: seconds(*longest) }
            }
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.caveat())?;
        match self {
            Self::Subject(subject) => write!(f, "{subject}"),
            Self::Roles(roles) => {
                let role = |(id, revision): &(RoleId, u32)| format!("{id} revision {revision}");
                f.write_str(&words(&roles.iter().map(role).collect::<Vec<_>>()))
            }
            Self::NotBefore(from) => write!(f, "from {from} on"),
            Self::NotAfter(end) => write!(f, "until {end}"),
            Self::Actions(actions) => f.write_str(&words(actions)),
            Self::Kinds(kinds) => write!(f, "{kinds}"),
            Self::Patients(patients) => write!(f, "{patients}"),
            Self::Purposes(purposes) => f.write_str(&words(purposes)),
            Self::Sensitivity(level) => write!(f, "up to {level}"),
            Self::MaxUses(uses) => write!(f, "at most {uses}"),
            Self::MaxDepth(depth) => write!(f, "{depth} more blocks at most"),
            Self::SignIn { level, oldest } => write!(f, "level {level}, at most {} s ago", oldest.as_secs()),
            Self::Device(device) => write!(f, "{device}"),
            Self::Session { idle, longest } => write!(f, "idle {}, in all {}", Limit(*idle), Limit(*longest)),
            Self::Attestations(wanted) => {
                let one = |(attester, claim, oldest): &(AttesterId, Claim, Duration)| {
                    format!("{claim} by {attester}, at most {} s ago", oldest.as_secs())
                };
                f.write_str(&wanted.iter().map(one).collect::<Vec<_>>().join("; "))
            }
            Self::Facility(ids) => f.write_str(&words(ids)),
            Self::Emergency { actions, sensitivity, longest } => {
                write!(f, "{}; up to {sensitivity}; for {} s", words(actions), longest.as_secs())
            }
        }?;
        if self.is_supported() { Ok(()) } else { f.write_str(" (not supported yet: opens no session)") }
    }
}

/// A duration in seconds, or none.
pub(super) struct Limit(pub(super) Option<Duration>);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(limit) => write!(f, "at most {} s", limit.as_secs()),
            None => f.write_str("without limit"),
        }
    }
}

/// The words behind each other; `none` where there are none.
pub(super) fn words<T: fmt::Display>(words: &[T]) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn listed<T: Clone>(scope: &Scope<T>) -> Listed<T> {
    match scope {
        Scope::All => Listed::All,
        Scope::Only(listed) => Listed::Only(listed.clone()),
    }
}

fn actions(bits: u32) -> Vec<Action> {
    Action::ALL.iter().copied().filter(|action| bits & action.bit() != 0).collect()
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// The greatest number of seconds means "no limit".
fn limit(number: u32) -> Option<Duration> {
    (number != u32::MAX).then(|| seconds(number))
}
