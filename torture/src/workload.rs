//! The process that is tortured: opens a vault and works with it, and says each thing on its standard output before it
//! begins and after it was answered.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use chartvault::{Error, RawKey, ReadAudit, RecordRef, Suite, Vault};

use crate::acts::Writer;
use crate::compaction;
use crate::keys;
use crate::ledger::{Deed, Ledger};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::rotation::{self, Openers};

/// What all threads of the process share.
pub struct Shared {
    pub plan: Plan,
    voice: File,
    next_op: AtomicU64,
    /// Records that readers may ask for.
    pub known: Mutex<Vec<RecordRef>>,
    /// The issuer is trusted, as far as anybody heard.
    trusted: AtomicBool,
    /// Rotations begun by this process, and the keys that open the vault by now.
    pub rotations: AtomicUsize,
    pub openers: Mutex<Openers>,
    /// Somebody was answered with an error of the store: everybody finishes.
    pub failed: AtomicBool,
}

impl Shared {
    /// Says one line, in one write: others may be speaking, and the process may die at any moment.
    pub fn say(&self, line: &str) {
        let _ = (&self.voice).write_all(format!("{line}\n").as_bytes());
    }

    pub fn begin(&self, deed: &Deed) -> u64 {
        let op = self.next_op.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("b {op} {deed}"));
        op
    }

    pub fn acknowledge(&self, op: u64, answer: &str) {
        self.say(format!("a {op} {answer}").trim_end());
    }

    /// Says that something was answered with an error, and whether that may be.
    pub fn fail(&self, op: &str, error: &Error) {
        self.failed.store(true, Ordering::Relaxed);
        let word = match error {
            Error::NotCommitted(_) | Error::AuditUnavailable { .. } | Error::Sealed => "not-committed",
            _ => "unknown",
        };
        self.fail_as(op, word, error);
    }

    /// The same of an operation of several commits: it may have happened, whatever the error.
    pub fn fail_unsure(&self, op: u64, error: &Error) {
        self.failed.store(true, Ordering::Relaxed);
        self.fail_as(&op.to_string(), "unknown", error);
    }

    fn fail_as(&self, op: &str, word: &str, error: &Error) {
        self.say(&format!("e {op} {word} {}", one_line(error)));
        if !(self.plan.faults && may_follow_a_fault(error)) {
            self.say(&format!("w {op} an error that nothing gave cause for: {}", one_line(error)));
        }
    }

    pub fn wrong(&self, op: u64, what: &str) {
        self.say(&format!("w {op} {what}"));
    }
}

pub fn one_line(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.replace(['\n', '\t'], " ")
}

/// Errors with which a failing disk may be answered: none of them says that stored bytes are wrong.
pub fn may_follow_a_fault(error: &Error) -> bool {
    use chartvault::{CopyFault, HeaderFileError, StorageError as S, UnlockError};
    match error {
        Error::NotCommitted(_) | Error::OutcomeUnknown(_) | Error::AuditUnavailable { .. } | Error::Sealed => true,
        Error::Io { .. } | Error::InUse { .. } | Error::NotEmpty { .. } => true,
        Error::Header(HeaderFileError::Io { .. } | HeaderFileError::NotAVault { .. }) => true,
        Error::Header(HeaderFileError::BothUnusable { a, b, .. }) => {
            [a, b].iter().any(|copy| matches!(copy, CopyFault::Unreadable(_) | CopyFault::Missing))
        }
        Error::Unlock(UnlockError::Header(_)) => false,
        Error::Storage(storage) => {
            matches!(
                storage,
                S::Io { .. } | S::DiskFull { .. } | S::Trees { .. } | S::Poisoned { .. } | S::InUse { .. }
            )
        }
        _ => false,
    }
}

/// `torture work …`: the exit code is 0 whatever the vault answered.
pub fn run(plan: Plan) -> io::Result<()> {
    let earlier = match &plan.ledger {
        Some(path) => Ledger::read(&fs::read_to_string(path)?),
        None => Ledger::default(),
    };
    let voice = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let known = earlier.ops.values().filter_map(|(deed, end)| put_and_acknowledged(deed, end)).flatten().collect();
    let shared = Shared {
        voice,
        next_op: AtomicU64::new(earlier.next_op()),
        known: Mutex::new(known),
        trusted: AtomicBool::new(earlier.trusted),
        failed: AtomicBool::new(false),
        rotations: AtomicUsize::new(0),
        openers: Mutex::new(earlier.openers.clone()),
        plan,
    };
    let mut writers: Vec<Writer> = (0..shared.plan.writers).map(|number| Writer::new(&shared, number)).collect();
    Writer::share_out(&mut writers, &earlier);
    let mut vault = if shared.plan.create { create(&shared) } else { open(&shared) };
    // Who lost a race to create it knows nothing of what the winner put there.
    let is_ours = vault.is_some() || !shared.plan.create;
    for round in 0..shared.plan.rounds {
        let Some(open_vault) = vault.take() else { break };
        work(&shared, &mut writers, &open_vault, round);
        let last = round + 1 == shared.plan.rounds;
        if last && shared.plan.leave {
            return Ok(());
        }
        let hold = if shared.plan.faults { Some(open_vault.clone()) } else { None };
        close(&shared, open_vault);
        drop(hold);
        if !last {
            vault = open(&shared);
        }
    }
    if is_ours && shared.plan.faults && shared.failed.load(Ordering::Relaxed) {
        // Whoever was told to close the vault and open it again does so.
        if let Some(vault) = open(&shared) {
            shared.failed.store(false, Ordering::Relaxed);
            work(&shared, &mut writers, &vault, 1_000);
            close(&shared, vault);
        }
    }
    Ok(())
}

