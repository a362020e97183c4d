//! What is to be thought of a bundle: three verdicts apart.

use std::fmt;

use crate::chain::{ChainFault, Link};
use crate::disclose::Disclosed;
use crate::epochs::EpochFault;
use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};

/// What a bundle proves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The vault that it says to be of.
    pub vault: [u8; 16],
    /// The checkpoint that it is proved against, where it could be read.
    pub checkpoint: Option<Checkpoint>,
    /// The keys given that signed the checkpoint, cosignatures with the time in seconds since 1970.
    pub signed_by: Vec<(VerifierKey, Option<u64>)>,
    /// Number of the first entry.
    pub first: u64,
    /// What stands before the first of them: what was pruned, in a log that begins there.
    pub before: Option<Before>,
    /// How many entries there are.
    pub entries: u64,
    /// The last of them.
    pub last: Option<Link>,
    /// Entries that were opened with a key of their own.
    pub disclosed: Vec<Disclosed>,
    /// Whether these entries are those that the checkpoint stands for, unchanged and in their order.
    pub integrity: Verdict,
    /// Whether none of the range is left out, and none had been lost.
    pub completeness: Verdict,
    /// Whether the log is not older than what is known from elsewhere.
    pub freshness: Verdict,
}

/// What stands before the entries of a bundle, as far as these and the checkpoint prove it. An archive of the log from its first
/// entry up to there has this root, and this leaf hash of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Before {
    /// How many entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Option<Hash>,
    /// Leaf hash of the last of them, as the bundle's first entry names it.
    pub leaf: Option<Hash>,
    /// The number of an entry that was opened and says that all of them were pruned, just so.
    pub pruned_by: Option<u64>,
}

/// One of the three.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing speaks against it.
    Sound,
    /// It cannot be said.
    Unknown(Vec<BundleFault>),
    /// Something speaks against it.
    Unsound(Vec<BundleFault>),
}

/// What speaks against a bundle, or keeps a verdict from being given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleFault {
    /// Bytes that are not those of a bundle.
    #[error("the bundle is damaged: {0}")]
    Malformed(&'static str),
    /// The checkpoint is no checkpoint of this log.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// Several keys of the log were given.
    #[error("more than one key of the log was given; give that of the oldest epoch: later ones follow from it")]
    SeveralKeys,
    /// None of the keys that are trusted signed the checkpoint.
    #[error("no trusted key signed the checkpoint: {0}")]
    Unsigned(String),
    /// A final or earlier checkpoint is not a beginning of the checkpoint.
    #[error("a checkpoint of {size} entries is not a beginning of this log")]
    NotABeginning {
        /// Its size.
        size: u64,
    },
    /// The chain of signing keys.
    #[error(transparent)]
    Epoch(#[from] EpochFault),
    /// An entry says to be of an epoch that was closed before it, or not begun.
    #[error("entry {seq} says to be of signing epoch {epoch}, which is not the one that its place has")]
    WrongEpoch {
        /// The entry.
        seq: u64,
        /// What it says.
        epoch: u32,
    },
    /// An epoch ended without a final checkpoint by a trusted key.
    #[error(
        "signing epoch {epoch} ends before entry {seq} without a final checkpoint: its key said nothing of the next one"
    )]
    NotClosed {
        /// The epoch.
        epoch: u32,
        /// The first entry behind it.
        seq: u64,
    },
    /// Entries do not follow each other.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// The entries are not those of the checkpoint's tree.
    #[error("the entries do not lead to the checkpoint's root: they are not those that it stands for")]
    WrongRoot,
    /// There are more or fewer entries than the bundle says, or than the checkpoint has.
    #[error("{found} entries are there, and {said} were said")]
    Count {
        /// How many there are.
        found: u64,
        /// How many were said.
        said: u64,
    },
    /// Entries that were lost before the vault was salvaged.
    #[error("{0} entries of the range were lost before the vault was salvaged, and have others in their places")]
    Lost(u64),
    /// An entry that was opened says that others were pruned than stand before the bundle's entries.
    #[error("entry {seq} says of what was pruned what the other entries do not bear out")]
    NotAsPruned {
        /// The entry.
        seq: u64,
    },
    /// A key that opens nothing of this bundle.
    #[error("the key given for entry {seq} does not open it")]
    Key {
        /// The entry.
        seq: u64,
    },
    /// What is known from elsewhere is newer.
    #[error("a checkpoint of {anchored} entries is known, and this bundle is proved against one of {size}")]
    Stale {
        /// What is known.
        anchored: u64,
        /// What the bundle has.
        size: u64,
    },
    /// What is known from elsewhere is another log.
    #[error("the checkpoint of {anchored} entries that is known is not a beginning of this log: it was rewritten")]
    Forked {
        /// What is known.
        anchored: u64,
    },
    /// What is known from elsewhere cannot be compared.
    #[error("the bundle has no proof for a checkpoint of {anchored} entries; have it exported with that one")]
    NotComparable {
        /// What is known.
        anchored: u64,
    },
    /// Nothing is known from elsewhere.
    #[error("no checkpoint from elsewhere was given")]
    NothingKnown,
    /// It was not looked at, because of other faults.
    #[error("not looked at, since the bundle is not sound")]
    NotLookedAt,
}

impl Verdict {
    pub(super) fn of(faults: Vec<BundleFault>, unknown: Vec<BundleFault>) -> Self {
        match (faults.is_empty(), unknown.is_empty()) {
            (true, true) => Self::Sound,
            (true, false) => Self::Unknown(unknown),
            (false, _) => Self::Unsound(faults),
        }
    }

    /// Whether nothing speaks against it.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        matches!(self, Self::Sound)
    }

    /// Whether something speaks against it.
    #[must_use]
    pub const fn is_unsound(&self) -> bool {
        matches!(self, Self::Unsound(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, faults): (_, &[BundleFault]) = match self {
            Self::Sound => ("sound", &[]),
            Self::Unknown(why) => ("not known", why),
            Self::Unsound(faults) => ("NOT SOUND", faults),
        };
        f.write_str(word)?;
        faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl Report {
    /// Whether something speaks against the bundle.
    #[must_use]
    pub const fn is_unsound(&self) -> bool {
        self.integrity.is_unsound() || self.completeness.is_unsound() || self.freshness.is_unsound()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log {}", crate::epochs::origin(&self.vault))?;
        if let Some(Checkpoint { size, root, .. }) = &self.checkpoint {
            writeln!(f, "checkpoint of {size} entries, root {}", data_encoding::HEXLOWER.encode(root))?;
        }
        for (key, time) in &self.signed_by {
            write!(f, "  signed by {key}")?;
            time.map_or(Ok(()), |time| write!(f, " at {time} s"))?;
            writeln!(f)?;
        }
        writeln!(f, "{} entries from number {} on", self.entries, self.first)?;
        if let Some(Before { size, pruned_by: Some(by), .. }) = self.before {
            writeln!(f, "the {size} before them were pruned, as entry {by} says")?;
        }
        self.disclosed.iter().try_for_each(|disclosed| writeln!(f, "disclosed: {disclosed}"))?;
        writeln!(f, "integrity: {}", self.integrity)?;
        writeln!(f, "completeness: {}", self.completeness)?;
        write!(f, "freshness: {}", self.freshness)
    }
}
