//! The thread that makes entries of reads durable once they have waited for long enough. Only in vaults that let them.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use super::Unlocked;
use crate::committer::Bell;

/// Ends, and is waited for, when dropped.
pub(super) struct Flusher {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts it. It does not keep the vault alive: between two rings it holds nothing of it.
    pub(super) fn start(unlocked: &Arc<Unlocked>) -> io::Result<Self> {
        let bell = Arc::clone(unlocked.committer.bell());
        bell.begin();
        let (rings, vault) = (Arc::clone(&bell), Arc::downgrade(unlocked));
        let thread = thread::Builder::new().name("chartvault-log".into()).spawn(move || run(&rings, &vault))?;
        Ok(Self { bell, thread: Some(thread) })
    }
}

fn run(bell: &Bell, vault: &Weak<Unlocked>) {
    while bell.wait() {
        let Some(unlocked) = vault.upgrade() else { return };
        // A failure has stopped the vault: every later access says so.
        let _ = unlocked.committer.flush();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.bell.end();
        if let Some(thread) = self.thread.take() {
            // It panicked if the clock did, and then the vault has stopped.
            let _ = thread.join();
        }
    }
}
