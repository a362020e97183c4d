//! What the log says of one patient: all accesses, and what was disclosed; and whether something is missing from it.

use std::collections::BTreeSet;
use std::time::Duration;

use chartvault::test_util::{Stored, TestVault};
use chartvault::{
    AccessReport, AccountOfDisclosures, Action, AuditEvent, AuditFilter, ErasureOrder, Error, Kind, Outcome, PatientId,
    Purpose, PutOptions, ReadAudit, RecordRef, Session,
};

struct House {
    clinic: TestVault,
    ama: PatientId,
    note: RecordRef,
    ben: PatientId,
    other: RecordRef,
}

impl House {
    fn new() -> Self {
        let clinic = TestVault::new().build().unwrap();
        let physician = clinic.physician().unwrap();
        let ama = physician.register_patient([]).unwrap();
        let kind = Kind::new("note").unwrap();
        let note = physician.put_verbatim(ama, &kind, b"x", PutOptions::new()).unwrap();
        // Others are in the log as well.
        let ben = physician.register_patient([]).unwrap();
        let other = physician.put_verbatim(ben, &kind, b"y", PutOptions::new()).unwrap();
        Self { clinic, ama, note, ben, other }
    }

    fn session(&self, who: &str, purpose: Purpose) -> Session {
        let grant = self.clinic.grant(who).all_kinds().purpose(purpose);
        let grant = grant.actions([Action::Read, Action::List, Action::Export]);
        self.clinic.vault().session(self.clinic.token(&grant).unwrap(), purpose).unwrap()
    }

    fn report(&self) -> AccessReport {
        self.clinic.auditor().unwrap().audit().unwrap().access_report(self.ama).page().unwrap()
    }
}

fn events(report: &AccessReport) -> Vec<AuditEvent> {
    report.entries.iter().map(|entry| entry.event).collect()
}

#[test]
fn a_report_has_all_that_was_done_and_what_was_refused_oldest_first_and_the_report_before_it() {
    let house = House::new();
    let nurse = house.session("nurse.b", Purpose::Treatment);
    nurse.get_verbatim(house.note).unwrap();
    let put = nurse.put_verbatim(house.ama, &Kind::new("note").unwrap(), b"z", PutOptions::new());
    assert!(matches!(put, Err(Error::Denied { .. })));
    let report = house.report();
    assert!(report.gaps.is_empty() && report.next.is_none(), "{report}");
    let found = events(&report);
    assert_eq!(found.first(), Some(&AuditEvent::PatientRegistered));
    assert!(found.contains(&AuditEvent::RecordRead), "{found:?}");
    assert!(report.entries.iter().any(|entry| entry.outcome == Outcome::Denied));
    assert!(report.entries.is_sorted_by_key(|entry| entry.seq));
    for entry in &report.entries {
        assert!(entry.subjects.iter().all(|subject| subject.patient == Some(house.ama)));
    }
    let again = house.report();
    assert_eq!(again.entries.len(), report.entries.len() + 1);
    assert_eq!(again.entries.last().unwrap().event, AuditEvent::AccessReportRead);
    assert!(again.to_string().contains("no entry is missing"), "{again}");
}

#[test]
fn pages_go_on_where_they_ended_and_count_across() {
    let house = House::new();
    let nurse = house.session("nurse.b", Purpose::Treatment);
    (0..20).for_each(|_| drop(nurse.get_verbatim(house.note).unwrap()));
    let auditor = house.clinic.auditor().unwrap();
    let (mut seen, mut place) = (Vec::new(), None);
    loop {
        let asked = auditor.audit().unwrap().access_report(house.ama).limit(3);
        let page = place.map_or(asked, |place| auditor.audit().unwrap().access_report(house.ama).limit(3).after(place));
        let page = page.page().unwrap();
        assert!(page.gaps.is_empty() && page.entries.len() <= 3, "{page}");
        seen.extend(page.entries.iter().map(|entry| entry.seq));
        // The pages themselves are accesses.
        if page.next.is_none() || seen.len() > 24 {
            break;
        }
        place = page.next;
    }
    assert!(seen.len() > 22 && seen.is_sorted());
}

