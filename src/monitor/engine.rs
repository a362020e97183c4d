//! Runs the rules over entries, one after the other.

use std::collections::BTreeMap;
use std::fmt;

use super::actor::{Actor, Mark, Seen};
use super::context::{CareAnswer, CareContext, FlagQuestion};
use super::flag::{self, MAX_AGAINST, MAX_EVIDENCE, MAX_WHY, RaisedFlag};
use super::hours::local;
use super::rule::MonitorRule;
use super::rules::MonitoringRules;
use super::suppressor::Suppressor;
use crate::audit::{AuditEntry, AuditEvent, Outcome};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{FlagId, PatientId, PrincipalId};
use crate::terms::{Action, Purpose};

/// Actors that are remembered at once.
pub(super) const ACTORS: usize = 2_048;
/// Patients, denials, exports and sign-ins that are remembered, over all actors.
pub(super) const ITEMS: usize = 16_384;
/// Flags that are remembered, so that none is raised twice.
pub(super) const FLAGS: usize = 8_192;

/// How many flags were raised, and how many held back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// By rule: raised, and held back by a [`Suppressor`] or the rota.
    pub by_rule: BTreeMap<MonitorRule, (u64, u64)>,
    /// How often something about an actor was forgotten early because there was no more room: then a burst or a volume of
    /// theirs may have stayed unseen.
    pub let_go: u64,
}

impl Tally {
    /// How many were raised.
    #[must_use]
    pub fn raised(&self) -> u64 {
        self.by_rule.values().map(|(raised, _)| raised).sum()
    }

    /// How many were held back.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.by_rule.values().map(|(_, suppressed)| suppressed).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} raised, {} suppressed", self.raised(), self.suppressed())?;
        for (at, (rule, (raised, suppressed))) in self.by_rule.iter().enumerate() {
            write!(f, "{}{rule} {raised}/{suppressed}", if at == 0 { ": " } else { ", " })?;
        }
        if self.let_go > 0 { write!(f, "; forgotten early {}", self.let_go) } else { Ok(()) }
    }
}

