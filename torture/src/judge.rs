//! Opens what is left of a vault and compares it with what was said: every acknowledged write present and equal, nothing
//! else there but what was under way, wholly or not at all; each version with its log entry and each entry with its
//! version; the log unbroken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chartvault::{Error, Kind, PatientId, RawKey, RecordId, RecordRef, Scope, Session, Status, Vault};

use crate::acts;
use crate::bench;
use crate::checked;
use crate::erasure;
use crate::expected::{Expected, Found};
use crate::keys;
use crate::ledger::{Deed, End, Ledger};
use crate::log;
use crate::rotation;
use crate::value::{self, KINDS, Note};
use crate::workload::one_line;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it must be; in which state it was found.
    Good(String),
    /// A typed error: its name and its words. Whether that may be depends on what was done to the vault.
    Refused(String, String),
    /// A promise was broken.
    Bad(String),
}

/// Why an examination ended early.
pub enum Fault {
    Error(Error),
    Wrong(String),
    /// A check found something that it did not mend.
    Unsound(String),
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

pub(crate) fn wrong<T>(what: String) -> Result<T, Fault> {
    Err(Fault::Wrong(what))
}

/// How closely a vault is looked at. Each finds every value, version and log entry that is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Reads everything once, in bulk, and lets go of the vault without closing it.
    Glance,
    /// Reads everything in every way, and closes it.
    Whole,
    /// Then works with it, compacts it, closes it, and judges it again.
    Thorough,
    /// Has it checked at once, and then as thoroughly, checked once more at the end.
    Checked,
}

impl Care {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Glance => "glance",
            Self::Whole => "whole",
            Self::Thorough => "thorough",
            Self::Checked => "checked",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Glance, Self::Whole, Self::Thorough, Self::Checked].into_iter().find(|care| care.word() == word)
    }
}

/// Judges the vault in `dir`.
pub fn judge(dir: &Path, seed: u64, ledger: &Ledger, care: Care) -> Verdict {
    verdict(ledger, || try_judge(dir, seed, ledger, care))
}

/// What an examination amounts to.
pub(crate) fn verdict(ledger: &Ledger, examine: impl FnOnce() -> Result<String, Fault>) -> Verdict {
    if let Some(what) = ledger.wrong.first() {
        return Verdict::Bad(format!("while it ran: {what}"));
    }
    match examine() {
        Ok(class) => Verdict::Good(class),
        Err(Fault::Wrong(what)) => Verdict::Bad(what),
        Err(Fault::Unsound(report)) => Verdict::Refused("Unsound".into(), report.replace('\n', "; ")),
        Err(Fault::Error(Error::Header(_))) if !ledger.created => Verdict::Good("no vault yet".into()),
        Err(Fault::Error(error)) => Verdict::Refused(name(&error), one_line(&error)),
    }
}

/// The error's variants, without what they hold.
pub fn name(error: &Error) -> String {
    let text = format!("{error:?}");
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let inner = second.starts_with(char::is_uppercase);
    if inner { format!("{first}({second})") } else { first.to_owned() }
}

fn open_with(dir: &Path, key: &RawKey) -> Result<Vault, Error> {
    Vault::open_with(dir, keys::options())?.unlock(key)
}

/// Opens the vault with a key that has to open it, or that may.
pub(crate) fn open(dir: &Path, seed: u64, ledger: &Ledger) -> Result<(Vault, RawKey), Error> {
    let (vault, number) = ledger.openers.open(seed, |key| open_with(dir, key))?;
    Ok((vault, keys::numbered(seed, number)))
}

fn class(vault: &Vault) -> String {
    let opening = vault.opening();
    let mut class = if opening.clean { "closed" } else { "not closed" }.to_owned();
    if opening.torn_bytes > 0 {
        class.push_str(", torn");
    }
    if let Some(why) = &opening.rebuilt {
        class.push_str(", rebuilt: ");
        class.push_str(why);
    }
    class
}

