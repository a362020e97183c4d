//! Verifying the log.

use std::fmt;

use chartvault_verify::merkle::Range as Leaves;

use super::parallel::{self, Range, examine};
use super::{access, read};
use crate::audit::{AuditEvent, AuditFault, EntryRef, FaultKind, Head, LogProofError, Verified, Verifier};
use crate::error::Error;
use crate::progress::OnProgress;
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::unlocked::{LogBegin, Unlocked};

/// What a verification looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The chain, and every entry opened under its key: finds everything, a log rewritten with all its hashes included.
    All,
    /// The chain alone, which anyone can check without a key: quicker, and blind to who could have forged an entry. Where the log
    /// was pruned, the entry that allows it to begin there is opened all the same.
    Chain,
    /// As [`Scope::All`], but only what came after an earlier verification, whose result was kept where nobody could
    /// change it. Finds at once when the log was rewritten since.
    Since(VerifiedLog),
}

/// What a verification found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedLog {
    /// Entries of the log, from the first one of the vault on, those that were pruned since included.
    pub entries: u64,
    /// Number of the first entry that was looked at. Those before it were pruned, or verified earlier.
    pub first: u64,
    /// Leaf hash of the newest of them. Kept elsewhere, it shows later whether the log was rewritten or cut.
    pub head: [u8; 32],
}

/// A verification about to run.
#[must_use = "nothing is verified before `run`"]
pub struct AuditVerify<'s, 'a> {
    pub(super) session: &'s Session,
    pub(super) scope: Scope,
    pub(super) progress: Option<OnProgress<'a>>,
    pub(super) past_lost: bool,
    pub(super) threads: Option<usize>,
}

impl fmt::Debug for AuditVerify<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditVerify({:?})", self.scope)
    }
}

impl<'s, 'a> AuditVerify<'s, 'a> {
    pub(super) const fn new(session: &'s Session, scope: Scope) -> Self {
        Self { session, scope, progress: None, past_lost: false, threads: None }
    }

