//! The log outside: sinks get every entry, in order, and a vault that requires one gives nothing out without it.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::*;
use support::{House, note, verify, whole_log};

const LONG: Duration = Duration::from_secs(30);

const GOOD: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;
const PANICS: u8 = 3;
const SLOW: u8 = 4;

/// A sink that keeps what it gets, and does as it is told.
#[derive(Clone, Default)]
struct Trial {
    got: Arc<Mutex<Vec<Delivered>>>,
    does: Arc<AtomicU8>,
    form: SinkForm,
}

impl Trial {
    fn new() -> Self {
        Self::default()
    }

    fn boxed(&self) -> Box<dyn AuditSink> {
        Box::new(self.clone())
    }

    fn does(&self, what: u8) {
        self.does.store(what, Ordering::SeqCst);
    }

    fn got(&self) -> Vec<Delivered> {
        self.got.lock().unwrap().clone()
    }

    fn last(&self) -> Option<u64> {
        self.got.lock().unwrap().last().map(|delivered| delivered.seq)
    }
}

impl AuditSink for Trial {
    fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError> {
        match self.does.load(Ordering::SeqCst) {
            FAILS => return Err(SinkError::Other("out of paper".to_owned())),
            PANICS => panic!("a sink that panics, as the test wants"),
            HANGS => {
                while self.does.load(Ordering::SeqCst) == HANGS {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            SLOW => thread::sleep(Duration::from_millis(5)),
            _ => {}
        }
        self.got.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }

    fn form(&self) -> SinkForm {
        self.form
    }
}

fn required(behind: u64, patience: Duration) -> SinkPolicy {
    SinkPolicy::Required { behind, patience }
}

/// A house whose vault has one sink.
fn house(trial: &Trial, policy: SinkPolicy) -> (House, Vault) {
    let trial = trial.clone();
    House::create_with(move |options| options.sink("siem", trial.boxed(), policy).unwrap())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn state(vault: &Vault) -> SinkState {
    vault.sinks().unwrap().into_iter().find(|state| state.name == "siem").unwrap()
}

fn caught_up(vault: &Vault) {
    until("the sink catches up", || state(vault).behind == 0);
}

fn is_behind<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Sink(SinkFault::Behind { .. })))
}

#[test]
fn a_sink_gets_every_entry_in_order_as_the_log_has_it() {
    let trial = Trial::new();
    let (house, vault) = house(&trial, SinkPolicy::BestEffort);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    for _ in 0..300 {
        session.put(patient, &note("pulse 60")).unwrap();
    }
    let log = whole_log(&session);
    caught_up(&vault);
    let got = trial.got();
    assert_eq!(got[0].entry.as_ref().unwrap().event, AuditEvent::SinkAttached);
    let from = usize::try_from(got[0].seq).unwrap();
    let entries: Vec<_> = got.iter().map(|delivered| delivered.entry.clone().unwrap()).collect();
    assert_eq!(entries[..log.len() - from], log[from..]);
    let state = state(&vault);
    assert!(state.attached && state.failing.is_none() && state.policy == SinkPolicy::BestEffort, "{state:?}");
}

#[test]
fn a_sink_goes_on_where_it_was_when_the_vault_is_opened_again_or_crashed() {
    let trial = Trial::new();
    let (house, vault) = house(&trial, SinkPolicy::BestEffort);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("pulse 60")).unwrap();
    caught_up(&vault);
    vault.close().unwrap();
    let taken = trial.last().unwrap();
    let vault = house.open();
    caught_up(&vault);
    let got = trial.got();
    assert!(got.iter().map(|delivered| delivered.seq).eq(got[0].seq..=got.last().unwrap().seq), "each once");
    assert!(trial.last().unwrap() > taken);
    // As if the process had been killed: how far it came since was not noted.
    let session = house.session(&vault);
    session.put(patient, &note("pulse 61")).unwrap();
    caught_up(&vault);
    let before = trial.got().len();
    let copy = house.dir.path().join("copy");
    support::copy_dir(&house.path(), &copy);
    let reopened = house.open_at(&copy).unwrap();
    caught_up(&reopened);
    let again = trial.got().split_off(before);
    let seen: BTreeSet<u64> = again.iter().map(|delivered| delivered.seq).collect();
    assert!(seen.contains(&got.last().unwrap().seq) || again[0].seq == got.last().unwrap().seq + 1, "{again:?}");
    assert!(seen.iter().copied().eq(again[0].seq..=again.last().unwrap().seq), "some twice, none left out");
}

