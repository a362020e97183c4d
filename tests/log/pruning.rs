//! Pruning the log: only what nothing keeps, only by two, only once its archive was read back; and what is left still proves
//! all that it proved before.

use crate::support;

use std::fs;
use std::ops::Range;
use std::time::Duration;

use chartvault::*;
use chartvault_verify::bundle::{Trust, verify_bundle};
use chartvault_verify::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use chartvault_verify::{archive, entry::Entry};
use support::{House, base_grant, files_in, note, verify, whole_log};

const DAY: u64 = 86_400;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

fn mrn() -> Identifier {
    Identifier::new("urn:mrn:clinic-a", "12345").unwrap()
}

fn newest(session: &Session) -> u64 {
    session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries[0].seq
}

/// Adds entries until the log has so many.
fn fill(session: &Session, entries: u64) {
    for _ in newest(session) + 3..entries {
        session.find_patient(&mrn()).unwrap();
    }
}

fn archived(session: &Session, entries: Range<u64>) -> Vec<u8> {
    let mut file = Vec::new();
    session.audit().unwrap().archive(entries, &mut file).unwrap();
    file
}

/// A session of the second person.
fn second(house: &House, vault: &Vault) -> Session {
    auditor(house, vault, "s.berg")
}

fn auditor(house: &House, vault: &Vault, name: &str) -> Session {
    let grant = Grant::to(name).purpose(Purpose::Treatment).sensitivity(Confidentiality::VeryRestricted);
    let grant = grant.all_patients().all_kinds().actions([Action::Audit]).valid_for(days(30));
    house.session_of(vault, &grant.issued_at(house.clock.now()))
}

fn prune(house: &House, vault: &Vault, file: &[u8]) -> Result<LogPruned, Error> {
    house.session(vault).audit().unwrap().prune(&mut &file[..], &second(house, vault))
}

