//! Bundles: entries of the log with all that somebody without the vault needs to check them (docs/format/bundle.md).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::Range;

use chartvault_verify::bundle::BundleWriter;
use data_encoding::HEXLOWER;

use super::disclose::checked_reason;
use super::proofs::{entry, is_ours};
use super::subjects::GivenOut;
use super::{AuditView, CHUNK, access, read};
use crate::audit::{AuditEvent, AuditFault, Checkpoint, FaultKind, LogProofError};
use crate::error::Error;
use crate::secret::Secret;
use crate::session::Session;
use crate::session::access::{Done, Hold};
use crate::unlocked::Unlocked;

/// Entries whose keys one bundle gives out at most.
const MOST_DISCLOSED: usize = 1_000;
/// Numbers that the log's entry about a bundle names; more are counted.
const MOST_TOLD: usize = 16;

/// A bundle about to be written; see [`AuditView::bundle`].
#[must_use = "nothing is written before `write`"]
pub struct LogBundle<'s> {
    session: &'s Session,
    entries: Range<u64>,
    under: Option<Checkpoint>,
    earlier: Vec<Checkpoint>,
    disclosed: Vec<u64>,
    reason: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bundled {
    /// Which entries, by number.
    pub entries: Range<u64>,
    /// The checkpoint under which they are proved.
    pub checkpoint: Checkpoint,
    /// The SHA-256 with which the bundle ends, over all before.
    pub sha256: [u8; 32],
}

impl fmt::Debug for LogBundle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogBundle({:?}, {} disclosed)", self.entries, self.disclosed.len())
    }
}

impl<'s> AuditView<'s> {
    /// A bundle of these entries, by number: as they are stored, sealed, with the checkpoint under which they are proved, the
    /// final checkpoints of the signing epochs, and the hashes beside them. Whoever pinned a key of the log
    /// ([`Vault::log_vkey`](crate::Vault::log_vkey)) checks it with `chartvault-verify`, without the vault.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// use chartvault_verify::bundle::{Trust, verify_bundle};
    /// let pinned = clinic.vault.log_vkey()?.parse()?;
    /// let mut file = Vec::new();
    /// let bundled = session.audit()?.bundle(0..3).disclosing(1, "asked by the court, case 17").write(&mut file)?;
    /// let report = verify_bundle(&file[..], &Trust::keys([pinned]))?;
    /// assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
    /// assert_eq!((bundled.entries, report.disclosed[0].seq), (0..3, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bundle(self, entries: Range<u64>) -> LogBundle<'s> {
        let (under, earlier, disclosed, reason) = (None, Vec::new(), Vec::new(), String::new());
        LogBundle { session: self.0, entries, under, earlier, disclosed, reason }
    }
}

impl LogBundle<'_> {
    /// Under this checkpoint, instead of one that is made now. It has to be of this log.
    pub fn under(mut self, checkpoint: &Checkpoint) -> Self {
        self.under = Some(checkpoint.clone());
        self
    }

    /// With the proof that an earlier checkpoint, which somebody keeps, is the beginning of this log.
    pub fn since(mut self, checkpoint: &Checkpoint) -> Self {
        self.earlier.push(checkpoint.clone());
        self
    }

    /// With the key of one of the entries, which opens that one and no other, but for what it says about patients. The reason,
    /// 1 to 512 bytes that are not all blank, is logged; of several the last one. The log names the patients whom the entry is
    /// about, as with [`AuditView::disclose`].
    pub fn disclosing(mut self, seq: u64, reason: &str) -> Self {
        self.disclosed.push(seq);
        self.reason = reason.to_owned();
        self
    }

    /// Writes it. The log says so before the first byte is written, with the numbers of the entries whose keys are given out.
    ///
    /// # Errors
    /// [`Error::LogProof`] where the checkpoint is not of this log or the range is not in it, [`Error::InvalidText`] for a
    /// reason that is none, [`Error::TooMany`] for the keys of more than 1,000 entries, or of entries about more than 10,000
    /// patients, [`Error::Audit`] where the log is not sound there, [`Error::Output`] where it cannot be written, and what
    /// [`Session`] lists.
    pub fn write(mut self, out: &mut dyn Write) -> Result<Bundled, Error> {
        self.disclosed.sort_unstable();
        self.disclosed.dedup();
        let event = if self.disclosed.is_empty() { AuditEvent::LogExported } else { AuditEvent::EntryDisclosed };
        let op = self.session.begin(access(event))?;
        let (ready, unlocked) = op.run(Hold::Nothing, |op| {
            let ready = self.prepare(&op.unlocked)?;
            let (detail, count) = (Some(self.told(&ready.checkpoint)), ready.count());
            let subjects = ready.given_out.subjects(&op.unlocked)?;
            // Of one who was erased meanwhile the keys open nothing either.
            let leave_out: Option<fn(&mut (Ready, _), _) -> _> = Some(|(ready, _), _| ready.count());
            Ok(Done { detail, count, leave_out, ..Done::read((ready, op.unlocked.clone()), subjects) })
        })?;
        let sha256 = ready.write(&unlocked, out)?;
        Ok(Bundled { entries: self.entries, checkpoint: ready.checkpoint, sha256 })
    }

    /// All that can be refused, before anything is given out.
    fn prepare(&self, unlocked: &Unlocked) -> Result<Ready, Error> {
        let checkpoint = match &self.under {
            Some(given) => given.clone(),
            None => unlocked.log_checkpoint()?,
        };
        is_ours(unlocked, &checkpoint)?;
        let (Range { start, end }, size) = (self.entries.clone(), checkpoint.size);
        if start > end || end > size {
            return Err(LogProofError::NoSuchEntry { seq: start.max(end.saturating_sub(1)), size }.into());
        }
        let first = unlocked.committer.storage().first_entry();
        if start < first && start < end {
            return Err(LogProofError::Pruned { seq: start, first }.into());
        }
        if let Some(seq) = self.disclosed.iter().find(|seq| !self.entries.contains(seq)) {
            return Err(LogProofError::NoSuchEntry { seq: *seq, size: end }.into());
        }
        if !self.disclosed.is_empty() {
            checked_reason(&self.reason)?;
        }
        let (len, limit) = (self.disclosed.len(), MOST_DISCLOSED);
        if len > limit {
            return Err(Error::TooMany { what: "entries whose keys are given out in one bundle", len, limit });
        }
        let new = (size, &checkpoint.root);
        let mut earlier = Vec::new();
        for old in &self.earlier {
            if old.size == 0 || old.size > size {
                return Err(LogProofError::NotEarlier { old: old.size, new: size }.into());
            }
            is_ours(unlocked, old)?;
            earlier.push((old.note.clone(), unlocked.log_consistency((old.size, &old.root), new)?));
        }
        let (mut keys, mut given_out) = (BTreeMap::new(), GivenOut::default());
        for seq in &self.disclosed {
            keys.insert(*seq, given_out.key_of(unlocked, *seq, &entry(unlocked, *seq)?.0)?);
        }
        let (left, right) = unlocked.log_beside(self.entries.clone(), new)?;
        Ok(Ready { entries: self.entries.clone(), checkpoint, earlier, keys, given_out, left, right })
    }

    fn told(&self, under: &Checkpoint) -> String {
        let Range { start, end } = &self.entries;
        let mut told = format!("bundle of entries {start} up to {end}, under a checkpoint of {}", under.size);
        if !self.disclosed.is_empty() {
            let named: Vec<String> = self.disclosed.iter().take(MOST_TOLD).map(u64::to_string).collect();
            told.push_str(&format!(", with the keys of {}", named.join(", ")));
            let more = self.disclosed.len().saturating_sub(MOST_TOLD);
            told.push_str(&if more > 0 { format!(" and {more} more") } else { String::new() });
            told.push_str(&format!(": {}", self.reason));
        }
        told
    }
}

