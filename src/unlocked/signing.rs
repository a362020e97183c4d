//! The signing epoch in force: its number, its key, and the rows of those before.

use super::Unlocked;
use crate::audit::{Checkpoint, note};
use crate::committer::Row;
use crate::crypto::sign::SigningSeed;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::format::signing_key::SigningKeys;
use crate::keyring::signing_key::{KeepError, SigningKeyPlace};
use crate::policy::{EpochRow, PolicyRow};

/// The key that signs as long as the vault is open. Wiped on drop.
pub(crate) struct Signing {
    pub(crate) epoch: u32,
    pub(crate) seed: SigningSeed,
    place: SigningKeyPlace,
}

impl Signing {
    pub(crate) const fn new(epoch: u32, seed: SigningSeed, place: SigningKeyPlace) -> Self {
        Self { epoch, seed, place }
    }
}

impl Unlocked {
    /// Writes the file of the signing key: that of an epoch, and of the one behind it while the first is closed.
    pub(crate) fn keep_signing_keys(&self, place: &SigningKeyPlace, keys: &SigningKeys) -> Result<(), KeepError> {
        place.keep(keys, self.vault, self.suite(), &self.keyring().signing_key_sealer())
    }

    /// The file of the epoch in force, holding its key and the next one's.
    pub(crate) fn keep_both_keys(&self, signing: &Signing, next: &SigningSeed) -> Result<(), KeepError> {
        let (current, next) = (copy(&signing.seed), Some(copy(next)));
        self.keep_signing_keys(&signing.place, &SigningKeys { epoch: signing.epoch, current, next })
    }

    /// The file of the next epoch, holding its key alone: the one before is gone for good.
    pub(crate) fn keep_next_key(&self, signing: &Signing, next: SigningSeed) -> Result<(), KeepError> {
        let epoch = signing.epoch.saturating_add(1);
        self.keep_signing_keys(&signing.place, &SigningKeys { epoch, current: next, next: None })
    }

    /// The final checkpoint of an epoch, which names the next one's key.
    pub(crate) fn final_checkpoint(&self, signing: &Signing, size: u64, next: &[u8; 32]) -> Result<Checkpoint, Error> {
        let line = note::next_key(signing.epoch.saturating_add(1), next);
        Ok(Checkpoint::sign(self.vault, (size, self.log_root(size)?), Some(&line), &signing.seed))
    }

    /// The log as it is now. What was answered for is durable first.
    pub(crate) fn log_checkpoint(&self) -> Result<Checkpoint, Error> {
        let signing = self.signing.get().ok_or(Error::Sealed)?;
        self.committer.flush()?;
        Ok(Checkpoint::sign(self.vault, self.log_tree()?, None, &signing.seed))
    }

    /// A signing epoch by its number.
    pub(crate) fn epoch_row(&self, epoch: u32) -> Result<Option<EpochRow>, Error> {
        let (table, id) = PolicyRow::place_of_epoch(epoch);
        let keyring = self.keyring();
        let key = keyring.policy_tag(table, &id);
        let Some(value) = self.committer.get(Tree::Policy, &key)? else { return Ok(None) };
        let what = "policy row";
        let body = self.open_row(keyring.policy_sealer(), Tree::Policy, &key, &value, what)?;
        match PolicyRow::parse(&body) {
            Ok(PolicyRow::Epoch(row)) if row.epoch == epoch => Ok(Some(row)),
            _ => Err(Error::TamperedRow { what }),
        }
    }

    /// The row that begins or closes an epoch, ready to commit.
    pub(crate) fn epoch_to_commit(&self, row: &EpochRow) -> Result<Row, Error> {
        self.policy_row(&PolicyRow::Epoch(row.clone()))
    }
}

fn copy(seed: &SigningSeed) -> SigningSeed {
    SigningSeed::from_seed(&seed.seed())
}