fn refused(house: &House, vault: &Vault, file: &[u8]) -> LogPruneError {
    match prune(house, vault, file) {
        Err(Error::LogPrune(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A vault with 600 entries and one patient with records, all of them old enough to go; it was closed in between, so that a
/// signing epoch goes with them.
fn old_house() -> (House, Vault) {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([mrn()]).unwrap();
    session.put(patient, &note("written before")).unwrap();
    fill(&session, 300);
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    session.put(patient, &note("written later")).unwrap();
    fill(&session, 600);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    (house, vault)
}

struct Pruned {
    house: House,
    vault: Vault,
    /// The archive of what went.
    file: Vec<u8>,
    /// Entries as they were before, by number.
    before: Vec<AuditEntry>,
    said: LogPruned,
}

fn pruned_house() -> Pruned {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let file = archived(&session, 0..512);
    let before = whole_log(&session);
    let said = prune(&house, &vault, &file).unwrap();
    Pruned { house, vault, file, before, said }
}

#[test]
fn what_went_is_gone_and_what_is_left_is_sound_and_says_who_did_it() {
    let Pruned { house, vault, file, before, said } = pruned_house();
    let archive = archive::verify(&file[..]).unwrap();
    let theirs = second(&house, &vault).principal();
    assert_eq!((said.first, said.end, said.second), (0, 512, theirs));
    assert_eq!((said.last, said.archive), (archive.last, archive.sha256));
    let check = |vault: &Vault| {
        let session = house.session(vault);
        let log = whole_log(&session);
        assert_eq!(log[0], before[512]);
        let entry = log.iter().find(|entry| entry.event == AuditEvent::LogPruned).unwrap();
        assert_eq!((entry.pruned, entry.actor, entry.count), (Some(said), Some(session.principal()), Some(512)));
        let agreed = log.iter().find(|entry| {
            entry.event == AuditEvent::AuditVerified
                && entry.detail.as_ref().is_some_and(|told| told.contains("agreed"))
        });
        assert_eq!(agreed.unwrap().actor, Some(theirs));
        let page = session.audit().unwrap().query(AuditFilter::new()).before(513).page().unwrap();
        assert_eq!((page.entries.len(), page.next, page.first), (1, None, 512));
        for scope in [Scope::All, Scope::Chain] {
            for threads in [1, 3] {
                let verified = session.audit().unwrap().verify(scope).threads(threads).run().unwrap();
                assert_eq!(verified.first, 512);
            }
        }
        let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
        assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
        assert_eq!(report.pruned, Some(said));
        assert!(report.to_string().contains("those before 512 were pruned"), "{report}");
        let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report}");
        let retention = session.audit().unwrap().retention().unwrap();
        assert_eq!((retention.first, retention.kept_from), (512, 512));
    };
    check(&vault);
    vault.close().unwrap();
    let vault = house.open();
    check(&vault);
    while vault.compact().unwrap().is_some() {}
    check(&vault);
    vault.close().unwrap();
    check(&house.open());
}

#[test]
fn the_log_is_pruned_again_and_the_newer_entry_is_what_counts() {
    let Pruned { house, vault, said, .. } = pruned_house();
    let session = house.session(&vault);
    fill(&session, 1_100);
    house.clock.advance(days(5));
    let session = house.session(&vault);
    let file = archived(&session, 512..1_024);
    let again = prune(&house, &vault, &file).unwrap();
    assert_eq!((again.first, again.end), (said.end, 1_024));
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(verify(&house.session(&vault)).first, 1_024);
}

#[test]
fn a_vault_that_keeps_its_log_for_ever_prunes_nothing() {
    let (house, vault) = old_house();
    vault.set_log_retention(LogRetention::default(), &house.key).unwrap();
    let file = archived(&house.session(&vault), 0..256);
    assert_eq!(refused(&house, &vault, &file), LogPruneError::ForEver);
    assert_eq!(verify(&house.session(&vault)).first, 0);
}

#[test]
fn what_is_too_young_or_among_the_newest_stays() {
    let (house, vault) = old_house();
    let file = archived(&house.session(&vault), 0..512);
    vault.set_log_retention(LogRetention::however_short(days(6)), &house.key).unwrap();
    assert_eq!(refused(&house, &vault, &file), LogPruneError::Terms { kept_from: 0, end: 512 });
    vault.set_log_retention(LogRetention::however_short(days(1)).newest(256), &house.key).unwrap();
    assert_eq!(refused(&house, &vault, &file), LogPruneError::Terms { kept_from: 256, end: 512 });
    let file = archived(&house.session(&vault), 0..256);
    assert_eq!(prune(&house, &vault, &file).unwrap().end, 256);
    let file = archived(&house.session(&vault), 256..512);
    assert_eq!(refused(&house, &vault, &file), LogPruneError::Terms { kept_from: 256, end: 512 });
}

#[test]
fn holds_emergencies_reviews_and_sinks_that_are_behind_keep_the_log() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([mrn()]).unwrap();
    let grant = base_grant().issued_at(house.clock.now()).all_patients().all_kinds().actions([Action::Read]);
    let grant = grant.purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let token = grant.sign(&house.issuer, vault.id()).unwrap();
    let nurse = vault.session(&token, Purpose::Treatment).unwrap();
    nurse.break_glass(patient, EmergencyReason::Other, "alarm").unwrap();
    let round = session.reviews().open(house.clock.now().saturating_add(days(90)), "autumn").unwrap();
    fill(&session, 300);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let session = house.session(&vault);
    let file = archived(&session, 0..256);
    let case = session.cases().list(CaseState::Open, None).unwrap()[0].id;
    let hold = session.audit().unwrap().place_log_hold("case 17").unwrap().id;
    assert_eq!(refused(&house, &vault, &file), LogPruneError::Held { hold });
    session.audit().unwrap().lift_log_hold(hold, "closed").unwrap();
    assert_eq!(refused(&house, &vault, &file), LogPruneError::CaseOpen { case, kept_from: 0 });
    let reviewer = second_with_review(&house, &vault);
    reviewer.cases().close(case, Verdict::Justified, "seen").unwrap();
    assert_eq!(refused(&house, &vault, &file), LogPruneError::ReviewOpen { round: round.number, kept_from: 0 });
}

/// A sink that takes nothing.
struct Broken;

impl AuditSink for Broken {
    fn deliver(&mut self, _: &[Delivered]) -> Result<(), SinkError> {
        Err(SinkError::Other("out of paper".to_owned()))
    }
}

#[test]
fn a_sink_that_has_not_taken_an_entry_keeps_it_until_it_is_detached_and_does_not_go_on_behind_a_gap() {
    let (house, vault) = House::create();
    let from = newest(&house.session(&vault)) + 1;
    vault.attach_sink("siem", Box::new(Broken), SinkPolicy::BestEffort, &house.key).unwrap();
    fill(&house.session(&vault), 300);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let file = archived(&house.session(&vault), 0..256);
    match refused(&house, &vault, &file) {
        LogPruneError::SinkBehind { name, next } => assert!(name == "siem" && next >= from),
        other => panic!("{other:?}"),
    }
    vault.detach_sink("siem", &house.key).unwrap();
    prune(&house, &vault, &file).unwrap();
    let again = vault.attach_sink("siem", Box::new(Broken), SinkPolicy::BestEffort, &house.key);
    assert!(matches!(again, Err(Error::LogBeginsAfter { first: 256, .. })), "{again:?}");
    assert!(vault.attach_sink("siem-2", Box::new(Broken), SinkPolicy::BestEffort, &house.key).is_ok());
}

fn second_with_review(house: &House, vault: &Vault) -> Session {
    let grant = Grant::to("r.holm").purpose(Purpose::Treatment).sensitivity(Confidentiality::VeryRestricted);
    let grant = grant.all_patients().all_kinds().actions(Action::ALL.iter().copied()).valid_for(days(30));
    house.session_of(vault, &grant.issued_at(house.clock.now()))
}

#[test]
fn it_takes_two_persons_of_this_vault_who_both_may() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let file = archived(&session, 0..256);
    let other = |second: &Session| session.audit().unwrap().prune(&mut &file[..], second);
    let same = other(&house.session(&vault));
    assert!(matches!(same, Err(Error::LogPrune(LogPruneError::SamePrincipal))), "{same:?}");
    let (others, elsewhere) = House::create();
    let stranger = other(&second(&others, &elsewhere));
    assert!(matches!(stranger, Err(Error::LogPrune(LogPruneError::OtherVault))), "{stranger:?}");
    let reads = Grant::to("s.berg").purpose(Purpose::Treatment).all_patients().all_kinds().actions([Action::Read]);
    let reader = house.session_of(&vault, &reads.valid_for(days(1)).issued_at(house.clock.now()));
    let may_not = other(&reader);
    assert!(matches!(may_not, Err(Error::Denied { .. })), "{may_not:?}");
    let closed = second(&house, &vault);
    closed.close().unwrap();
    let ended = other(&closed);
    assert!(matches!(ended, Err(Error::SessionEnded { .. })), "{ended:?}");
    let patient = session.find_patient(&mrn()).unwrap().unwrap();
    let grant = Grant::to("n.adams").all_patients().all_kinds().actions([Action::Read]).valid_for(days(1));
    let grant = grant.purpose(Purpose::Treatment).purpose(Purpose::BreakGlass).issued_at(house.clock.now());
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let glass = house.session_of(&vault, &grant).break_glass(patient, EmergencyReason::Other, "alarm").unwrap();
    let emergency = other(&glass);
    assert!(matches!(emergency, Err(Error::LogPrune(LogPruneError::Emergency))), "{emergency:?}");
    assert_eq!(verify(&session).first, 0);
    assert!(other(&second(&house, &vault)).is_ok());
}

/// An archive that is read slowly: what happens meanwhile counts.
struct Slow<'f, F: FnMut()> {
    file: &'f [u8],
    meanwhile: Option<F>,
}

