//! Checkpoints of the log as C2SP signed notes and tlog-checkpoints: made, and read again.

use data_encoding::{BASE64, HEXLOWER};

use super::checkpoint::Checkpoint;
use crate::crypto::hash;
use crate::crypto::sign::{self, SIGNATURE_LEN, SigningSeed};
use crate::ids::VaultId;

/// Bytes of the longest note that is read.
pub(crate) const MAX_NOTE: usize = 64 << 10;
/// Ed25519, as signed notes number it.
const ED25519: u8 = 1;
const DASH: &str = "\u{2014} ";

/// The name of a vault's log, and of its keys.
pub(crate) fn origin(vault: VaultId) -> String {
    format!("chartvault.local/{}", HEXLOWER.encode(vault.as_bytes()))
}

/// The line of a final checkpoint that names the next epoch's key.
pub(crate) fn next_key(epoch: u32, public: &[u8; 32]) -> String {
    format!("next-key {epoch} {}", BASE64.encode(public))
}

fn key_hash(name: &str, public: &[u8; 32]) -> [u8; 4] {
    hash::sha256_short(&[name.as_bytes(), b"\n", &[ED25519], public])
}

/// A public key as those who verify notes pin it: `name+hash+key`.
pub(crate) fn vkey(vault: VaultId, public: &[u8; 32]) -> String {
    let name = origin(vault);
    let mut key = vec![ED25519];
    key.extend_from_slice(public);
    format!("{name}+{}+{}", HEXLOWER.encode(&key_hash(&name, public)), BASE64.encode(&key))
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
        let mut text = format!("{name}\n{size}\n{}\n", BASE64.encode(&root));
        if let Some(line) = extension {
            text.push_str(line);
            text.push('\n');
        }
        let mut signature = key_hash(&name, &seed.public()).to_vec();
        signature.extend_from_slice(&seed.sign(text.as_bytes()));
        let note = format!("{text}\n{DASH}{name} {}\n", BASE64.encode(&signature));
        Self { size, root, note }
    }
}

/// A note that claims to be a checkpoint; nobody has looked at its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed<'n> {
    /// All that is signed.
    text: &'n str,
    pub(crate) origin: &'n str,
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
    signatures: Vec<(&'n str, [u8; 4], Vec<u8>)>,
}

/// Bytes that are no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCheckpoint;

impl<'n> Claimed<'n> {
    pub(crate) fn parse(note: &'n str) -> Result<Self, NoCheckpoint> {
        Self::read(note).ok_or(NoCheckpoint)
    }

    fn read(note: &'n str) -> Option<Self> {
        if note.len() > MAX_NOTE || note.chars().any(|c| c != '\n' && c.is_control()) {
            return None;
        }
        // The last empty line ends the text.
        let end = note.rfind("\n\n")?;
        let (text, signatures) = (note.get(..end.checked_add(1)?)?, note.get(end.checked_add(2)?..)?);
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let number: u64 = size.parse().ok()?;
        let root = <[u8; 32]>::try_from(BASE64.decode(root.as_bytes()).ok()?).ok()?;
        let signatures = signatures.strip_suffix('\n')?.split('\n').map(signature).collect::<Option<Vec<_>>>()?;
        let sound = !origin.is_empty() && number.to_string() == size;
        sound.then_some(Self { text, origin, size: number, root, signatures })
    }

    /// Whether the key of a vault's epoch signed it.
    pub(crate) fn is_signed_by(&self, vault: VaultId, public: &[u8; 32]) -> bool {
        let name = origin(vault);
        let hash = key_hash(&name, public);
        self.signatures.iter().any(|(signer, found, signature)| {
            let signature = <[u8; SIGNATURE_LEN]>::try_from(&signature[..]);
            *signer == name
                && *found == hash
                && signature.is_ok_and(|signature| sign::verify(public, self.text.as_bytes(), &signature))
        })
    }
}

fn signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
    let signature = BASE64.decode(signature.as_bytes()).ok()?;
    let (hash, signature) = signature.split_first_chunk::<4>()?;
    let sound = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace);
    sound.then(|| (name, *hash, signature.to_vec()))
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
            prop_assert_eq!((claimed.size, claimed.root, claimed.origin), (size, root, &*origin(VAULT)));
        }
    }
}