/// Takes out of the stored log the entries at these numbers, as nobody can without breaking the chain; the vault's counts stay.
#[test]
fn a_gap_in_a_subject_counter_is_named_with_the_entries_around_it() {
    let house = House::new();
    let nurse = house.session("nurse.b", Purpose::Treatment);
    (0..3).for_each(|_| drop(nurse.get_verbatim(house.note).unwrap()));
    let before = house.report();
    assert!(before.gaps.is_empty());
    // Two more were counted than are there.
    house.clinic.store().unwrap().tamper(Stored::Counts, |_, count| {
        let counted = u64::from_be_bytes(count[..8].try_into().unwrap());
        if counted > 3 {
            count.copy_from_slice(&(counted + 2).to_be_bytes());
        }
        true
    });
    let report = house.report();
    let [gap] = &report.gaps[..] else { panic!("{report}") };
    let counted = report.entries.len() as u64;
    assert_eq!((gap.missing.clone(), gap.before), (counted + 1..counted + 3, None));
    assert_eq!(gap.after, report.entries.last().map(|entry| entry.seq));
    // Each of the two reports, whose counts went on behind the gap.
    let later = house.report();
    let [gap] = &later.gaps[..] else { panic!("{later}") };
    assert_eq!(gap.missing, counted + 1..counted + 3);
    assert_eq!(
        (gap.after, gap.before),
        (report.entries.last().map(|entry| entry.seq), later.entries.last().map(|entry| entry.seq))
    );
    assert!(later.to_string().contains("MISSING: 2 entries"), "{later}");
}

#[test]
fn a_report_from_a_time_on_begins_at_any_count_and_ends_at_the_vaults_own() {
    let house = House::new();
    house.clinic.clock().advance(Duration::from_secs(3_600));
    let from = chartvault::Clock::now(&**house.clinic.clock());
    house.session("nurse.b", Purpose::Treatment).get_verbatim(house.note).unwrap();
    let auditor = house.clinic.auditor().unwrap();
    let late = auditor.audit().unwrap().access_report(house.ama).from(from).page().unwrap();
    assert_eq!(events(&late), [AuditEvent::RecordRead]);
    assert!(late.gaps.is_empty());
    let early = auditor.audit().unwrap().access_report(house.ama).to(from).page().unwrap();
    assert_eq!(early.entries.len(), 2);
    assert!(early.gaps.is_empty() && early.next.is_none());
}

#[test]
fn reads_that_share_an_entry_are_in_the_report_of_each_patient() {
    let house = House::new();
    let window = ReadAudit::Windowed { delay: Duration::from_secs(60), entries: 1_000 };
    house.clinic.vault().set_read_audit(window, house.clinic.key()).unwrap();
    let nurse = house.session("nurse.b", Purpose::Treatment);
    (0..5).for_each(|_| drop(nurse.get_verbatim(house.note).unwrap()));
    let report = house.report();
    let reads: usize = report.entries.iter().map(|entry| entry.reads.len().max(1)).sum();
    assert!(report.gaps.is_empty() && reads >= 7, "{report}");
}

#[test]
fn of_a_patient_who_is_not_there_or_was_erased_there_is_no_report() {
    let house = House::new();
    let auditor = house.clinic.auditor().unwrap();
    let nobody = PatientId::from_bytes([9; 16]);
    let report = auditor.audit().unwrap().access_report(nobody).page();
    assert!(matches!(report, Err(Error::NoSuchPatient(patient)) if patient == nobody), "{report:?}");
    let account = auditor.audit().unwrap().accounting_of_disclosures(nobody).run();
    assert!(matches!(account, Err(Error::NoSuchPatient(_))), "{account:?}");
}

#[test]
fn whoever_may_not_read_the_log_gets_no_report() {
    let house = House::new();
    let physician = house.clinic.physician().unwrap();
    assert!(matches!(physician.audit(), Err(Error::Denied { .. })));
}

#[test]
fn care_payment_and_operations_are_no_disclosures_and_research_is_one_line_a_recipient() {
    let house = House::new();
    for purpose in [Purpose::Treatment, Purpose::Payment, Purpose::Operations, Purpose::PatientRequest] {
        house.session("nurse.b", purpose).get_verbatim(house.note).unwrap();
    }
    let (study, court) = (house.session("study", Purpose::Research), house.session("court", Purpose::Legal));
    for _ in 0..3 {
        study.get_verbatim(house.note).unwrap();
        house.clinic.clock().advance(Duration::from_secs(60));
    }
    court.get_verbatim(house.note).unwrap();
    let auditor = house.clinic.auditor().unwrap();
    let account = auditor.audit().unwrap().accounting_of_disclosures(house.ama).run().unwrap();
    let [research, legal] = &account.disclosures[..] else { panic!("{account}") };
    assert_eq!((research.purpose, research.count, research.records), (Some(Purpose::Research), 3, 3));
    assert_eq!((research.recipient, research.entries.len()), (Some(study.principal()), 3));
    assert_eq!(research.last.saturating_since(research.first), Duration::from_secs(120));
    assert_eq!((legal.recipient, legal.count), (Some(court.principal()), 1));
    assert_eq!(research.kinds, [Kind::new("note").unwrap().id()]);
    assert!(account.gaps.is_empty() && account.to_string().contains("HRESCH"), "{account}");
    // The host's own rule.
    let asked = auditor.audit().unwrap().accounting_of_disclosures(house.ama).purposes([Purpose::Payment]);
    assert_eq!(asked.run().unwrap().disclosures.len(), 1);
}

