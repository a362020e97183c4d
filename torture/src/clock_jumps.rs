//! A clock that jumps ahead and back while a vault is open: every answer is an error that says so, or right.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chartvault::{Clock, Error, Scope, SystemClock, Timestamp, Vault};

use crate::acts;
use crate::keys;
use crate::rng::Rng;

/// The system's clock, moved.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().as_micros().saturating_add(self.0.load(Ordering::SeqCst)))
    }
}

const SECOND: i64 = 1_000_000;

/// Jumps about, sets things right, and looks whether the log is sound.
pub(crate) fn run(dir: &Path, seed: u64, round: u64) -> Result<(), String> {
    let clock = Arc::new(Moved(AtomicI64::new(0)));
    let say = |error: Error| format!("a clock that jumps: {error}");
    let open = || Vault::open_with(dir, keys::options_at(clock.clone())).and_then(|v| v.unlock(&keys::raw_key(seed)));
    let vault = open().map_err(say)?;
    let session = keys::session(seed, &vault).map_err(say)?;
    let mut rng = Rng::of(seed, &[9, round]);
    let (identifier, mut highest) = (acts::identifier(1), 0);
    for _ in 0..40 {
        let jump = *rng.pick(&[0, 1, 119, 3_600, 86_400, 40 * 86_400, -1, -100, -121, -3_600, -86_400]) * SECOND;
        clock.0.store(jump, Ordering::SeqCst);
        match session.find_patient(&identifier) {
            Ok(_) if jump < highest - 125 * SECOND => {
                return Err(format!("{jump} µs, after {highest}, was let through"));
            }
            Ok(_) => highest = highest.max(jump),
            Err(Error::ClockRollback { .. }) if jump < highest - 115 * SECOND => {}
            // The token lasts thirty days.
            Err(Error::Denied { .. } | Error::SessionEnded { .. }) if jump >= 30 * 86_400 * SECOND => {
                highest = highest.max(jump)
            }
            Err(error) => return Err(format!("after a jump of {jump} µs, highest {highest}: {error:?}")),
        }
    }
    clock.0.store(0, Ordering::SeqCst);
    vault.reset_clock(&keys::raw_key(seed)).map_err(say)?;
    let session = keys::session(seed, &vault).map_err(say)?;
    session.audit().and_then(|log| log.verify(Scope::All).run()).map_err(say)?;
    vault.close().map_err(say)?;
    let vault = open().map_err(say)?;
    let session = keys::session(seed, &vault).map_err(say)?;
    session.audit().and_then(|log| log.verify(Scope::All).run()).map_err(say)?;
    vault.close().map_err(say)
}
