//! Where backups are kept: a folder, or a bucket where the tool was built for its store.

use std::path::Path;

use chartvault::{BackupFault, BackupIdentity, BackupTarget, Error, FolderTarget, TargetError};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::private_file;
use crate::show::{Show, warn};

/// A target that can be given to threads.
pub type Place = Box<dyn BackupTarget>;

/// What a place is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// What is there.
    Read,
    /// More of it.
    Write,
    /// The same; a folder that is new is made.
    Create,
}

/// Opens a folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
pub fn open(text: &str, to: To) -> Outcome<Place> {
    match text.split_once("://") {
        Some((store, rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            bucket_at(store, bucket, prefix, text)
        }
        None => folder(Path::new(text), to),
    }
}

fn folder(path: &Path, to: To) -> Outcome<Place> {
    let opened = match FolderTarget::open(path) {
        Err(TargetError::NoTarget { .. }) if to == To::Create => FolderTarget::create(path),
        opened => opened,
    };
    opened.map(|target| -> Place { Box::new(target) }).map_err(|error| match error {
        TargetError::NoTarget { path } => none_there(&path, to),
        error => failed(error),
    })
}

/// Whoever has backups and key packs has all but a credential.
pub fn warn_of_packs_beside(to: &str, packs: Option<&str>, show: Show) {
    let path = |place: &str| std::fs::canonicalize(place).unwrap_or_else(|_| place.into());
    if packs.is_some_and(|packs| path(packs) == path(to)) {
        warn(
            show,
            "the key packs lie with the backups: whoever takes that place has both. Name another one with --packs",
        );
    }
}

/// A folder that was never a place of backups: often one whose disk is not mounted.
fn none_there(path: &Path, to: To) -> Failure {
    let path = path.display();
    let none = format!("{path} is no place of backups or key packs");
    match to {
        To::Read => Failure::new(Code::NoVault, none).hint("mount its disk, or name the place that was backed up to"),
        To::Write => Failure::new(Code::Error, none)
            .hint("mount its disk; a new place is made by chartvault backup run with --create"),
        To::Create => Failure::new(Code::Error, format_args!("{path} cannot be made: what is above it is not there"))
            .hint("mount its disk, or make the folder above it first"),
    }
}

#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
fn bucket_at(store: &str, bucket: &str, prefix: &str, text: &str) -> Outcome<Place> {
    let new = match store {
        #[cfg(feature = "backup-s3")]
        "s3" => chartvault::StoreTarget::s3(bucket, prefix),
        #[cfg(feature = "backup-gcs")]
        "gs" => chartvault::StoreTarget::gcs(bucket, prefix),
        #[cfg(feature = "backup-azure")]
        "az" => chartvault::StoreTarget::azure(bucket, prefix),
        _ => return Err(unknown(store, text)),
    };
    new.open().map(|target| -> Place { Box::new(target) }).map_err(failed)
}

#[cfg(not(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure")))]
fn bucket_at(store: &str, _: &str, _: &str, text: &str) -> Outcome<Place> {
    Err(unknown(store, text))
}

fn unknown(store: &str, text: &str) -> Failure {
    let feature = match store {
        "s3" => "backup-s3",
        "gs" => "backup-gcs",
        "az" => "backup-azure",
        _ => {
            return Failure::usage(format_args!("{text} is no place of backups"))
                .hint("name a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix");
        }
    };
    Failure::new(Code::Error, format_args!("this build of the tool has no {store}:// targets"))
        .hint(format_args!("build it with: cargo build --release --features cli,{feature}"))
}

pub fn failed(error: TargetError) -> Failure {
    Failure::new(Code::Error, error)
}

/// The identities in these files.
pub fn identities(files: &[std::path::PathBuf]) -> Outcome<Vec<BackupIdentity>> {
    let read = |file: &std::path::PathBuf| {
        let bytes = private_file(file)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        text.parse().map_err(|error: BackupFault| {
            Failure::new(Code::Error, format_args!("{}: {error}", file.display()))
                .hint("one is made with: chartvault backup new-identity --out FILE")
        })
    };
    files.iter().map(read).collect()
}

/// What a fault of a backup means for whoever runs the tool.
pub fn told(error: Error) -> Failure {
    match error {
        Error::Backup(fault) => fault_told(fault),
        error => error.into(),
    }
}

/// [`told`], for what no vault was needed for.
pub fn fault_told(fault: BackupFault) -> Failure {
    let code = match &fault {
        BackupFault::Nothing { .. } | BackupFault::NoPack { .. } => Code::NoVault,
        BackupFault::Manifest { .. }
        | BackupFault::Unsigned { .. }
        | BackupFault::Broken { .. }
        | BackupFault::Damaged { .. }
        | BackupFault::Pack { .. }
        | BackupFault::NotOurs { .. } => Code::Tampering,
        BackupFault::Sealed => Code::WrongCredential,
        _ => Code::Error,
    };
    let hint = match &fault {
        BackupFault::Nothing { .. } => Some("make one: chartvault backup run --to PLACE --packs PLACE"),
        BackupFault::NoPack { .. } => Some("name the place of the key packs with --packs"),
        BackupFault::Sealed => Some("name the file of an identity with --identity FILE"),
        BackupFault::Damaged { .. } | BackupFault::Broken { .. } | BackupFault::Manifest { .. } => {
            Some("chartvault backup verify names all that is wrong; another target may have what this one lost")
        }
        BackupFault::OldPack { .. } | BackupFault::OldLedger { .. } | BackupFault::OldKeys { .. } => Some(
            "name the place of the newest key packs with --packs; where the vault still opens, chartvault backup run makes one",
        ),
        BackupFault::TooEarly { .. } | BackupFault::TooLate { .. } => {
            Some("chartvault backup ls --to PLACE shows what there is")
        }
        _ => None,
    };
    let failure = Failure::new(code, fault);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
