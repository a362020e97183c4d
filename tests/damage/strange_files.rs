//! What stands in a vault's directory under the name of one of its files, and is no file.
#![cfg(unix)]

use crate::support;

use std::fs;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use chartvault::*;
use support::{House, note, small};

/// Opening a named pipe waits for whoever opens its other end, which nobody does.
#[test]
fn nothing_waits_for_a_named_pipe() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("x")).unwrap();
    vault.close().unwrap();
    drop(session);
    let house = Arc::new(house);
    for name in ["header.a", "header.b", "state.a", "state.b", "clean", "opening", "lock", "attempts", "signing.key"] {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("vault");
        support::copy_dir(&house.path(), &path);
        let pipe = path.join(name);
        let _ = fs::remove_file(&pipe);
        if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|made| made.success()) {
            println!("no mkfifo here: skipped");
            return;
        }
        let (tell, told) = mpsc::channel();
        let wrong = RawKey::generate().unwrap();
        let theirs = Arc::clone(&house);
        // Not waited for: if it hangs the test fails, and the process ends.
        std::thread::spawn(move || {
            let refused = Vault::open_with(&path, small()).and_then(|locked| locked.unlock(&wrong));
            assert!(refused.is_err());
            tell.send(theirs.open_at(&path)).unwrap();
        });
        let opened = told.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{name}: it waits"));
        match opened {
            Ok(vault) => assert!(house.session(&vault).get(id).is_ok(), "{name}"),
            Err(error) => assert!(error.to_string().contains(name), "{name}: {error}"),
        }
    }
}