fn try_judge(dir: &Path, seed: u64, ledger: &Ledger, care: Care) -> Result<String, Fault> {
    let (vault, key) = open(dir, seed, ledger)?;
    let mut class = class(&vault);
    if !ledger.trusted {
        vault.trust_issuer(keys::issuer(seed).public(), &key)?;
    }
    if rotations_stand(&vault, ledger)? {
        class.push_str(", rotation under way");
    }
    let session = keys::session(seed, &vault)?;
    let owed = owed(&vault, ledger)?;
    if care == Care::Checked {
        class.push_str(", ");
        class.push_str(checked::sound(&vault)?);
    }
    if care == Care::Glance {
        glance(&session, seed, ledger, owed)?;
        return Ok(class);
    }
    examine(&session, seed, ledger, owed)?;
    if care == Care::Whole {
        drop(session);
        vault.close()?;
        return Ok(class);
    }
    let mut later = ledger.clone();
    go_on(&session, seed, &mut later)?;
    go_on_rotating(&vault, &key, &mut later)?;
    later.compactions += usize::from(vault.compact()?.is_some());
    vault.close()?;
    drop(session);
    who_opens(dir, seed, ledger)?;
    let (vault, _) = open(dir, seed, ledger)?;
    if !vault.opening().clean {
        return wrong(format!("closed after it was mended, and then found {}", vault.opening()));
    }
    let session = keys::session(seed, &vault)?;
    examine(&session, seed, &later, Owed { base: base_of(dir)?, ..owed })?;
    if care == Care::Checked && checked::sound(&vault)? != "checked" {
        return wrong("mended, closed, opened, and a check mends again".into());
    }
    vault.close()?;
    Ok(class)
}

/// What the log owes for things that are not in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// Answered reads that may have no entry.
    pub missing: usize,
    /// The frame through which the journal was compacted: there must be an entry for that.
    pub base: Option<u64>,
    /// Patients who are in the ledger of erasures, each finished.
    pub erasures: usize,
}

/// The frame that ends what the base of a journal covers. What an interrupted compaction leaves beside it must be gone
/// once the vault was opened.
fn base_of(dir: &Path) -> Result<Option<u64>, Fault> {
    let Ok(files) = bench::files_in(&dir.join("journal")) else { return wrong("there is no journal".into()) };
    let names: Vec<_> = files.iter().map(|name| name.to_string_lossy()).collect();
    let mut bases = names.iter().filter_map(|name| name.strip_prefix("base-")?.strip_suffix(".cvj")?.parse().ok());
    let base = bases.next();
    if bases.next().is_some() || names.iter().any(|name| name == "base.tmp") {
        return wrong(format!("opened, and files of a compaction are left: {names:?}"));
    }
    Ok(base)
}

/// Answered reads whose entries the opening says may be missing: none but where the vault lets them wait.
pub(crate) fn owed(vault: &Vault, ledger: &Ledger) -> Result<Owed, Fault> {
    let missing = vault.opening().missing_reads.map_or(0, |missing| missing.at_most as usize);
    if missing > ledger.window {
        return wrong(format!("{missing} entries of reads are said to be missing, of a window of {}", ledger.window));
    }
    let erasures = vault.erasures()?;
    if let Some(open) = erasures.iter().find(|erasure| erasure.finished.is_none()) {
        return wrong(format!("the vault was opened, and an erasure is not finished: {open:?}"));
    }
    Ok(Owed { missing, base: base_of(vault.path())?, erasures: erasures.len() })
}

/// Works with a vault that was mended.
fn go_on(session: &Session, seed: u64, ledger: &mut Ledger) -> Result<(), Fault> {
    let op = ledger.next_op();
    let patient = session.register_patient([acts::identifier(op)])?;
    ledger.ops.insert(op, (Deed::Patient, End::Acknowledged(vec![patient.to_string()])));
    let (op, len) = (op + 1, 700);
    let note = Note { text: value::text(seed, op, 0, len) };
    let record = RecordRef::from(session.put(patient, &note)?);
    let deed = Deed::Put { patient, kind: 0, lens: vec![len] };
    ledger.ops.insert(op, (deed, End::Acknowledged(vec![record.to_string()])));
    Ok(())
}

/// Whether a rotation is under way, which must have been begun and not answered. What was answered must be so.
fn rotations_stand(vault: &Vault, ledger: &Ledger) -> Result<bool, Fault> {
    let (said, rotation) = (&ledger.rotations, vault.rotation()?);
    if rotation.is_under_way() && !said.under_way {
        return wrong(format!("no rotation is under way, and the vault has {rotation:?}"));
    }
    if rotation.audit_epoch <= said.audits {
        return wrong(format!("the log's key was changed {} times, and the vault has {rotation:?}", said.audits));
    }
    if let Some(suite) = said.suite.as_ref().filter(|suite| **suite != format!("{:?}", vault.suite())) {
        return wrong(format!("the suite was changed to {suite}, and is {:?}", vault.suite()));
    }
    Ok(rotation.is_under_way())
}

