//! What the log says of one patient: all accesses, and what was disclosed; and whether something is missing from it.

use std::time::Duration;

use chartvault::test_util::{Stored, TestVault};
use chartvault::{
    AccessReport, Action, AuditEvent, Error, Kind, Outcome, PatientId, Purpose, PutOptions, ReadAudit, RecordRef,
    Session,
};

struct House {
    clinic: TestVault,
    ama: PatientId,
    note: RecordRef,
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
        physician.put_verbatim(ben, &kind, b"y", PutOptions::new()).unwrap();
        Self { clinic, ama, note }
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