impl<F: FnMut()> std::io::Read for Slow<'_, F> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.file.len() < 10_000 {
            self.meanwhile.take().into_iter().for_each(|mut happens| happens());
        }
        let few = to.len().min(1_000);
        std::io::Read::read(&mut self.file, &mut to[..few])
    }
}

#[test]
fn whoever_was_revoked_while_the_archive_was_read_does_not_count_and_neither_is_a_hold_passed_over() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let file = archived(&session, 0..256);
    let office = second_with_review(&house, &vault);
    for of_the_second in [true, false] {
        let (ours, theirs) = match of_the_second {
            true => (house.session(&vault), second(&house, &vault)),
            false => (house.session(&vault), auditor(&house, &vault, "m.dahl")),
        };
        let who = if of_the_second { theirs.principal() } else { ours.principal() };
        let meanwhile = || drop(office.grants().revoke(Revoke::Principal(who), "left").unwrap());
        let mut slow = Slow { file: &file, meanwhile: Some(meanwhile) };
        let refused = ours.audit().unwrap().prune(&mut slow, &theirs);
        assert!(matches!(refused, Err(Error::LogPrune(LogPruneError::NoLongerAllowed))), "{refused:?}");
    }
    let (session, third) = (office, auditor(&house, &vault, "m.dahl"));
    let meanwhile = || drop(session.audit().unwrap().place_log_hold("case 18").unwrap());
    let mut slow = Slow { file: &file, meanwhile: Some(meanwhile) };
    let held = session.audit().unwrap().prune(&mut slow, &third);
    assert!(matches!(held, Err(Error::LogPrune(LogPruneError::Held { .. }))), "{held:?}");
    assert_eq!(verify(&session).first, 0);
}

