//! Walking charts for an export, a bounded batch at a time.

use std::collections::BTreeSet;

use super::access::{Op, Refused};
use super::any::AnyEntry;
use super::order::{Names, named};
use super::read::{Opened, missing};
use crate::audit::{AuditRecord, DraftSubject};
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree, kind_prefix, record_prefix};
use crate::ids::{KindId, PatientId};
use crate::record::{Kind, RecordRef, Status};
use crate::storage::Scan;
use crate::token::Reach;
use crate::unlocked::Chart;

/// Records of one batch.
const BATCH_RECORDS: usize = 1_000;
/// Bytes of opened records after which a batch ends.
const BATCH_BYTES: usize = 4 << 20;
/// Charts of one batch.
const BATCH_CHARTS: usize = 250;
/// Keys that one batch looks at, so that a chart whose records are withheld is not held for long.
const BATCH_KEYS: usize = 20_000;
/// Keys read at once.
const CHUNK: usize = 256;

/// What an export is to give out.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) kinds: Option<BTreeSet<KindId>>,
    pub(super) history: bool,
    pub(super) voided: bool,
}

impl Want {
    pub(super) const fn new() -> Self {
        Self { kinds: None, history: false, voided: false }
    }
}

/// One batch in the making.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) entries: Vec<AnyEntry>,
    pub(super) subjects: Vec<DraftSubject>,
    pub(super) withheld: u64,
    /// Places of doubtful charts where something is missing or does not open.
    pub(super) missing: u64,
    bytes: usize,
    keys: usize,
}

impl Bulk {
    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_RECORDS
            || self.bytes >= BATCH_BYTES
            || self.subjects.len() >= BATCH_CHARTS
            || self.keys >= BATCH_KEYS
    }

    /// Records in it.
    pub(super) fn count(&self) -> Option<u32> {
        u32::try_from(self.entries.len()).ok()
    }

    /// Takes a patient's records out again; gives how many are left.
    pub(super) fn leave_out(&mut self, patient: PatientId) -> Option<u32> {
        self.entries.retain(|entry| entry.record().patient() != patient);
        self.count()
    }

    pub(super) const fn looked_at_one(&mut self) {
        self.keys += 1;
    }
}

/// How far a chart has been walked: behind this version of a record.
#[derive(Clone, Copy, Default)]
pub(super) struct Spot(Option<RecordKey>);

/// Whether the record that is being walked is given out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ruling {
    Give,
    PassOver,
}

impl Op<'_> {
    /// Adds to a batch what it has room for, from `spot` on; says where to go on, or `None` at the chart's end. The
    /// chart's stripe must be held.
    pub(super) fn take_from(
        &self,
        chart: &Chart,
        want: &Want,
        spot: Spot,
        bulk: &mut Bulk,
    ) -> Result<Option<Spot>, Refused> {
        let names = self.kind_names(chart);
        let (last, in_doubt, touched) = (spot.0, self.in_doubt(chart), Vec::new());
        let mut walk = Walk { op: self, chart, names: &names, want, last, ruling: None, touched, in_doubt };
        let more = walk.run(bulk)?;
        bulk.subjects.push(chart.audited(std::mem::take(&mut walk.touched)));
        Ok(more.then_some(Spot(walk.last)))
    }
}

struct Walk<'w, 'o> {
    op: &'w Op<'o>,
    chart: &'w Chart,
    names: &'w Names,
    want: &'w Want,
    last: Option<RecordKey>,
    /// About the record of `last`, once it is known.
    ruling: Option<Ruling>,
    touched: Vec<AuditRecord>,
    /// Whether the chart is in doubt: then what is missing is counted, and the rest is given all the same.
    in_doubt: bool,
}

impl Walk<'_, '_> {
    /// Whether there is more when the batch is full.
    fn run(&mut self, bulk: &mut Bulk) -> Result<bool, Refused> {
        loop {
            let after = self.behind();
            let scan = Scan { prefix: &self.chart.tag, after: after.as_deref(), limit: CHUNK };
            let keys = self.op.unlocked.committer.scan_keys(Tree::Records, scan)?;
            for key in &keys {
                if bulk.is_full() {
                    return Ok(true);
                }
                bulk.keys += 1;
                let key = RecordKey::from_bytes(key).map_err(|_| Error::TamperedRow { what: "record key" })?;
                let kind = match named(self.names, key) {
                    Err(_) if self.in_doubt => {
                        bulk.missing += 1;
                        self.pass_over_kind(key);
                        break;
                    }
                    kind => kind?,
                };
                // Whether this kind is wanted or not: the one before it must have ended with its first record.
                self.unless_in_doubt(self.check_gap(key), bulk)?;
                if !self.wants(kind) {
                    self.pass_over_kind(key);
                    break;
                }
                let older = self.last.is_some_and(|last| same_record(last, key));
                if !older {
                    self.ruling = None;
                }
                self.last = Some(key);
                if older && !self.want.history {
                    continue;
                }
                match self.take(kind, key, older, bulk) {
                    Err(Refused::Failed(error)) => self.unless_in_doubt(Err(error), bulk)?,
                    taken => taken?,
                }
            }
            if keys.is_empty() {
                self.unless_in_doubt(self.check_end(), bulk)?;
                return Ok(false);
            }
        }
    }

