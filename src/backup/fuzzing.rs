//! What `fuzz/` calls: each decoder of a backup, on any bytes.

use super::manifest::{Manifest, SignedManifest};
use super::pack::PackPart;

/// Whether these are a manifest, which then has one form only.
pub(crate) fn manifest(bytes: &[u8]) -> bool {
    let Ok(read) = SignedManifest::parse(bytes) else { return false };
    let text = read.manifest.text();
    assert!(Manifest::parse(&text).is_ok_and(|again| again == read.manifest), "a manifest does not come back");
    true
}

/// Whether these are a part of a pack.
pub(crate) fn pack(bytes: &[u8]) -> bool {
    PackPart::parse(bytes, 1).is_ok_and(|part| part.is_written_as(bytes))
}
