//! Backups that follow the vault: a thread copies what was written, every few seconds and whenever a segment of the journal is full.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Backup, BackupReport};
use crate::backup::{BackupRecipient, BackupTarget};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::vault::{Inner, Vault};

/// How often it looks whether there is something to copy.
const LOOK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 250 });
/// How long a target that fails is left alone, at most.
const MOST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How often the log is told that all goes well.
const TOLD_EVERY: Duration = Duration::from_secs(60 * 60);

/// Backups that are made again and again while a vault is open; see [`Vault::keep_backed_up`].
#[must_use = "nothing is backed up before `Vault::keep_backed_up`"]
#[derive(Clone)]
pub struct ContinuousBackup {
    target: Arc<dyn BackupTarget>,
    packs: Option<Arc<dyn BackupTarget>>,
    recipients: Vec<BackupRecipient>,
    every: Duration,
}

impl ContinuousBackup {
    /// To this target, every 60 seconds.
    pub fn to(target: Arc<dyn BackupTarget>) -> Self {
        Self { target, packs: None, recipients: Vec::new(), every: Duration::from_secs(60) }
    }

    /// How long what was written may wait until it is copied: what can be lost with the machine, as long as the target answers. At
    /// least a second. Nothing is copied where nothing was written.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_secs(1));
        self
    }

    /// As [`Backup::packs_to`].
    pub fn packs_to(mut self, packs: Arc<dyn BackupTarget>) -> Self {
        self.packs = Some(packs);
        self
    }

    /// As [`Backup::seal_to`].
    pub fn seal_to(mut self, recipient: BackupRecipient) -> Self {
        self.recipients.push(recipient);
        self
    }

    fn backup<'t>(&'t self, vault: &'t Vault) -> Backup<'t> {
        let backup = self.recipients.iter().fold(vault.backup(&*self.target), |to, one| to.seal_to(one.clone()));
        match &self.packs {
            Some(packs) => backup.packs_to(&**packs),
            None => backup,
        }
    }
}

impl fmt::Debug for ContinuousBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.name();
        f.debug_struct("ContinuousBackup").field("target", &target).field("every", &self.every).finish_non_exhaustive()
    }
}

/// How it stands with backups that follow a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowedState {
    /// The last backup.
    pub last: Option<BackupReport>,
    /// When it was made, by the vault's clock.
    pub at: Option<Timestamp>,
    /// Log entries of now that are in no backup yet: what would be lost with the machine.
    pub waiting: u64,
    /// Since when there is something that is in no backup yet.
    pub waiting_since: Option<Timestamp>,
    /// Why the last attempt failed, if it did. It is tried again.
    pub failure: Option<String>,
    /// Another machine goes on with this vault, from a backup at the same target: no more is copied to it.
    pub is_fenced: bool,
}

/// A thread that makes backups; it ends when this is dropped, after the backup that is under way. Where that may take long
/// (a first one, to a slow target), close the vault before: that ends it after the piece under way, and the next backup goes on.
pub struct BackupThread {
    state: Arc<Mutex<FollowedState>>,
    vault: Weak<Inner>,
    plan: ContinuousBackup,
    bell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Vault {
    /// Starts a thread that makes backups whenever there is something new: when a segment of the journal is full at once, and else
    /// every so many seconds ([`ContinuousBackup::every`]). Several can run at once, each to a target of its own. The log has an entry when one
    /// begins, fails, works again, copies all from the beginning or makes a key pack, and once an hour.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use chartvault::{ContinuousBackup, FolderTarget};
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, .. } = Clinic::new();
    /// # let disk = dir.path().join("disk");
    /// let target = Arc::new(FolderTarget::create(&disk)?);
    /// let following = vault.keep_backed_up(ContinuousBackup::to(target))?;
    /// // … a day's work …
    /// let last = following.finish()?; // before the vault is closed
    /// assert_eq!(last.waiting, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be had, [`Error::Sealed`].
    pub fn keep_backed_up(&self, plan: ContinuousBackup) -> Result<BackupThread, Error> {
        drop(self.0.gate.enter()?);
        let (bell, rung) = mpsc::channel::<()>();
        let state = Arc::new(Mutex::new(FollowedState::default()));
        let follower = Follower {
            vault: Arc::downgrade(&self.0),
            plan: plan.clone(),
            state: Arc::clone(&state),
            told: None,
            copied: None,
            tried: None,
            pause: Duration::ZERO,
        };
        let run = move || {
            let mut follower = follower;
            while rung.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if follower.look().is_none() {
                    return;
                }
            }
        };
        let doing = "starting the thread that backs up";
        let io = |source| Error::Io { doing, path: self.path().to_owned(), source };
        let thread = thread::Builder::new().name("chartvault-backup".into()).spawn(run).map_err(io)?;
        Ok(BackupThread { state, vault: Arc::downgrade(&self.0), plan, bell: Some(bell), thread: Some(thread) })
    }
}

