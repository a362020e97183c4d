//! What a grant and a narrowing block can both say, collected step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::attestation::Claim;
use super::caveat::Caveat;
use super::decide::URGENT;
use super::item::{Item, Scope, Wanted};
use super::sign_in::SignInLevel;
use super::{MAX_BLOCKS, MAX_FACILITIES, MAX_LISTED, MAX_WANTED};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, DeviceId, FacilityId, KindId, PatientId};
use crate::terms::Confidentiality;

/// Something that no block can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// Nothing is in the list, so that nothing would be allowed.
    #[error("`{caveat}` is an empty list, with which nothing is allowed")]
    Empty {
        /// What is empty.
        caveat: Caveat,
    },
    /// All, and a list at the same time.
    #[error("`{caveat}` says both all and some; say one of them")]
    AllAndSome {
        /// What is said twice.
        caveat: Caveat,
    },
    /// More than a block can list.
    #[error("`{caveat}` lists {found}; a block can list {most}")]
    TooMany {
        /// What is listed.
        caveat: Caveat,
        /// How many are listed.
        found: usize,
        /// How many can be.
        most: usize,
    },
    /// The facility's chart was listed like a patient.
    #[error("the facility's chart belongs to no patient; only all patients include it")]
    Facility,
    /// It would end before it starts.
    #[error("the token would never be valid: it would end before it starts, or within the second in which it is made")]
    NeverValid,
    /// A session that would end at once.
    #[error("a session must be allowed to last and lie idle for a second at least")]
    SessionTooShort,
    /// More blocks allowed than can ever follow.
    #[error("{found} blocks cannot follow; a token has {MAX_BLOCKS}, the grant included")]
    DepthTooGreat {
        /// Blocks asked for.
        found: u8,
    },
    /// An emergency was to allow more than what is done with a chart.
    #[error("an emergency can allow reading, listing, creating, amending, voiding and exporting, and nothing else")]
    NotUrgent,
}

/// Nothing yet, all, some, or by mistake both.
#[derive(Clone, Debug)]
pub(super) struct Choice<T> {
    all: bool,
    some: Option<BTreeSet<T>>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self { all: false, some: None }
    }
}

impl<T: Ord> Choice<T> {
    pub(super) const fn set_all(&mut self) {
        self.all = true;
    }

    /// Adds what a role lists, or all where it lists nothing; all of one role makes what others list needless.
    pub(super) fn add_or_all(&mut self, more: Option<impl IntoIterator<Item = T>>) {
        match more {
            Some(more) if !self.all => self.add(more),
            Some(_) => {}
            None => *self = Self { all: true, some: None },
        }
    }

    pub(super) fn add(&mut self, more: impl IntoIterator<Item = T>) {
        self.some.get_or_insert_default().extend(more);
    }

    fn finish(self, caveat: Caveat) -> Result<Option<Scope<T>>, LimitError> {
        match (self.all, self.some) {
            (false, None) => Ok(None),
            (true, None) => Ok(Some(Scope::All)),
            (true, Some(_)) => Err(LimitError::AllAndSome { caveat }),
            (false, Some(some)) if some.is_empty() => Err(LimitError::Empty { caveat }),
            (false, Some(some)) if some.len() > MAX_LISTED => {
                Err(LimitError::TooMany { caveat, found: some.len(), most: MAX_LISTED })
            }
            (false, Some(some)) => Ok(Some(Scope::Only(some.into_iter().collect()))),
        }
    }
}

/// What is allowed once the glass is broken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emergency {
    pub(super) actions: u32,
    pub(super) sensitivity: Confidentiality,
    pub(super) longest: Duration,
}

impl Emergency {
    fn into_item(self) -> Result<Item, LimitError> {
        let Self { actions, sensitivity, longest } = self;
        if actions == 0 {
            return Err(LimitError::Empty { caveat: Caveat::Emergency });
        }
        if URGENT.iter().fold(actions, |bits, action| bits & !action.bit()) != 0 {
            return Err(LimitError::NotUrgent);
        }
        Ok(Item::Emergency { actions, sensitivity, longest: session_seconds(longest)? })
    }
}

/// When the validity ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    After(Duration),
    At(Timestamp),
}

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) issued_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) end: Option<End>,
    pub(super) actions: Option<u32>,
    pub(super) kinds: Choice<KindId>,
    pub(super) patients: Choice<PatientId>,
    pub(super) purposes: Option<u32>,
    pub(super) sensitivity: Option<Confidentiality>,
    pub(super) max_depth: Option<u8>,
    pub(super) idle: Option<Duration>,
    pub(super) longest: Option<Duration>,
    pub(super) sign_in: Option<(SignInLevel, u32)>,
    pub(super) device: Option<DeviceId>,
    /// Oldest age in seconds, by attester and claim.
    pub(super) attestations: BTreeMap<(AttesterId, Claim), u32>,
    pub(super) max_uses: Option<u32>,
    pub(super) facilities: BTreeSet<FacilityId>,
    pub(super) emergency: Option<Emergency>,
}