/// Runs the rules over entries of the log, which have to come in order; those that it had before it passes over. The same
/// entries give the same flags, fed at once, in pieces, or after [`Monitor::save`] and [`Monitor::resume`], as long as the
/// host answers the same.
///
/// It remembers at most 2,048 actors with 16,384 patients and denials between them, and 8,192 flags. Where there is no more
/// room the actor goes of whom nothing was heard for longest ([`Tally`] says how often), and of the flags the one whose stretch
/// of time ends first.
///
/// ```
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let clinic = Clinic::new();
/// # let session = clinic.session();
/// let mut monitor = Monitor::new(MonitoringRules::new());
/// let page = session.audit()?.query(AuditFilter::new()).page()?;
/// for entry in page.entries.iter().rev() {
///     for flag in monitor.feed(entry, &()) {
///         println!("{} {}: {}", flag.rule, flag.at, flag.why);
///     }
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Monitor {
    pub(super) rules: MonitoringRules,
    suppressors: Vec<Suppressor>,
    pub(super) next: u64,
    /// The day on which it last forgot what no rule needs any more.
    pub(super) swept: i32,
    pub(super) actors: BTreeMap<PrincipalId, Actor>,
    pub(super) items: usize,
    /// Until when each is remembered, and whether it was held back.
    pub(super) flags: BTreeMap<FlagId, (i64, bool)>,
    tally: Tally,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("next", &self.next).field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// What a rule found.
struct Found {
    rule: MonitorRule,
    actor: Option<PrincipalId>,
    patient: Option<PatientId>,
    /// The stretch of time that makes it one flag, and when that is over.
    stretch: (i64, i64),
    why: String,
    entries: Vec<u64>,
}

impl Monitor {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new(rules: MonitoringRules) -> Self {
        let tally = Tally { by_rule: BTreeMap::new(), let_go: 0 };
        let suppressors = Vec::new();
        Self { rules, suppressors, next: 0, swept: 0, actors: BTreeMap::new(), items: 0, flags: BTreeMap::new(), tally }
    }

    /// Takes these suppressors in force, instead of those before.
    pub fn suppress(&mut self, suppressors: Vec<Suppressor>) {
        self.suppressors = suppressors;
    }

    /// The number of the entry that it looks at next: what is older it passes over.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Begins with the entry of this number.
    pub(crate) const fn starting_at(mut self, seq: u64) -> Self {
        self.next = seq;
        self
    }

    /// Passes over an entry that cannot be read.
    pub(crate) fn pass_over(&mut self, seq: u64) {
        self.next = self.next.max(seq.saturating_add(1));
    }

    /// Whether it goes by these rules.
    pub(crate) fn has_rules(&self, rules: &MonitoringRules) -> bool {
        self.rules == *rules
    }

    /// What came of it since the last call of this.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Looks at one entry.
    pub fn feed(&mut self, entry: &AuditEntry, context: &dyn CareContext) -> Vec<RaisedFlag> {
        if entry.seq < self.next {
            return Vec::new();
        }
        self.next = entry.seq.saturating_add(1);
        self.sweep(entry.time.as_micros());
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
        let raised = found.into_iter().filter_map(|found| self.judge(found, entry, context)).collect();
        self.make_room();
        raised
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

    /// Raises a flag that was not raised before, unless something holds it back.
    fn judge(&mut self, found: Found, entry: &AuditEntry, context: &dyn CareContext) -> Option<RaisedFlag> {
        let Found { rule, actor, patient, stretch: (stretch, until), why, entries } = found;
        let id = flag::id(rule, actor, patient, stretch);
        let before = self.flags.get(&id).map(|(_, suppressed)| *suppressed);
        if !self.rules.has(rule) || before == Some(false) {
            return None;
        }
        let question = FlagQuestion { rule, actor, patient, at: entry.time };
        let (held_back, mut against) = self.held_back(&question, context);
        if held_back && before == Some(true) {
            return None;
        }
        self.flags.insert(id, (until, held_back));
        let (raised, suppressed) = self.tally.by_rule.entry(rule).or_default();
        if held_back {
            *suppressed += 1;
            return None;
        }
        *raised += 1;
        against.extend(context.explains(&question));
        match entry.purpose {
            Some(Purpose::EmergencyTreatment) => against.push("the purpose was emergency treatment".to_owned()),
            Some(Purpose::PatientRequest) => against.push("the patient had asked for it".to_owned()),
            _ => {}
        }
        let (why, against) = (flag::cut(why, MAX_WHY), flag::cut(against.join("; "), MAX_AGAINST));
        Some(RaisedFlag { id, rule, actor, patient, at: entry.time, entries, why, against })
    }

    fn held_back(&self, question: &FlagQuestion, context: &dyn CareContext) -> (bool, Vec<String>) {
        let FlagQuestion { rule, actor, patient, at } = *question;
        let mut unsure = Vec::new();
        if let (MonitorRule::OffHours, Some(actor)) = (rule, actor) {
            match context.is_on_duty(actor, at) {
                CareAnswer::Yes => return (true, Vec::new()),
                CareAnswer::Failed => unsure.push("the host could not say whether they were on duty".to_owned()),
                CareAnswer::No | CareAnswer::NotKept => {}
            }
        }
        for suppressor in &self.suppressors {
            match suppressor.holds((rule, at), (actor, patient), context) {
                Ok(true) => return (true, Vec::new()),
                Ok(false) => {}
                Err(()) => unsure.push("the host could not say whether a suppressor holds".to_owned()),
            }
        }
        unsure.dedup();
        (false, unsure)
    }

    /// Works on what is remembered of an actor.
    fn actor<T>(&mut self, actor: PrincipalId, at: Timestamp, work: impl FnOnce(&mut Actor) -> T) -> T {
        let known = self.actors.entry(actor).or_default();
        let before = known.items();
        known.last = at.as_micros();
        let value = work(known);
        self.items = self.items.saturating_sub(before).saturating_add(known.items());
        value
    }

    /// Once a day forgets what no rule needs any more: patients are not remembered for longer than that.
    fn sweep(&mut self, now: i64) {
        let day = i32::try_from(now.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
        if day <= self.swept {
            return;
        }
        self.swept = day;
        self.actors.values_mut().for_each(|actor| actor.sweep(&self.rules, now));
        self.items = self.actors.values().map(Actor::items).sum();
        self.flags.retain(|_, (until, _)| *until > now);
    }

    fn make_room(&mut self) {
        while self.actors.len() > ACTORS || self.items > ITEMS {
            let idle = self.actors.iter().min_by_key(|(id, known)| (known.last, **id)).map(|(id, _)| *id);
            let Some(gone) = idle.and_then(|id| self.actors.remove(&id)) else { return };
            self.items = self.items.saturating_sub(gone.items());
            self.tally.let_go = self.tally.let_go.saturating_add(1);
        }
        if self.flags.len() > FLAGS {
            // Several at once, since looking for them takes long.
            let mut ends: Vec<(i64, FlagId)> = self.flags.iter().map(|(id, (until, _))| (*until, *id)).collect();
            ends.sort_unstable();
            let most = FLAGS - FLAGS / 8;
            for (_, id) in ends.iter().take(ends.len().saturating_sub(most)) {
                self.flags.remove(id);
            }
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
