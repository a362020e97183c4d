//! Closing a signing epoch, interrupted at each step.

use std::sync::{Arc, Mutex};

use super::*;
use crate::anchor::{Anchor, AnchorFault, AnchorPolicy, CallbackAnchor};
use crate::audit::{AuditEvent, Checkpoint, Draft, Outcome};
use crate::policy::EpochStart;
use crate::vault::signing::Closing;

/// Takes so many of the three steps, then lets `then` happen, and dies. What does the next opening find?
fn died_after(steps: usize, then: impl FnOnce(&Unlocked)) -> (u32, Option<EpochStart>) {
    let (dir, key) = (tempfile::tempdir().unwrap(), RawKey::generate().unwrap());
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let open = || Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    {
        let unlocked = vault.0.gate.enter().unwrap();
        let closing = Closing::begin(&unlocked).unwrap().unwrap();
        if steps > 0 {
            closing.keep_both().unwrap();
        }
        if steps > 1 {
            closing.commit_final().unwrap();
        }
        if steps > 2 {
            closing.keep_next().unwrap();
        }
        then(&unlocked);
    }
    vault.abandon();
    let mut vault = open();
    let told = |vault: &Vault| (vault.opening().signing_epoch, vault.opening().epoch_start);
    let found = told(&vault);
    let keys = vault.log_keys().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(keys.last().unwrap().final_checkpoint, None, "the epoch in force is not closed");
    for round in 1..=2 {
        vault.close().unwrap();
        vault = open();
        assert_eq!(told(&vault), (found.0 + round, Some(EpochStart::Announced)), "an epoch is closed once");
    }
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
    found
}

#[test]
fn a_crash_between_two_steps_of_a_close_leaves_an_epoch_that_goes_on_or_the_next_one() {
    assert_eq!(died_after(0, |_| ()), (1, None));
    assert_eq!(died_after(1, |_| ()), (1, None));
    assert_eq!(died_after(2, |_| ()), (2, Some(EpochStart::Announced)));
    assert_eq!(died_after(3, |_| ()), (2, Some(EpochStart::Announced)));
}

#[test]
fn an_epoch_behind_whose_final_checkpoint_an_entry_slipped_goes_on_as_long_as_its_key_is_there() {
    let slips = |unlocked: &Unlocked| {
        unlocked.commit(Vec::new(), vec![Draft::new(AuditEvent::Recovered, Outcome::Allowed)]).unwrap();
    };
    assert_eq!(died_after(2, slips), (1, None));
    assert_eq!(died_after(3, slips), (2, Some(EpochStart::KeyOfAnotherEpoch)));
}

/// Whoever has the key of now signs what it likes, with it.
#[test]
fn a_stolen_key_signs_nothing_of_epochs_that_were_closed_and_nothing_that_an_anchor_of_the_log_contradicts() {
    let (dir, key) = (tempfile::tempdir().unwrap(), RawKey::generate().unwrap());
    let held = Arc::new(Mutex::new(None));
    let holds = Arc::clone(&held);
    let last = move |_| Ok(holds.lock().unwrap().clone());
    let anchor = Arc::new(CallbackAnchor::new("notary", |_, _, _| Ok(()), last));
    let options = || Options::new().anchor(Arc::clone(&anchor) as Arc<dyn Anchor>, AnchorPolicy::default());
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).options(options()).finish().unwrap();
    vault.close().unwrap();
    let open = || Vault::open_with(dir.path(), options()).unwrap().unlock(&key);
    let vault = open().unwrap();
    let (in_the_first, now) = {
        let unlocked = vault.0.gate.enter().unwrap();
        let signing = unlocked.signing.get().unwrap();
        let forged = |size| Checkpoint::sign(vault.id(), (size, [0xBA; 32]), None, &signing.seed).note;
        (forged(1), forged(unlocked.committer.newest_entry().unwrap().seq + 1))
    };
    vault.close().unwrap();
    *held.lock().unwrap() = Some(in_the_first);
    assert!(matches!(open(), Err(Error::Anchor(AnchorFault::UnknownKey { anchored: 1, .. }))));
    *held.lock().unwrap() = Some(now);
    assert!(matches!(open(), Err(Error::Forked { .. })), "of its own epoch it can say what it likes");
    *held.lock().unwrap() = None;
    open().unwrap();
}
