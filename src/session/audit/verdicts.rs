//! What is to be thought of the log, in three verdicts apart: a log can be whole and old, or new and not whole.

use std::fmt;

use super::indexed::index_faults;
use super::parallel::{self, Range, examine};
use super::verify::verify;
use super::{AuditVerify, Scope, VerifiedLog, access};
use crate::anchor::AnchorFault;
use crate::audit::{AuditEvent, AuditFault, FaultKind, LogPruned, Verified, Verifier};
use crate::error::Error;
use crate::ids::PatientId;
use crate::session::access::{Done, Hold};
use crate::unlocked::Unlocked;

/// Faults that a verdict names at most.
const MOST_FAULTS: usize = 100;

/// What a verification makes of the log; see [`AuditVerify::report`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogReport {
    /// What was looked at; where the integrity is not sound, nothing.
    pub verified: VerifiedLog,
    /// What allows the log to begin where it does, where it was pruned: the newest entry about it. What went is missing from no
    /// verdict; who has the archives can look at them ([`AuditView::check_archive`](crate::AuditView::check_archive)).
    pub pruned: Option<LogPruned>,
    /// Whether what is there is what was written: each entry follows from the one before, and with a scope that opens
    /// entries, was made with the vault's key.
    pub integrity: LogVerdict,
    /// Whether all is there that was written: the counts of each patient's entries have no gap and end where the vault's own
    /// count does, the index that queries use says what the entries say, and nothing is known to have been lost. That each version of a record has its entry is what
    /// [`CheckScope::Records`](crate::CheckScope::Records) looks at.
    pub completeness: LogVerdict,
    /// Whether the newest is there: what is known outside the vault is not ahead of it.
    pub freshness: LogVerdict,
}

/// One of three verdicts over the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogVerdict {
    /// Nothing speaks against it.
    Sound,
    /// What speaks against it, 100 things at most, the first first.
    Unsound(Vec<LogFault>),
    /// It cannot be said, and why.
    Unknown(&'static str),
}

impl LogVerdict {
    /// Whether nothing speaks against it. What cannot be said is not sound.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        matches!(self, Self::Sound)
    }

    /// Whether something speaks against it.
    #[must_use]
    pub const fn is_unsound(&self) -> bool {
        matches!(self, Self::Unsound(_))
    }

    fn of(mut faults: Vec<LogFault>) -> Self {
        faults.truncate(MOST_FAULTS);
        if faults.is_empty() { Self::Sound } else { Self::Unsound(faults) }
    }
}

/// Something that is not right with the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// An entry that is not sound, or not there.
    #[error(transparent)]
    Entry(#[from] AuditFault),
    /// The log has another number of entries about a patient than the vault counted.
    #[error("{found} entries about {patient} are there, and {counted} were written")]
    Counted {
        /// The patient.
        patient: PatientId,
        /// How many are there.
        found: u64,
        /// How many were written.
        counted: u64,
    },
    /// An anchor holds a checkpoint of more entries than the log has.
    #[error("anchor {anchor} holds a checkpoint of {anchored} entries, and the log has {found}")]
    RolledBack {
        /// The anchor.
        anchor: String,
        /// Entries of the checkpoint.
        anchored: u64,
        /// Entries of the log.
        found: u64,
    },
    /// An anchor holds a checkpoint of another log.
    #[error("anchor {anchor} holds a checkpoint of another log of {anchored} entries")]
    Forked {
        /// The anchor.
        anchor: String,
        /// Entries of the checkpoint.
        anchored: u64,
    },
    /// An anchor holds what no key of this log signed.
    #[error("anchor {anchor} holds what no key of this log signed")]
    OtherKey {
        /// The anchor.
        anchor: String,
    },
    /// An anchor says to have seen more entries than the log has.
    #[error("anchor {anchor} says to have seen {seen} entries, and the log has {found}")]
    SeenMore {
        /// The anchor.
        anchor: String,
        /// Entries that it says to have seen.
        seen: u64,
        /// Entries of the log.
        found: u64,
    },
    /// The index over 4,096 entries says something else than they do, so that queries kept some of them back. It was made anew.
    #[error("the index over the entries from {first} on said something else than they do; it was made anew")]
    Index {
        /// Number of the first of these entries.
        first: u64,
    },
}

impl fmt::Display for LogVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("sound"),
            Self::Unknown(why) => write!(f, "not known: {why}"),
            Self::Unsound(faults) => {
                f.write_str("NOT SOUND")?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl fmt::Display for LogReport {
    /// Three paragraphs, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verified, pruned, integrity, completeness, freshness } = self;
        writeln!(f, "{} entries", verified.entries)?;
        if let Some(pruned) = pruned {
            writeln!(f, "of which those before {} were pruned, the last time {pruned}", pruned.end)?;
        }
        writeln!(f, "integrity: {integrity}")?;
        writeln!(f, "completeness: {completeness}")?;
        writeln!(f, "freshness: {freshness}")
    }
}

impl LogReport {
    /// Whether all three verdicts are sound.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.integrity.is_sound() && self.completeness.is_sound() && self.freshness.is_sound()
    }

    /// Whether something speaks against the log.
    #[must_use]
    pub const fn is_unsound(&self) -> bool {
        self.integrity.is_unsound() || self.completeness.is_unsound() || self.freshness.is_unsound()
    }

    /// For the log itself.
    fn detail(&self) -> String {
        let of = |verdict: &LogVerdict| match verdict {
            LogVerdict::Sound => "sound",
            LogVerdict::Unsound(_) => "not sound",
            LogVerdict::Unknown(_) => "not known",
        };
        let (integrity, completeness) = (of(&self.integrity), of(&self.completeness));
        format!("integrity {integrity}, completeness {completeness}, freshness {}", of(&self.freshness))
    }
}