/// Ends a rotation that was interrupted.
fn go_on_rotating(vault: &Vault, key: &RawKey, ledger: &mut Ledger) -> Result<(), Fault> {
    let before = vault.rotation()?;
    if before.is_under_way() {
        let rotated = vault.continue_rotation(key, &mut |_| ())?;
        if rotated.unreadable > 0 || vault.rotation()?.is_under_way() {
            return wrong(format!("a rotation that was interrupted does not end: {rotated}"));
        }
        ledger.rotations.ended += usize::from(rotation::drops_keys(&before));
        ledger.compactions += usize::from(rotated.compaction.is_some());
    }
    Ok(())
}

/// What a closed vault must open with beside the key that it was opened with, and what must not open it any more.
fn who_opens(dir: &Path, seed: u64, ledger: &Ledger) -> Result<(), Fault> {
    if let Some(guest) = ledger.openers.guest {
        open_with(dir, &keys::numbered(seed, guest))?.close()?;
    }
    let Some(gone) = ledger.openers.gone.last() else { return Ok(()) };
    match open_with(dir, &keys::numbered(seed, *gone)) {
        Err(Error::Unlock(_)) => Ok(()),
        Err(other) => Err(other.into()),
        Ok(_) => wrong(format!("key {gone} opens the vault, and was taken out of it")),
    }
}

/// Reads everything in every way and compares.
pub fn examine(session: &Session, seed: u64, ledger: &Ledger, owed: Owed) -> Result<(), Fault> {
    let patients = find_patients(session, ledger)?;
    let mut charts = Chart::new();
    for (at, patient) in patients.there.iter().enumerate() {
        let chart = read_chart(session, *patient)?;
        if at == 0 {
            compare_lists(session, *patient, &chart)?;
        }
        charts.extend(chart);
    }
    compare(session, seed, ledger, owed, &patients, charts)
}

/// Which of [`KINDS`] a record is of.
pub(crate) fn kind_of(record: RecordRef) -> Result<usize, Fault> {
    let kind = KINDS.iter().position(|kind| Kind::new(kind).is_ok_and(|kind| kind.id() == record.kind()));
    kind.map_or_else(|| wrong(format!("{record} has a kind that nobody wrote")), Ok)
}

/// Compares what was read, and the log, with the ledger.
fn compare(
    session: &Session,
    seed: u64,
    ledger: &Ledger,
    owed: Owed,
    patients: &Patients,
    charts: Chart,
) -> Result<(), Fault> {
    let left = erasure::without(ledger, &patients.erased);
    let mut expected = Expected::of(seed, &left);
    let mut versions = BTreeSet::new();
    for (record, found) in charts {
        let kind = kind_of(record)?;
        versions.extend((1..=found.len() as u32).map(|version| (record, version)));
        expected.meet(record, kind, &found).map_err(Fault::Wrong)?;
    }
    expected.finish().map_err(Fault::Wrong)?;
    session.audit()?.verify(Scope::All).run()?;
    for patient in &patients.erased {
        erasure::is_erased(session, *patient).map_err(Fault::Wrong)?;
    }
    log::compare(session, ledger, patients, &versions, owed)
}

/// Reads everything once, in as few operations as there are for that, and compares.
pub(crate) fn glance(session: &Session, seed: u64, ledger: &Ledger, owed: Owed) -> Result<(), Fault> {
    let patients = find_patients(session, ledger)?;
    let mut charts = Chart::new();
    for entry in session.export().patients(patients.there.iter().copied()).include_voided().whole_history().start()? {
        let entry = entry?;
        let (record, voided) = (entry.record(), entry.status() == Status::Voided);
        let value = match entry.schema() {
            Some(_) => entry.decode::<Note>()?.value.text.into_bytes(),
            None => entry.verbatim()?.value,
        };
        charts.entry(record).or_default().push(Found { value, voided });
    }
    charts.values_mut().for_each(|versions| versions.reverse());
    compare(session, seed, ledger, owed, &patients, charts)
}

/// Everybody whom anybody may have registered, in the order of the operations.
#[derive(Default)]
pub(crate) struct Patients {
    pub(crate) there: Vec<PatientId>,
    pub(crate) erased: BTreeSet<PatientId>,
}

fn find_patients(session: &Session, ledger: &Ledger) -> Result<Patients, Fault> {
    let (mut patients, erasures) = (Patients::default(), erasure::begun(ledger));
    for (op, (deed, end)) in &ledger.ops {
        if *deed != Deed::Patient {
            continue;
        }
        let found = session.find_patient(&acts::identifier(*op))?;
        match (found, end) {
            (Some(patient), End::Acknowledged(answer)) if *answer != [patient.to_string()] => {
                return wrong(format!("operation {op} registered {answer:?}, and {patient} is found"));
            }
            (Some(patient), _) if erasures.get(&patient) == Some(&true) => {
                return wrong(format!("{patient} was erased, and is found"));
            }
            (Some(patient), End::NotDone) => return wrong(format!("{patient} was not committed, and is there")),
            (Some(patient), _) => patients.there.push(patient),
            (None, End::Acknowledged(answer)) if is_begun(&erasures, answer) => {
                patients.erased.extend(answer.first().and_then(|answer| answer.parse::<PatientId>().ok()));
            }
            (None, End::Acknowledged(answer)) => return wrong(format!("operation {op} registered {answer:?}: gone")),
            (None, _) => {}
        }
    }
    Ok(patients)
}

