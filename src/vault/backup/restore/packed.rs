//! The newest key pack, opened with a credential: it has the keys with which all else is verified.

use crate::backup::manifest::Manifest;
use crate::backup::pack::{self, PackFront, PackPart, SecretRow};
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupIdentity, BackupKey};
use crate::crypto::kdf;
use crate::crypto::sign::SigningSeed;
use crate::error::Error;
use crate::format::header::UnverifiedHeader;
use crate::ids::VaultId;
use crate::keyring::{Credential, HeaderFileError, Keyring};
use crate::storage::StorageKeys;
use crate::vault::assemble::storage_keys;

const UNSIGNED: &str = "it is not signed by the key of this vault's backups";

/// A key pack whose header opened.
pub(super) struct Opened<'t> {
    shelf: Shelf<'t>,
    identities: &'t [BackupIdentity],
    pub(super) vault: VaultId,
    pub(super) number: u64,
    /// The same in all its parts.
    id: [u8; 16],
    parts: u32,
    pub(super) header_generation: u64,
    pub(super) header: Vec<u8>,
    /// Entries of the ledger.
    pub(super) erasures: u64,
    pub(super) ledger: Vec<u8>,
    /// What signs this vault's backups.
    pub(super) key: BackupKey,
    pub(super) keys: StorageKeys,
    data_epochs: (u32, u32),
}

impl<'t> Opened<'t> {
    /// The pack with the highest number of which all parts are there.
    pub(super) fn newest(
        shelf: Shelf<'t>,
        identities: &'t [BackupIdentity],
        credential: Credential<'_>,
    ) -> Result<Self, Error> {
        let numbers = shelf.whole_packs()?;
        // One that lost a part is passed over; the manifests tell whether the one before still counts.
        let mut failed = Error::from(BackupFault::NoPack { target: shelf.target.name().to_owned() });
        for number in numbers.into_iter().rev() {
            match Self::read(shelf, number, identities, credential) {
                Err(Error::Backup(fault @ (BackupFault::Pack { .. } | BackupFault::Unsigned { .. }))) => {
                    failed = fault.into()
                }
                read => return read,
            }
        }
        Err(failed)
    }

    fn read(
        shelf: Shelf<'t>,
        number: u64,
        identities: &'t [BackupIdentity],
        credential: Credential<'_>,
    ) -> Result<Self, Error> {
        let damaged = |what| BackupFault::Pack { number, what };
        let (first, bytes) = shelf.pack((number, 0), identities)?;
        let PackFront { header_generation, erasures, header } =
            first.front.ok_or_else(|| damaged("its first part is none"))?;
        let unverified = UnverifiedHeader::parse(&header).map_err(HeaderFileError::from)?;
        let opened = Keyring::open(&unverified, credential)?;
        let vault = opened.header.vault;
        let seed = SigningSeed::from_seed(&kdf::backup_signing_seed(opened.keyring.state_key()));
        let key = BackupKey::new(vault, seed.public());
        let end = shelf.pack_end(number, &key)?;
        let epochs = opened.keyring.data_epochs();
        let data_epochs = (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        let said = (header_generation, data_epochs, erasures);
        if (end.pack.header_generation, end.data_epochs, end.pack.erasures) != said {
            return Err(damaged("its end is of another pack").into());
        }
        if first.vault != vault || !pack::is_signed_by(&bytes, &key) {
            return Err(damaged(UNSIGNED).into());
        }
        let keys = storage_keys(&opened.keyring);
        let (id, parts) = (first.id, end.parts);
        let ledger = first.ledger;
        let mut read = Self {
            shelf,
            identities,
            vault,
            number,
            id,
            parts,
            header_generation,
            header,
            erasures,
            ledger,
            key,
            keys,
            data_epochs,
        };
        let (mut last, mut part) = (first.last, 1_u32);
        while !last && part < parts {
            let next = read.part(part)?;
            read.ledger.extend(next.ledger);
            (last, part) = (next.last, part.saturating_add(1));
        }
        if !last || part != parts {
            return Err(damaged("it has more or fewer parts than its end says").into());
        }
        Ok(read)
    }

    fn part(&self, part: u32) -> Result<PackPart, Error> {
        let (read, bytes) = self.shelf.pack((self.number, part), self.identities)?;
        if (read.vault, read.id) != (self.vault, self.id) || !pack::is_signed_by(&bytes, &self.key) {
            return Err(BackupFault::Pack { number: self.number, what: UNSIGNED }.into());
        }
        Ok(read)
    }

    /// The rows of patients' secrets, a part at a time.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Result<Vec<SecretRow>, Error>> {
        (0..self.parts).map(|part| self.part(part).map(|read| read.rows))
    }

    /// This pack if a state opens with it; else, where that needs a data key that was dropped since, an older one that was left
    /// because of that, with the ledger of this one, so that whoever was erased since stays erased.
    pub(super) fn opening(self, manifest: &Manifest, credential: Credential<'_>) -> Result<Self, Error> {
        let gone = match self.check_opens(manifest) {
            Err(gone @ BackupFault::KeyGone { .. }) => gone,
            opens => return Ok(opens.map(|()| self)?),
        };
        let (shelf, identities) = (self.shelf, self.identities);
        for number in shelf.whole_packs()?.into_iter().rev().filter(|number| *number < self.number) {
            let older = match shelf.pack_end(number, &self.key) {
                Ok(end) if end.data_epochs.0 > manifest.data_epochs.0 => continue,
                Ok(_) => Self::read(shelf, number, identities, credential),
                Err(fault) => Err(fault.into()),
            };
            match older {
                Err(Error::Backup(BackupFault::Pack { .. } | BackupFault::Unsigned { .. })) => {}
                older => {
                    let older = older?;
                    older.check_opens(manifest)?;
                    return Ok(Self { ledger: self.ledger, erasures: self.erasures, ..older });
                }
            }
        }
        Err(gone.into())
    }

    /// Refuses a pack that is older than what the newest manifest says there is.
    pub(super) fn check_not_older(&self, newest: &Manifest) -> Result<(), BackupFault> {
        let (found, wanted) = (self.number, newest.pack.map_or(0, |pack| pack.number));
        if found < wanted {
            return Err(BackupFault::OldPack { found, wanted });
        }
        let named = newest.pack.map_or(0, |pack| pack.header_generation);
        self.check_keys(named)?;
        let (found, wanted) = (self.erasures, newest.erasures);
        if found < wanted { Err(BackupFault::OldLedger { found, wanted }) } else { Ok(()) }
    }

    fn check_keys(&self, wanted: u64) -> Result<(), BackupFault> {
        let (number, found) = (self.number, self.header_generation);
        if found < wanted { Err(BackupFault::OldKeys { number, found, wanted }) } else { Ok(()) }
    }

    /// Refuses a state with records under a data key that is gone.
    fn check_opens(&self, manifest: &Manifest) -> Result<(), BackupFault> {
        self.check_keys(manifest.header_generation)?;
        let (epoch, oldest) = (manifest.data_epochs.0, self.data_epochs.0);
        if epoch < oldest { Err(BackupFault::KeyGone { epoch, oldest }) } else { Ok(()) }
    }
}
