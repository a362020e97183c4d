//! The newest key pack, opened with a credential: it has the keys with which all else is verified.

use crate::backup::manifest::Manifest;
use crate::backup::pack::{self, PackFront, PackPart, SecretRow};
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupIdentity, BackupKey};
use crate::crypto::kdf::{self, RootKey};
use crate::crypto::sign::SigningSeed;
use crate::error::Error;
use crate::format::header::UnverifiedHeader;
use crate::format::slot::Slot;
use crate::ids::VaultId;
use crate::keyring::{Credential, HeaderFileError, Keyring, UnlockedKeyring};
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
    header_generation: u64,
    /// For the restored vault.
    pub(super) header: Vec<u8>,
    /// Entries of the ledger.
    erasures: u64,
    pub(super) ledger: Vec<u8>,
    /// What signs this vault's backups.
    pub(super) key: BackupKey,
    pub(super) keys: StorageKeys,
    pub(super) keyring: Keyring,
    data_epochs: (u32, u32),
}

/// A header that opened.
struct Header {
    vault: VaultId,
    keyring: Keyring,
    /// For the restored vault.
    bytes: Vec<u8>,
}

/// The pack with the highest number of which all parts are there.
pub(super) struct Newest<'t> {
    pub(super) pack: Opened<'t>,
    root: RootKey,
    slots: Vec<Slot>,
}

impl<'t> Newest<'t> {
    pub(super) fn open(
        shelf: Shelf<'t>,
        identities: &'t [BackupIdentity],
        credential: Credential<'_>,
    ) -> Result<Self, Error> {
        let numbers = shelf.whole_packs()?;
        // One that lost a part is passed over; the manifests tell whether the one before still counts.
        let mut failed = Error::from(BackupFault::NoPack { target: shelf.target.name().to_owned() });
        for number in numbers.into_iter().rev() {
            let mut root_and_slots = None;
            let open = |header: &UnverifiedHeader| {
                let UnlockedKeyring { keyring, root, header: content, bytes, .. } = Keyring::open(header, credential)?;
                root_and_slots = Some((root, content.slots));
                Ok(Header { vault: content.vault, keyring, bytes })
            };
            match (Opened::read(shelf, number, identities, open), root_and_slots) {
                (Ok(pack), Some((root, slots))) => return Ok(Self { pack, root, slots }),
                (Err(Error::Backup(fault @ (BackupFault::Pack { .. } | BackupFault::Unsigned { .. }))), _) => {
                    failed = fault.into();
                }
                (read, _) => read.map(drop)?,
            }
        }
        Err(failed)
    }

    /// This pack if a state opens with it; else, where that needs a data key that was dropped since, an older one that was left
    /// because of that, with the ledger of this one, so that whoever was erased since stays erased.
    pub(super) fn opening(self, manifest: &Manifest, credential: Credential<'_>) -> Result<Opened<'t>, Error> {
        let gone = match self.pack.check_opens(manifest) {
            Err(gone @ BackupFault::KeyGone { .. }) => gone,
            opens => return Ok(opens.map(|()| self.pack)?),
        };
        let Opened { shelf, identities, number: newest, .. } = self.pack;
        for number in shelf.whole_packs()?.into_iter().rev().filter(|number| *number < newest) {
            let older = match shelf.pack_end(number, &self.pack.key) {
                Ok(end) if end.data_epochs.0 > manifest.data_epochs.0 => continue,
                Ok(_) => Opened::read(shelf, number, identities, |header| self.older_header(header, credential)),
                Err(fault) => Err(fault.into()),
            };
            match older {
                Err(Error::Backup(BackupFault::Pack { .. } | BackupFault::Unsigned { .. })) => {}
                older => {
                    let older = older?;
                    older.check_opens(manifest)?;
                    return Ok(Opened { ledger: self.pack.ledger, erasures: self.pack.erasures, ..older });
                }
            }
        }
        Err(gone.into())
    }

    /// The keys of an older header in the slots of this one: credentials are those of now. Under another root key the older
    /// header stays as it was, and has to open with the same credential.
    fn older_header(&self, header: &UnverifiedHeader, credential: Credential<'_>) -> Result<Header, Error> {
        let Some((keyring, content)) = Keyring::open_with_root(header, &self.root) else {
            let UnlockedKeyring { keyring, header, bytes, .. } = Keyring::open(header, credential)?;
            return Ok(Header { vault: header.vault, keyring, bytes });
        };
        let (vault, generation) = (content.vault, self.pack.header_generation);
        let bytes = keyring.new_header(vault, generation, &content.suites, self.slots.clone(), &self.root)?;
        Ok(Header { vault, keyring, bytes })
    }
}

impl<'t> Opened<'t> {
    fn read(
        shelf: Shelf<'t>,
        number: u64,
        identities: &'t [BackupIdentity],
        open: impl FnOnce(&UnverifiedHeader) -> Result<Header, Error>,
    ) -> Result<Self, Error> {
        let damaged = |what| BackupFault::Pack { number, what };
        let (first, bytes) = shelf.pack((number, 0), identities)?;
        let PackFront { header_generation, erasures, header } =
            first.front.ok_or_else(|| damaged("its first part is none"))?;
        let Header { vault, keyring, bytes: header } =
            open(&UnverifiedHeader::parse(&header).map_err(HeaderFileError::from)?)?;
        let seed = SigningSeed::from_seed(&kdf::backup_signing_seed(keyring.state_key()));
        let key = BackupKey::new(vault, seed.public());
        let end = shelf.pack_end(number, &key)?;
        let epochs = keyring.data_epochs();
        let data_epochs = (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        let said = (header_generation, data_epochs, erasures);
        if (end.pack.header_generation, end.data_epochs, end.pack.erasures) != said {
            return Err(damaged("its end is of another pack").into());
        }
        if first.vault != vault || !pack::is_signed_by(&bytes, &key) {
            return Err(damaged(UNSIGNED).into());
        }
        let (id, parts, ledger) = (first.id, end.parts, first.ledger);
        let keys = storage_keys(&keyring);
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
            keyring,
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
