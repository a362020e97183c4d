//! Which entries a query wants.

use std::time::Duration;

use super::event::{AuditEvent, Outcome};
use super::index::one_of;
use super::view::AuditEntry;
use crate::clock::Timestamp;
use crate::ids::{PatientId, PrincipalId, Ticket};
use crate::terms::{Action, Purpose};

/// Chooses entries of the audit log. Without any condition it takes every entry. Conditions of different names all have
/// to hold; of several given under one name, one has to.
///
/// ```
/// use chartvault::{Action, AuditFilter, Outcome, PatientId};
/// let patient = PatientId::from_bytes([7; 16]);
/// let denied_reads = AuditFilter::new()
///     .patient(patient)
///     .action(Action::Read)
///     .outcome(Outcome::Denied)
///     .from("2026-01-01T00:00:00Z".parse()?)
///     .to("2026-02-01T00:00:00Z".parse()?);
/// # Ok::<(), chartvault::InvalidId>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AuditFilter {
    patients: Vec<PatientId>,
    actors: Vec<PrincipalId>,
    events: Vec<AuditEvent>,
    actions: Vec<Action>,
    outcomes: Vec<Outcome>,
    purposes: Vec<Purpose>,
    tickets: Vec<Ticket>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl AuditFilter {
    /// Takes every entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only entries about this patient, or in which this patient was asked for and not found.
    pub fn patient(mut self, patient: PatientId) -> Self {
        self.patients.push(patient);
        self
    }

    /// Only what this principal did.
    pub fn actor(mut self, actor: PrincipalId) -> Self {
        self.actors.push(actor);
        self
    }

    /// Only this event.
    pub fn event(mut self, event: AuditEvent) -> Self {
        self.events.push(event);
        self
    }

    /// Only what was done, or tried, under this right.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Only what ended so.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcomes.push(outcome);
        self
    }

    /// Only what was done, or tried, for this purpose of use.
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purposes.push(purpose);
        self
    }

    /// Only the entry of the denial with which this ticket was given out.
    pub fn ticket(mut self, ticket: Ticket) -> Self {
        self.tickets.push(ticket);
        self
    }

    /// Only entries at this instant or later; of several reads that share an entry, one has to be. By the log's time, which
    /// stands still where the clock was set back ([`AuditEntry::clock`]).
    pub fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Only entries before this instant, by the log's time as well.
    pub fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// Whether `entry` is wanted.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        self.is_within(entry)
            && wants(&self.actors, |actor| entry.actor == Some(*actor))
            && wants(&self.events, |event| entry.event.code() == event.code())
            && wants(&self.actions, |action| entry.action == Some(*action))
            && wants(&self.tickets, |ticket| entry.ticket == Some(*ticket))
            && wants(&self.outcomes, |outcome| entry.outcome == *outcome)
            && wants(&self.purposes, |purpose| entry.purpose == Some(*purpose))
            && wants(&self.patients, |patient| {
                entry.requested == Some(*patient)
                    || entry.subjects.iter().any(|subject| subject.patient == Some(*patient))
            })
    }

    /// What the index of the log is asked for; without the patients, whose tags the vault knows.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            events: self.events.iter().map(|event| event.code()).collect(),
            outcomes: match self.tickets.as_slice() {
                [] => self.outcomes.iter().map(|outcome| outcome.code()).collect(),
                // They are given out with denials.
                _ => vec![Outcome::Denied.code()],
            },
            actions: self.actions.iter().map(|action| one_of(action.bit())).collect(),
            purposes: self.purposes.iter().map(|purpose| one_of(purpose.bit())).collect(),
            actors: self.actors.iter().map(|actor| *actor.as_bytes()).collect(),
        }
    }

    /// The bounds of time.
    pub(crate) const fn bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.from, self.to)
    }

    /// Of whom alone entries are wanted, if it says so.
    pub(crate) fn of_patients(&self) -> &[PatientId] {
        &self.patients
    }

    /// Takes out of an entry what it says of others than the patients that are wanted, where it says which; gives how many
    /// others there were.
    pub(crate) fn narrow(&self, entry: &mut AuditEntry) -> usize {
        if self.patients.is_empty() {
            return 0;
        }
        let is_wanted = |patient: Option<PatientId>| patient.is_some_and(|patient| self.patients.contains(&patient));
        entry.requested = entry.requested.filter(|patient| is_wanted(Some(*patient)));
        let before = entry.subjects.len();
        let mut places = Vec::with_capacity(before);
        for (place, subject) in entry.subjects.iter().enumerate() {
            if is_wanted(subject.patient) {
                places.push(place);
            }
        }
        entry.subjects.retain(|subject| is_wanted(subject.patient));
        entry.reads.retain_mut(|read| match places.binary_search(&read.subject) {
            Ok(place) => {
                read.subject = place;
                true
            }
            Err(_) => false,
        });
        before.saturating_sub(entry.subjects.len())
    }

    /// Whether the entry, or one of several reads that share it, was within the bounds.
    fn is_within(&self, entry: &AuditEntry) -> bool {
        let is_within =
            |time: Timestamp| self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to);
        // By the log's time, which never goes back, as for all entries, where the clock was behind it.
        let behind = entry.clock.map_or(Duration::ZERO, |clock| entry.time.saturating_since(clock));
        is_within(entry.time) || entry.reads.iter().any(|read| is_within(read.time.saturating_add(behind)))
    }
}