#[test]
fn an_account_goes_back_six_years_and_no_further_unless_it_is_asked() {
    let house = House::new();
    let six_years = Duration::from_secs(2_192 * 86_400);
    house.session("study", Purpose::Research).get_verbatim(house.note).unwrap();
    let disclosed =
        house.report().entries.iter().rev().find(|entry| entry.event == AuditEvent::RecordRead).unwrap().time;
    let lines = |house: &House| {
        let auditor = house.clinic.auditor().unwrap();
        auditor.audit().unwrap().accounting_of_disclosures(house.ama).run().unwrap().disclosures.len()
    };
    let clock = house.clinic.clock();
    let elapsed = |clock: &chartvault::test_util::TestClock| chartvault::Clock::now(clock).saturating_since(disclosed);
    clock.advance(six_years - elapsed(clock));
    assert_eq!(lines(&house), 1, "exactly six years ago");
    clock.advance(six_years - elapsed(clock) + Duration::from_micros(1));
    assert_eq!(lines(&house), 0, "a microsecond more");
    let auditor = house.clinic.auditor().unwrap();
    let asked = auditor.audit().unwrap().accounting_of_disclosures(house.ama).from(disclosed);
    assert_eq!(asked.run().unwrap().disclosures.len(), 1);
}

/// The number of the newest entry about the first patient that was read.
fn read_entry(house: &House) -> u64 {
    let report = house.report();
    report.entries.iter().rev().find(|entry| entry.event == AuditEvent::RecordRead).unwrap().seq
}

fn account(house: &House) -> AccountOfDisclosures {
    house.clinic.auditor().unwrap().audit().unwrap().accounting_of_disclosures(house.ama).run().unwrap()
}

#[test]
fn an_entry_that_was_disclosed_stands_in_the_report_and_the_account_of_whom_it_is_about() {
    let house = House::new();
    house.session("nurse.b", Purpose::Treatment).get_verbatim(house.note).unwrap();
    let (seq, auditor) = (read_entry(&house), house.clinic.auditor().unwrap());
    assert!(account(&house).disclosures.is_empty());
    let under = house.clinic.vault().log_checkpoint().unwrap();
    // About nobody, and about somebody else: neither is about this patient.
    auditor.audit().unwrap().disclose(0, "to all", &under).unwrap();
    let others = AuditFilter::new().event(AuditEvent::PatientRegistered);
    let of_ben = auditor.audit().unwrap().query(others).page().unwrap().entries[0].seq;
    auditor.audit().unwrap().disclose(of_ben, "to the other court", &under).unwrap();
    assert!(!events(&house.report()).contains(&AuditEvent::EntryDisclosed));
    auditor.audit().unwrap().disclose(seq, "to the court, case\n17", &under).unwrap();
    let refused = auditor.audit().unwrap().disclose(seq, " ", &under);
    assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
    let report = house.report();
    let told: Vec<_> = report.entries.iter().filter(|entry| entry.event == AuditEvent::EntryDisclosed).collect();
    let [told] = &told[..] else { panic!("{report}") };
    assert_eq!(told.detail.as_deref(), Some(&*format!("entry {seq}: to the court, case\n17")));
    assert_eq!((told.actor, told.outcome), (Some(auditor.principal()), Outcome::Allowed));
    assert!(report.gaps.is_empty(), "{report}");
    // Whatever the purpose: the auditor's own is that of care.
    assert_eq!(told.purpose, Some(Purpose::Treatment));
    let account = account(&house);
    let [line] = &account.disclosures[..] else { panic!("{account}") };
    assert_eq!((line.event, line.count, line.records), (AuditEvent::EntryDisclosed, 1, 0));
    assert_eq!((line.said.as_ref(), &line.entries[..]), (told.detail.as_ref(), &[told.seq][..]));
    assert!(account.gaps.is_empty() && account.to_string().contains("case 17"), "{account}");
}