#[test]
fn nothing_is_given_out_while_a_required_sink_fails_hangs_or_panics_and_then_all_goes_on() {
    for how in [FAILS, HANGS, PANICS] {
        let trial = Trial::new();
        let (house, vault) = house(&trial, required(1_000, Duration::from_millis(200)));
        let session = house.session(&vault);
        let patient = session.register_patient([]).unwrap();
        let id = session.put(patient, &note("pulse 60")).unwrap();
        caught_up(&vault);
        trial.does(how);
        until("calls are refused", || is_behind(&session.get(id)));
        let logged = vault.sinks().unwrap()[0].next + vault.sinks().unwrap()[0].behind;
        assert!(is_behind(&session.put(patient, &note("pulse 61"))));
        assert!(is_behind(&session.get(id)));
        assert!(is_behind(&session.audit().map(drop)));
        assert!(is_behind(&vault.session(house.grant().sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment)));
        let state = state(&vault);
        assert!(state.behind > 0);
        // The log may have been told that the sink takes nothing, and of nothing else.
        assert!(state.next + state.behind <= logged + 1, "how {how}: {state:?}");
        trial.does(GOOD);
        until("calls go on", || session.get(id).is_ok());
        session.put(patient, &note("pulse 62")).unwrap();
        caught_up(&vault);
        let log = whole_log(&session);
        let told =
            log.iter().filter(|entry| entry.event == AuditEvent::SinkDetached && entry.outcome == Outcome::Failed);
        assert_eq!(told.count(), 1, "how {how}");
        verify(&session);
        caught_up(&vault);
        let got = trial.got();
        assert!(got.iter().map(|delivered| delivered.seq).eq(got[0].seq..=got.last().unwrap().seq), "how {how}");
    }
}

#[test]
fn callers_wait_for_a_required_sink_that_is_slow_and_are_all_served() {
    let trial = Trial::new();
    let (house, vault) = house(&trial, required(4, LONG));
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    trial.does(SLOW);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    session.put(patient, &note("pulse 60")).unwrap();
                    // Each caller was let in before; so many can be on their way.
                    assert!(state(&vault).behind <= 4 + 8 * 2, "{:?}", state(&vault));
                }
            });
        }
    });
    caught_up(&vault);
}

#[test]
fn a_sink_that_is_not_required_holds_nobody_up_and_loses_nothing() {
    let trial = Trial::new();
    trial.does(FAILS);
    let (house, vault) = house(&trial, SinkPolicy::BestEffort);
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    for _ in 0..50 {
        session.put(patient, &note("pulse 60")).unwrap();
    }
    let state = state(&vault);
    assert!(state.behind > 50 && state.failing.as_deref() == Some("out of paper"), "{state:?}");
    trial.does(GOOD);
    caught_up(&vault);
    let got = trial.got();
    assert!(got.iter().map(|delivered| delivered.seq).eq(got[0].seq..=got.last().unwrap().seq));
    assert_eq!(got[0].entry.as_ref().unwrap().event, AuditEvent::SinkAttached);
}

#[test]
fn a_vault_closes_and_opens_again_while_its_sink_hangs() {
    let trial = Trial::new();
    let (house, vault) = house(&trial, SinkPolicy::BestEffort);
    caught_up(&vault);
    trial.does(HANGS);
    let session = house.session(&vault);
    session.register_patient([]).unwrap();
    let began = Instant::now();
    vault.close().unwrap();
    assert!(began.elapsed() < LONG);
    let reopening = thread::scope(|scope| {
        let reopened = scope.spawn(|| house.open());
        thread::sleep(Duration::from_millis(100));
        trial.does(GOOD);
        reopened.join().unwrap()
    });
    caught_up(&reopening);
    let seen: BTreeSet<u64> = trial.got().iter().map(|delivered| delivered.seq).collect();
    assert!(seen.iter().copied().eq(*seen.first().unwrap()..=*seen.last().unwrap()), "none left out");
}

#[test]
fn a_vault_is_not_opened_without_the_sink_that_it_requires_unless_somebody_detaches_it() {
    let trial = Trial::new();
    let (house, vault) = house(&trial, required(1_000, LONG));
    vault.close().unwrap();
    let plain = || Vault::open_with(house.path(), support::small().clock(house.clock.clone())).unwrap();
    let refused = plain().unlock(&house.key);
    assert!(matches!(&refused, Err(Error::Sink(SinkFault::Missing { name })) if name == "siem"), "{refused:?}");
    let refused = plain().unlocking().without_sinks(&["other"]).unlock(&house.key);
    assert!(matches!(&refused, Err(Error::Sink(SinkFault::Missing { .. }))), "{refused:?}");
    let vault = plain().unlocking().without_sinks(&["siem"]).unlock(&house.key).unwrap();
    assert!(vault.sinks().unwrap().is_empty());
    let log = whole_log(&house.session(&vault));
    assert!(log.iter().any(|entry| entry.event == AuditEvent::SinkDetached && entry.outcome == Outcome::Allowed));
    vault.close().unwrap();
    // It goes on where it was: nothing is left out.
    let vault = house.open();
    caught_up(&vault);
    let seen: BTreeSet<u64> = trial.got().iter().map(|delivered| delivered.seq).collect();
    assert!(seen.iter().copied().eq(*seen.first().unwrap()..=*seen.last().unwrap()));
}

