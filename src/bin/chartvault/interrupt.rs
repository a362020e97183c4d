//! Ctrl-C, and the signals that mean the same. A verb that knows how to stop ends after the commit that is under way; any
//! other ends at once: nothing that was acknowledged is lost by it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};

static ASKED: AtomicBool = AtomicBool::new(false);
static STOPS: AtomicBool = AtomicBool::new(false);
static ROOM: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on a signal ends the process with the code for it.
pub fn watch() {
    let set = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) || !STOPS.load(Ordering::SeqCst) {
            // Where nobody reads standard error there is nobody to tell.
            drop(io::stderr().write_all(b"\ninterrupted; what was acknowledged stays\n"));
            if let Some(room) = ROOM.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // The second time finds what was written during the first one.
                if fs::remove_dir_all(&room).is_err() {
                    drop(fs::remove_dir_all(&room));
                }
            }
            std::process::exit(i32::from(Code::Interrupted.number()));
        }
    });
    // Without a handler a signal ends the process at once, as it does by itself.
    drop(set);
}

/// From now on the verb calls [`check`] often enough: the first signal only asks it to end, the second one ends it.
pub fn stops() {
    STOPS.store(true, Ordering::SeqCst);
}

/// From now on a signal removes this directory as well, of which nothing is wanted once the process is gone.
pub fn removes(room: PathBuf) {
    *ROOM.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
}

/// Ends the verb if somebody asked to; `what_stays` says what is done already and how to go on.
pub fn check(what_stays: &str) -> Outcome<()> {
    if ASKED.load(Ordering::SeqCst) { Err(Failure::interrupted(what_stays)) } else { Ok(()) }
}
