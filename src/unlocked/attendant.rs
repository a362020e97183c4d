//! The threads that see to what waits in the committer: entries of reads that are to become durable, in vaults that let them
//! wait; and what is durable and not yet in the trees.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use super::Unlocked;
use crate::committer::{Bell, Committer};

/// Ends, and is waited for, when dropped.
pub(super) struct Attendant {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Attendant {
    /// Makes entries of reads durable once they have waited for long enough.
    pub(super) fn flusher(unlocked: &Arc<Unlocked>) -> io::Result<Self> {
        Self::start("chartvault-log", unlocked, unlocked.committer.bell(), |committer| {
            // A failure has stopped the vault: every later access says so.
            let _ = committer.flush();
        })
    }

    /// Settles what is durable.
    pub(super) fn settler(unlocked: &Arc<Unlocked>) -> io::Result<Self> {
        let bell = unlocked.committer.settle_bell();
        let started = Self::start("chartvault-trees", unlocked, bell, Committer::settle)?;
        unlocked.committer.attend(true);
        Ok(started)
    }

    /// Starts it. It does not keep the vault alive: between two rings it holds nothing of it.
    fn start(name: &str, unlocked: &Arc<Unlocked>, bell: &Arc<Bell>, call: fn(&Committer)) -> io::Result<Self> {
        bell.begin();
        let (rings, vault) = (Arc::clone(bell), Arc::downgrade(unlocked));
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(&rings, &vault, call))?;
        Ok(Self { bell: Arc::clone(bell), thread: Some(thread) })
    }
}

fn run(bell: &Bell, vault: &Weak<Unlocked>, call: fn(&Committer)) {
    while bell.wait() {
        let Some(unlocked) = vault.upgrade() else { return };
        let committer = &unlocked.committer;
        if catch_unwind(AssertUnwindSafe(|| call(committer))).is_err() {
            // The host's clock, or the trees: what it left half done only a new opening can tell.
            committer.stop("a thread of the vault panicked");
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.bell.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
