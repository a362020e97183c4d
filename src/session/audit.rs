//! Reading and verifying the audit log. Both need the audit action, and both stand in the log themselves.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Session;
use super::access::{Access, Done, Hold, Op};
use super::list::page_limit;
use crate::audit::{AuditEntry, AuditEvent, AuditFault, AuditFilter, EntryKind, EntryRef, FaultKind, Head};
use crate::audit::{EntryDefect, Lost, OpenEntryError, SubjectKey, Verifier, open_entry};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::progress::OnProgress;
use crate::storage::{Bytes, Storage};
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Unlocked;

/// Entries read from storage at once.
const CHUNK: u64 = 1_000;
/// Entries that one page looks through at most; a page can end early because of it.
const SCAN_LIMIT: u64 = 100_000;
/// Subject keys kept while a page or a verification goes on.
const SUBJECT_KEYS: usize = 4_096;

/// What a verification looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The chain, and every entry opened under its key: finds everything, a log rewritten with all its hashes included.
    All,
    /// The chain alone, which anyone can check without a key: quicker, and blind to who could have forged an entry.
    Chain,
    /// As [`Scope::All`], but only what came after an earlier verification, whose result was kept where nobody could
    /// change it. Finds at once when the log was rewritten since.
    Since(VerifiedLog),
}

/// What a verification found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedLog {
    /// Entries of the log, from the first one of the vault on.
    pub entries: u64,
    /// Leaf hash of the newest of them. Kept elsewhere, it shows later whether the log was rewritten or cut.
    pub head: [u8; 32],
}

/// The audit log, for a session with the audit action; see [`Session::audit`].
#[must_use = "nothing is read before `run` or `page`"]
pub struct AuditView<'s>(&'s Session);

impl fmt::Debug for AuditView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditView({:?})", self.0)
    }
}

impl Session {
    /// The audit log, if the token has the audit action for all patients and kinds.
    ///
    /// # Errors
    /// What [`Session`] lists.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let verified = session.audit()?.verify(Scope::All).run()?;
    /// assert!(verified.entries > 0);
    /// let page = session.audit()?.query(AuditFilter::new().outcome(Outcome::Denied)).limit(10).page()?;
    /// assert!(page.entries.is_empty());
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn audit(&self) -> Result<AuditView<'_>, Error> {
        // Only the decision: what is then read or verified makes the entry.
        drop(self.begin(access(AuditEvent::AuditQueried))?);
        Ok(AuditView(self))
    }
}

pub(super) const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Audit, kind: Reach::Whole, patient: Reach::Whole }
}

impl<'s> AuditView<'s> {
    /// Verifies the log from the vault's first entry to the newest.
    pub const fn verify<'a>(self, scope: Scope) -> AuditVerify<'s, 'a> {
        AuditVerify { session: self.0, scope, progress: None, past_lost: false }
    }

    /// Reads the log, newest entries first.
    pub const fn query(self, filter: AuditFilter) -> AuditQuery<'s> {
        AuditQuery::new(self.0, filter, None)
    }
}

/// A verification about to run.
#[must_use = "nothing is verified before `run`"]
pub struct AuditVerify<'s, 'a> {
    session: &'s Session,
    scope: Scope,
    progress: Option<OnProgress<'a>>,
    past_lost: bool,
}

impl fmt::Debug for AuditVerify<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditVerify({:?})", self.scope)
    }
}

impl<'s, 'a> AuditVerify<'s, 'a> {
    /// Reports progress, in entries.
    pub fn on_progress(self, progress: OnProgress<'a>) -> Self {
        Self { progress: Some(progress), ..self }
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
        op.run(Hold::Nothing, |op| {
            let (verified, lost) = verify(&op.unlocked, scope, progress)?;
            if let Some(fault) = lost.fault().filter(|_| !past_lost) {
                return Err(Error::from(fault).into());
            }
            let mut done = Done::read(verified, Vec::new());
            done.count = u32::try_from(verified.entries).ok();
            Ok(done)
        })
    }
}

fn verify(unlocked: &Unlocked, scope: Scope, progress: Option<OnProgress<'_>>) -> Result<(VerifiedLog, Lost), Error> {
    unlocked.committer.flush()?;
    let storage = unlocked.committer.storage();
    let expected = unlocked.committer.newest_entry();
    let Some(expected) = expected else {
        return Ok((VerifiedLog { entries: 0, head: [0; 32] }, Lost::default()));
    };
    let mut keys = SubjectKeys::new(unlocked);
    let mut open = |entry: &EntryRef<'_>| keys.open(entry);
    let (mut verifier, mut next) = match scope {
        Scope::All => (Verifier::new(unlocked.vault).opening(&mut open), 0),
        Scope::Chain => (Verifier::new(unlocked.vault), 0),
        Scope::Since(earlier) => {
            let head = trusted_head(storage, &earlier)?;
            (Verifier::after(unlocked.vault, head).opening(&mut open), earlier.entries)
        }
    };
    if let Some(progress) = progress {
        verifier = verifier.reporting(progress, Some(expected.seq.saturating_add(1).saturating_sub(next)));
    }
    let before = next;
    while next <= expected.seq {
        let entries = read(storage, next, CHUNK.min(expected.seq - next + 1))?;
        for (seq, bytes) in &entries {
            verifier.push(*seq, bytes)?;
        }
        let Some((last, _)) = entries.last() else { break };
        next = last.saturating_add(1);
    }
    let verified = verifier.finish(Some(&expected))?;
    let entries = before.saturating_add(verified.entries);
    Ok((VerifiedLog { entries, head: verified.head.map_or([0; 32], |head| head.leaf) }, verified.lost))
}