#[test]
fn the_archive_has_to_be_sound_and_the_logs_own_and_to_begin_where_the_log_does() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let file = archived(&session, 0..256);
    let not_first = archived(&session, 256..512);
    assert_eq!(refused(&house, &vault, &not_first), LogPruneError::NotTheBeginning { first: 0, found: 256 });
    let cut = prune(&house, &vault, &file[..file.len() - 1]);
    assert!(matches!(cut, Err(Error::LogArchive(LogArchiveError::Archive(_)))), "{cut:?}");
    // Sound in itself: made with the means of whoever verifies without a key. Only one entry is another.
    let mut reader = archive::ArchiveReader::begin(&file[..]).unwrap();
    let mut forged = Vec::new();
    let mut writer = archive::ArchiveWriter::begin(&mut forged, reader.vault(), 0..256).unwrap();
    while let Some((seq, entry)) = reader.next_entry().unwrap() {
        let mut entry = entry.to_vec();
        *entry.last_mut().unwrap() ^= u8::from(seq == 255);
        writer.push(&entry).unwrap();
    }
    writer.finish().unwrap();
    let differs = prune(&house, &vault, &forged);
    assert!(matches!(differs, Err(Error::LogArchive(LogArchiveError::Differs { seq: 255 }))), "{differs:?}");
    assert!(prune(&house, &vault, &file).is_ok());
    assert_eq!(refused(&house, &vault, &file), LogPruneError::NotTheBeginning { first: 256, found: 0 });
    // It is still the log's, for whoever has it, and forgeries are still told.
    assert!(session.audit().unwrap().check_archive(&mut &file[..]).is_ok());
    let differs = session.audit().unwrap().check_archive(&mut &forged[..]);
    assert!(matches!(differs, Err(Error::LogArchive(LogArchiveError::Differs { .. }))), "{differs:?}");
}

#[test]
fn proofs_and_checkpoints_from_before_still_hold_and_new_ones_are_made_of_what_went() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let old: Vec<Checkpoint> = (0..2)
        .map(|_| {
            fill(&session, newest(&session) + 20);
            vault.log_checkpoint().unwrap()
        })
        .collect();
    let inside = session.audit().unwrap().prove(300, &old[0]).unwrap();
    let earlier = session.audit().unwrap().verify(Scope::All).run().unwrap();
    let file = archived(&session, 0..512);
    prune(&house, &vault, &file).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    let new = vault.log_checkpoint().unwrap();
    let consistent = session.audit().unwrap().prove_consistency(&old[1], &new).unwrap();
    verify_consistency((old[1].size, &old[1].root), (new.size, &new.root), &consistent.hashes).unwrap();
    assert_eq!(session.audit().unwrap().prove(300, &old[0]).unwrap(), inside);
    let mut reader = archive::ArchiveReader::begin(&file[..]).unwrap();
    while let Some((seq, entry)) = reader.next_entry().unwrap() {
        if seq % 51 == 0 {
            let proof = session.audit().unwrap().prove(seq, &new).unwrap();
            verify_inclusion(&leaf_hash(entry), seq, new.size, &proof.hashes, &new.root).unwrap();
        }
    }
    for seq in [512, 513, new.size - 1] {
        assert!(session.audit().unwrap().prove(seq, &new).is_ok(), "{seq}");
    }
    let since = session.audit().unwrap().verify(Scope::Since(earlier)).run().unwrap();
    assert_eq!(since.first, earlier.entries);
    let gone = session.audit().unwrap().disclose(300, "asked for", &new);
    assert!(matches!(gone, Err(Error::LogProof(LogProofError::Pruned { seq: 300, first: 512 }))), "{gone:?}");
}

