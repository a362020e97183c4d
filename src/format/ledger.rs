//! Erasure ledgers as files (docs/format/policy.md, "Erasure ledger"): what has to be erased again when a backup is restored.
//!
//! `magic[8] ‖ format u16 ‖ suite u8 ‖ vault id[16] ‖ Seal`

use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::aead::Suite;
use crate::ids::VaultId;

const MAGIC: [u8; 8] = *b"CVERAS1\0";
const FORMAT: u16 = 1;

/// Why bytes are not taken in as an erasure ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// They do not begin like one, or are cut.
    #[error("these bytes are no erasure ledger; choose another file")]
    NotALedger,
    /// Written by a newer version.
    #[error("the ledger has format {found}, and {newest} is the newest this version can read; use a newer version")]
    UnknownFormat {
        /// The format found.
        found: u16,
        /// The newest that can be read.
        newest: u16,
    },
    /// It is the ledger of another vault.
    #[error("the ledger is that of {vault}; take the one of this vault")]
    OtherVault {
        /// Whose it is.
        vault: VaultId,
    },
    /// It was changed or cut, or is not from this vault.
    #[error("the ledger does not open: it was changed, or was not made by this vault; take another copy of it")]
    DoesNotOpen,
}

impl From<Truncated> for LedgerError {
    fn from(_: Truncated) -> Self {
        Self::NotALedger
    }
}

/// A ledger, still sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedLedger<'b> {
    pub(crate) suite: Suite,
    pub(crate) vault: VaultId,
    pub(crate) sealed: &'b [u8],
}

/// What stands before the seal, and is bound to it.
pub(crate) fn head(suite: Suite, vault: VaultId) -> Vec<u8> {
    let mut head = Vec::with_capacity(27);
    head.put(&MAGIC);
    head.put_u16(FORMAT);
    head.put_u8(suite.code());
    head.put(vault.as_bytes());
    head
}

pub(crate) fn parse(bytes: &[u8]) -> Result<SealedLedger<'_>, LedgerError> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(LedgerError::NotALedger);
    }
    match reader.u16()? {
        0 => return Err(LedgerError::NotALedger),
        FORMAT => {}
        found => return Err(LedgerError::UnknownFormat { found, newest: FORMAT }),
    }
    let suite = Suite::from_code(reader.u8()?).ok_or(LedgerError::DoesNotOpen)?;
    let vault = VaultId::from_bytes(reader.array()?);
    Ok(SealedLedger { suite, vault, sealed: reader.rest() })
}
