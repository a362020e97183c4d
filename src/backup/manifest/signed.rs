//! The signature of a manifest: a C2SP signed note under a key that the vault keeps for its backups.

use std::fmt;

use chartvault_verify::note::{Note, SignatureKind, VerifierKey, key_hash, signature_line, vkey};
use data_encoding::HEXLOWER;

use super::{MAX_LEN, Manifest, hash_of};
use crate::audit;
use crate::backup::fault::BackupFault;
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;

const ED25519: SignatureKind = SignatureKind::Ed25519;
const BEHIND_THE_VAULT: &str = "/backup";

/// The first line of a manifest, and the name of the key that signs.
pub(crate) fn origin(vault: VaultId) -> String {
    format!("{}{BEHIND_THE_VAULT}", audit::origin(vault))
}

/// The vault that a first line names.
pub(crate) fn vault_of(line: &str) -> Option<VaultId> {
    let id = line.strip_suffix(BEHIND_THE_VAULT)?.rsplit('/').next()?;
    let bytes: [u8; 16] = HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?;
    let vault = VaultId::from_bytes(bytes);
    (origin(vault) == line).then_some(vault)
}

pub(crate) fn sign(text: &str, vault: VaultId, seed: &SigningSeed) -> String {
    let name = origin(vault);
    let hash = key_hash(&name, ED25519, &seed.public());
    format!("{text}\n{}\n", signature_line(&name, &hash, &seed.sign(text.as_bytes())))
}

/// A text that this key signed, out of its note.
pub(crate) fn signed_text(bytes: &[u8], key: &BackupKey) -> Option<String> {
    let note: Note = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_LEN)?.parse().ok()?;
    note.verify(&[key.verifier().ok()?]).ok()?;
    Some(note.text().to_owned())
}

/// The public key that verifies the manifests of a vault's backups. It stays the same as long as the vault lives: keep it where
/// the backups are not, and verify with it.
///
/// ```
/// use chartvault::BackupKey;
/// # let dir = tempfile::tempdir().unwrap();
/// # let key = chartvault::RawKey::generate()?;
/// # let (vault, _) = chartvault::Vault::create(dir.path().join("clinic.vault")).raw_key(&key).finish()?;
/// let pinned = vault.backup_key()?.to_string();
/// assert_eq!(pinned.parse::<BackupKey>()?, vault.backup_key()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupKey {
    vault: VaultId,
    public: [u8; 32],
}

impl BackupKey {
    pub(crate) const fn new(vault: VaultId, public: [u8; 32]) -> Self {
        Self { vault, public }
    }

    /// The vault whose backups it verifies.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.vault
    }

    fn verifier(&self) -> Result<VerifierKey, BackupFault> {
        VerifierKey::new(&origin(self.vault), ED25519, &self.public).map_err(|_| BackupFault::Key)
    }

    /// Whether it made a signature over these bytes.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        crate::crypto::sign::verify(&self.public, message, signature)
    }
}

impl fmt::Display for BackupKey {
    /// As C2SP signed-note writes verifier keys: `name+hash+key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(&origin(self.vault), ED25519, &self.public))
    }
}

impl std::str::FromStr for BackupKey {
    type Err = BackupFault;

    fn from_str(text: &str) -> Result<Self, BackupFault> {
        let key: VerifierKey = text.trim().parse().map_err(|_| BackupFault::Key)?;
        let vault = vault_of(key.name()).ok_or(BackupFault::Key)?;
        let read = Self { vault, public: key.bytes() };
        if read.to_string() == text.trim() { Ok(read) } else { Err(BackupFault::Key) }
    }
}

/// A manifest as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct SignedManifest {
    pub(crate) manifest: Manifest,
    /// SHA-256 of all its bytes.
    pub(crate) sha256: [u8; 32],
    note: Note,
}

impl SignedManifest {
    /// Reads it; who signed is not looked at.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BackupFault> {
        let malformed = |what| BackupFault::Manifest { what };
        if bytes.len() > MAX_LEN {
            return Err(malformed("more bytes than a manifest may have"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("bytes that are no text"))?;
        let note: Note = text.parse().map_err(|_| malformed("a text that nobody signed"))?;
        Ok(Self { manifest: Manifest::parse(note.text())?, sha256: hash_of(text), note })
    }

    /// Whether this key signed it.
    pub(crate) fn is_signed_by(&self, key: &BackupKey) -> bool {
        key.vault == self.manifest.vault && key.verifier().is_ok_and(|verifier| self.note.verify(&[verifier]).is_ok())
    }
}