#[test]
fn an_outsider_checks_what_is_left_and_the_archive_fits_in_front_of_it() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    // The key of the epoch whose entries are about to go.
    let pinned = vault.log_keys().unwrap().next().unwrap().unwrap().vkey.parse().unwrap();
    let kept = vault.log_checkpoint().unwrap();
    let file = archived(&session, 0..512);
    prune(&house, &vault, &file).unwrap();
    let end = newest(&session) + 1;
    let entry = whole_log(&session).into_iter().find(|entry| entry.pruned.is_some()).unwrap().seq;
    let mut bundle = Vec::new();
    let view = session.audit().unwrap();
    view.bundle(512..end).since(&kept).disclosing(entry, "who pruned").write(&mut bundle).unwrap();
    let trust = Trust::keys([pinned]).and_checkpoint(kept.to_string());
    let report = verify_bundle(&bundle[..], &trust).unwrap();
    assert!(report.integrity.is_sound() && report.completeness.is_sound() && report.freshness.is_sound(), "{report}");
    let archive = archive::verify(&file[..]).unwrap();
    let before = report.before.unwrap();
    assert_eq!((before.leaf, before.root), (Some(archive.last), Some(archive.root)), "they fit");
    let pruned = report.disclosed[0].pruned().unwrap();
    assert_eq!((pruned.first, pruned.end, pruned.archive), (0, 512, archive.sha256));
    assert!(report.to_string().contains("pruned"), "{report}");
    let gone = session.audit().unwrap().bundle(511..600).write(&mut Vec::new());
    assert!(matches!(gone, Err(Error::LogProof(LogProofError::Pruned { seq: 511, first: 512 }))), "{gone:?}");
}

#[test]
fn whoever_follows_exports_or_archives_from_what_went_is_told_where_the_log_begins() {
    let Pruned { house, vault, before, .. } = pruned_house();
    let session = house.session(&vault);
    let told = |refused: Error, at: u64| {
        assert!(matches!(refused, Error::LogBeginsAfter { from, first: 512 } if from == at), "{refused:?}");
    };
    told(session.audit().unwrap().subscribe(AuditFilter::new()).from(0).unwrap_err(), 0);
    told(session.audit().unwrap().subscribe(AuditFilter::new()).from(511).unwrap_err(), 511);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(512).unwrap();
    assert_eq!(following.next_within(days(1)).unwrap().unwrap(), before[512]);
    drop(following);
    told(session.audit().unwrap().export(AuditFilter::new()).range(5..600).write(&mut Vec::new()).unwrap_err(), 5);
    told(session.audit().unwrap().archive(0..512, &mut Vec::new()).unwrap_err(), 0);
    let all = session.audit().unwrap().export(AuditFilter::new()).write(&mut Vec::new()).unwrap();
    assert_eq!(all.first, Some(512));
    let summary = session.audit().unwrap().summary(Timestamp::MIN, Timestamp::MAX).unwrap();
    assert_eq!(summary.pruned_until, Some(before[511].time));
    assert!(summary.to_string().contains("pruned"), "{summary}");
    assert!(session.audit().unwrap().monitor(Timestamp::MIN, Timestamp::MAX).is_ok());
}