impl Limits {
    /// The items of a block made at `now`. `session` are the idle and longest seconds where only one was said.
    pub(super) fn into_items(self, now: Timestamp, session: (u32, u32)) -> Result<Vec<Item>, LimitError> {
        let mut items = Vec::new();
        let starts = self.not_before.map(start_second);
        let ends = self.end.map(|end| end_second(end, now));
        if ends.is_some_and(|end| end <= starts.unwrap_or(0).max(now.as_secs())) {
            return Err(LimitError::NeverValid);
        }
        items.extend(starts.map(Item::NotBefore));
        items.extend(ends.map(Item::NotAfter));
        items.extend(not_empty(self.actions, Caveat::Actions)?.map(Item::Actions));
        items.extend(self.kinds.finish(Caveat::Kinds)?.map(Item::Kinds));
        let patients = self.patients.finish(Caveat::Patients)?;
        if matches!(&patients, Some(Scope::Only(listed)) if listed.contains(&PatientId::FACILITY)) {
            return Err(LimitError::Facility);
        }
        items.extend(patients.map(Item::Patients));
        items.extend(not_empty(self.purposes, Caveat::Purposes)?.map(Item::Purposes));
        items.extend(self.sensitivity.map(Item::Sensitivity));
        items.extend(not_empty(self.max_uses, Caveat::MaxUses)?.map(Item::MaxUses));
        match self.facilities.len() {
            0 => {}
            found if found > MAX_FACILITIES => {
                return Err(LimitError::TooMany { caveat: Caveat::Facility, found, most: MAX_FACILITIES });
            }
            _ => items.push(Item::Facility(self.facilities.into_iter().collect())),
        }
        items.extend(self.emergency.map(Emergency::into_item).transpose()?);
        if let Some(depth) = self.max_depth {
            if depth >= MAX_BLOCKS {
                return Err(LimitError::DepthTooGreat { found: depth });
            }
            items.push(Item::MaxDepth(depth));
        }
        items.extend(self.sign_in.map(|(level, oldest)| Item::Mfa { level: level.code(), oldest }));
        if self.idle.is_some() || self.longest.is_some() {
            let idle = self.idle.map_or(Ok(session.0), session_seconds)?;
            let longest = self.longest.map_or(Ok(session.1), session_seconds)?;
            items.push(Item::Session { idle, longest });
        }
        items.extend(self.device.map(|device| Item::Device(*device.as_bytes())));
        match self.attestations.len() {
            0 => {}
            found if found > MAX_WANTED => {
                return Err(LimitError::TooMany { caveat: Caveat::Attestations, found, most: MAX_WANTED });
            }
            _ => items.push(Item::Attestations(self.attestations.into_iter().map(Wanted::from).collect())),
        }
        Ok(items)
    }
}

/// Rounded up to the second, so that the token never starts earlier than was said.
fn start_second(start: Timestamp) -> u64 {
    start.saturating_add(Duration::from_micros(999_999)).as_secs()
}

/// Rounded down to the second, so that the token never ends later than was said.
fn end_second(end: End, now: Timestamp) -> u64 {
    match end {
        End::After(valid_for) => now.saturating_add(valid_for),
        End::At(instant) => instant,
    }
    .as_secs()
}

const fn not_empty(bits: Option<u32>, caveat: Caveat) -> Result<Option<u32>, LimitError> {
    if let Some(0) = bits { Err(LimitError::Empty { caveat }) } else { Ok(bits) }
}

fn session_seconds(length: Duration) -> Result<u32, LimitError> {
    match u32::try_from(length.as_secs()).unwrap_or(u32::MAX) {
        0 => Err(LimitError::SessionTooShort),
        seconds => Ok(seconds),
    }
}