#[test]
fn a_bundle_names_whom_its_keys_are_about_once_and_nobody_where_all_stays_sealed() {
    let house = House::new();
    let nurse = house.session("nurse.b", Purpose::Treatment);
    (0..3).for_each(|_| drop(nurse.get_verbatim(house.note).unwrap()));
    let (seq, auditor) = (read_entry(&house), house.clinic.auditor().unwrap());
    let end = house.clinic.vault().log_checkpoint().unwrap().size;
    auditor.audit().unwrap().bundle(0..end).write(&mut Vec::new()).unwrap();
    let before = house.report();
    let is_of_the_log = |event: &AuditEvent| matches!(event, AuditEvent::EntryDisclosed | AuditEvent::LogExported);
    assert!(!events(&before).iter().any(is_of_the_log));
    // All entries up to there: of both patients, of the facility, and of none.
    let all = auditor.audit().unwrap().bundle(0..end);
    (0..=seq).fold(all, |bundle, seq| bundle.disclosing(seq, "to Oslo")).write(&mut Vec::new()).unwrap();
    let told = AuditFilter::new().event(AuditEvent::EntryDisclosed);
    let page = auditor.audit().unwrap().query(told).page().unwrap();
    let [entry] = &page.entries[..] else { panic!("{page:?}") };
    let mut named: Vec<_> = entry.subjects.iter().map(|subject| subject.patient.unwrap()).collect();
    let mut all = vec![house.ama, house.ben, PatientId::FACILITY];
    named.sort();
    all.sort();
    assert_eq!((named, entry.count.map(u64::from)), (all, Some(end)));
    let report = house.report();
    let later = events(&report).split_off(before.entries.len());
    assert_eq!(later, [AuditEvent::AccessReportRead, AuditEvent::EntryDisclosed]);
    assert!(report.gaps.is_empty(), "{report}");
    let account = account(&house);
    let [line] = &account.disclosures[..] else { panic!("{account}") };
    assert!(line.said.as_ref().unwrap().ends_with(": to Oslo"), "{account}");
}

/// Repeated ones are one line only where the recipient is the same, and only the reason says who that is.
#[test]
fn what_was_disclosed_to_several_is_a_line_each_and_to_one_is_one_line() {
    let house = House::new();
    house.session("nurse.b", Purpose::Treatment).get_verbatim(house.note).unwrap();
    let (seq, auditor) = (read_entry(&house), house.clinic.auditor().unwrap());
    let under = house.clinic.vault().log_checkpoint().unwrap();
    for to in ["to A", "to B", "to A"] {
        auditor.audit().unwrap().disclose(seq, to, &under).unwrap();
    }
    let account = account(&house);
    let mut found: Vec<_> = account.disclosures.iter().map(|line| (line.said.clone().unwrap(), line.count)).collect();
    found.sort();
    assert_eq!(found, [(format!("entry {seq}: to A"), 2), (format!("entry {seq}: to B"), 1)]);
}

#[test]
fn an_entry_about_somebody_erased_is_disclosed_and_names_those_who_are_left() {
    let house = House::new();
    let (vault, auditor) = (house.clinic.vault(), house.clinic.auditor().unwrap());
    house.session("nurse.b", Purpose::Treatment).get_many_verbatim(&[house.note, house.other]).unwrap();
    let seq = read_entry(&house);
    let under = vault.log_checkpoint().unwrap();
    let named = || {
        auditor.audit().unwrap().disclose(seq, "to the court", &under).unwrap();
        let told = AuditFilter::new().event(AuditEvent::EntryDisclosed);
        let page = auditor.audit().unwrap().query(told).limit(1).page().unwrap();
        page.entries[0].subjects.iter().filter_map(|subject| subject.patient).collect::<BTreeSet<_>>()
    };
    assert_eq!(named(), BTreeSet::from([house.ama, house.ben]));
    let token = house.clinic.token(&house.clinic.grant("dpo").all_kinds().actions([Action::Erase])).unwrap();
    let officer = vault.session(token, Purpose::Treatment).unwrap();
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    vault.erase_patient(&officer, house.ben, &order, house.clinic.key(), &mut |_| ()).unwrap();
    assert_eq!(named(), BTreeSet::from([house.ama]));
}
