//! Checking a vault while it is in use.

mod join;
mod log;
mod records;
mod report;
mod tiles;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) use report::MOST_FINDINGS;
pub use report::{CheckReport, Finding, FindingPlace};

use super::{Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::format::keys::{PatientKey, RecordKey, Tree};
use crate::keyring::HeaderFileError;
use crate::keyring::copies::OtherCopy;
use crate::observe;
use crate::progress::{OnProgress, Progress, Task};
use crate::record::{RecordRef, Version};
use crate::storage::flaw::{Examined, Examiner, Flaw, FlawPlace, TreesAre};
use crate::storage::{Severity, StorageError};
use crate::unlocked::Unlocked;
use crate::vault::Home;

/// What [`Vault::check`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckScope {
    /// The files: each frame of the journal and of its base read and authenticated, in order, headers and seals included;
    /// the state files; both copies of the vault's header. Finds what the disk has changed, before it is needed. As fast
    /// as the disk reads. Weekly, where the scrub is off.
    Journal,
    /// What is read from every day: each row compared with what the journal says must be there, the value of each record
    /// found in the journal and read, the chain of the log followed. What is wrong is built anew from the journal. Nightly.
    Trees,
    /// What [`CheckScope::Trees`] looks at; and then with the keys: each version of each record opened in its place, with
    /// no number or version left out; each entry of the log opened; each version's entry, and each entry's version. Finds
    /// what somebody forged who knew how. Monthly, and whenever somebody asks.
    Records,
    /// All of it.
    All,
}

impl CheckScope {
    const fn journal(self) -> bool {
        matches!(self, Self::Journal | Self::All)
    }

    const fn trees(self) -> bool {
        !matches!(self, Self::Journal)
    }

    const fn records(self) -> bool {
        matches!(self, Self::Records | Self::All)
    }
}

impl fmt::Display for CheckScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "the journal",
            Self::Trees => "the trees",
            Self::Records => "the records",
            Self::All => "everything",
        })
    }
}

