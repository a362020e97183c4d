//! Who keeps a vault open that seals itself when nobody uses it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{Clock, Timestamp};

/// A clock that is moved by hand, in microseconds.
#[derive(Debug)]
struct Hands(AtomicI64);

impl Hands {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn whoever_is_at_work_keeps_it_open_also_while_the_keeper_looks_in_and_the_keeper_alone_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (key, clock) = (RawKey::generate().unwrap(), Arc::new(Hands(AtomicI64::new(1_750_000_000_000_000))));
    let options = Options::new().clock(clock.clone()).seal_when_idle(Duration::from_secs(900));
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).options(options).finish().unwrap();
    let gate = &vault.0.gate;
    let (inside, is_inside) = mpsc::channel();
    let (leave, leaves) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Goes with this closure, whatever comes.
        let leave = leave;
        scope.spawn(move || {
            gate.look_in(|_| {
                inside.send(()).unwrap();
                leaves.recv().unwrap_or_default();
            })
        });
        is_inside.recv().unwrap();
        // Somebody's rotation, say: it enters once and takes long.
        let at_work = gate.enter().unwrap();
        clock.advance(Duration::from_secs(900));
        drop(gate.enter().unwrap());
        clock.advance(Duration::from_secs(900));
        assert!(gate.idle_left().is_some_and(|left| !left.is_zero()), "somebody is at work");
        drop(at_work);
        clock.advance(Duration::from_secs(900));
        assert!(matches!(gate.enter(), Err(Error::Sealed)), "the keeper alone does not keep it open");
        leave.send(()).unwrap();
    });
}