/// The entry that was the newest at an earlier verification, if it still is what it was.
fn trusted_head(storage: &dyn Storage, earlier: &VerifiedLog) -> Result<Head, Error> {
    let seq = earlier.entries.saturating_sub(1);
    let fault = |what| AuditFault { seq, what };
    let found = read(storage, seq, 1)?;
    let (_, bytes) = found.first().ok_or_else(|| fault(FaultKind::TruncatedTail { last: seq }))?;
    let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
    if entry.leaf() != earlier.head {
        return Err(fault(FaultKind::OtherHead).into());
    }
    Ok(Head::of(&entry))
}

fn read(storage: &dyn Storage, from: u64, limit: u64) -> Result<Vec<(u64, Bytes)>, Error> {
    Ok(storage.entries(from, usize::try_from(limit).unwrap_or(usize::MAX))?)
}

/// Log entries that a filter lets through, newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where to go on with [`AuditQuery::before`]; `None` when the log's first entry was reached.
    pub next: Option<u64>,
}

/// A query of the log; see [`AuditView::query`].
#[derive(Debug)]
#[must_use = "a query does nothing before `page`"]
pub struct AuditQuery<'s> {
    session: &'s Session,
    filter: AuditFilter,
    limit: usize,
    before: Option<u64>,
}

impl<'s> AuditQuery<'s> {
    /// For whoever was let in already.
    pub(super) const fn new(session: &'s Session, filter: AuditFilter, before: Option<u64>) -> Self {
        Self { session, filter, limit: 100, before }
    }

    /// At most so many entries a page, 1 to 1,000; 100 if not called. More counts as 1,000, and 0 as 1.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = page_limit(limit);
        self
    }

    /// Only entries before this number.
    pub const fn before(mut self, seq: u64) -> Self {
        self.before = Some(seq);
        self
    }

    /// Reads the page. It looks through at most 100,000 entries, so a page with a rare match can be short although
    /// there are more: go on as long as `next` is there. Each entry is checked against the one after it.
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry on the way is missing, was changed or does not open, and what [`Session`] lists.
    pub fn page(self) -> Result<AuditPage, Error> {
        let op = self.session.begin(access(AuditEvent::AuditQueried))?;
        op.run(Hold::Nothing, |op| {
            let page = self.collect(op)?;
            let mut done = Done::read(page, Vec::new());
            done.count = u32::try_from(done.value.entries.len()).ok();
            Ok(done)
        })
    }

    pub(super) fn collect(&self, op: &Op<'_>) -> Result<AuditPage, Error> {
        let unlocked = &op.unlocked;
        unlocked.committer.flush()?;
        let end = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        let mut end = self.before.map_or(end, |before| before.min(end));
        let lowest = end.saturating_sub(SCAN_LIMIT);
        let mut keys = SubjectKeys::new(unlocked);
        let mut found = Vec::new();
        let mut after: Option<([u8; 32], bool)> = None;
        while end > lowest {
            let start = end.saturating_sub(CHUNK).max(lowest);
            let chunk = read(unlocked.committer.storage(), start, end - start)?;
            for (seq, bytes) in chunk.iter().rev() {
                let fault = |what| AuditFault { seq: *seq, what };
                let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
                let lost = entry.front.kind == EntryKind::Lost;
                let unlinked = after.is_some_and(|(prev, is_lost)| prev != entry.leaf() && (is_lost || !lost));
                if unlinked || entry.front.seq != *seq {
                    return Err(fault(FaultKind::LinkBroken).into());
                }
                after = Some((entry.front.prev, lost));
                if !self.filter.covers(entry.front.time) {
                    continue;
                }
                let opened = keys.open(&entry).map_err(|error| fault(FaultKind::from(error)))?;
                if self.filter.matches(&opened) {
                    found.push(opened);
                }
                if found.len() >= self.limit {
                    return Ok(AuditPage { entries: found, next: Some(*seq).filter(|seq| *seq > 0) });
                }
            }
            if chunk.len() != usize::try_from(end - start).unwrap_or(usize::MAX) {
                return Err(AuditFault { seq: start, what: FaultKind::Malformed(EntryDefect::Truncated) }.into());
            }
            end = start;
        }
        Ok(AuditPage { entries: found, next: Some(end).filter(|end| *end > 0) })
    }
}

/// Keys of the patients whom a run of entries is about.
struct SubjectKeys<'u> {
    unlocked: &'u Unlocked,
    /// Taken once the last entry of the run was known: it has the keys of them all.
    keyring: Arc<Keyring>,
    known: HashMap<(u32, [u8; 16], u32), Option<Arc<SubjectKey>>>,
}

impl<'u> SubjectKeys<'u> {
    fn new(unlocked: &'u Unlocked) -> Self {
        Self { unlocked, keyring: unlocked.keyring(), known: HashMap::new() }
    }

    fn open(&mut self, entry: &EntryRef<'_>) -> Result<AuditEntry, OpenEntryError> {
        let Self { unlocked, keyring, known } = self;
        open_entry(entry, keyring.audit(), |epoch, tag, generation| {
            let place = (epoch, *tag, generation);
            if known.len() >= SUBJECT_KEYS && !known.contains_key(&place) {
                known.clear();
            }
            let open = || unlocked.subject_of(epoch, tag, generation).map(Arc::new);
            known.entry(place).or_insert_with(open).clone()
        })
    }
}
