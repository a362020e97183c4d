//! Verifies a backup without any key of the vault: what can be done on any machine, by anybody, again and again.

mod contents;
mod findings;

use std::fmt;
use std::sync::mpsc;
use std::thread;

pub use findings::{BackupFinding, BackupFlaw};

use super::fault::BackupFault;
use super::manifest::{BackupKey, Manifest, Piece, SignedManifest};
use super::seal::{self, BackupIdentity};
use super::shelf::Shelf;
use super::target::BackupTarget;
use crate::progress::{OnProgress, Progress, Task};
use contents::Contents;
use findings::Findings;

/// Verifies a backup without a key of the vault: that all manifests are there, signed, and go on from each other; that each
/// object is there, byte for byte; and, unless they are sealed and no identity is given, that the objects make up a journal whose
/// frames and log entries follow each other without a gap, with the root that each manifest was signed over.
///
/// It reads everything, goes on past what it finds, and holds a few objects in memory. That what is encrypted opens is not seen:
/// a drill shows that.
///
/// ```
/// use chartvault::{BackupCheck, FolderTarget};
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let Clinic { vault, dir, .. } = Clinic::new();
/// # let disk = dir.path().join("disk");
/// # let target = FolderTarget::create(&disk)?;
/// # vault.backup(&target).run()?;
/// # let pinned = vault.backup_key()?.to_string();
/// // Anywhere, with the public key that was noted once.
/// let found = BackupCheck::of(&target).signed_by(pinned.parse()?).run()?;
/// assert!(found.is_sound() && found.looked_inside);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is verified before `run`"]
pub struct BackupCheck<'t> {
    target: &'t dyn BackupTarget,
    key: Option<BackupKey>,
    identities: Vec<BackupIdentity>,
    from: u64,
}

impl<'t> BackupCheck<'t> {
    /// Of what is kept there.
    pub const fn of(target: &'t dyn BackupTarget) -> Self {
        Self { target, key: None, identities: Vec::new(), from: 0 }
    }

    /// Demands that this key signed all manifests. Without it whoever can write to the target can have made all of it.
    pub fn signed_by(mut self, key: BackupKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Looks inside sealed objects that this identity opens.
    pub fn identity(mut self, identity: BackupIdentity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Begins with the copy that has this manifest: goes on where a verification ended before ([`BackupVerified::last`]).
    pub const fn from_manifest(mut self, number: u64) -> Self {
        self.from = number;
        self
    }

    /// Verifies.
    ///
    /// # Errors
    /// [`BackupFault::Nothing`] where there is no backup, [`BackupFault::Target`] where the target does not answer. What is wrong
    /// with the backup is no error, but a finding.
    pub fn run(self) -> Result<BackupVerified, BackupFault> {
        self.run_with(&mut |_| ())
    }

    /// [`BackupCheck::run`], reporting progress.
    ///
    /// # Errors
    /// As [`BackupCheck::run`].
    pub fn run_with(self, progress: OnProgress<'_>) -> Result<BackupVerified, BackupFault> {
        let shelf = Shelf::new(self.target);
        let numbers = shelf.manifests()?;
        if numbers.is_empty() {
            return Err(BackupFault::Nothing { target: self.target.name().to_owned() });
        }
        let mut run = Run { check: &self, shelf, findings: Findings::default(), done: BackupVerified::default() };
        let manifests = run.manifests(&numbers)?;
        run.objects(&manifests, progress)?;
        let Run { findings, mut done, .. } = run;
        (done.findings, done.more_findings) = (findings.listed, findings.more);
        done.signed = self.key.is_some();
        Ok(done)
    }
}

impl fmt::Debug for BackupCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupCheck").field("target", &self.target.name()).finish_non_exhaustive()
    }
}