#[test]
fn a_sink_is_attached_and_detached_while_the_vault_is_open_with_a_credential() {
    let trial = Trial::new();
    let (house, vault) = House::create();
    let wrong = RawKey::generate().unwrap();
    let refused = vault.attach_sink("siem", trial.boxed(), required(0, Duration::from_millis(50)), &wrong);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    for name in ["", "two\nlines", &"x".repeat(65)] {
        let refused = vault.attach_sink(name, trial.boxed(), SinkPolicy::BestEffort, &house.key);
        assert!(matches!(refused, Err(Error::Sink(SinkFault::Name { .. }))), "{refused:?}");
    }
    let refused = vault.detach_sink("siem", &house.key);
    assert!(matches!(refused, Err(Error::Sink(SinkFault::Unknown { .. }))), "{refused:?}");
    vault.attach_sink(&"x".repeat(64), Trial::new().boxed(), SinkPolicy::BestEffort, &house.key).unwrap();
    vault.attach_sink("siem", trial.boxed(), required(1_000, Duration::from_millis(50)), &house.key).unwrap();
    let session = house.session(&vault);
    caught_up(&vault);
    trial.does(FAILS);
    until("calls are refused", || is_behind(&session.kinds(PatientId::from_bytes([1; 16]))));
    let refused = vault.detach_sink("siem", &wrong);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    // One that works takes its place, where it was.
    let other = Trial::new();
    vault.attach_sink("siem", other.boxed(), required(1_000, LONG), &house.key).unwrap();
    caught_up(&vault);
    assert_eq!(other.got()[0].seq, trial.last().unwrap() + 1);
    vault.detach_sink("siem", &house.key).unwrap();
    session.register_patient([]).unwrap();
    let last = other.last();
    session.register_patient([]).unwrap();
    assert_eq!(other.last(), last);
    assert_eq!(vault.sinks().unwrap().len(), 1);
}

#[test]
fn a_pseudonymous_sink_learns_no_patient_and_a_sealed_one_nothing() {
    let hidden = Trial { form: SinkForm::Pseudonymous, ..Trial::default() };
    let sealed = Trial { form: SinkForm::Sealed, ..Trial::default() };
    let (house, vault) = House::create();
    for (name, sink) in [("hidden", &hidden), ("sealed", &sealed)] {
        vault.attach_sink(name, sink.boxed(), SinkPolicy::BestEffort, &house.key).unwrap();
    }
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    for _ in 0..2 {
        session.put(patient, &note("pulse 60")).unwrap();
    }
    assert!(session.kinds(PatientId::from_bytes([9; 16])).is_err());
    until("both catch up", || vault.sinks().unwrap().iter().all(|state| state.behind == 0));
    let entries: Vec<_> = hidden.got().into_iter().filter_map(|delivered| delivered.entry).collect();
    let patients: BTreeSet<_> =
        entries.iter().flat_map(|entry| &entry.subjects).filter_map(|subject| subject.patient).collect();
    assert_eq!(patients.len(), 1, "equal patients have equal pseudonyms");
    assert!(!patients.contains(&patient));
    assert!(
        entries.iter().all(|entry| entry.detail.is_none() && entry.requested != Some(PatientId::from_bytes([9; 16])))
    );
    let sealed = sealed.got();
    assert!(sealed.len() > 3 && sealed.iter().all(|delivered| delivered.entry.is_none()));
    let leaves: Vec<_> = hidden.got().iter().map(|delivered| (delivered.seq, delivered.leaf)).collect();
    assert!(
        sealed.iter().all(|delivered| delivered.seq < leaves[0].0 || leaves.contains(&(delivered.seq, delivered.leaf)))
    );
}

fn lines(dir: &Path) -> Vec<u64> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let text: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| value(line)["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_file_has_every_entry_and_one_that_was_removed_stops_all_access_until_somebody_looked() {
    let dir = tempfile::tempdir().unwrap();
    let (house, vault) = House::create();
    let policy = required(1_000, Duration::from_millis(100));
    vault.attach_sink("siem", Box::new(FileSink::new(dir.path())), policy, &house.key).unwrap();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("pulse 60")).unwrap();
    caught_up(&vault);
    let seqs = lines(dir.path());
    assert!(seqs.iter().copied().eq(seqs[0]..=*seqs.last().unwrap()));
    for entry in fs::read_dir(dir.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    until("calls are refused", || is_behind(&session.kinds(patient)));
    assert!(state(&vault).failing.unwrap().contains("removed, replaced or cut"));
    vault.attach_sink("siem", Box::new(FileSink::new(dir.path())), policy, &house.key).unwrap();
    until("calls go on", || session.kinds(patient).is_ok());
    caught_up(&vault);
    assert_eq!(lines(dir.path())[0], seqs.last().unwrap() + 1);
}

