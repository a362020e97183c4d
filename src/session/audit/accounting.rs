//! The accounting of disclosures of one patient's chart (45 CFR 164.528).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::about::{AccessGap, about, one_line};
use super::{AuditView, access};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter, Outcome};
use crate::clock::Timestamp;
use crate::columns::table;
use crate::error::Error;
use crate::ids::{KindId, PatientId, PrincipalId};
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::terms::{Action, Purpose};

/// Six years, two of which may be leap years: as far back as 45 CFR 164.528(a)(1) asks.
const SIX_YEARS: Duration = Duration::from_secs(2_192 * 86_400);
/// Lines of one account.
const MOST_LINES: usize = 10_000;
/// Entries whose numbers a line has.
const MOST_NUMBERS: usize = 100;
/// What is accounted for unless something else is asked for: the rule leaves out treatment, payment, operations, what the patient
/// asked for, and those who are involved in the care.
const ACCOUNTED: [Purpose; 3] = [Purpose::Research, Purpose::PublicHealth, Purpose::Legal];

/// An account about to be made; see [`AuditView::accounting_of_disclosures`].
#[derive(Debug)]
#[must_use = "nothing is read before `run`"]
pub struct AskedDisclosures<'s> {
    session: &'s Session,
    patient: PatientId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    purposes: Vec<Purpose>,
}

/// Disclosures to one recipient for one purpose: the first, the last and how many, as 45 CFR 164.528(b)(3) has it for several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountedDisclosure {
    /// When the first was.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// To whom; the host knows the name and the address.
    pub recipient: Option<PrincipalId>,
    /// For which purpose; none where no session was behind it.
    pub purpose: Option<Purpose>,
    /// How: read, listed, exported, or as entries of the log.
    pub event: AuditEvent,
    /// What the log says where keys of its entries were given out: which, why, and to whom if the reason says so. Each has a line
    /// of its own, since `recipient` is whoever gave them out.
    pub said: Option<String>,
    /// Records that were given out, each time counted.
    pub records: u64,
    /// Of which kinds.
    pub kinds: Vec<KindId>,
    /// Numbers of the entries, the oldest 100 at most.
    pub entries: Vec<u64>,
}

/// Who got what of one patient's chart outside care, payment and operations. `Display` is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountOfDisclosures {
    /// The patient.
    pub patient: PatientId,
    /// From when on.
    pub from: Timestamp,
    /// Until before when.
    pub to: Timestamp,
    /// The disclosures, by the time of the first.
    pub disclosures: Vec<AccountedDisclosure>,
    /// Entries about the patient that have to be there and are not; without any the account is complete.
    pub gaps: Vec<AccessGap>,
}

impl<'s> AuditView<'s> {
    /// Who got what of one patient's chart for other purposes than care, payment, the clinic's operations and the patient's own
    /// wish (45 CFR 164.528), in the six years before now. What left the clinic on other ways the host adds.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// let account = session.audit()?.accounting_of_disclosures(patient).run()?;
    /// assert!(account.disclosures.is_empty() && account.gaps.is_empty());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn accounting_of_disclosures(self, patient: PatientId) -> AskedDisclosures<'s> {
        AskedDisclosures { session: self.0, patient, from: None, to: None, purposes: ACCOUNTED.to_vec() }
    }
}

