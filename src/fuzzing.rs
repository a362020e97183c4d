//! What the fuzz targets in `fuzz/` call; built under `cfg(fuzzing)` and for one test, never part of the API. Each
//! function answers whether the bytes were taken, and panics where something is wrong.

#[cfg(feature = "backup")]
use crate::backup;
use crate::policy::PolicyRow;
use crate::record::Record;
use crate::{audit, format, policy, record, token};

/// A header, its sums made good.
#[must_use]
pub fn header(bytes: &[u8]) -> bool {
    format::fuzzing::header(bytes)
}

/// One key slot.
#[must_use]
pub fn slot(bytes: &[u8]) -> bool {
    format::fuzzing::slot(bytes)
}

/// A key file, its checksum made good.
#[must_use]
pub fn key_file(bytes: &[u8]) -> bool {
    format::fuzzing::key_file(bytes)
}

/// The keyring's plaintext.
#[must_use]
pub fn keyring(bytes: &[u8]) -> bool {
    format::fuzzing::keyring(bytes)
}

/// The envelope around a value, and sealing it.
#[must_use]
pub fn envelope(bytes: &[u8]) -> bool {
    format::fuzzing::envelope(bytes)
}

/// The padding under a seal.
#[must_use]
pub fn padding(bytes: &[u8]) -> bool {
    format::fuzzing::padding(bytes)
}

/// A journal frame, its sums made good.
#[must_use]
pub fn frame(bytes: &[u8]) -> bool {
    format::fuzzing::frame(bytes)
}

/// The header of a journal segment, its hash made good.
#[must_use]
pub fn segment(bytes: &[u8]) -> bool {
    format::fuzzing::segment(bytes)
}

/// A state file without its digest, its sums made good; or a clean mark.
#[must_use]
pub fn state_file(bytes: &[u8]) -> bool {
    format::fuzzing::state_file(bytes) | format::fuzzing::clean_mark(bytes)
}

/// Rows of the trees, packs of entries, and storage keys.
#[must_use]
pub fn rows(bytes: &[u8]) -> bool {
    format::fuzzing::rows(bytes)
}

/// An audit entry, still sealed.
#[must_use]
pub fn entry(bytes: &[u8]) -> bool {
    audit::fuzzing::entry(bytes)
}

/// The rows of the log's index, under a good seal.
#[must_use]
pub fn log_index(bytes: &[u8]) -> bool {
    audit::fuzzing::index(bytes)
}

/// An audit entry's payload under a good seal.
#[must_use]
pub fn payload(bytes: &[u8]) -> bool {
    audit::fuzzing::payload(bytes)
}

/// What an audit entry says about one patient, under a good seal.
#[must_use]
pub fn subject_block(bytes: &[u8]) -> bool {
    audit::fuzzing::subject_block(bytes)
}

/// A signed note, a checkpoint in one, or a key that verifies notes.
#[must_use]
pub fn note(bytes: &[u8]) -> bool {
    audit::fuzzing::outside::note(bytes)
}

/// A bundle of the log, its hash made good.
#[must_use]
pub fn bundle(bytes: &[u8]) -> bool {
    audit::fuzzing::outside::bundle(bytes)
}

/// An archive of the log, its root and hash made good.
#[must_use]
pub fn log_archive(bytes: &[u8]) -> bool {
    audit::fuzzing::outside::log_archive(bytes)
}

/// A manifest of a backup; says whether it is one and comes back as the same bytes.
#[cfg(feature = "backup")]
#[must_use]
pub fn backup_manifest(bytes: &[u8]) -> bool {
    backup::fuzzing::manifest(bytes)
}

/// A part of a key pack.
#[cfg(feature = "backup")]
#[must_use]
pub fn key_pack(bytes: &[u8]) -> bool {
    backup::fuzzing::pack(bytes)
}

/// A tile of the log's tree, its tag made good.
#[must_use]
pub fn tile(bytes: &[u8]) -> bool {
    audit::fuzzing::outside::tile(bytes)
}

/// A token's bytes, and the decisions that follow from them.
#[must_use]
pub fn token_bytes(bytes: &[u8]) -> bool {
    token::fuzzing::bytes(bytes)
}

/// A token's text.
#[must_use]
pub fn token_text(bytes: &[u8]) -> bool {
    token::fuzzing::text(bytes)
}

/// An attestation, and what a vault makes of it.
#[must_use]
pub fn attestation(bytes: &[u8]) -> bool {
    token::fuzzing::attestation(bytes)
}

/// A proof of possession or of a device, and what a vault makes of it.
#[must_use]
pub fn possession(bytes: &[u8]) -> bool {
    token::fuzzing::possession(bytes) | token::fuzzing::device_proof(bytes)
}

/// A record body.
#[must_use]
pub fn record_body(bytes: &[u8]) -> bool {
    record::fuzzing::body(bytes)
}

/// A value of a derived type, whose bytes carry the right version and shape.
#[must_use]
pub fn record_value<T: Record>(bytes: &[u8]) -> Option<T> {
    record::fuzzing::value(bytes)
}

/// A value that was stored as `Old` and is asked for as `New`, of which `Old` is an earlier version.
#[must_use]
pub fn record_value_of<Old: Record, New: Record>(bytes: &[u8]) -> Option<New> {
    record::fuzzing::value_of::<Old, New>(bytes)
}

/// A value whose bytes carry any version and any shape.
#[must_use]
pub fn record_value_as<T: Record>(version: u16, shape: [u8; 8], bytes: &[u8]) -> Option<T> {
    record::fuzzing::value_as(version, shape, bytes)
}

/// A policy row.
#[must_use]
pub fn policy_row(bytes: &[u8]) -> bool {
    let Ok(row) = PolicyRow::parse(bytes) else { return false };
    assert_eq!(row.to_bytes(), bytes);
    let _ = row.place();
    true
}

/// An erasure ledger, sealed or what is under its seal.
#[must_use]
pub fn erasure_ledger(bytes: &[u8]) -> bool {
    let entries = policy::decode_ledger(bytes).inspect(|entries| {
        assert_eq!(policy::encode_ledger(entries.iter()), bytes);
    });
    let sealed = format::ledger::parse(bytes).inspect(|ledger| {
        assert!(bytes.starts_with(&format::ledger::head(ledger.suite, ledger.vault)));
    });
    entries.is_ok() | sealed.is_ok()
}

#[cfg(test)]
mod tests;
