//! Checkpoints of the log as C2SP signed notes and tlog-checkpoints, in the vault's terms: made, and read again. The formats
//! are chartvault-verify's.

use chartvault_verify::epochs;
use chartvault_verify::note::{self, Note, SignatureKind, VerifierKey, key_hash, signature_line};
use data_encoding::BASE64;

use super::checkpoint::Checkpoint;
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;

/// Bytes of the longest note that is read.
pub(crate) const MAX_NOTE: usize = 64 << 10;
const ED25519: SignatureKind = SignatureKind::Ed25519;

/// The name of a vault's log, and of its keys.
pub(crate) fn origin(vault: VaultId) -> String {
    epochs::origin(vault.as_bytes())
}

/// The line of a final checkpoint that names the next epoch's key.
pub(crate) fn next_key(epoch: u32, public: &[u8; 32]) -> String {
    format!("next-key {epoch} {}", BASE64.encode(public))
}

/// A public key as those who verify notes pin it: `name+hash+key`.
pub(crate) fn vkey(vault: VaultId, public: &[u8; 32]) -> String {
    note::vkey(&origin(vault), ED25519, public)
}

impl Checkpoint {
    /// Signs. `extension` is a line of its own.
    pub(crate) fn sign(
        vault: VaultId,
        (size, root): (u64, [u8; 32]),
        extension: Option<&str>,
        seed: &SigningSeed,
    ) -> Self {
        let name = origin(vault);
        let body = note::Checkpoint::new(&name, size, root);
        let text = extension.map_or_else(|| body.to_string(), |line| body.clone().with(line).to_string());
        let hash = key_hash(&name, ED25519, &seed.public());
        let note = format!("{text}\n{}\n", signature_line(&name, &hash, &seed.sign(text.as_bytes())));
        Self { size, root, note }
    }
}

/// A note that claims to be a checkpoint; nobody has looked at its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    note: Note,
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
}

/// Bytes that are no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCheckpoint;

impl Claimed {
    pub(crate) fn parse(text: &str) -> Result<Self, NoCheckpoint> {
        if text.len() > MAX_NOTE {
            return Err(NoCheckpoint);
        }
        let note: Note = text.parse().map_err(|_| NoCheckpoint)?;
        let note::Checkpoint { origin, size, root, .. } = note.text().parse().map_err(|_| NoCheckpoint)?;
        Ok(Self { note, origin, size, root })
    }

    /// Whether the key of a vault's epoch signed it.
    pub(crate) fn is_signed_by(&self, vault: VaultId, public: &[u8; 32]) -> bool {
        VerifierKey::new(&origin(vault), ED25519, public).is_ok_and(|key| self.note.verify(&[key]).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);

    fn seed() -> SigningSeed {
        SigningSeed::from_seed(&Secret::take(&mut [0xC1; 32]))
    }

    fn checkpoint() -> Checkpoint {
        let line = next_key(8, &[0xC3; 32]);
        Checkpoint::sign(VAULT, (52, [0xAB; 32]), Some(&line), &seed())
    }

    #[test]
    fn the_form_of_a_checkpoint_is_as_the_page_shows() {
        let page = include_str!("../../docs/format/signing-key.md");
        assert!(page.contains(&checkpoint().note), "{}", checkpoint().note);
        assert!(page.contains(&vkey(VAULT, &seed().public())), "{}", vkey(VAULT, &seed().public()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_takes_the_signature_away() {
        let note = checkpoint().note;
        let public = seed().public();
        assert!(Claimed::parse(&note).is_ok_and(|claimed| claimed.is_signed_by(VAULT, &public)));
        let signed = |bytes: &[u8]| {
            let note = std::str::from_utf8(bytes);
            note.is_ok_and(|note| Claimed::parse(note).is_ok_and(|claimed| claimed.is_signed_by(VAULT, &public)))
        };
        for bit in 0..note.len() * 8 {
            let mut bad = note.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!signed(&bad), "bit {bit}");
        }
        for len in 0..note.len() {
            assert!(!signed(&note.as_bytes()[..len]), "{len}");
        }
    }

    #[test]
    fn another_key_or_another_vault_did_not_sign_it() {
        let note = checkpoint().note;
        let claimed = Claimed::parse(&note).unwrap();
        let other = SigningSeed::from_seed(&Secret::take(&mut [0xC2; 32])).public();
        assert!(!claimed.is_signed_by(VAULT, &other));
        assert!(!claimed.is_signed_by(VaultId::from_bytes([0x22; 16]), &seed().public()));
    }

    #[test]
    fn a_number_that_is_not_written_as_numbers_are_is_refused() {
        let note = checkpoint().note;
        for size in ["052", "+52", "-1", "", "18446744073709551616"] {
            assert_eq!(Claimed::parse(&note.replace("\n52\n", &format!("\n{size}\n"))), Err(NoCheckpoint), "{size}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(note in "\\PC{0,80}(\n\\PC{0,20}){0,6}\n") {
            let _ = Claimed::parse(&note);
        }

        #[test]
        fn checkpoints_come_back(size: u64, root: [u8; 32]) {
            let made = Checkpoint::sign(VAULT, (size, root), None, &seed());
            let claimed = Claimed::parse(&made.note).unwrap();
            prop_assert!(claimed.is_signed_by(VAULT, &seed().public()));
            prop_assert_eq!((claimed.size, claimed.root, claimed.origin), (size, root, origin(VAULT)));
        }
    }
}
