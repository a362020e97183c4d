//! Rotations of keys in the workload, and which credentials open the vault then.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chartvault::{Compaction, Error, NewSlot, PatientId, Rotated, Rotation, Session, Suite, Vault};

use crate::erasure;
use crate::keys;
use crate::workload::Shared;

/// What is rotated, in turn; "key" is a credential that becomes another. A root key goes with a slot that is added before and must not open afterwards.
/// Erasing somebody rotates the wrap key.
const TURNS: [&str; 7] = ["data", "wrap", "suite", "root", "key", "audit", "erase"];

/// Which keys open a vault, by their numbers ([`keys::numbered`]), as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Openers {
    /// Acknowledged.
    pub current: u64,
    /// Takes its place by a change under way.
    pub next: Option<u64>,
    /// Of a second slot, acknowledged, and nothing is under way about it.
    pub guest: Option<u64>,
    /// Must not open any more.
    pub gone: BTreeSet<u64>,
    /// The highest number of all.
    pub highest: u64,
}

impl Openers {
    /// Takes in what was said of keys; whether that was it.
    pub fn hear(&mut self, words: &[&str]) -> bool {
        let [verb, number] = words else { return false };
        let Ok(number) = number.parse() else { return false };
        match *verb {
            "inviting" => {}
            "changing" => self.next = Some(number),
            "changed" => {
                self.gone.insert(self.current);
                (self.current, self.next) = (number, None);
            }
            "opens" => (self.current, self.next) = (number, None),
            "invited" => self.guest = Some(number),
            "expelling" => self.guest = None,
            "expelled" => drop(self.gone.insert(number)),
            _ => return false,
        }
        self.highest = self.highest.max(number);
        true
    }

    /// Opens with what must open; with what may have taken its place, if that does not.
    pub fn open(
        &self,
        seed: u64,
        open: impl Fn(&chartvault::RawKey) -> Result<Vault, Error>,
    ) -> Result<(Vault, u64), Error> {
        let with = |number: u64| open(&keys::numbered(seed, number)).map(|vault| (vault, number));
        match (with(self.current), self.next) {
            (Err(Error::Unlock(_)), Some(next)) => with(next),
            (opened, _) => opened,
        }
    }

    /// A key that no slot has had.
    const fn unused(&self) -> u64 {
        self.highest + 1
    }
}

/// What was said of rotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotations {
    /// One was begun, and nobody heard that it ended.
    pub under_way: bool,
    /// Ended, each of them by dropping keys; but those of the log's key, which drop none.
    pub ended: usize,
    pub audits: u32,
    /// Of the root key, and of the suite.
    pub roots: usize,
    pub suites: usize,
    /// What seals, where that was changed.
    pub suite: Option<String>,
}

impl Rotations {
    /// Takes in what was said of rotations; whether that was it.
    pub fn hear(&mut self, words: &[&str]) -> bool {
        match words {
            ["rotating", ..] => (self.under_way, self.suite) = (true, None),
            ["rotated", what, rest @ ..] => {
                self.under_way = false;
                self.ended += usize::from(*what != "audit");
                self.audits += u32::from(*what == "audit");
                self.roots += usize::from(*what == "root");
                self.suites += usize::from(*what == "suite");
                self.suite = rest.first().map(|suite| (*suite).to_owned());
            }
            _ => return false,
        }
        true
    }
}

/// Rotates what is next in turn, or goes on with what was interrupted. If that is an erasure, `whom` says who is erased, or
/// nobody whom anyone else knows.
pub fn rotate(shared: &Shared, vault: &Vault, session: &Session, whom: impl FnOnce() -> Option<PatientId>) {
    // Whoever was answered with an error opens the vault again first: which key opens it is not known now.
    if shared.failed.load(Ordering::Relaxed) {
        return;
    }
    let (under_way, drops) = match vault.rotation() {
        Ok(rotation) => (rotation.is_under_way(), drops_keys(&rotation)),
        Err(error) => return shared.fail("-", &error),
    };
    let number = shared.rotations.fetch_add(usize::from(!under_way), Ordering::Relaxed);
    let what = if drops {
        "on"
    } else if under_way {
        "audit"
    } else {
        TURNS[(shared.plan.turn + number) % TURNS.len()]
    };
    let mut openers = shared.openers.lock().unwrap_or_else(PoisonError::into_inner);
    let done = match what {
        "root" => root(shared, vault, &mut openers),
        "key" => change_key(shared, vault, &mut openers),
        "erase" => {
            let key = keys::numbered(shared.plan.seed, openers.current);
            match whom() {
                Some(patient) => erasure::erase(shared, vault, session, patient, &key),
                None => erasure::erase_a_stranger(shared, vault, session, &key),
            }
            Ok(())
        }
        "audit" => audit(shared, vault, openers.current),
        what => keys_of(shared, vault, what, openers.current),
    };
    if let Err(error) = done {
        shared.fail("-", &error);
    }
}