impl AuditVerify<'_, '_> {
    /// Verifies as [`AuditVerify::run`] does, and gives three verdicts instead of the first fault: integrity, completeness and
    /// freshness. What is wrong with the log is no error here. What the verdicts were stands in the entry about it.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let report = session.audit()?.verify(Scope::All).report()?;
    /// assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`](crate::Session) lists.
    pub fn report(self) -> Result<LogReport, Error> {
        let op = self.session.begin(access(AuditEvent::AuditVerified))?;
        let (scope, progress, past_lost) = (self.scope, self.progress, self.past_lost);
        let threads = self.threads.unwrap_or_else(parallel::processors);
        op.run(Hold::Nothing, |op| {
            let unlocked = &*op.unlocked;
            let report = match verify(unlocked, scope, threads, progress, true) {
                Ok(verified) => LogReport {
                    verified: VerifiedLog::of(&verified),
                    pruned: unlocked.log_begin()?.pruned.map(|(pruned, _)| pruned),
                    integrity: LogVerdict::Sound,
                    completeness: completeness(unlocked, scope, threads, verified, past_lost)?,
                    freshness: freshness(unlocked),
                },
                Err(Error::Audit(fault)) => {
                    let missing = matches!(
                        fault.what,
                        FaultKind::Missing { .. } | FaultKind::TruncatedTail { .. } | FaultKind::NotPruned
                    );
                    let (faults, unknown) = (LogVerdict::of(vec![fault.into()]), "the log is not sound");
                    LogReport {
                        verified: VerifiedLog { entries: 0, first: 0, head: [0; 32] },
                        pruned: None,
                        completeness: if missing { faults.clone() } else { LogVerdict::Unknown(unknown) },
                        integrity: faults,
                        freshness: LogVerdict::Unknown(unknown),
                    }
                }
                Err(error) => return Err(error.into()),
            };
            let detail = Some(report.detail());
            let count = u32::try_from(report.verified.entries).ok();
            Ok(Done { detail, count, ..Done::read(report, Vec::new()) })
        })
    }
}

/// Gaps, what was lost, and for each patient the number of entries against the vault's own count.
fn completeness(
    unlocked: &Unlocked,
    scope: Scope,
    threads: usize,
    verified: Verified,
    past_lost: bool,
) -> Result<LogVerdict, Error> {
    if !scope.opens() {
        return Ok(LogVerdict::Unknown("entries were not opened, so that nothing is known of patients' counts"));
    }
    let Verified { entries, head, lost, gaps, counters } = verified;
    let first = head.map_or(0, |head| head.seq.saturating_add(1).saturating_sub(entries));
    let mut faults: Vec<LogFault> =
        lost.fault().filter(|_| !past_lost).into_iter().chain(gaps).map(LogFault::from).collect();
    let keyring = unlocked.keyring();
    let counted: Vec<(PatientId, u64, u64)> = counters
        .iter()
        .map(|(patient, found)| (*patient, *found, unlocked.committer.storage().tally(&keyring.patient_tag(*patient))))
        .filter(|(_, found, counted)| found != counted)
        .collect();
    if let Some(head) = head.filter(|_| !counted.is_empty()) {
        // Others go on meanwhile: what they wrote counts as well.
        unlocked.committer.flush()?;
        let to = unlocked.committer.newest_entry().map_or(0, |newest| newest.seq.saturating_add(1));
        let range = Range { from: head.seq.saturating_add(1), to, keyed: true };
        let mut verifier = Verifier::after(unlocked.vault, head).of_log_from(head.seq).past_gaps();
        examine(unlocked, range, threads, &mut |examined| Ok(verifier.push_examined(examined)?))?;
        let later = verifier.finish(None)?.counters;
        faults.extend(counted.into_iter().filter_map(|(patient, before, counted)| {
            let found = later.get(&patient).map_or(before, |later| before.max(*later));
            let explained = (before..=found).contains(&counted);
            (!explained).then_some(LogFault::Counted { patient, found, counted })
        }));
    }
    faults.extend(index_faults(unlocked, first, threads)?);
    Ok(LogVerdict::of(faults))
}

/// Only what is kept outside the vault can tell: its anchors.
fn freshness(unlocked: &Unlocked) -> LogVerdict {
    let (mut faults, mut held, mut unread) = (Vec::new(), false, false);
    for (anchor, policy) in &unlocked.anchors {
        let name = || anchor.name().to_owned();
        match unlocked.compare_with(anchor, policy) {
            Ok(found) => held |= found.is_some(),
            Err(Error::RolledBack { anchor, anchored, found }) => {
                faults.push(LogFault::RolledBack { anchor, anchored, found });
            }
            Err(Error::Forked { anchor, anchored }) => faults.push(LogFault::Forked { anchor, anchored }),
            Err(Error::Anchor(AnchorFault::UnknownKey { .. } | AnchorFault::NoCheckpoint { .. })) => {
                faults.push(LogFault::OtherKey { anchor: name() });
            }
            Err(Error::Anchor(AnchorFault::Ahead { anchor, seen, found })) => {
                faults.push(LogFault::SeenMore { anchor, seen, found });
            }
            Err(_) => unread = true,
        }
    }
    match (faults.is_empty(), held) {
        (false, _) => LogVerdict::of(faults),
        (true, true) => LogVerdict::Sound,
        (true, false) if unread => LogVerdict::Unknown("no anchor could be read"),
        (true, false) => LogVerdict::Unknown("nothing outside the vault was asked"),
    }
}