/// A filter in the numbers of the index: of each, one has to be; an empty list lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) events: Vec<u16>,
    pub(crate) outcomes: Vec<u8>,
    pub(crate) actions: Vec<u8>,
    pub(crate) purposes: Vec<u8>,
    pub(crate) actors: Vec<[u8; 16]>,
}

impl Terms {
    /// Whether all is let through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn wants<T>(wanted: &[T], is: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::kit;

    #[test]
    fn every_condition_lets_through_and_keeps_out() {
        let entry = kit::full_entry();
        let matches = |filter: AuditFilter| filter.matches(&entry);
        let (other_patient, other_actor) = (PatientId::from_bytes([99; 16]), PrincipalId::from_bytes([99; 16]));
        assert!(matches(AuditFilter::new()));
        assert!(matches(AuditFilter::new().patient(entry.subjects[0].patient.unwrap())));
        assert!(matches(AuditFilter::new().patient(entry.requested.unwrap())));
        assert!(!matches(AuditFilter::new().patient(other_patient)));
        assert!(matches(AuditFilter::new().actor(other_actor).actor(entry.actor.unwrap())), "one of several");
        assert!(!matches(AuditFilter::new().actor(other_actor)));
        assert!(matches(AuditFilter::new().event(entry.event)));
        assert!(!matches(AuditFilter::new().event(AuditEvent::VaultClosed)));
        assert!(matches(AuditFilter::new().ticket(entry.ticket.unwrap())));
        assert!(!matches(AuditFilter::new().ticket(Ticket::from_bytes([99; 16]))));
        assert!(matches(AuditFilter::new().purpose(entry.purpose.unwrap())));
        let other = Purpose::ALL.iter().find(|purpose| Some(**purpose) != entry.purpose).unwrap();
        assert!(!matches(AuditFilter::new().purpose(*other)));
        assert!(matches(AuditFilter::new().action(entry.action.unwrap())));
        assert!(!matches(AuditFilter::new().action(Action::Operate)));
        assert!(matches(AuditFilter::new().outcome(entry.outcome)));
        assert!(!matches(AuditFilter::new().outcome(Outcome::Failed)));
        assert!(!matches(AuditFilter::new().actor(entry.actor.unwrap()).outcome(Outcome::Failed)), "all names");
    }

    #[test]
    fn the_start_is_inclusive_and_the_end_exclusive() {
        let entry = kit::full_entry();
        let at = |micros: i64| Timestamp::from_micros(entry.time.as_micros() + micros);
        let matches = |filter: AuditFilter| filter.matches(&entry);
        assert!(matches(AuditFilter::new().from(at(0)).to(at(1))));
        assert!(!matches(AuditFilter::new().from(at(1))) && !matches(AuditFilter::new().to(at(0))));
    }

    #[test]
    fn an_entry_that_several_reads_share_is_found_by_the_time_of_each() {
        let entries = kit::log(vec![kit::genesis(), kit::several_reads()]);
        let entry = kit::open(&crate::audit::EntryRef::parse(&entries[1]).unwrap()).unwrap();
        let last = entry.reads.last().unwrap().time;
        assert!(last > entry.time);
        for filter in [AuditFilter::new().from(last), AuditFilter::new().to(last), AuditFilter::new().from(entry.time)]
        {
            assert!(filter.matches(&entry), "{filter:?}");
        }
        let later = last.saturating_add(Duration::from_micros(1));
        assert!(!AuditFilter::new().from(later).matches(&entry) && !AuditFilter::new().to(entry.time).matches(&entry));
    }
    #[test]
    fn what_an_entry_says_of_others_is_taken_out() {
        let entries = kit::log(vec![kit::genesis(), kit::several_reads()]);
        let entry = kit::open(&crate::audit::EntryRef::parse(&entries[1]).unwrap()).unwrap();
        let mut second = entry.clone();
        assert_eq!(AuditFilter::new().patient(kit::patient(2)).narrow(&mut second), 1);
        assert_eq!(second.subjects, entry.subjects[1..]);
        let reads = second.reads.iter().map(|read| (read.subject, read.time));
        assert_eq!(reads.collect::<Vec<_>>(), [(0, entry.reads[1].time)]);
        let mut whole = entry.clone();
        assert_eq!(AuditFilter::new().narrow(&mut whole), 0);
        let both = AuditFilter::new().patient(kit::patient(2)).patient(kit::patient(1));
        assert_eq!(both.narrow(&mut whole), 0);
        assert_eq!(whole, entry);
        let mut asked = kit::full_entry();
        let nobody = AuditFilter::new().patient(kit::patient(0x77));
        assert_eq!((nobody.narrow(&mut asked), asked.requested), (1, None));
        asked.subjects = vec![crate::audit::AuditSubject { patient: None, counter: None, records: Vec::new() }];
        assert_eq!(nobody.narrow(&mut asked), 1, "of whom an erased one was cannot be told");
    }
}
