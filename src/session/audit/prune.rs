//! Pruning: entries of the log that nothing keeps any more are removed for good, by two persons, once their archive was read
//! back.

use std::io::Read;

use chartvault_verify::merkle::Frontier;

use super::retention::{LogKept, report_of};
use super::{AuditView, access, archive, proofs};
use crate::audit::{
    AuditEvent, AuditFault, EntryKind, EntryRef, FaultKind, LogArchive, LogArchiveError, LogPruneError, LogPruned,
};
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::policy::{LogCut, LogRetentionRow, PolicyRow};
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::unlocked::{Unlocked, hashes_of};

impl AuditView<'_> {
    /// Removes the oldest entries of the log, for good: those that an archive of it holds ([`AuditView::archive`]), which is
    /// read to its end and compared with the log first. Only what nothing keeps goes ([`AuditView::retention`]), and only with
    /// two: this session, and a second one of another principal, who both have the audit action when the entries go. The second
    /// one's reading of the archive is logged as theirs.
    ///
    /// One entry of the log says which entries went, by whom, and the hash of the archive; from then on it is what allows the log
    /// to begin where it does. Proofs and checkpoints from before still verify: the hashes of what went stay. The entries
    /// themselves leave the vault's files with the next compaction ([`Vault::compact`](crate::Vault::compact)). Keep the
    /// archive: nobody can make it again.
    ///
    /// ```
    /// # use chartvault::{Action, Identifier, LogRetention, test_util::TestVault};
    /// # let clinic = TestVault::new().build()?;
    /// # let open = |name| clinic.session(&clinic.grant(name).all_kinds().actions([Action::Audit, Action::Read]));
    /// # let mrn = Identifier::new("urn:mrn:clinic-a", "12345")?;
    /// # let filler = open("a.lund")?;
    /// # for _ in 0..300 { filler.find_patient(&mrn)?; }
    /// # clinic.vault().set_log_retention(LogRetention::however_short(std::time::Duration::from_secs(3_600)), clinic.key())?;
    /// # clinic.clock().step(7_200);
    /// let (session, second) = (open("a.lund")?, open("s.berg")?);
    /// let (first, end) = (session.audit()?.retention()?.first, session.audit()?.retention()?.kept_from);
    /// let mut file = Vec::new(); // kept where the vault is not
    /// session.audit()?.archive(first..end, &mut file)?;
    /// let pruned = session.audit()?.prune(&mut &file[..], &second)?;
    /// assert_eq!((pruned.end, pruned.second), (256, second.principal()));
    /// assert_eq!(session.audit()?.retention()?.first, 256);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LogPrune`] where the terms, a hold, an open emergency or review, or a sink keep one of the entries, or the two
    /// sessions do not do; [`Error::LogArchive`] where the archive is not sound, or not the log's; [`Error::Denied`] and what
    /// else [`Session`] lists, for either of the two; [`Error::LogProof`] where the log's tree cannot be kept. Nothing was removed
    /// then.
    pub fn prune(self, archive: &mut dyn Read, second: &Session) -> Result<LogPruned, Error> {
        let op = self.0.begin(access(AuditEvent::LogPruned))?;
        let now = op.now;
        let (op, ready) = op.prepare(|unlocked| Ready::of(unlocked, now, (self.0, second), archive))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let unlocked = &op.unlocked;
            // All that may have changed while the archive was read.
            may_go(unlocked, op.now, &ready.archive)?;
            for session in [self.0, second] {
                if !session.reads_the_log(unlocked)? {
                    return Err(Error::from(LogPruneError::NoLongerAllowed).into());
                }
            }
            let pruned = ready.pruned;
            let before = unlocked.committer.newest_entry().map_or(0, |newest| newest.seq);
            let cut = LogCut { pruned, before, edge: hashes_of(&ready.edge) };
            let mut rows = vec![unlocked.policy_row(&PolicyRow::LogRetention(LogRetentionRow::Cut(cut)))?];
            rows.extend(unlocked.index_of_pruned(pruned.end)?);
            unlocked.forget_index();
            let count = u32::try_from(pruned.end.saturating_sub(pruned.first)).ok();
            let detail = Some(pruned.to_string());
            Ok(Done { detail, count, prunes: Some(pruned), ..Done::write(pruned, rows, Vec::new()) })
        })
    }
}

