//! What can be wrong with an archive of the log.

use chartvault_verify::archive::ArchiveError;
pub use chartvault_verify::archive::Archived as LogArchive;

/// Why entries of the log were not archived, or an archive is not what the log says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogArchiveError {
    /// The log is archived in whole tiles of 256 entries.
    #[error(
        "entries {first} up to {end} are no whole tiles; begin and end at multiples of 256, of which the last is {whole}"
    )]
    NotWhole {
        /// Number of the first entry that was asked for.
        first: u64,
        /// Number behind the last one that was asked for.
        end: u64,
        /// Number behind the last entry of the log's last whole tile.
        whole: u64,
    },
    /// The archive is of another vault's log.
    #[error("it is of another vault's log; take the one of this vault")]
    OtherVault,
    /// The log has something else there.
    #[error("entry {seq} is not the one of the log; archive these entries anew, and ask who wrote the other")]
    Differs {
        /// Number of the first entry that differs.
        seq: u64,
    },
    /// It could not be written, or it is not sound by itself.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}