    /// Reports progress, in entries.
    pub fn on_progress(self, progress: OnProgress<'a>) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// With so many threads, 1 at least; as many as there are processors if not called, 16 at most.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Takes entries for sound that were lost before the vault was salvaged ([`LockedVault::salvage`]) and have others in
    /// their places: those are in the log as [`AuditEvent::EntryLost`], so that it can be asked which they are. What
    /// stands behind a lost entry is verified all the same, except that nobody knows the hash of the lost one.
    ///
    /// [`LockedVault::salvage`]: crate::LockedVault::salvage
    pub const fn past_lost_entries(mut self) -> Self {
        self.past_lost = true;
        self
    }

    /// Verifies: every entry is there, in order, linked to the one before, of this vault, and with [`Scope::All`] made
    /// with the vault's key, with no gap in what is counted for each patient. Takes as long as reading the log does;
    /// other work goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Audit`] with the number of the first entry that is not sound and what is wrong with it (of a salvaged
    /// vault, [`FaultKind::Lost`] only if nothing else is wrong), and what [`Session`] lists.
    pub fn run(self) -> Result<VerifiedLog, Error> {
        let op = self.session.begin(access(AuditEvent::AuditVerified))?;
        let (scope, progress, past_lost) = (self.scope, self.progress, self.past_lost);
        let threads = self.threads.unwrap_or_else(parallel::processors);
        op.run(Hold::Nothing, |op| {
            let verified = verify(&op.unlocked, scope, threads, progress, false)?;
            if let Some(fault) = verified.lost.fault().filter(|_| !past_lost) {
                return Err(Error::from(fault).into());
            }
            let mut done = Done::read(VerifiedLog::of(&verified), Vec::new());
            done.count = u32::try_from(verified.entries).ok();
            Ok(done)
        })
    }
}

impl Scope {
    pub(super) const fn opens(&self) -> bool {
        !matches!(self, Self::Chain)
    }
}

impl VerifiedLog {
    pub(super) fn of(verified: &Verified) -> Self {
        let entries = verified.head.map_or(0, |head| head.seq.saturating_add(1));
        let first = entries.saturating_sub(verified.entries);
        Self { entries, first, head: verified.head.map_or([0; 32], |head| head.leaf) }
    }
}

/// Verifies up to the newest entry; past gaps in patients' counts if those are told apart.
pub(super) fn verify(
    unlocked: &Unlocked,
    scope: Scope,
    threads: usize,
    progress: Option<OnProgress<'_>>,
    past_gaps: bool,
) -> Result<Verified, Error> {
    unlocked.committer.flush()?;
    let newest = || unlocked.committer.newest_entry();
    // In this order: an entry that prunes more meanwhile is not among those that are looked at.
    let (mut expected, begin) = (newest(), unlocked.log_begin()?);
    if expected.is_some_and(|newest| newest.seq < begin.first) {
        expected = newest();
    }
    let before = match scope {
        Scope::Since(earlier) => Some(trusted_head(unlocked, &begin, &earlier)?),
        Scope::All | Scope::Chain => begin.before,
    };
    let verifier = before.map_or_else(|| Verifier::new(unlocked.vault), |head| Verifier::after(unlocked.vault, head));
    let mut verifier = verifier.of_log_from(begin.first);
    let from = before.map_or(0, |head| head.seq.saturating_add(1));
    let to = expected.map_or(0, |newest| newest.seq.saturating_add(1));
    if past_gaps {
        verifier = verifier.past_gaps();
    }
    if let Some(progress) = progress {
        verifier = verifier.reporting(progress, Some(to.saturating_sub(from)));
    }
    let leaves = examine(unlocked, Range { from, to, keyed: scope.opens() }, threads, &mut |examined| {
        Ok(verifier.push_examined(examined)?)
    })?;
    let verified = verifier.finish(expected.as_ref())?;
    check_root(unlocked, &leaves)?;
    Ok(verified)
}

/// Compares the tree over entries that were found sound with the one that the vault proves from: behind what stands before
/// them, whose hashes the tiles have.
fn check_root(unlocked: &Unlocked, leaves: &Leaves) -> Result<(), Error> {
    match unlocked.log_ends_in(leaves) {
        // Without a tree nothing is proved: opening the vault again builds it.
        Ok(true) | Err(Error::LogProof(LogProofError::NoTree)) => Ok(()),
        Ok(false) => Err(AuditFault { seq: leaves.end().saturating_sub(1), what: FaultKind::OtherRoot }.into()),
        Err(error) => Err(error),
    }
}

/// Verifies on as many threads as the machine has, for whoever may.
pub(crate) fn verify_all(unlocked: &Unlocked, scope: Scope) -> Result<VerifiedLog, Error> {
    let verified = verify(unlocked, scope, parallel::processors(), None, false)?;
    match verified.lost.fault() {
        None => Ok(VerifiedLog::of(&verified)),
        Some(fault) => Err(fault.into()),
    }
}

/// The entry that was the newest at an earlier verification, if it still is what it was. Where it was pruned since: the last one
/// that was, if the other is known to stand before it as it was.
fn trusted_head(unlocked: &Unlocked, begin: &LogBegin, earlier: &VerifiedLog) -> Result<Head, Error> {
    let seq = earlier.entries.saturating_sub(1);
    let fault = |what| AuditFault { seq, what };
    if let Some(before) = begin.before.filter(|before| seq <= before.seq) {
        let leaf = unlocked.pruned_leaf(seq)?;
        return if leaf == earlier.head { Ok(before) } else { Err(fault(FaultKind::OtherHead).into()) };
    }
    let found = read(unlocked.committer.storage(), seq, 1)?;
    let (_, bytes) = found.first().ok_or_else(|| fault(FaultKind::TruncatedTail { last: seq }))?;
    let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
    if entry.leaf() != earlier.head {
        return Err(fault(FaultKind::OtherHead).into());
    }
    Ok(Head::of(&entry))
}