impl AskedDisclosures<'_> {
    /// From this instant on, instead of six years (2,192 days) before now.
    pub const fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Until before this instant, instead of now.
    pub const fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// Counts what was given out for these purposes, instead of research, public health and legal ones. Where no purpose is
    /// known it always counts; so do keys of entries ([`AuditView::disclose`], [`LogBundle::disclosing`]): the purpose that the
    /// log has is that of whoever gave them out, and not of whoever got them.
    ///
    /// [`LogBundle::disclosing`]: super::LogBundle::disclosing
    pub fn purposes(mut self, purposes: impl IntoIterator<Item = Purpose>) -> Self {
        self.purposes = purposes.into_iter().collect();
        self
    }

    /// Makes the account. Takes as long as reading what the log says about the patient.
    ///
    /// # Errors
    /// As [`AskedAccess::page`](super::AskedAccess::page), and [`Error::TooMany`] above 10,000 lines: ask for a shorter time.
    pub fn run(self) -> Result<AccountOfDisclosures, Error> {
        let op = self.session.begin(access(AuditEvent::DisclosuresAccounted))?;
        let now = op.now;
        let (op, (chart, account)) = op.prepare(|unlocked| {
            let chart = unlocked.look_up(self.patient)?.ok_or(Error::NoSuchPatient(self.patient))?;
            let micros = i64::try_from(SIX_YEARS.as_micros()).unwrap_or(i64::MAX);
            let from = self.from.unwrap_or(Timestamp::from_micros(now.as_micros().saturating_sub(micros)));
            let mut filter = AuditFilter::new().patient(self.patient).from(from).outcome(Outcome::Allowed);
            if let Some(to) = self.to {
                filter = filter.to(to);
            }
            let (mut lines, mut gaps, mut place) = (Lines::default(), Vec::new(), None);
            loop {
                let found = about(unlocked, &chart, (&filter, place), &mut |mut entry| {
                    filter.narrow(&mut entry);
                    if self.counts(&entry) {
                        lines.add(&entry, from..self.to.unwrap_or(Timestamp::MAX));
                    }
                    if lines.0.len() > MOST_LINES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                gaps.extend(found.gaps);
                if lines.0.len() > MOST_LINES {
                    let (len, limit) = (lines.0.len(), MOST_LINES);
                    return Err(Error::TooMany { what: "lines of an account of disclosures", len, limit });
                }
                place = found.next;
                if place.is_none() {
                    break;
                }
            }
            let (patient, to) = (self.patient, self.to.unwrap_or(now));
            Ok((chart, AccountOfDisclosures { patient, from, to, disclosures: lines.sorted(), gaps }))
        })?;
        op.run(Hold::Nothing, |op| {
            // They may be erased by now.
            op.unlocked.check_not_erased(self.patient, &chart.tag)?;
            let count = u32::try_from(account.disclosures.len()).ok();
            Ok(Done { count, ..Done::read(account, vec![chart.audited(Vec::new())]) })
        })
    }

    /// Whether something of the chart was given out, for a purpose that counts.
    fn counts(&self, entry: &AuditEntry) -> bool {
        let gives = matches!(entry.action, Some(Action::Read | Action::List | Action::Export))
            || entry.event == AuditEvent::LogExported;
        entry.event == AuditEvent::EntryDisclosed
            || gives && entry.purpose.is_none_or(|purpose| self.purposes.contains(&purpose))
    }
}

type Line = (Option<PrincipalId>, Option<Purpose>, AuditEvent, Option<String>);

#[derive(Default)]
struct Lines(BTreeMap<Line, AccountedDisclosure>);

impl Lines {
    fn add(&mut self, entry: &AuditEntry, within: Range<Timestamp>) {
        let records: Vec<KindId> =
            entry.subjects.iter().flat_map(|subject| subject.records.iter().map(|record| record.kind)).collect();
        // Of several reads that share the entry, each is a disclosure.
        let reads = entry.reads.iter().map(|read| read.time).filter(|time| within.contains(time));
        let times: Vec<Timestamp> = reads.chain(entry.reads.is_empty().then_some(entry.time)).collect();
        let Some(first) = times.first().copied() else { return };
        let said = entry.detail.clone().filter(|_| entry.event == AuditEvent::EntryDisclosed);
        let line = (entry.actor, entry.purpose, entry.event, said.clone());
        let line = self.0.entry(line).or_insert_with(|| AccountedDisclosure {
            first,
            last: first,
            count: 0,
            recipient: entry.actor,
            purpose: entry.purpose,
            event: entry.event,
            said,
            records: 0,
            kinds: Vec::new(),
            entries: Vec::new(),
        });
        for time in times {
            line.first = line.first.min(time);
            line.last = line.last.max(time);
            line.count = line.count.saturating_add(1);
        }
        line.records = line.records.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
        line.kinds.extend(records);
        line.kinds.sort_unstable();
        line.kinds.dedup();
        if line.entries.len() < MOST_NUMBERS {
            line.entries.push(entry.seq);
        }
    }

    fn sorted(self) -> Vec<AccountedDisclosure> {
        let mut all: Vec<_> = self.0.into_values().collect();
        all.sort_by_key(|line| line.first);
        all
    }
}

impl fmt::Display for AccountOfDisclosures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let row = |line: &AccountedDisclosure| {
            vec![
                line.first.to_string(),
                line.last.to_string(),
                line.count.to_string(),
                text(line.recipient.map(|recipient| recipient.to_string())),
                text(line.purpose.map(|purpose| purpose.to_string())),
                line.event.to_string(),
                line.records.to_string(),
                text(line.said.as_deref().map(one_line)),
            ]
        };
        let rows: Vec<_> = self.disclosures.iter().map(row).collect();
        let title = format!("Disclosures of the chart of {} from {} to {}", self.patient, self.from, self.to);
        table(f, &title, &["first", "last", "times", "recipient", "purpose", "how", "records", "said"], &rows)?;
        self.gaps.iter().try_for_each(|gap| writeln!(f, "  {gap}"))
    }
}
