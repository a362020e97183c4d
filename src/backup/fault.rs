//! What can be wrong with a backup.

use super::target::TargetError;

/// Why a backup could not be made, verified or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFault {
    /// The place where backups are kept did not do what was asked.
    #[error("backup target {target}: {source}")]
    Target {
        /// Its name.
        target: String,
        /// What it answered.
        source: TargetError,
    },
    /// A manifest is not as it has to be.
    #[error("a manifest of the backup is not as it has to be ({what}): it was changed, or made by a newer version")]
    Manifest {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A manifest, or a key pack, is signed by another key than the backups of this vault are.
    #[error(
        "{name} is not signed by the key of this vault's backups: it is another vault's, or somebody forged it. Use another \
         target, or see who can write to this one"
    )]
    Unsigned {
        /// The object.
        name: String,
    },
    /// A manifest does not go on from the one before.
    #[error(
        "manifest {number} does not go on from the one before it: manifests were removed, exchanged or brought back. Restore \
         from another target, or to a manifest before"
    )]
    Broken {
        /// Its number.
        number: u64,
    },
    /// An object of the backup is not what its manifest says.
    #[error("object {name} of manifest {number} is damaged: {what}. Make another backup, which is then whole")]
    Damaged {
        /// The object.
        name: String,
        /// The manifest that names it.
        number: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The text is no public key of backups.
    #[error("that is no public key of a vault's backups; it looks like chartvault/…/backup+…+…, as the vault shows it")]
    Key,
    /// The target holds a backup of a later state than the vault has, or of another one.
    #[error(
        "the newest backup, manifest {number}, has a log of {entries} entries that this vault's log (of {found}) does not go on \
         from: an older copy of the vault was put back, or another machine goes on with it. Restore, or use another target"
    )]
    NotOurs {
        /// The manifest.
        number: u64,
        /// Entries of its log.
        entries: u64,
        /// Entries of the vault's log.
        found: u64,
    },
    /// Somebody else wrote to the same target meanwhile.
    #[error("another backup to the same target made manifest {number} meanwhile; run it again")]
    Raced {
        /// The manifest that both wanted to make.
        number: u64,
    },
    /// There is no backup to restore or to verify.
    #[error("there is no whole backup at {target}; make one first, or see whether this is the right place")]
    Nothing {
        /// The target's name.
        target: String,
    },
    /// No backup goes back so far.
    #[error("no backup goes back to {point}; a state that can be restored is that of {oldest} log entries")]
    TooEarly {
        /// What was asked for.
        point: String,
        /// Log entries of the oldest backup of the copy that was tried: that state, and any later one, can be restored.
        oldest: u64,
    },
    /// No backup goes on so far.
    #[error("the newest backup ends with {entries} entries, before {point}; take the newest, or another target")]
    TooLate {
        /// What was asked for.
        point: String,
        /// Entries of the newest state.
        entries: u64,
    },
    /// The key that sealed records of then was destroyed by a rotation since.
    #[error(
        "records of then are sealed under data key {epoch}, which a rotation has destroyed since (the oldest left is {oldest}): \
         restore to a later state"
    )]
    KeyGone {
        /// The oldest data epoch of then.
        epoch: u32,
        /// The oldest of which there is a key.
        oldest: u32,
    },
    /// There is no key pack, or none that may be used.
    #[error(
        "there is no key pack at {target}: without it nothing is restored. It was kept apart; name the place where"
    )]
    NoPack {
        /// Where it was looked for.
        target: String,
    },
    /// The key pack is older than the backup says there is one.
    #[error(
        "key pack {found} is older than pack {wanted}, which the newest backup names: it would bring back what was erased \
         since. Find the newer pack"
    )]
    OldPack {
        /// The number that was found.
        found: u64,
        /// The number that there is.
        wanted: u64,
    },
    /// The key pack has older keys than the backup was made with.
    #[error(
        "key pack {number} has the keys of header {found}, and the backup was made under header {wanted}: a newer pack is needed. Find it; backups that are given a place for packs make one"
    )]
    OldKeys {
        /// Of the pack.
        number: u64,
        /// Generation of the header in it.
        found: u64,
        /// Generation of the header in force when the backup was made.
        wanted: u64,
    },
    /// The erasure ledger is older than one that is known.
    #[error(
        "the erasure ledger names {found} erasures, and {wanted} are known: it would bring back who was erased since. Find the \
         newer key pack"
    )]
    OldLedger {
        /// Erasures that it names.
        found: u64,
        /// Erasures that are known.
        wanted: u64,
    },
    /// A key pack is damaged.
    #[error("key pack {number} is damaged: {what}; find another copy of it")]
    Pack {
        /// Its number.
        number: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The objects are sealed, and no identity that opens them was given.
    #[error(
        "the backup is sealed with age, and none of the identities given opens it; give the identity of a recipient"
    )]
    Sealed,
    /// The text is no recipient, or no identity, of age.
    #[error("that is no age {what} of the X25519 kind")]
    AgeKey {
        /// `recipient` or `identity`.
        what: &'static str,
    },
    /// The vault has no journal that could be backed up: one in memory.
    #[error("a vault in memory has nothing that could be backed up")]
    InMemory,
    /// The directory holds a restore of something else that was not finished.
    #[error(
        "the directory holds an unfinished restore of {found}; finish that one, or restore into an empty directory"
    )]
    OtherRestore {
        /// What it is of.
        found: String,
    },
}
