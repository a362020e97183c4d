//! Runs the rules over entries, one after the other.

use std::collections::BTreeMap;
use std::fmt;

use super::actor::Actor;
use super::context::{CareAnswer, CareContext, FlagQuestion};
use super::find::Found;
use super::flag::{self, MAX_AGAINST, MAX_WHY, RaisedFlag};
use super::rule::MonitorRule;
use super::rules::MonitoringRules;
use super::suppressor::Suppressor;
use crate::audit::AuditEntry;
use crate::clock::Timestamp;
use crate::ids::{FlagId, PrincipalId};
use crate::terms::Purpose;

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
        let found = self.find(entry, context);
        let raised = found.into_iter().filter_map(|found| self.judge(found, entry, context)).collect();
        self.make_room();
        raised
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
    pub(super) fn actor<T>(&mut self, actor: PrincipalId, at: Timestamp, work: impl FnOnce(&mut Actor) -> T) -> T {
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
}