/// A bundle of which nothing can be refused any more.
struct Ready {
    entries: Range<u64>,
    checkpoint: Checkpoint,
    earlier: Vec<(String, Vec<[u8; 32]>)>,
    keys: BTreeMap<u64, Secret<32>>,
    given_out: GivenOut,
    left: chartvault_verify::merkle::Range,
    right: chartvault_verify::merkle::Range,
}

impl Ready {
    fn count(&self) -> Option<u32> {
        u32::try_from(self.entries.end.saturating_sub(self.entries.start)).ok()
    }

    fn write(&self, unlocked: &Unlocked, out: &mut dyn Write) -> Result<[u8; 32], Error> {
        let (new, vault) = ((self.checkpoint.size, &self.checkpoint.root), unlocked.vault.as_bytes());
        let mut writer = BundleWriter::begin(out, vault, &self.checkpoint.note).map_err(Error::Output)?;
        let last = unlocked.policy.epoch().map_or(0, |row| row.epoch);
        for epoch in 1..=last {
            let closed = unlocked.epoch_row(epoch)?.and_then(|row| row.closed);
            let Some(closed) = closed.filter(|closed| closed.size > 0 && closed.size <= new.0) else { continue };
            let proof = unlocked.log_consistency((closed.size, &unlocked.log_root(closed.size)?), new)?;
            writer.final_checkpoint(&closed.note, &proof).map_err(Error::Output)?;
        }
        for (note, proof) in &self.earlier {
            writer.earlier_checkpoint(note, proof).map_err(Error::Output)?;
        }
        for (seq, key) in &self.keys {
            writer.key(*seq, key.expose()).map_err(Error::Output)?;
        }
        let (mut next, end) = (self.entries.start, self.entries.end);
        let mut writer =
            writer.range(next, end.saturating_sub(next), &self.left, &self.right).map_err(Error::Output)?;
        while next < end {
            let chunk = read(unlocked.committer.storage(), next, CHUNK.min(end - next))?;
            for (seq, bytes) in &chunk {
                if *seq != next {
                    return Err(AuditFault { seq: next, what: FaultKind::Missing { found: *seq } }.into());
                }
                writer.entry(bytes).map_err(Error::Output)?;
                next = next.saturating_add(1);
            }
            if chunk.is_empty() {
                let last = end.saturating_sub(1);
                return Err(AuditFault { seq: next, what: FaultKind::TruncatedTail { last } }.into());
            }
        }
        writer.finish().map_err(Error::Output)
    }
}

impl fmt::Display for Bundled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = &self.entries;
        let (size, hash) = (self.checkpoint.size, HEXLOWER.encode(&self.sha256));
        write!(f, "entries {start} up to {end}, under a checkpoint of {size}, SHA-256 {hash}")
    }
}
