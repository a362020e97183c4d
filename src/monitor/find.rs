//! What each rule finds in an entry, before anybody asks whether it was raised already or is held back.

use super::actor::{Mark, Seen};
use super::context::{CareAnswer, CareContext};
use super::engine::Monitor;
use super::flag::MAX_EVIDENCE;
use super::hours::local;
use super::rule::MonitorRule;
use crate::audit::{AuditEntry, AuditEvent, Outcome};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{PatientId, PrincipalId};
use crate::terms::Action;

/// What a rule found.
pub(super) struct Found {
    pub(super) rule: MonitorRule,
    pub(super) actor: Option<PrincipalId>,
    pub(super) patient: Option<PatientId>,
    /// The stretch of time that makes it one flag, and when that is over.
    pub(super) stretch: (i64, i64),
    pub(super) why: String,
    pub(super) entries: Vec<u64>,
}

impl Monitor {
    pub(super) fn find(&mut self, entry: &AuditEntry, context: &dyn CareContext) -> Vec<Found> {
        let mut found = Vec::new();
        match (entry.event, entry.outcome, entry.actor) {
            (AuditEvent::SignInRefused, ..) => self.sign_in_refused(entry, &mut found),
            (_, Outcome::Denied, Some(actor)) => self.denied(entry, actor, &mut found),
            (AuditEvent::GlassBroken, Outcome::Allowed, Some(actor)) => self.glass_broken(entry, actor, &mut found),
            (_, Outcome::Allowed, Some(actor)) if is_access(entry) => {
                self.in_charts(entry, actor, context, &mut found);
                if entry.event == AuditEvent::RecordsExported {
                    self.exported(entry, actor, &mut found);
                }
            }
            _ => {}
        }
        found
    }

    fn in_charts(&mut self, entry: &AuditEntry, actor: PrincipalId, context: &dyn CareContext, found: &mut Vec<Found>) {
        let at = entry.time;
        let patients = entry.subjects.iter().filter_map(|subject| subject.patient);
        let patients: Vec<PatientId> = patients.filter(|patient| *patient != PatientId::FACILITY).collect();
        if patients.is_empty() {
            return;
        }
        let day = self.day(at);
        let mut one = |rule, patient: Option<PatientId>, why: &str| {
            let stretch = (day.into(), until_next_day(at));
            let (why, entries) = (why.to_owned(), vec![entry.seq]);
            found.push(Found { rule, actor: Some(actor), patient, stretch, why, entries });
        };
        let rules = &self.rules;
        for patient in patients.iter().copied() {
            let mut ask = |rule, raises: CareAnswer, answer: CareAnswer, why: &str| {
                if answer == CareAnswer::Failed {
                    one(rule, None, "the host could not say: run the rules over this day again");
                } else if answer == raises {
                    one(rule, Some(patient), why);
                }
            };
            if rules.has(MonitorRule::OwnRecord) {
                let own = context.is_own_record(actor, patient);
                ask(MonitorRule::OwnRecord, CareAnswer::Yes, own, "in the chart of their own");
            }
            if rules.has(MonitorRule::SameSurname) {
                let same = context.has_same_surname(actor, patient);
                ask(MonitorRule::SameSurname, CareAnswer::Yes, same, "in the chart of a patient of the same surname");
            }
            if rules.has(MonitorRule::Vip) {
                let vip = context.is_vip(patient);
                ask(MonitorRule::Vip, CareAnswer::Yes, vip, "in the chart of a person known to many");
            }
            if rules.has(MonitorRule::NoRelation) {
                let related = context.has_relation(actor, patient, at);
                ask(MonitorRule::NoRelation, CareAnswer::No, related, "in a chart without a part in the care");
            }
        }
        if rules.has(MonitorRule::OffHours) && !rules.hours().is_some_and(|hours| hours.covers(at)) {
            one(MonitorRule::OffHours, None, "in charts outside opening hours");
        }
        let (volume, unusual) = (self.rules.volume, self.rules.unusual);
        let (most, seconds) = volume;
        for patient in patients {
            let seen = Seen { patient: kdf::seen_patient(patient), at: at.as_micros(), seq: entry.seq };
            let (many, usual, today, entries) = self.actor(actor, at, |known| {
                known.saw(volume, seen, day);
                let (many, usual) = (known.seen.len() >= usize::from(most), known.is_unusual(unusual));
                let entries =
                    if many || usual.is_some() { known.seen.iter().map(|seen| seen.seq).collect() } else { vec![] };
                (many, usual, known.today, newest(entries))
            });
            if many {
                let (rule, stretch) = (MonitorRule::Volume, stretch(at, seconds));
                let why = format!("in the charts of {most} patients or more within {seconds} s");
                found.push(Found { rule, actor: Some(actor), patient: None, stretch, why, entries: entries.clone() });
            }
            if let Some(usual) = usual {
                let (rule, stretch) = (MonitorRule::Unusual, (day.into(), until_next_day(at)));
                let why = format!("in the charts of {today} patients on a day, where {usual} are usual");
                found.push(Found { rule, actor: Some(actor), patient: None, stretch, why, entries });
            }
        }
    }