    /// Counts what is missing or does not open in a chart that is in doubt.
    fn unless_in_doubt(&self, checked: Result<(), Error>, bulk: &mut Bulk) -> Result<(), Error> {
        match checked {
            Err(Error::Missing { .. } | Error::Tampered { .. }) if self.in_doubt => {
                bulk.missing += 1;
                Ok(())
            }
            checked => checked,
        }
    }

    /// Whether the export and the token let records of this kind out.
    fn wants(&self, kind: &Kind) -> bool {
        let wanted = self.want.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind.id()));
        wanted && self.op.decide(Reach::One(kind.id()), Reach::One(self.chart.patient), None).is_ok()
    }

    /// Goes on behind all records of a kind.
    fn pass_over_kind(&mut self, key: RecordKey) {
        self.last = Some(RecordKey { number: 0, version: 0, ..key });
        self.ruling = None;
    }

    fn take(&mut self, kind: &Kind, key: RecordKey, older: bool, bulk: &mut Bulk) -> Result<(), Refused> {
        let ruling = match self.ruling {
            Some(ruling) => ruling,
            None if older => {
                // An earlier batch ended within this record. Its newest version decides, as it is now.
                let newest = self.op.newest(self.chart, RecordRef::new(self.chart.patient, kind.id(), key.number))?;
                self.rule(&newest, bulk)?
            }
            None => Ruling::Give,
        };
        self.ruling = Some(ruling);
        if ruling == Ruling::PassOver {
            return Ok(());
        }
        let opened = self.op.at(self.chart, kind.id(), key, None)?;
        if !older {
            self.ruling = Some(self.rule(&opened, bulk)?);
            if self.ruling == Some(Ruling::PassOver) {
                return Ok(());
            }
        } else if self.op.may_give(&opened).is_err() {
            bulk.withheld += 1;
            return Ok(());
        }
        bulk.bytes += opened.len();
        self.touched.push(opened.audited(self.chart));
        bulk.entries.push(AnyEntry::new(kind.clone(), opened)?);
        Ok(())
    }

    /// Decides about a record by its newest version.
    fn rule(&self, newest: &Opened, bulk: &mut Bulk) -> Result<Ruling, Refused> {
        if newest.body()?.status == Status::Voided && !self.want.voided {
            return Ok(Ruling::PassOver);
        }
        if self.op.may_give(newest).is_err() {
            bulk.withheld += 1;
            return Ok(Ruling::PassOver);
        }
        Ok(Ruling::Give)
    }

    /// The key behind which to go on.
    fn behind(&self) -> Option<Vec<u8>> {
        let last = self.last?;
        let RecordKey { patient_tag, kind_tag, number, version } = last;
        Some(match (number, self.want.history) {
            (0, _) => [&kind_prefix(&patient_tag, &kind_tag)[..], &[0xFF; 12]].concat(),
            (_, true) => RecordKey { version, ..last }.to_bytes().to_vec(),
            (_, false) => [&record_prefix(&patient_tag, &kind_tag, number)[..], &[0xFF; 4]].concat(),
        })
    }

    /// Numbers of a kind count down to 1, and so do versions of a record.
    fn check_gap(&self, key: RecordKey) -> Result<(), Error> {
        let Some(last) = self.last else { return Ok(()) };
        if same_record(last, key) {
            let next = !self.want.history || last.version.checked_sub(1) == Some(key.version);
            return if next { Ok(()) } else { Err(self.gap(last)) };
        }
        self.check_first_version(last)?;
        let next = if last.kind_tag == key.kind_tag {
            last.number.checked_sub(1) == Some(key.number)
        } else {
            last.number <= 1
        };
        if next { Ok(()) } else { Err(self.gap(last)) }
    }

    fn check_end(&self) -> Result<(), Error> {
        let Some(last) = self.last else { return Ok(()) };
        self.check_first_version(last)?;
        if last.number <= 1 { Ok(()) } else { Err(self.gap(last)) }
    }

    /// That nothing is missing behind the last version seen. Without history, earlier ones are not looked for.
    fn check_first_version(&self, last: RecordKey) -> Result<(), Error> {
        if self.want.history && last.version > 1 { Err(self.gap(last)) } else { Ok(()) }
    }

    fn gap(&self, last: RecordKey) -> Error {
        match named(self.names, last) {
            Ok(kind) => {
                let record = RecordRef::new(self.chart.patient, kind.id(), last.number);
                missing(record, "a record or version", last.number.saturating_sub(1))
            }
            Err(error) => error,
        }
    }
}

fn same_record(a: RecordKey, b: RecordKey) -> bool {
    (a.kind_tag, a.number) == (b.kind_tag, b.number)
}