/// Whether going on with it ends by dropping keys; a key of the log that waits is only put in force.
pub fn drops_keys(rotation: &Rotation) -> bool {
    rotation.data_epochs.len() > 1 || rotation.wrap_epochs.len() > 1
}

fn keys_of(shared: &Shared, vault: &Vault, what: &str, opener: u64) -> Result<(), Error> {
    let key = keys::numbered(shared.plan.seed, opener);
    shared.say(&format!("a - rotating {what}"));
    let rotated = match what {
        "data" => vault.rotate_data_key(&key, &mut |_| ())?,
        "wrap" => vault.rotate_wrap_key(&key, &mut |_| ())?,
        "suite" => {
            let other = if vault.suite() == Suite::Aes256Gcm { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
            vault.change_suite(other, &key, &mut |_| ())?
        }
        _ => vault.continue_rotation(&key, &mut |_| ())?,
    };
    through(shared, vault, what, &rotated)
}

/// A rotation was answered.
fn through(shared: &Shared, vault: &Vault, what: &str, rotated: &Rotated) -> Result<(), Error> {
    if let Some(Compaction { .. }) = rotated.compaction {
        shared.say("a - compacted by a rotation");
    }
    if rotated.unreadable > 0 && shared.plan.faults {
        // The disk did not give a row just now. Whoever judges goes on with it, and then it has to end.
        shared.say(&format!("a - put off: {rotated}"));
        return Ok(());
    }
    if rotated.unreadable > 0 || vault.rotation()?.is_under_way() {
        shared.wrong(0, &format!("rotated {what}, and left: {rotated}"));
    }
    let suite = format!(" {:?}", vault.suite());
    shared.say(format!("a - rotated {what}{}", if what == "suite" { &suite } else { "" }).trim_end());
    Ok(())
}

/// Gives the log a new key.
fn audit(shared: &Shared, vault: &Vault, opener: u64) -> Result<(), Error> {
    shared.say("a - rotating audit");
    vault.rotate_audit_key(&keys::numbered(shared.plan.seed, opener))?;
    through(shared, vault, "audit", &Rotated::default())
}

/// Adds a slot, and drops it by a new root key.
fn root(shared: &Shared, vault: &Vault, openers: &mut Openers) -> Result<(), Error> {
    let seed = shared.plan.seed;
    let (key, guest) = (keys::numbered(seed, openers.current), openers.unused());
    let tell = |openers: &mut Openers, verb: &str| {
        openers.hear(&[verb, &guest.to_string()]);
        shared.say(&format!("a - {verb} {guest}"));
    };
    tell(openers, "inviting");
    vault.add_slot(NewSlot::of(&keys::numbered(seed, guest)), &key)?;
    tell(openers, "invited");
    tell(openers, "expelling");
    shared.say("a - rotating root");
    vault.rotate_root_key(&[(&key).into()])?;
    tell(openers, "expelled");
    let rotated = vault.continue_rotation(&key, &mut |_| ())?;
    through(shared, vault, "root", &rotated)
}

/// Has another key open the slot that the present one opens.
fn change_key(shared: &Shared, vault: &Vault, openers: &mut Openers) -> Result<(), Error> {
    let (seed, old, next) = (shared.plan.seed, openers.current, openers.unused());
    for verb in ["changing", "changed"] {
        if verb == "changed" {
            vault.change_credential(&keys::numbered(seed, old), NewSlot::of(&keys::numbered(seed, next)))?;
        }
        openers.hear(&[verb, &next.to_string()]);
        shared.say(&format!("a - {verb} {next}"));
    }
    Ok(())
}

/// Rotates again and again while others write.
pub fn keep_rotating(shared: &Shared, vault: &Vault, session: &Session, writing: &AtomicBool) {
    while writing.load(Ordering::Relaxed) {
        rotate(shared, vault, session, || None);
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &[&str]) -> Openers {
        let mut openers = Openers::default();
        assert!(said.iter().all(|line| openers.hear(&line.split(' ').collect::<Vec<_>>())));
        openers
    }

    #[test]
    fn a_key_counts_from_the_moment_it_may_open_and_is_gone_once_that_is_said() {
        let one = Openers { highest: 1, ..Openers::default() };
        assert_eq!(heard(&["changing 1"]), Openers { next: Some(1), ..one.clone() });
        let gone = BTreeSet::from([0]);
        assert_eq!(heard(&["changing 1", "changed 1"]), Openers { current: 1, gone, ..one.clone() });
        assert_eq!(heard(&["changing 1", "opens 0"]), one);
        assert_eq!(heard(&["invited 1"]).guest, Some(1));
        assert_eq!(heard(&["invited 1", "expelling 1"]).guest, None);
        assert_eq!(heard(&["invited 1", "expelling 1", "expelled 1"]).gone, BTreeSet::from([1]));
        assert_eq!(heard(&["inviting 1"]).unused(), 2);
    }
}