impl BackupThread {
    /// How it stands now.
    #[must_use]
    pub fn state(&self) -> FollowedState {
        let mut state = lock(&self.state).clone();
        let entries =
            |vault: Arc<Inner>| vault.gate.look_in(|unlocked| unlocked.committer.storage().head().entries).ok();
        if let Some(entries) = self.vault.upgrade().and_then(entries) {
            let copied = state.last.as_ref().map_or(0, |last| last.entries);
            state.waiting = if state.waiting_since.is_some() { entries.saturating_sub(copied).max(1) } else { 0 };
        }
        state
    }

    /// Ends the thread after a last backup of what is in none yet.
    ///
    /// # Errors
    /// As [`Backup::run`].
    pub fn finish(mut self) -> Result<FollowedState, Error> {
        self.stop();
        let vault = Vault(self.vault.upgrade().ok_or(Error::Sealed)?);
        let last = self.plan.backup(&vault).run()?;
        let at = vault.0.gate.enter()?.clock.now();
        Ok(FollowedState { last: Some(last), at: Some(at), ..FollowedState::default() })
    }

    fn stop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic there changes nothing here.
            let _ = thread.join();
        }
    }
}

impl Drop for BackupThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for BackupThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupThread").field("plan", &self.plan).field("state", &self.state()).finish_non_exhaustive()
    }
}

struct Follower {
    vault: Weak<Inner>,
    plan: ContinuousBackup,
    state: Arc<Mutex<FollowedState>>,
    /// When the log was told last.
    told: Option<Instant>,
    /// Frames and segment of the journal after the last backup.
    copied: Option<(u64, u64)>,
    /// When something was tried last.
    tried: Option<Instant>,
    /// How long to wait after a failure.
    pause: Duration,
}

impl Follower {
    /// Nothing once the vault is gone.
    fn look(&mut self) -> Option<()> {
        let vault = Vault(self.vault.upgrade()?);
        let (frames, segment, now) = vault
            .0
            .gate
            .look_in(|unlocked| {
                let storage = unlocked.committer.storage();
                (storage.head().seq, storage.segment(), unlocked.clock.now())
            })
            .ok()?;
        if self.copied.is_some_and(|(copied, _)| copied == frames) {
            return Some(());
        }
        lock(&self.state).waiting_since.get_or_insert(now);
        let waited = self.tried.map(|tried| tried.elapsed());
        let due = waited.is_none_or(|waited| waited >= self.plan.every.max(self.pause));
        let is_full = self.pause.is_zero() && self.copied.is_some_and(|(_, copied)| copied != segment);
        if due || is_full {
            self.tried = Some(Instant::now());
            self.back_up(&vault, (frames, segment));
        }
        Some(())
    }

    fn back_up(&mut self, vault: &Vault, now: (u64, u64)) {
        let failed_before = !self.pause.is_zero();
        let tell = failed_before || self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        let made = self.plan.backup(vault).run_told(|made| match made {
            Ok(report) => tell || report.from_the_beginning || report.new_pack,
            Err(_) => !failed_before,
        });
        let (made, told) = match made {
            Ok((report, told)) => (Ok(report), told),
            Err(error) => (Err(error), true),
        };
        if told {
            self.told = Some(Instant::now());
        }
        let mut state = lock(&self.state);
        match made {
            Ok(report) => {
                self.pause = Duration::ZERO;
                // The entry about it is a frame as well, and nothing that has to be copied.
                let after = vault.0.gate.look_in(|unlocked| {
                    let storage = unlocked.committer.storage();
                    (storage.head(), storage.segment(), unlocked.clock.now())
                });
                let own = if told { 1 } else { 0 };
                let at = after.as_ref().ok().map(|(_, _, at)| *at);
                self.copied = match after {
                    Ok((head, segment, _)) if head.entries <= report.entries.saturating_add(own) => {
                        Some((head.seq, segment))
                    }
                    _ => Some(now),
                };
                *state = FollowedState { last: Some(report), at, ..FollowedState::default() };
            }
            Err(error) => {
                self.pause = self.pause.saturating_mul(2).clamp(self.plan.every, MOST_PAUSE);
                state.is_fenced = matches!(error, Error::Backup(crate::backup::BackupFault::NotOurs { .. }));
                state.failure = Some(error.to_string());
            }
        }
    }
}

fn lock(state: &Mutex<FollowedState>) -> MutexGuard<'_, FollowedState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