/// Whether the erasure of this patient was begun.
fn is_begun(erasures: &BTreeMap<PatientId, bool>, answer: &[String]) -> bool {
    let patient = answer.first().and_then(|answer| answer.parse().ok());
    patient.is_some_and(|patient: PatientId| erasures.contains_key(&patient))
}

type Chart = BTreeMap<RecordRef, Vec<Found>>;

/// Every version of every record of a chart, oldest first.
fn read_chart(session: &Session, patient: PatientId) -> Result<Chart, Fault> {
    let (mut chart, mut after) = (Chart::new(), None);
    loop {
        let query = session.chart(patient).include_voided().limit(1_000);
        let page = after
            .map_or_else(|| session.chart(patient).include_voided().limit(1_000), |cursor| query.after(cursor))
            .page()?;
        for entry in page.entries {
            let record = entry.record();
            let (version, value) = match entry.kind().as_str() {
                "note" => entry.decode::<Note>().map(|note| (note.version, note.value.text.into_bytes()))?,
                _ => entry.verbatim().map(|bytes| (bytes.version, bytes.value))?,
            };
            let newest = Found { value, voided: entry.status() == Status::Voided };
            let mut versions = if version.number() > 1 { history(session, record)? } else { vec![newest.clone()] };
            if versions.len() != version.number() as usize || versions.last() != Some(&newest) {
                return wrong(format!("the history of {record} does not end with its newest version {version}"));
            }
            versions.shrink_to_fit();
            if chart.insert(record, versions).is_some() {
                return wrong(format!("{record} stands twice in the chart of {patient}"));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(chart);
        }
    }
}

fn history(session: &Session, record: RecordRef) -> Result<Vec<Found>, Fault> {
    let mut versions: Vec<Found> = match RecordId::<Note>::try_from(record) {
        Ok(id) => {
            let found = |entry: chartvault::Entry<Note>| Found {
                voided: entry.status == Status::Voided,
                value: entry.value.text.into_bytes(),
            };
            session.history(id)?.into_iter().map(found).collect()
        }
        Err(_) => {
            let found =
                |entry: chartvault::VerbatimEntry| Found { voided: entry.status == Status::Voided, value: entry.value };
            session.history_verbatim(record)?.into_iter().map(found).collect()
        }
    };
    versions.reverse();
    Ok(versions)
}

/// What a chart shows, its lists, counts and single reads show as well.
fn compare_lists(session: &Session, patient: PatientId, chart: &Chart) -> Result<(), Fault> {
    for name in KINDS {
        let kind = Kind::new(name).map_err(|error| Fault::Wrong(error.to_string()))?;
        let of_kind: BTreeSet<RecordRef> = chart.keys().copied().filter(|record| record.kind() == kind.id()).collect();
        let listed: BTreeSet<RecordRef> = if name == KINDS[0] {
            let page = session.list::<Note>(patient).include_voided().limit(1_000).page()?;
            page.entries.iter().map(|entry| entry.id.into()).collect()
        } else {
            let page = session.list_verbatim(patient, &kind).include_voided().limit(1_000).page()?;
            page.entries.iter().map(|entry| entry.id).collect()
        };
        if listed != of_kind && of_kind.len() <= 1_000 {
            return wrong(format!("{patient}: {} {name} in the list, {} in the chart", listed.len(), of_kind.len()));
        }
        if let Some(record) = of_kind.last() {
            let value = match RecordId::<Note>::try_from(*record) {
                Ok(id) => session.get(id)?.value.text.into_bytes(),
                Err(_) => session.get_verbatim(*record)?.value,
            };
            if chart.get(record).and_then(|versions| versions.last()).is_none_or(|newest| newest.value != value) {
                return wrong(format!("{record} read by itself is not what its chart holds"));
            }
        }
    }
    let counted: u64 = session.kinds(patient)?.iter().map(|count| count.records).sum();
    if counted != chart.len() as u64 {
        return wrong(format!("{patient}: {counted} records counted, {} in the chart", chart.len()));
    }
    Ok(())
}
