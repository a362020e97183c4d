//! Reads what a target holds, and believes nothing of it before it is verified.

use super::fault::BackupFault;
use super::manifest::{self, BackupKey, Manifest, Piece, SignedManifest};
use super::pack::{self, PackPart};
use super::pack_end::{self, PackEnd};
use super::seal::{self, BackupIdentity, OpenFailed};
use super::target::{BackupTarget, TargetError};
use crate::crypto::hash;

/// Journal bytes in one object.
pub(crate) const PIECE: u64 = 16 << 20;
/// Bytes of an object as it is kept: what age adds is a header and 16 bytes for each 64 KiB.
pub(crate) const MAX_OBJECT: usize = 17 << 20;

/// A target, read.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'t> {
    pub(crate) target: &'t dyn BackupTarget,
}

impl<'t> Shelf<'t> {
    pub(crate) const fn new(target: &'t dyn BackupTarget) -> Self {
        Self { target }
    }

    pub(crate) fn failed(&self, source: TargetError) -> BackupFault {
        BackupFault::Target { target: self.target.name().to_owned(), source }
    }

    /// Numbers of all manifests, ascending.
    pub(crate) fn manifests(&self) -> Result<Vec<u64>, BackupFault> {
        let mut numbers = Vec::new();
        let each = &mut |object: super::StoredObject| numbers.extend(Manifest::number_in(&object.name));
        self.target.list("manifests/", each).map_err(|error| self.failed(error))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A manifest by its number, signed by this key if one is given.
    pub(crate) fn manifest(&self, number: u64, key: Option<&BackupKey>) -> Result<SignedManifest, BackupFault> {
        let name = Manifest::name_of(number);
        let bytes = self.target.get(&name, manifest::MAX_LEN).map_err(|error| self.failed(error))?;
        let read = SignedManifest::parse(&bytes)?;
        if key.is_some_and(|key| !read.is_signed_by(key)) {
            return Err(BackupFault::Unsigned { name });
        }
        if read.manifest.number != number {
            return Err(BackupFault::Broken { number });
        }
        Ok(read)
    }

    /// The bytes of a piece as they are kept, as its manifest says they are.
    pub(crate) fn stored(&self, piece: &Piece, number: u64) -> Result<Vec<u8>, BackupFault> {
        let damaged = |what| BackupFault::Damaged { name: piece.name.to_string(), number, what };
        let limit = usize::try_from(piece.stored).unwrap_or(usize::MAX).min(MAX_OBJECT);
        let bytes = self.target.get(&piece.name.to_string(), limit).map_err(|error| match error {
            TargetError::Absent { .. } => damaged("it is not there"),
            TargetError::TooLarge { .. } => damaged("it is longer than it was"),
            error => self.failed(error),
        })?;
        if u64::try_from(bytes.len()) != Ok(piece.stored) {
            return Err(damaged("it is shorter than it was"));
        }
        if hash::sha256(&[&bytes]) != piece.sha256 {
            return Err(damaged("its bytes were changed"));
        }
        Ok(bytes)
    }

    /// Opens the outer layer of a piece, if it has one.
    pub(crate) fn opened(
        piece: &Piece,
        number: u64,
        stored: Vec<u8>,
        identities: &[BackupIdentity],
    ) -> Result<Vec<u8>, BackupFault> {
        let damaged = |what| BackupFault::Damaged { name: piece.name.to_string(), number, what };
        let len = usize::try_from(piece.part.len).unwrap_or(usize::MAX);
        let bytes = if seal::is_sealed(&stored) {
            seal::open(identities, &stored, len.min(MAX_OBJECT)).map_err(|error| match error {
                OpenFailed::NoIdentity => BackupFault::Sealed,
                OpenFailed::Damaged => damaged("its outer layer does not open"),
            })?
        } else {
            stored
        };
        if bytes.len() == len { Ok(bytes) } else { Err(damaged("it holds more or fewer bytes than it has to")) }
    }

    /// Numbers of all parts of key packs.
    pub(crate) fn packs(&self) -> Result<Vec<(u64, u32)>, BackupFault> {
        let mut numbers = Vec::new();
        let each = &mut |object: super::StoredObject| numbers.extend(PackPart::numbers_in(&object.name));
        self.target.list("packs/", each).map_err(|error| self.failed(error))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Numbers of the packs that are whole, ascending.
    pub(crate) fn whole_packs(&self) -> Result<Vec<u64>, BackupFault> {
        let mut numbers = Vec::new();
        let each = &mut |object: super::StoredObject| numbers.extend(PackEnd::number_in(&object.name));
        self.target.list("packs/", each).map_err(|error| self.failed(error))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The end of a key pack, signed by this key.
    pub(crate) fn pack_end(&self, number: u64, key: &BackupKey) -> Result<PackEnd, BackupFault> {
        let bytes = self.target.get(&PackEnd::name_of(number), pack_end::MAX_LEN);
        PackEnd::parse(&bytes.map_err(|error| self.failed(error))?, number, key)
    }

    /// A part of a key pack, with its bytes.
    pub(crate) fn pack(
        &self,
        (number, part): (u64, u32),
        identities: &[BackupIdentity],
    ) -> Result<(PackPart, Vec<u8>), BackupFault> {
        let damaged = |what| BackupFault::Pack { number, what };
        let stored = self.target.get(&PackPart::name_of(number, part), pack::MAX_LEN).map_err(|error| match error {
            TargetError::Absent { .. } => damaged("a part of it is missing"),
            error => self.failed(error),
        })?;
        let bytes = if seal::is_sealed(&stored) {
            seal::open(identities, &stored, pack::MAX_LEN).map_err(|error| match error {
                OpenFailed::NoIdentity => BackupFault::Sealed,
                OpenFailed::Damaged => damaged("its outer layer does not open"),
            })?
        } else {
            stored
        };
        let read = PackPart::parse(&bytes, number)?;
        if (read.number, read.part) != (number, part) {
            return Err(damaged("it is another pack, under the name of this one"));
        }
        Ok((read, bytes))
    }
}