/// What verifying a backup found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupVerified {
    /// Manifests that were read.
    pub manifests: u64,
    /// Number of the last one.
    pub last: u64,
    /// Number of the newest one that is whole, so that it can be restored.
    pub whole: Option<u64>,
    /// Log entries in that.
    pub entries: u64,
    /// Root of the log's tree over these.
    pub root: Option<[u8; 32]>,
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether signatures were verified, since a key was given.
    pub signed: bool,
    /// Whether all objects were looked into.
    pub looked_inside: bool,
    /// What is wrong, the first 1,000.
    pub findings: Vec<BackupFinding>,
    /// How many more there are.
    pub more_findings: u64,
}

impl BackupVerified {
    /// Whether nothing is wrong, and there is something to restore.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.more_findings == 0 && self.whole.is_some()
    }
}

impl fmt::Display for BackupVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manifests, objects, bytes, entries, .. } = self;
        write!(f, "{manifests} manifests, {objects} objects of {bytes} bytes, {entries} log entries")?;
        f.write_str(if self.signed { ", signatures verified" } else { ", signatures not verified: no key was given" })?;
        if !self.looked_inside {
            f.write_str(", not looked into what is sealed")?;
        }
        match self.findings.len() {
            0 => f.write_str("; nothing is wrong"),
            _ => {
                write!(f, "; {} findings", u64::try_from(self.findings.len()).unwrap_or(u64::MAX) + self.more_findings)
            }
        }
    }
}

struct Run<'c> {
    check: &'c BackupCheck<'c>,
    shelf: Shelf<'c>,
    findings: Findings,
    done: BackupVerified,
}

impl Run<'_> {
    /// All manifests that can be read, in order.
    fn manifests(&mut self, numbers: &[u64]) -> Result<Vec<Manifest>, BackupFault> {
        let (mut read, mut before): (Vec<Manifest>, Option<SignedManifest>) = (Vec::new(), None);
        for number in numbers {
            let signed = match self.shelf.manifest(*number, None) {
                Ok(signed) => signed,
                Err(fault @ BackupFault::Target { .. }) => return Err(fault),
                Err(fault) => {
                    self.findings.add(*number, None, BackupFlaw::Unreadable(fault.to_string()));
                    before = None;
                    continue;
                }
            };
            if self.check.key.as_ref().is_some_and(|key| !signed.is_signed_by(key)) {
                self.findings.add(*number, None, BackupFlaw::Unsigned);
            }
            let (chain, _) = signed.manifest.chain;
            let goes_on = chain < *number;
            match &before {
                Some(before) if before.manifest.number.checked_add(1) == Some(*number) => {
                    let is_next = signed.manifest.previous == Some(before.sha256)
                        && signed.manifest.vault == before.manifest.vault
                        && (signed.manifest.tip.entries >= before.manifest.tip.entries || !before.manifest.whole)
                        && (!goes_on || before.manifest.chain.0 == chain);
                    if !is_next {
                        self.findings.add(*number, None, BackupFlaw::NotNext);
                    }
                }
                // Old copies are removed as a whole, so that the manifests of one are never left in part.
                _ if goes_on => self.findings.add(number.saturating_sub(1), None, BackupFlaw::MissingManifest),
                _ => {}
            }
            self.done.manifests = self.done.manifests.saturating_add(1);
            self.done.last = *number;
            if signed.manifest.whole {
                self.done.whole = Some(*number);
                (self.done.entries, self.done.root) = (signed.manifest.tip.entries, signed.manifest.tip.root);
            }
            read.push(signed.manifest.clone());
            before = Some(signed);
        }
        let from = self.check.from;
        let begin = read.iter().filter(|manifest| manifest.number <= from).map(|manifest| manifest.chain.0).max();
        read.retain(|manifest| begin.is_none_or(|begin| manifest.chain.0 >= begin));
        Ok(read)
    }

    /// Reads all objects: one thread fetches and hashes, this one reads what they hold.
    fn objects(&mut self, manifests: &[Manifest], progress: OnProgress<'_>) -> Result<(), BackupFault> {
        let total: u64 = manifests.iter().flat_map(|manifest| &manifest.pieces).map(|piece| piece.stored).sum();
        let (shelf, identities) = (self.shelf, self.check.identities.as_slice());
        let (send, fetched) = mpsc::sync_channel::<Fetched<'_>>(1);
        let mut reader = Reader { contents: None, broken: false, sealed: false };
        thread::scope(|scope| {
            let fetching = scope.spawn(move || fetch(shelf, manifests, identities, &send));
            for Fetched { manifest, piece, bytes } in fetched {
                if let Some(piece) = piece {
                    self.done.objects = self.done.objects.saturating_add(1);
                    self.done.bytes = self.done.bytes.saturating_add(piece.stored);
                    progress(Progress::new(Task::VerifyBackup, self.done.bytes, Some(total)));
                }
                reader.take(manifest, piece, bytes, &mut self.findings);
            }
            // A panic there is one here.
            fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        self.done.looked_inside = !reader.sealed;
        Ok(())
    }
}

/// An object that was fetched, or the end of its manifest.
struct Fetched<'m> {
    manifest: &'m Manifest,
    piece: Option<&'m Piece>,
    bytes: Result<Vec<u8>, BackupFault>,
}

