//! Ctrl-C, and the signals that mean the same: long verbs end after the commit that is under way.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal asks to end, and the second one ends at once: nothing that was acknowledged is lost by it.
pub fn watch() {
    let set = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(Code::Interrupted.number()));
        }
    });
    // Without a handler a signal ends the process at once, as it does by itself.
    drop(set);
}

/// Whether somebody asked to end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Ends the verb if somebody asked to; `what_stays` says what is done already and how to go on.
pub fn check(what_stays: &str) -> Outcome<()> {
    if asked() { Err(Failure::interrupted(what_stays)) } else { Ok(()) }
}
