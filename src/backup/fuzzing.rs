//! What `fuzz/` calls: each decoder of a backup, on any bytes.

use super::manifest::{BackupKey, Manifest, SignedManifest};
use super::pack::PackPart;
use super::pack_end::PackEnd;
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;
use crate::secret::Secret;

/// Whether these are a manifest, which then has one form only.
pub(crate) fn manifest(bytes: &[u8]) -> bool {
    let Ok(read) = SignedManifest::parse(bytes) else { return false };
    let text = read.manifest.text();
    assert!(Manifest::parse(&text).is_ok_and(|again| again == read.manifest), "a manifest does not come back");
    true
}

/// Whether these are a part of a pack, or the text of its end.
pub(crate) fn pack(bytes: &[u8]) -> bool {
    let key =
        BackupKey::new(VaultId::from_bytes([0x11; 16]), SigningSeed::from_seed(&Secret::take(&mut [1; 32])).public());
    // What is not signed is none, whatever it says.
    assert!(PackEnd::parse(bytes, 1, &key).is_err(), "signed by nobody");
    let is_end = std::str::from_utf8(bytes).is_ok_and(|text| PackEnd::is_text_of_one(text, &key));
    is_end || PackPart::parse(bytes, 1).is_ok_and(|part| part.is_written_as(bytes))
}