/// The steps that [`Grant`](super::Grant) and [`Attenuation`](super::Attenuation) share.
macro_rules! limit_steps {
    () => {
        /// Adds one patient's chart to those allowed; at most 32 in all.
        pub fn patient(self, patient: crate::ids::PatientId) -> Self {
            self.patients([patient])
        }

        /// Adds patients' charts to those allowed; at most 32 in all.
        pub fn patients(mut self, patients: impl IntoIterator<Item = crate::ids::PatientId>) -> Self {
            self.limits.patients.add(patients);
            self
        }

        /// Adds one kind of record to those allowed; at most 32 in all.
        pub fn kind<T: crate::record::Record>(self) -> Self {
            self.kind_named(T::KIND)
        }

        /// Adds one kind of record, by the name it was declared with, to those allowed; at most 32 in all.
        pub fn kind_named(self, name: &str) -> Self {
            self.kinds([crate::crypto::kdf::kind_id(name)])
        }

        /// Adds kinds of record to those allowed; at most 32 in all.
        pub fn kinds(mut self, kinds: impl IntoIterator<Item = crate::ids::KindId>) -> Self {
            self.limits.kinds.add(kinds);
            self
        }

        /// Adds actions to those allowed.
        pub fn actions(mut self, actions: impl IntoIterator<Item = crate::terms::Action>) -> Self {
            let bits = self.limits.actions.get_or_insert(0);
            *bits = actions.into_iter().fold(*bits, |bits, action| bits | action.bit());
            self
        }

        /// Adds a purpose of use to those allowed.
        pub fn purpose(self, purpose: crate::terms::Purpose) -> Self {
            self.purposes([purpose])
        }

        /// Adds purposes of use to those allowed.
        pub fn purposes(mut self, purposes: impl IntoIterator<Item = crate::terms::Purpose>) -> Self {
            let bits = self.limits.purposes.get_or_insert(0);
            *bits = purposes.into_iter().fold(*bits, |bits, purpose| bits | purpose.bit());
            self
        }

        /// The most confidential records that are allowed.
        pub const fn sensitivity(mut self, ceiling: crate::terms::Confidentiality) -> Self {
            self.limits.sensitivity = Some(ceiling);
            self
        }

        /// How many times the token can be narrowed from here on: 0 to 7.
        pub const fn max_depth(mut self, blocks: u8) -> Self {
            self.limits.max_depth = Some(blocks);
            self
        }

        /// Ends the validity this long after now (or after `issued_at`), counted in whole seconds.
        pub const fn valid_for(mut self, length: std::time::Duration) -> Self {
            self.limits.end = Some(super::limits::End::After(length));
            self
        }

        /// Ends the validity at this instant, which is not included; counted in whole seconds.
        pub const fn valid_until(mut self, end: crate::clock::Timestamp) -> Self {
            self.limits.end = Some(super::limits::End::At(end));
            self
        }

        /// Starts the validity at this instant rather than at once; counted in whole seconds.
        pub const fn not_before(mut self, start: crate::clock::Timestamp) -> Self {
            self.limits.not_before = Some(start);
            self
        }

        /// Ends sessions that were not used for this long: whole seconds, one at least.
        pub const fn idle(mut self, length: std::time::Duration) -> Self {
            self.limits.idle = Some(length);
            self
        }

        /// Ends sessions this long after they were opened: whole seconds, one at least.
        pub const fn longest(mut self, length: std::time::Duration) -> Self {
            self.limits.longest = Some(length);
            self
        }

        /// Sessions open only for who signed in at this level or a higher one, at most so long ago: whole seconds. What is done in
        /// them is held to the same age, so that one has to sign in again now and then
        /// ([`Session::step_up`](crate::Session::step_up)). Said in several blocks, the highest level and the shortest age
        /// count.
        pub fn sign_in(mut self, level: super::sign_in::SignInLevel, oldest: std::time::Duration) -> Self {
            self.limits.sign_in = Some((level, u32::try_from(oldest.as_secs()).unwrap_or(u32::MAX)));
            self
        }

        /// Sessions open on this device only.
        pub const fn device(mut self, device: crate::ids::DeviceId) -> Self {
            self.limits.device = Some(device);
            self
        }

        /// Sessions open only with an attestation of this claim, by this attester, not older than this: whole seconds.
        /// At most 4 in one block; they add to what the blocks before demand. Said twice, the shorter time counts.
        pub fn attestation(
            mut self,
            attester: crate::ids::AttesterId,
            claim: super::attestation::Claim,
            oldest: std::time::Duration,
        ) -> Self {
            let oldest = u32::try_from(oldest.as_secs()).unwrap_or(u32::MAX);
            let strictest = self.limits.attestations.entry((attester, claim)).or_insert(oldest);
            *strictest = oldest.min(*strictest);
            self
        }

        /// How often the token can be used: each call that a session answers, and each page and batch of one, is a use. 1 at
        /// least. The counter belongs to this block: tokens that are narrowed from it share it.
        pub const fn max_uses(mut self, uses: u32) -> Self {
            self.limits.max_uses = Some(uses);
            self
        }

        /// Adds a facility, by its name, to those in which sessions open; at most 16 in one block.
        /// [`SessionOpening::facility`](crate::SessionOpening::facility) says where one is.
        pub fn facility(mut self, name: &str) -> Self {
            self.limits.facilities.insert(crate::crypto::kdf::facility_id(name));
            self
        }

        /// What may be done in an emergency, once the glass is broken for one patient
        /// ([`Session::break_glass`](crate::Session::break_glass)): these actions, with records up to this confidentiality, for
        /// this long (whole seconds). Every later block has to say one as well, or there is none. The purposes have to
        /// include [`Purpose::BreakGlass`](crate::Purpose::BreakGlass).
        pub fn emergency(
            mut self,
            actions: impl IntoIterator<Item = crate::terms::Action>,
            sensitivity: crate::terms::Confidentiality,
            longest: std::time::Duration,
        ) -> Self {
            let actions = actions.into_iter().fold(0, |bits, action| bits | action.bit());
            self.limits.emergency = Some(super::limits::Emergency { actions, sensitivity, longest });
            self
        }

        /// The time of issue; without it, the system clock's.
        pub const fn issued_at(mut self, now: crate::clock::Timestamp) -> Self {
            self.limits.issued_at = Some(now);
            self
        }
    };
}

pub(super) use limit_steps;