fn put_and_acknowledged(deed: &Deed, end: &crate::ledger::End) -> Option<Vec<RecordRef>> {
    match (deed, end) {
        (Deed::Put { .. }, crate::ledger::End::Acknowledged(ids)) => ids.iter().map(|id| id.parse().ok()).collect(),
        _ => None,
    }
}

fn create(shared: &Shared) -> Option<Vault> {
    let key = keys::raw_key(shared.plan.seed);
    let suite = if shared.plan.aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
    let vault = match Vault::create(&shared.plan.dir).raw_key(&key).suite(suite).options(keys::options()).finish() {
        Ok((vault, _recovery)) => vault,
        Err(error) => {
            shared.fail("-", &error);
            return None;
        }
    };
    shared.say("a - created");
    trust(shared, &vault).then_some(vault)
}

fn trust(shared: &Shared, vault: &Vault) -> bool {
    match vault.trust_issuer(keys::issuer(shared.plan.seed).public(), &keys::raw_key(shared.plan.seed)) {
        Ok(()) => {
            shared.trusted.store(true, Ordering::Relaxed);
            shared.say("a - trusted");
            true
        }
        Err(error) => {
            shared.fail("-", &error);
            false
        }
    }
}

fn open(shared: &Shared) -> Option<Vault> {
    let mut openers = shared.openers.lock().unwrap_or_else(PoisonError::into_inner);
    let unlock = |key: &RawKey| Vault::open_with(&shared.plan.dir, keys::options())?.unlock(key);
    match openers.open(shared.plan.seed, unlock) {
        Ok((vault, key)) => {
            shared.say(&format!("a - opened {}", vault.opening()));
            if openers.next.is_some() {
                openers.hear(&["opens", &key.to_string()]);
                shared.say(&format!("a - opens {key}"));
            }
            drop(openers);
            if !widen(shared, &vault) {
                return None;
            }
            (shared.trusted.load(Ordering::Relaxed) || trust(shared, &vault)).then_some(vault)
        }
        Err(error) => {
            shared.fail("-", &error);
            None
        }
    }
}

/// Lets entries of reads wait, if the plan says so.
fn widen(shared: &Shared, vault: &Vault) -> bool {
    if shared.plan.window == 0 {
        return true;
    }
    let entries = u32::try_from(shared.plan.window).unwrap_or(u32::MAX);
    let choice = ReadAudit::Windowed { delay: Duration::from_secs(60), entries };
    // Said before: once it is begun it may be in force.
    shared.say(&format!("a - windowed {entries}"));
    if let Err(error) = vault.set_read_audit(choice, &keys::raw_key(shared.plan.seed)) {
        shared.fail("-", &error);
        return false;
    }
    true
}

fn close(shared: &Shared, vault: Vault) {
    match vault.close() {
        Ok(()) => shared.say("a - closed"),
        Err(error) => shared.fail("-", &error),
    }
}

/// All writers and readers at once; a lone writer works on this very thread.
fn work(shared: &Shared, writers: &mut [Writer], vault: &Vault, round: usize) {
    let session = match keys::session(shared.plan.seed, vault) {
        Ok(session) => session,
        Err(error) => return shared.fail("-", &error),
    };
    if let ([writer], 0) = (&mut *writers, shared.plan.readers) {
        return writer.work(shared, vault, &session, round);
    }
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        let session = &session;
        let writing = &writing;
        let threads: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(move || writer.work(shared, vault, session, round))).collect();
        for reader in 0..shared.plan.readers {
            scope.spawn(move || {
                let mut rng = Rng::of(shared.plan.seed, &[77, reader as u64, round as u64]);
                while writing.load(Ordering::Relaxed) {
                    compaction::read_somehow(shared, session, &mut rng);
                }
            });
        }
        if shared.plan.rotate > 0 {
            scope.spawn(|| rotation::keep_rotating(shared, vault, session, writing));
        }
        if shared.plan.compact > 0 {
            scope.spawn(|| compaction::keep_compacting(shared, vault, writing));
        }
        for thread in threads {
            if thread.join().is_err() {
                shared.wrong(0, "a writer panicked");
            }
        }
        writing.store(false, Ordering::Relaxed);
    });
}