/// What was read and compared before anything was held.
struct Ready {
    archive: LogArchive,
    pruned: LogPruned,
    edge: Frontier,
}

impl Ready {
    fn of(
        unlocked: &Unlocked,
        now: Timestamp,
        (first, second): (&Session, &Session),
        input: &mut dyn Read,
    ) -> Result<Self, Error> {
        two_persons(unlocked, first, second)?;
        if unlocked.policy.log_retention().kept_for().is_none() {
            return Err(LogPruneError::ForEver.into());
        }
        let archive = agreed(second, input)?;
        may_go(unlocked, now, &archive)?;
        let (end, seq) = (archive.end, archive.end.saturating_sub(1));
        let (bytes, leaf) = proofs::entry(unlocked, seq)?;
        let front =
            EntryRef::parse(&bytes).map_err(|defect| AuditFault { seq, what: FaultKind::Malformed(defect) })?.front;
        if front.kind == EntryKind::Lost {
            return Err(LogPruneError::EndsWithALostOne { seq }.into());
        }
        if leaf != archive.last {
            return Err(LogArchiveError::Differs { seq }.into());
        }
        let edge = unlocked.keep_log_tiles(end)?;
        // What goes into the row is what all proofs are made of from now on.
        if edge.root() != unlocked.log_root(end)? {
            return Err(crate::audit::LogProofError::Unproved { size: end }.into());
        }
        let pruned = LogPruned {
            first: archive.first,
            end,
            last: leaf,
            last_time: front.time,
            root: edge.root(),
            archive: archive.sha256,
            second: second.principal(),
            epochs: (front.epoch, front.key_id),
        };
        Ok(Self { archive, pruned, edge })
    }
}

/// Whether the two are of this vault, of two principals, and none of an emergency.
fn two_persons(unlocked: &Unlocked, first: &Session, second: &Session) -> Result<(), Error> {
    if !std::ptr::eq(&*second.0.gate.enter()?, unlocked) {
        return Err(LogPruneError::OtherVault.into());
    }
    if first.principal() == second.principal() {
        return Err(LogPruneError::SamePrincipal.into());
    }
    if first.0.emergency.is_some() || second.0.emergency.is_some() {
        return Err(LogPruneError::Emergency.into());
    }
    Ok(())
}

/// The second one reads the archive, under their own right and in their own name.
fn agreed(second: &Session, input: &mut dyn Read) -> Result<LogArchive, Error> {
    let op = second.begin(access(AuditEvent::AuditVerified))?;
    op.run(Hold::Nothing, |op| {
        let archive = archive::compare(&op.unlocked, input)?;
        let detail = Some(format!("as in the log, and agreed that it is pruned: {}", archive::told(&archive)));
        Ok(Done { detail, ..Done::read(archive, Vec::new()) })
    })
}

/// Whether nothing keeps what the archive holds, and it holds the log's beginning.
fn may_go(unlocked: &Unlocked, now: Timestamp, archive: &LogArchive) -> Result<(), Error> {
    let report = report_of(unlocked, now)?;
    let (first, end, kept_from) = (report.first, archive.end, report.kept_from);
    if archive.first != first {
        return Err(LogPruneError::NotTheBeginning { first, found: archive.first }.into());
    }
    let lags = |next: u64| next < end;
    if let Some(row) = unlocked.policy.sinks().into_iter().find(|row| row.policy.is_some() && lags(row.next)) {
        return Err(LogPruneError::SinkBehind { name: row.name, next: row.next }.into());
    }
    if end <= kept_from {
        return Ok(());
    }
    let by = |keeps: &&LogKept| !matches!(keeps, LogKept::Age | LogKept::Newest);
    let refused = match report.kept_by.iter().find(by) {
        Some(LogKept::ForEver) => LogPruneError::ForEver,
        Some(LogKept::Held(hold)) => LogPruneError::Held { hold: *hold },
        Some(LogKept::Case(case)) => LogPruneError::CaseOpen { case: *case, kept_from },
        Some(LogKept::Review(round)) => LogPruneError::ReviewOpen { round: *round, kept_from },
        _ => LogPruneError::Terms { kept_from, end },
    };
    Err(refused.into())
}