fn fetch<'m>(
    shelf: Shelf<'_>,
    manifests: &'m [Manifest],
    identities: &[BackupIdentity],
    send: &mpsc::SyncSender<Fetched<'m>>,
) -> Result<(), BackupFault> {
    for manifest in manifests {
        for piece in &manifest.pieces {
            let bytes = match shelf.stored(piece, manifest.number) {
                Ok(stored) if seal::is_sealed(&stored) && identities.is_empty() => Err(BackupFault::Sealed),
                Ok(stored) => Shelf::opened(piece, manifest.number, stored, identities),
                Err(fault @ BackupFault::Target { .. }) => return Err(fault),
                Err(fault) => Err(fault),
            };
            if send.send(Fetched { manifest, piece: Some(piece), bytes }).is_err() {
                return Ok(());
            }
        }
        if send.send(Fetched { manifest, piece: None, bytes: Ok(Vec::new()) }).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

struct Reader {
    /// Of the chain with this first manifest.
    contents: Option<(u64, Contents)>,
    /// Whether what follows in the chain cannot be told any more.
    broken: bool,
    /// Whether there was something that could not be looked into, for lack of an identity.
    sealed: bool,
}

impl Reader {
    fn take(
        &mut self,
        manifest: &Manifest,
        piece: Option<&Piece>,
        bytes: Result<Vec<u8>, BackupFault>,
        findings: &mut Findings,
    ) {
        let (chain, _) = manifest.chain;
        if self.contents.as_ref().is_none_or(|(of, _)| *of != chain) {
            self.contents = Some((chain, Contents::new(manifest.vault)));
            // Without its beginning nothing can be said of the rest.
            self.broken = manifest.number != chain;
        }
        let Some((_, contents)) = &mut self.contents else { return };
        let name = piece.map(|piece| piece.name.to_string());
        let flaw = match (bytes, piece) {
            (Err(BackupFault::Sealed), _) => {
                self.sealed = true;
                self.broken = true;
                None
            }
            (Err(BackupFault::Damaged { what, .. }), _) => Some(BackupFlaw::Object(what.to_owned())),
            (Err(fault), _) => Some(BackupFlaw::Object(fault.to_string())),
            (Ok(_), _) if self.broken => None,
            (Ok(bytes), Some(piece)) => contents.take(&piece.part, &bytes).err(),
            (Ok(_), None) if manifest.whole => contents.ends_as(&manifest.tip).err(),
            (Ok(_), None) => None,
        };
        if let Some(flaw) = flaw {
            self.broken = true;
            findings.add(manifest.number, name.as_deref(), flaw);
        }
    }
}