/// Whether the numbers that a receiver saw have no gap, repetitions aside.
fn seqs_of(messages: &[String]) -> BTreeSet<u64> {
    let seq = |message: &String| message.split_once("seq=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
    messages.iter().map(seq).collect()
}

#[test]
fn a_syslog_server_gets_every_message_over_udp() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let (house, vault) = House::create();
    let sink = SyslogSink::udp(server.local_addr().unwrap()).host("ward-3");
    vault.attach_sink("siem", Box::new(sink), SinkPolicy::BestEffort, &house.key).unwrap();
    house.session(&vault).register_patient([]).unwrap();
    let end = state(&vault).next + state(&vault).behind;
    let mut messages = Vec::new();
    let mut buffer = vec![0; 65_536];
    while messages.is_empty() || *seqs_of(&messages).last().unwrap() + 1 < end {
        let len = server.recv(&mut buffer).unwrap();
        messages.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
    }
    assert!(messages.iter().all(|message| message.starts_with("<110>1 ") && message.contains(" ward-3 chartvault ")));
    let seqs = seqs_of(&messages);
    assert!(seqs.iter().copied().eq(*seqs.first().unwrap()..end));
}

#[cfg(unix)]
#[test]
fn a_local_socket_gets_every_message_also_after_its_server_was_away() {
    use std::os::unix::net::UnixDatagram;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let (house, vault) = House::create();
    vault.attach_sink("siem", Box::new(SyslogSink::local(&path)), SinkPolicy::BestEffort, &house.key).unwrap();
    until("there is nobody", || state(&vault).failing.is_some());
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let end = state(&vault).next + state(&vault).behind;
    let mut messages = Vec::new();
    let mut buffer = vec![0; 65_536];
    while messages.is_empty() || *seqs_of(&messages).last().unwrap() + 1 < end {
        let len = server.recv(&mut buffer).unwrap();
        messages.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
    }
    let seqs = seqs_of(&messages);
    assert!(seqs.iter().copied().eq(*seqs.first().unwrap()..end));
}

/// One message behind its length.
fn framed(stream: &mut impl Read) -> Option<String> {
    let mut len = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        if byte[0] == b' ' {
            break;
        }
        len.push(char::from(byte[0]));
    }
    let mut message = vec![0; len.parse().unwrap()];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

#[test]
fn a_syslog_server_gets_every_message_over_tcp_also_after_the_connection_broke() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (house, vault) = House::create();
    let sink = SyslogSink::tcp(server.local_addr().unwrap());
    vault.attach_sink("siem", Box::new(sink), SinkPolicy::BestEffort, &house.key).unwrap();
    let mut messages = Vec::new();
    let session = house.session(&vault);
    {
        let (stream, _) = server.accept().unwrap();
        let mut stream = BufReader::new(stream);
        messages.push(framed(&mut stream).unwrap());
    }
    // What was on its way when the server went comes again.
    for _ in 0..20 {
        session.register_patient([]).unwrap();
    }
    let end = state(&vault).next + state(&vault).behind;
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut stream = BufReader::new(stream);
    while *seqs_of(&messages).last().unwrap() + 1 < end {
        messages.push(framed(&mut stream).unwrap());
    }
    let seqs = seqs_of(&messages);
    assert!(seqs.iter().copied().eq(*seqs.first().unwrap()..end), "{seqs:?}");
}

/// A file system of its own, unmounted when dropped.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_access_until_there_is_room_and_cuts_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(dir.path()).output();
    if !mount.is_ok_and(|done| done.status.success()) {
        println!("skipped: a tmpfs cannot be mounted here");
        return;
    }
    let _disk = SmallDisk(dir.path());
    let (house, vault) = House::create();
    let policy = required(1_000, Duration::from_millis(300));
    vault.attach_sink("siem", Box::new(FileSink::new(dir.path())), policy, &house.key).unwrap();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let ballast = dir.path().join("ballast");
    caught_up(&vault);
    assert!(fs::write(&ballast, vec![0; 9 << 20]).is_err(), "it fills the disk");
    let began = Instant::now();
    while !is_behind(&session.put(patient, &note("pulse 60"))) {
        assert!(began.elapsed() < LONG, "calls are refused");
    }
    assert!(state(&vault).failing.unwrap().contains("writing a file of the sink"));
    fs::remove_file(&ballast).unwrap();
    until("calls go on", || session.kinds(patient).is_ok());
    caught_up(&vault);
    let seqs = lines(dir.path());
    assert!(seqs.iter().copied().eq(seqs[0]..=*seqs.last().unwrap()), "each line is whole, and there once");
    verify(&session);
}
