//! A vault that seals itself when nobody has used it for a while, and a process that keeps its memory to itself.

use crate::support;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chartvault::*;
use support::{House, note, verify, whole_log};

fn is_sealed(session: &Session) -> bool {
    match session.audit().map(drop) {
        Ok(()) => false,
        Err(Error::Sealed) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until the vault's lock is free: it was closed to the end.
fn reopened(house: &House) -> Vault {
    let started = Instant::now();
    loop {
        match house.open_at(&house.path()) {
            Ok(vault) => return vault,
            Err(Error::InUse { .. }) => assert!(started.elapsed() < Duration::from_secs(60), "it stays open"),
            Err(error) => panic!("{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_vault_that_nobody_uses_is_sealed_and_properly_closed() {
    let (house, vault) = House::create_with(|options| options.seal_when_idle(Duration::from_millis(300)));
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("rash")).unwrap();
    let again = reopened(&house);
    assert!(is_sealed(&session) && matches!(vault.close(), Err(Error::Sealed)));
    assert!(again.opening().clean, "{}", again.opening());
    let session = house.session(&again);
    assert_eq!(session.get(id).unwrap().value, note("rash"));
    let log = whole_log(&session);
    let closed = log.iter().rfind(|entry| entry.event == AuditEvent::VaultClosed).unwrap();
    assert_eq!(closed.detail.as_deref(), Some("idle for 0.3 s"));
    verify(&session);
}

#[test]
fn whoever_works_keeps_it_open() {
    let (house, vault) = House::create_with(|options| options.seal_when_idle(Duration::from_secs(2)));
    let session = house.session(&vault);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        assert!(!is_sealed(&session));
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn time_that_the_machine_slept_counts() {
    let (house, vault) = House::create_with(|options| options.seal_when_idle(Duration::from_secs(900)));
    let session = house.session(&vault);
    house.clock.step(899);
    assert!(!is_sealed(&session));
    house.clock.step(900);
    assert!(is_sealed(&session), "the first call after the sleep already");
    reopened(&house);
}

#[test]
fn an_export_that_is_dropped_half_way_does_not_keep_it_open() {
    let (house, vault) = House::create_with(|options| options.seal_when_idle(Duration::from_millis(300)));
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("rash")).unwrap();
    let mut stream = session.export().start().unwrap();
    stream.next().unwrap().unwrap();
    reopened(&house);
    assert!(is_sealed(&session));
}

const CHILD: &str = "CHARTVAULT_TEST_HARDENED";

/// In a process of its own, since it is about the process.
#[test]
fn a_hardened_process_says_what_the_system_does_for_it() {
    if std::env::var_os(CHILD).is_some() {
        let (_house, vault) = House::create_with(Options::harden_process);
        let said = vault.memory_protection();
        println!("told: {said}");
        if cfg!(target_os = "linux") {
            assert_eq!(said.core_dumps, MemoryGuard::On);
            let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            assert_eq!(locked.trim() != "0 kB", said.swap == MemoryGuard::On, "{locked} {said}");
        }
        return;
    }
    let (_house, vault) = House::create();
    let said = vault.memory_protection();
    assert_eq!((said.swap, said.core_dumps), (MemoryGuard::NotAsked, MemoryGuard::NotAsked));
    let child = |limit: &str| {
        let test = "idle::a_hardened_process_says_what_the_system_does_for_it";
        let run = format!("{limit}exec {:?} --exact {test} --nocapture", std::env::current_exe().unwrap());
        let ran = Command::new("sh").args(["-c", &run]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{said} {}", String::from_utf8_lossy(&ran.stderr));
        said.lines().find(|line| line.contains("told: ")).unwrap().to_owned()
    };
    if !cfg!(target_os = "linux") {
        println!("skipped: what a hardened process is told is known for Linux alone");
        return;
    }
    let limited = child("ulimit -l 8192; ");
    assert!(limited.contains("RLIMIT_MEMLOCK is not unlimited"), "{limited}");
    if Command::new("sh").args(["-c", "ulimit -l unlimited"]).status().is_ok_and(|done| done.success()) {
        let unlimited = child("ulimit -l unlimited; ");
        assert!(unlimited.contains("memory out of swap: on; no core dumps: on"), "{unlimited}");
    } else {
        println!("the limit of locked memory cannot be raised here: without it memory was not locked");
    }
}
