//! The chain: every entry carries the hash of the one before. Appending is the serial part of a commit, so it does only
//! what needs the place in the chain.

use std::sync::Arc;

use super::draft::Prepared;
use super::entry::{EntryRef, Front, leaf_hash};
use super::keys::AuditKeys;
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::ids::{PatientId, VaultId};

/// A clock that is behind the newest entry by more than this has been set back.
pub(crate) const CLOCK_STEP_MICROS: i64 = 120_000_000;

/// The signing epoch of a vault's first entry.
pub(crate) const FIRST_SIGNING_EPOCH: u32 = 1;

/// The newest entry, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) leaf: [u8; 32],
    pub(crate) time: Timestamp,
    pub(crate) epoch: u32,
    /// Its signing epoch.
    pub(crate) key_id: u32,
}

impl Head {
    pub(crate) fn of(entry: &EntryRef<'_>) -> Self {
        let Front { seq, time, epoch, key_id, .. } = entry.front;
        Self { seq, leaf: entry.leaf(), time, epoch, key_id }
    }
}

/// Why nothing was appended. The chain stands as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// A subject was prepared with what only opens the blocks of another epoch.
    #[error("the audit entry was prepared under a key that does not seal")]
    EpochMoved,
    #[error("the key is of an audit epoch before the newest entry's")]
    EpochBehind,
    #[error("no number of a signing epoch is left")]
    SigningEpochs,
    #[error("the first audit entry has to be the genesis entry, and no later one")]
    Genesis,
    #[error("no audit sequence number is left")]
    Exhausted,
    #[error("the audit entry does not fit its bounds")]
    TooLarge,
}

/// Appends entries to one vault's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    vault: VaultId,
    head: Option<Head>,
}

impl Chain {
    /// Goes on after `head`; `None` before the genesis entry.
    pub(crate) const fn new(vault: VaultId, head: Option<Head>) -> Self {
        Self { vault, head }
    }

    pub(crate) const fn head(&self) -> Option<Head> {
        self.head
    }

    /// Makes the next entry and returns its bytes; [`Chain::head`] then tells its number, time and hash.
    ///
    /// `counter` counts the entries about a patient, this one included; it is asked once for each subject, in order.
    pub(crate) fn append(
        &mut self,
        keys: &AuditKeys,
        suite: Suite,
        now: Timestamp,
        mut draft: Prepared,
        counter: impl FnMut(PatientId) -> u64,
    ) -> Result<Vec<u8>, AppendError> {
        let front = self.next_front(keys, suite, now, &draft)?;
        for subject in draft.subjects.iter_mut().filter(|subject| !subject.key.belongs_to(keys)) {
            subject.key = Arc::new(keys.subject_again(&subject.key).ok_or(AppendError::EpochMoved)?);
        }
        let random = draft.random;
        let clock = front.clock_step.then_some(now);
        let entry = draft
            .payload(suite, self.vault, front.seq, clock, counter)
            .and_then(|payload| front.seal(keys, &payload, &random))
            .map_err(|_| AppendError::TooLarge)?;
        let Front { seq, time, epoch, key_id, .. } = front;
        self.head = Some(Head { seq, leaf: leaf_hash(&entry), time, epoch, key_id });
        Ok(entry)
    }

    fn next_front(
        &self,
        keys: &AuditKeys,
        suite: Suite,
        now: Timestamp,
        draft: &Prepared,
    ) -> Result<Front, AppendError> {
        let (epoch, kind) = (keys.epoch(), draft.kind);
        if !kind.may_stand(self.head.is_none()) {
            return Err(AppendError::Genesis);
        }
        let first = Front {
            kind,
            clock_step: false,
            suite,
            vault: self.vault,
            seq: 0,
            time: now,
            epoch,
            key_id: FIRST_SIGNING_EPOCH,
            prev: [0; 32],
        };
        let Some(head) = self.head else { return Ok(first) };
        if epoch < head.epoch {
            return Err(AppendError::EpochBehind);
        }
        let begun = u32::from(draft.begins_signing_epoch);
        Ok(Front {
            clock_step: now.as_micros() < head.time.as_micros().saturating_sub(CLOCK_STEP_MICROS),
            seq: head.seq.checked_add(1).ok_or(AppendError::Exhausted)?,
            time: now.max(head.time),
            key_id: head.key_id.checked_add(begun).ok_or(AppendError::SigningEpochs)?,
            prev: head.leaf,
            ..first
        })
    }
}