    fn glass_broken(&self, entry: &AuditEntry, actor: PrincipalId, found: &mut Vec<Found>) {
        let patient = entry.subjects.first().and_then(|subject| subject.patient);
        // Each is one of its own.
        let stretch = (i64::try_from(entry.seq).unwrap_or(i64::MAX), until_next_day(entry.time));
        let (rule, why, entries) = (MonitorRule::BreakGlass, "broke the glass".to_owned(), vec![entry.seq]);
        found.push(Found { rule, actor: Some(actor), patient, stretch, why, entries });
    }

    fn denied(&mut self, entry: &AuditEntry, actor: PrincipalId, found: &mut Vec<Found>) {
        let (least, seconds) = self.rules.denials;
        let mark = Mark { at: entry.time.as_micros(), seq: entry.seq, n: entry.count.unwrap_or(1).max(1) };
        let (n, entries) = self.actor(actor, entry.time, |known| known.denials.add(mark, seconds, usize::from(least)));
        if n >= u64::from(least) {
            let (rule, stretch) = (MonitorRule::Denials, stretch(entry.time, seconds));
            let why = format!("refused {least} times or more within {seconds} s");
            let entries = newest(entries);
            found.push(Found { rule, actor: Some(actor), patient: None, stretch, why, entries });
        }
    }

    fn exported(&mut self, entry: &AuditEntry, actor: PrincipalId, found: &mut Vec<Found>) {
        let (least, seconds) = self.rules.exports;
        let records: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
        let n = entry.count.unwrap_or(0).max(u32::try_from(records).unwrap_or(u32::MAX));
        let mark = Mark { at: entry.time.as_micros(), seq: entry.seq, n };
        let (n, entries) = self.actor(actor, entry.time, |known| known.exports.add(mark, seconds, 1_000));
        if n >= u64::from(least) {
            let (rule, stretch) = (MonitorRule::BulkExport, stretch(entry.time, seconds));
            let why = format!("took out {least} records or more within {seconds} s");
            let entries = newest(entries);
            found.push(Found { rule, actor: Some(actor), patient: None, stretch, why, entries });
        }
    }

    fn sign_in_refused(&mut self, entry: &AuditEntry, found: &mut Vec<Found>) {
        let (least, seconds) = self.rules.sign_ins;
        // Names that nobody has count together.
        let of = entry.actor.unwrap_or(PrincipalId::from_bytes([0; 16]));
        let mark = Mark { at: entry.time.as_micros(), seq: entry.seq, n: entry.count.unwrap_or(1).max(1) };
        let (n, entries) = self.actor(of, entry.time, |known| known.sign_ins.add(mark, seconds, usize::from(least)));
        if n >= u64::from(least) {
            let (rule, stretch) = (MonitorRule::SignIns, stretch(entry.time, seconds));
            let why = format!("signing in refused {least} times or more within {seconds} s");
            let entries = newest(entries);
            found.push(Found { rule, actor: entry.actor, patient: None, stretch, why, entries });
        }
    }

    /// The day of an instant, on the clocks of the place.
    fn day(&self, at: Timestamp) -> i32 {
        local(self.rules.hours(), at).map_or(0, |local| local.day)
    }
}

/// Whether it tells of somebody in a chart.
pub(crate) fn is_access(entry: &AuditEntry) -> bool {
    use Action::{Amend, Create, Export, List, Read, Void};
    matches!(entry.action, Some(Read | List | Create | Amend | Void | Export))
        && entry.event != AuditEvent::PatientRegistered
}

/// The stretch of this length that an instant is in, and when the flag of it can be forgotten.
fn stretch(at: Timestamp, seconds: u32) -> (i64, i64) {
    let length = i64::from(seconds.max(1)).saturating_mul(1_000_000);
    let number = at.as_micros().div_euclid(length);
    (number, number.saturating_add(1).saturating_mul(length))
}

/// When a flag of a day can be forgotten: two days later, wherever the place is.
fn until_next_day(at: Timestamp) -> i64 {
    at.as_micros().saturating_add(2 * 86_400_000_000)
}

/// The newest entries.
fn newest(mut entries: Vec<u64>) -> Vec<u64> {
    entries.sort_unstable();
    entries.dedup();
    entries.split_off(entries.len().saturating_sub(MAX_EVIDENCE))
}