impl Vault {
    /// Checks the vault while it is in use, to the end: what is found does not stop it. Trees that are wrong are built
    /// anew from the journal if that is whole; meanwhile others wait, as they would if they had met the wrong row. The log
    /// has an entry once it ended. Memory is bounded, apart from a few bytes for each patient. It ends early when the vault
    /// is closed, and must not be closed from `progress`.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let vault = &clinic.vault;
    /// use chartvault::CheckScope;
    /// let report = vault.check(CheckScope::All, &mut |_| ())?;
    /// assert!(report.is_sound(), "{report}");
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sealed`], also when the vault is closed meanwhile; [`Error::AuditUnavailable`] where the vault stopped, or
    /// the entry cannot be written. Damage is no error here: the report tells it.
    pub fn check(&self, scope: CheckScope, progress: OnProgress<'_>) -> Result<CheckReport, Error> {
        operate(AuditEvent::VaultChecked, || {
            let unlocked = self.0.gate.enter()?;
            let started = Instant::now();
            let stopping = &self.0.keeper.stopping;
            let mut check = Check::new(&unlocked, &self.0.home, scope, progress, stopping);
            check.run()?;
            let mut report = check.report;
            report.took = started.elapsed();
            let mut draft = Draft::new(AuditEvent::VaultChecked, Outcome::Allowed);
            draft.fields.count = Some(u32::try_from(report.total()).unwrap_or(u32::MAX));
            draft.fields.detail = Some(report.detail());
            unlocked.commit(Vec::new(), vec![draft])?;
            Ok(report)
        })
    }
}

/// The log of a vault from its first entry to its newest, each of them opened, and the tree over it. Leaves no entry.
#[cfg(feature = "backup")]
pub(super) fn check_log(vault: &Vault, progress: OnProgress<'_>) -> Result<CheckReport, Error> {
    let unlocked = vault.0.gate.enter()?;
    let mut check = Check::new(&unlocked, &vault.0.home, CheckScope::Records, progress, &vault.0.keeper.stopping);
    check.check_log_alone()?;
    Ok(check.report)
}

/// How often progress is told at most.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// A check under way.
struct Check<'c, 'p> {
    unlocked: &'c Unlocked,
    home: &'c Home,
    report: CheckReport,
    progress: OnProgress<'p>,
    told: Instant,
    stopping: &'c AtomicBool,
    /// What was found by the storage and is still to be named.
    unnamed: Vec<Flaw>,
    /// Places told, so that two ways of finding one thing do not count it twice.
    places: HashSet<FindingPlace>,
    /// Whether what is read was read before, and told.
    again: bool,
    /// When the last entry of the log was written that was pruned.
    pruned_until: Option<Timestamp>,
}

/// What the storage tells goes here.
struct Listener<'l, 'c, 'p> {
    check: &'l mut Check<'c, 'p>,
    task: Task,
    seen: Examined,
}

impl Examiner for Listener<'_, '_, '_> {
    fn found(&mut self, flaw: Flaw) {
        self.check.unnamed.push(flaw);
        if self.check.unnamed.len() > MOST_FINDINGS {
            self.check.count_unnamed();
        }
    }

    fn passed(&mut self, examined: Examined, total: u64) -> bool {
        let by_rows = examined.rows > 0;
        let (task, done) = if by_rows { (self.task, examined.rows) } else { (Task::CheckJournal, examined.bytes) };
        self.seen = examined;
        self.check.tell(task, done, Some(total));
        self.check.goes_on()
    }
}

impl<'c, 'p> Check<'c, 'p> {
    fn new(
        unlocked: &'c Unlocked,
        home: &'c Home,
        scope: CheckScope,
        progress: OnProgress<'p>,
        stopping: &'c AtomicBool,
    ) -> Self {
        let (report, unnamed, places) = (CheckReport::new(scope), Vec::new(), HashSet::new());
        let (told, again, pruned_until) = (Instant::now(), false, None);
        Self { unlocked, home, report, progress, told, stopping, unnamed, places, again, pruned_until }
    }

    fn run(&mut self) -> Result<(), Error> {
        let scope = self.report.scope;
        let storage = self.unlocked.committer.storage();
        let whole = scope.journal().then(|| {
            let mut listener = Listener { check: self, task: Task::CheckJournal, seen: Examined::default() };
            let whole = storage.check_journal(&mut listener);
            let seen = listener.seen;
            (self.report.frames, self.report.bytes) = (seen.frames, seen.bytes);
            whole
        });
        let whole = whole.transpose()?;
        if scope.journal() {
            self.name_flaws(true);
            header_findings(self.unlocked, self.home).into_iter().for_each(|finding| self.add(finding));
        }
        if !scope.trees() {
            return Ok(());
        }
        let mut listener = Listener { check: self, task: Task::CheckTrees, seen: Examined::default() };
        let trees = storage.check_trees(whole, &mut listener);
        self.report.rows = listener.seen.rows;
        let trees = trees?;
        self.name_flaws(trees != TreesAre::Wrong);
        if trees == TreesAre::Wrong {
            let what = "the trees are wrong and cannot be built anew, so what rests on them was not looked at";
            self.add(Finding::new(FindingPlace::Rows { of: "the trees" }, what.to_owned(), Severity::Grave));
            return Ok(());
        }
        self.check_log_and_records(scope.records(), whole, trees)
    }

    fn goes_on(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed)
    }

    /// Ends the check if the vault is being closed.
    fn go_on(&self) -> Result<(), Error> {
        if self.goes_on() { Ok(()) } else { Err(Error::Sealed) }
    }

    /// Tells progress now and then, and always at the end.
    fn tell(&mut self, task: Task, done: u64, total: Option<u64>) {
        let total = total.map(|total| total.max(done));
        if total == Some(done) || self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            (self.progress)(Progress::new(task, done, total));
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.again {
            return;
        }
        let again = !self.places.insert(finding.place.clone());
        let rows = matches!(finding.place, FindingPlace::Rows { .. });
        if self.places.len() > 4 * MOST_FINDINGS {
            self.places.clear();
        }
        if rows || !again {
            observe::found(finding.severity == Severity::Mended);
            self.report.add(finding);
        }
    }

    fn found(&mut self, place: FindingPlace, what: impl Into<String>) {
        self.add(Finding::new(place, what.into(), Severity::Grave));
    }

    /// Turns what the storage found into findings. `readable`: charts may be looked up for it.
    fn name_flaws(&mut self, readable: bool) {
        for flaw in std::mem::take(&mut self.unnamed) {
            let place = self.place_of(&flaw.place, readable);
            self.add(Finding::new(place, flaw.what, flaw.severity));
        }
    }

    /// The same while the storage is not to be asked: rows then have no name.
    fn count_unnamed(&mut self) {
        if self.report.findings.len() < MOST_FINDINGS {
            return self.name_flaws(false);
        }
        for flaw in std::mem::take(&mut self.unnamed) {
            let place = self.place_of(&flaw.place, false);
            self.report.add(Finding::new(place, flaw.what, flaw.severity));
        }
    }

    fn place_of(&self, place: &FlawPlace, readable: bool) -> FindingPlace {
        place_of(self.unlocked, self.home.path(), place, readable)
    }
}

/// What is wrong with the copies of the header.
pub(super) fn header_findings(unlocked: &Unlocked, home: &Home) -> Vec<Finding> {
    let at = |name: &str| FindingPlace::File { path: name.into(), offset: 0 };
    let grave = |what: String| Finding::new(at("header.a"), what, Severity::Grave);
    // Not while they are being written.
    let _held = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner);
    let copies = match home.read_header() {
        Ok(copies) => copies,
        // Its medium may be locked away while the vault is open.
        Err(Error::Header(HeaderFileError::NoHeader { .. })) => return Vec::new(),
        Err(error) => {
            let what = format!("the header cannot be used: {error}; without it the vault cannot be opened again");
            return vec![grave(what)];
        }
    };
    let mut findings = Vec::new();
    if copies.chosen.vault() != unlocked.vault {
        findings.push(grave("the header is that of another vault".to_owned()));
    } else if copies.chosen.generation() < unlocked.committer.header_generation() {
        findings.push(grave("both copies of the header are older than the one in use".to_owned()));
    }
    let what = match copies.other {
        OtherCopy::Same => return findings,
        OtherCopy::Older(_) | OtherCopy::Differs(_) => "the two copies of the header differ".to_owned(),
        OtherCopy::Unusable(fault) => format!("one of two copies of the header cannot be used ({fault})"),
    };
    let name = home.unusable_header().unwrap_or("header.b");
    let what = format!("{what}; closing the vault and unlocking it writes both anew");
    findings.push(Finding::new(at(name), what, Severity::Mendable));
    findings
}

/// What rows of a tree are called.
const fn rows_of(tree: Tree) -> FindingPlace {
    FindingPlace::Rows {
        of: match tree {
            Tree::Records => "records",
            Tree::Patients => "patients' keys",
            Tree::Lookup => "identifiers",
            Tree::Policy => "policy",
            Tree::Audit => "the log",
            Tree::Log => "what is derived from the log",
        },
    }
}

/// Where something is, in the vault's words.
pub(super) fn place_of(unlocked: &Unlocked, dir: &Path, place: &FlawPlace, readable: bool) -> FindingPlace {
    match place {
        FlawPlace::File { path, offset } => {
            let path = path.strip_prefix(dir).unwrap_or(path).to_path_buf();
            FindingPlace::File { path, offset: *offset }
        }
        FlawPlace::Rows { tree } => rows_of(*tree),
        FlawPlace::Row { tree, key } => {
            let named = match tree {
                Tree::Audit => <[u8; 8]>::try_from(key.as_slice())
                    .ok()
                    .map(|seq| FindingPlace::Entry { seq: u64::from_be_bytes(seq) }),
                Tree::Records if readable => {
                    RecordKey::from_bytes(key).ok().and_then(|key| record_place(unlocked, key))
                }
                Tree::Patients if readable => {
                    let tag = PatientKey::from_bytes(key).ok().map(|key| key.patient_tag);
                    let patient = tag.and_then(|tag| unlocked.patient_of(&tag).ok().flatten());
                    patient.map(|patient| FindingPlace::Chart { patient })
                }
                _ => None,
            };
            named.unwrap_or_else(|| rows_of(*tree))
        }
    }
}

fn record_place(unlocked: &Unlocked, key: RecordKey) -> Option<FindingPlace> {
    let patient = unlocked.patient_of(&key.patient_tag).ok().flatten()?;
    let mut kinds = unlocked.policy.kinds().into_iter();
    let keyring = unlocked.keyring();
    let kind = kinds.find(|kind| keyring.kind_tag(&key.patient_tag, kind.id()) == key.kind_tag)?;
    let record = RecordRef::new(patient, kind.id(), key.number);
    Some(FindingPlace::Record { record, version: Version::new(key.version) })
}

/// What reading one thing answered, where that is a finding and not the end of everything.
fn is_of_one(error: &StorageError) -> bool {
    !matches!(error, StorageError::Closed | StorageError::Poisoned { .. })
}