#[test]
fn whoever_followed_slowly_is_told_that_entries_went_and_passes_none_over() {
    let (house, vault) = old_house();
    let session = house.session(&vault);
    let mut following = session.audit().unwrap().subscribe(AuditFilter::new()).from(3).unwrap();
    assert_eq!(following.next_within(days(1)).unwrap().unwrap().seq, 3);
    let mut untouched = session.audit().unwrap().subscribe(AuditFilter::new()).from(7).unwrap();
    let file = archived(&session, 0..512);
    prune(&house, &vault, &file).unwrap();
    let gone = untouched.next_within(days(1));
    assert!(matches!(gone, Err(Error::LogBeginsAfter { from: 7, first: 512 })), "{gone:?}");
    // What was read before is given out, and no more.
    let mut last = 3;
    let gone = loop {
        match following.next_within(days(1)) {
            Ok(entry) => {
                let entry = entry.unwrap();
                assert_eq!(entry.seq, last + 1);
                last = entry.seq;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, Error::LogBeginsAfter { from, first: 512 } if from == last + 1 && from < 512), "{gone:?}");
}

#[test]
fn no_byte_of_a_pruned_entry_is_in_any_file_once_the_journal_was_compacted() {
    let Pruned { house, vault, file, .. } = pruned_house();
    let mut canaries: Vec<Vec<u8>> = Vec::new();
    let mut reader = archive::ArchiveReader::begin(&file[..]).unwrap();
    while let Some((_, entry)) = reader.next_entry().unwrap() {
        canaries.push(Entry::parse(entry).unwrap().sealed()[..24].to_vec());
    }
    let found = || {
        let files = files_in(&house.path()).into_iter();
        let files: Vec<Vec<u8>> = files.filter_map(|name| fs::read(house.path().join(name)).ok()).collect();
        let holds = |canary: &&Vec<u8>| files.iter().any(|file| file.windows(24).any(|bytes| bytes == &canary[..]));
        canaries.iter().step_by(17).filter(holds).count()
    };
    assert!(found() > 0, "they stay until then");
    assert!(vault.compact().unwrap().is_some());
    assert_eq!(found(), 0);
    vault.close().unwrap();
    assert_eq!(found(), 0);
    verify(&house.session(&house.open()));
}

#[test]
fn a_clinic_goes_on_as_before() {
    let Pruned { house, vault, .. } = pruned_house();
    let session = house.session(&vault);
    let patient = session.find_patient(&mrn()).unwrap().unwrap();
    let id = session.put(patient, &note("written since")).unwrap();
    assert_eq!(session.get(id).unwrap().value, note("written since"));
    vault.rotate_audit_key(&house.key).unwrap();
    session.put(patient, &note("and under the next key")).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
}

#[test]
fn queries_and_reports_begin_where_the_log_does_and_the_index_says_nothing_of_what_went() {
    let (house, vault) = House::create();
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let session = house.session(&vault);
    let patient = session.register_patient([mrn()]).unwrap();
    fill(&session, 9_000);
    let of_one = || AuditFilter::new().patient(patient).event(AuditEvent::PatientFound);
    let found = |session: &Session| {
        let (mut seqs, mut before) = (Vec::new(), Some(u64::MAX));
        while let Some(at) = before {
            let page = session.audit().unwrap().query(of_one()).limit(1_000).before(at).page().unwrap();
            seqs.extend(page.entries.iter().map(|entry| entry.seq));
            before = page.next;
        }
        seqs
    };
    let all = found(&session);
    assert!(all.len() > 8_000, "{}", all.len());
    house.clock.advance(days(5));
    // Into the second stretch of the index.
    let end = 4_608;
    let file = archived(&session, 0..end);
    prune(&house, &vault, &file).unwrap();
    let kept: Vec<u64> = all.iter().copied().filter(|seq| *seq >= end).collect();
    assert_eq!(found(&session), kept);
    let page = session.audit().unwrap().query(AuditFilter::new()).oldest_first().limit(1).page().unwrap();
    assert_eq!((page.first, page.entries[0].seq), (end, end));
    let report = session.audit().unwrap().access_report(patient).page().unwrap();
    assert!(report.gaps.is_empty() && report.entries[0].seq >= end, "{:?}", report.gaps);
    let verdicts = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(verdicts.integrity.is_sound() && verdicts.completeness.is_sound(), "{verdicts}");
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(found(&house.session(&vault)), kept);
}
