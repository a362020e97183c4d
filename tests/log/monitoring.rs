//! Monitoring: what the vault finds by itself and over the past, who looks into it, and the weekly summary.

use crate::support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chartvault::*;
use support::{House, Note, note, verify, whole_log};

const DAY: Duration = Duration::from_secs(86_400);

/// Knows that dr.osei is a patient.
#[derive(Default)]
struct Host {
    own: std::sync::Mutex<Option<PatientId>>,
    fails: AtomicBool,
}

impl CareContext for Host {
    fn is_own_record(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        if self.fails.load(Ordering::Relaxed) {
            panic!("the directory is not there");
        }
        let own = *self.own.lock().unwrap() == Some(patient) && actor == PrincipalId::of("dr.osei");
        if own { CareAnswer::Yes } else { CareAnswer::No }
    }
}

struct Ward {
    house: House,
    vault: Vault,
    host: Arc<Host>,
    own: PatientId,
    id: RecordId<Note>,
}

impl Ward {
    fn new() -> Self {
        let host = Arc::new(Host::default());
        let context = Arc::clone(&host);
        let (house, vault) = House::create_with(move |options| {
            let context: Arc<dyn CareContext> = context.clone();
            options.care_context(context)
        });
        let office = house.session_of(&vault, &as_of("front.desk", &house));
        let own = office.register_patient([]).unwrap();
        let id = office.put(own, &note("a")).unwrap();
        *host.own.lock().unwrap() = Some(own);
        Self { house, vault, host, own, id }
    }

    fn watched() -> Self {
        let ward = Self::new();
        ward.vault.set_monitoring(MonitoringRules::new(), &ward.house.key).unwrap();
        ward
    }

    fn osei(&self) -> Session {
        self.house.session(&self.vault)
    }

    fn officer(&self) -> Session {
        self.house.session_of(&self.vault, &as_of("a.lund", &self.house))
    }

    /// dr.osei reads in the chart of their own, and the vault looks.
    fn caught(&self) -> Flag {
        self.osei().get(self.id).unwrap();
        self.vault.monitor_now().unwrap();
        let flags = self.officer().flags().list(FlagState::Open, None).unwrap();
        assert_eq!(flags.len(), 1, "{flags:?}");
        flags.into_iter().next().unwrap()
    }

    fn log(&self, event: AuditEvent) -> Vec<AuditEntry> {
        let mut log = whole_log(&self.officer());
        log.retain(|entry| entry.event == event);
        log
    }

    fn reopened(self) -> Self {
        let Self { house, vault, host, own, id } = self;
        vault.close().unwrap();
        let vault = house.open();
        Self { house, vault, host, own, id }
    }
}

fn as_of(name: &str, house: &House) -> Grant {
    let grant = Grant::to(name).all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.sensitivity(Confidentiality::VeryRestricted).purpose(Purpose::Treatment);
    grant.valid_for(DAY * 60).issued_at(house.clock.now())
}

fn ids(flags: &[Flag]) -> BTreeSet<FlagId> {
    flags.iter().map(|flag| flag.id).collect()
}

#[test]
fn what_a_rule_finds_is_raised_with_its_entry_and_names_its_evidence() {
    let ward = Ward::watched();
    let flag = ward.caught();
    assert_eq!((flag.rule, flag.actor), (MonitorRule::OwnRecord, Some(PrincipalId::of("dr.osei"))));
    assert_eq!((flag.patient, flag.about_patient), (Some(ward.own), true));
    let log = whole_log(&ward.officer());
    let evidence = log.iter().find(|entry| entry.seq == flag.entries[0]).unwrap();
    assert_eq!((evidence.event, evidence.time), (AuditEvent::RecordRead, flag.at));
    let raised = ward.log(AuditEvent::FlagRaised);
    let said = raised[0].detail.clone().unwrap();
    assert!(said.contains(&flag.id.to_string()) && said.contains("own-record"), "{said}");
    assert!(said.ends_with(&format!("entries {}", flag.entries[0])) && !said.contains("patient-"), "{said}");
    let runs = ward.log(AuditEvent::LogMonitored);
    assert_eq!((runs.len(), runs[0].count), (1, Some(1)));
    verify(&ward.officer());
}

#[test]
fn nothing_is_raised_twice_and_a_run_is_not_followed_by_the_next_one() {
    let ward = Ward::watched();
    let flag = ward.caught();
    for _ in 0..3 {
        ward.vault.monitor_now().unwrap();
    }
    assert_eq!((ward.log(AuditEvent::FlagRaised).len(), ward.log(AuditEvent::LogMonitored).len()), (1, 1));
    let ward = ward.reopened();
    ward.vault.monitor_now().unwrap();
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(ids(&ward.officer().flags().list(FlagState::Any, None).unwrap()), [flag.id].into(), "the same day");
    ward.house.clock.advance(DAY);
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(ward.officer().flags().list(FlagState::Any, None).unwrap().len(), 2, "the next day");
}

#[test]
fn what_came_before_the_rules_is_found_over_the_past_and_once() {
    let ward = Ward::new();
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    ward.vault.set_monitoring(MonitoringRules::new(), &ward.house.key).unwrap();
    ward.vault.monitor_now().unwrap();
    let officer = ward.officer();
    assert_eq!(officer.flags().list(FlagState::Any, None).unwrap(), []);
    let past = || officer.audit().unwrap().monitor(Timestamp::MIN, Timestamp::MAX).unwrap();
    let report = past();
    assert_eq!((report.new, report.tally.raised(), report.unreadable), (1, 1, 0));
    let flag = officer.flags().list(FlagState::Open, None).unwrap().remove(0);
    officer.flags().close(flag.id, FlagVerdict::Explained, "their own wish").unwrap();
    assert_eq!((past().new, past().tally.raised()), (0, 1));
    assert_eq!(officer.flags().list(FlagState::Open, None).unwrap(), [], "what was closed stays closed");
    let later = ward.house.clock.now().saturating_add(Duration::from_secs(1));
    assert_eq!(officer.audit().unwrap().monitor(later, Timestamp::MAX).unwrap().entries, 0);
}

#[test]
fn live_and_over_the_past_the_same_flags_are_raised() {
    let rules = || MonitoringRules::new().volume(3, Duration::from_secs(3_600)).denials(3, Duration::from_secs(1_200));
    let busy = |ward: &Ward, look: bool| {
        let (osei, desk) = (ward.osei(), ward.house.session_of(&ward.vault, &as_of("front.desk", &ward.house)));
        let narrow = Grant::to("n.adu").all_patients().kind::<support::Allergy>().actions([Action::Read]);
        let narrow = narrow.purpose(Purpose::Treatment).valid_for(DAY).issued_at(ward.house.clock.now());
        let narrow = ward.house.session_of(&ward.vault, &narrow);
        for _ in 0..6 {
            let patient = desk.register_patient([]).unwrap();
            let id = desk.put(patient, &note("x")).unwrap();
            osei.get(id).unwrap();
            let _ = osei.get(ward.id);
            let _ = narrow.get(id).map(drop).unwrap_err();
            ward.house.clock.advance(Duration::from_secs(400));
            if look {
                ward.vault.monitor_now().unwrap();
            }
        }
    };
    let ward = Ward::new();
    ward.vault.set_monitoring(rules(), &ward.house.key).unwrap();
    busy(&ward, true);
    let officer = ward.officer();
    let live = ids(&officer.flags().list(FlagState::Any, None).unwrap());
    assert!(live.len() >= 3, "{live:?}");
    let report = officer.audit().unwrap().monitor(Timestamp::MIN, Timestamp::MAX).unwrap();
    // The entries before the rules were set are those of the one patient that the ward begins with.
    assert_eq!((report.new, report.tally.raised()), (0, live.len() as u64), "{:?}", report.tally);
}

#[test]
fn nobody_looks_into_a_flag_about_themselves() {
    let ward = Ward::watched();
    let flag = ward.caught();
    let (osei, officer) = (ward.osei(), ward.officer());
    let own = |result: Result<Flag, Error>| matches!(result, Err(Error::Flag(FlagError::OwnFlag { .. })));
    assert!(own(osei.flags().close(flag.id, FlagVerdict::Explained, "it was me")));
    assert!(own(officer.flags().assign(flag.id, osei.principal())));
    assert!(own(osei.flags().assign(flag.id, officer.principal())));
    let assigned = officer.flags().assign(flag.id, officer.principal()).unwrap();
    assert_eq!(assigned.assigned.map(|(who, _)| who), Some(officer.principal()));
    let closed = officer.flags().close(flag.id, FlagVerdict::Misuse, "no reason was given").unwrap();
    assert_eq!(closed.closed.as_ref().map(|closed| closed.verdict), Some(FlagVerdict::Misuse));
    let again = officer.flags().close(flag.id, FlagVerdict::Explained, "or was it");
    assert!(matches!(again, Err(Error::Flag(FlagError::Closed { .. }))));
    let ward = ward.reopened();
    assert_eq!(ward.officer().flags().get(flag.id).unwrap(), closed);
    assert_eq!(ward.officer().flags().list(FlagState::Open, None).unwrap(), []);
    let said = ward.log(AuditEvent::FlagClosed).remove(1).detail.unwrap();
    assert!(said.contains("misuse: no reason was given"), "{said}");
    verify(&ward.officer());
}

#[test]
fn a_flag_that_nobody_closed_in_time_is_told_to_the_log_once() {
    let ward = Ward::watched();
    let flag = ward.caught();
    ward.house.clock.advance(7 * DAY - Duration::from_micros(1));
    ward.vault.monitor_now().unwrap();
    assert_eq!(ward.officer().flags().list(FlagState::Overdue, None).unwrap(), []);
    ward.house.clock.advance(Duration::from_micros(1));
    ward.vault.monitor_now().unwrap();
    ward.vault.monitor_now().unwrap();
    let overdue = ward.officer().flags().list(FlagState::Overdue, None).unwrap();
    assert_eq!((overdue[0].id, overdue[0].escalated), (flag.id, Some(flag.due)));
    let ward = ward.reopened();
    let told = ward.log(AuditEvent::FlagOverdue);
    assert_eq!(told.len(), 1);
    assert!(told[0].detail.clone().unwrap().starts_with(&flag.id.to_string()));
}

#[test]
fn of_a_patient_who_was_erased_a_flag_says_nothing_more() {
    let ward = Ward::watched();
    let flag = ward.caught();
    let until = ward.house.clock.now().saturating_add(30 * DAY);
    let about = Suppressor::new(until, "household consented").patient(ward.own);
    ward.officer().flags().suppress(&about).unwrap();
    let order = ErasureOrder::new("asked for it", "GDPR 17");
    ward.vault.erase_patient(&ward.officer(), ward.own, &order, &ward.house.key, &mut |_| ()).unwrap();
    let ward = ward.reopened();
    let left = ward.officer().flags().get(flag.id).unwrap();
    assert_eq!((left.patient, left.about_patient, left.actor), (None, true, flag.actor));
    let suppressors = ward.officer().flags().suppressors().unwrap();
    assert_eq!((suppressors[0].suppressor.patient, suppressors[0].about_patient), (None, true));
    // One that is about nobody any more does not hold for everybody.
    let (desk, osei) = (ward.house.session_of(&ward.vault, &as_of("front.desk", &ward.house)), ward.osei());
    let patient = desk.register_patient([]).unwrap();
    let id = desk.put(patient, &note("b")).unwrap();
    *ward.host.own.lock().unwrap() = Some(patient);
    osei.get(id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(ward.officer().flags().list(FlagState::Open, None).unwrap().len(), 2);
    verify(&ward.officer());
}

#[test]
fn a_suppressor_holds_until_it_is_lifted_and_what_it_held_back_is_counted() {
    let ward = Ward::watched();
    let officer = ward.officer();
    let until = ward.house.clock.now().saturating_add(DAY);
    let number =
        officer.flags().suppress(&Suppressor::new(until, "test of the ward").rule(MonitorRule::OwnRecord)).unwrap();
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(officer.flags().list(FlagState::Any, None).unwrap(), []);
    let report = officer.audit().unwrap().monitor(Timestamp::MIN, Timestamp::MAX).unwrap();
    assert_eq!((report.tally.raised(), report.tally.suppressed()), (0, 1));
    let said = ward.log(AuditEvent::LogMonitored).last().unwrap().detail.clone().unwrap();
    assert!(said.contains("1 suppressed: own-record 0/1"), "{said}");
    officer.flags().lift(number).unwrap();
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(officer.flags().list(FlagState::Open, None).unwrap().len(), 1);
    let changes: Vec<_> =
        ward.log(AuditEvent::MonitoringChanged).into_iter().filter_map(|entry| entry.detail).collect();
    assert!(changes[1].contains("suppressor 1: own-record") && changes[2].contains("lifted"), "{changes:?}");
    let own = officer.flags().suppress(&Suppressor::new(until, "me").actor(officer.principal()));
    assert!(matches!(own, Err(Error::Flag(FlagError::OwnSuppressor))));
    let missing = officer.flags().lift(9);
    assert!(matches!(missing, Err(Error::Flag(FlagError::NoSuchSuppressor { number: 9 }))));
    let blank = officer.flags().suppress(&Suppressor::new(until, " "));
    assert!(matches!(blank, Err(Error::InvalidText { what: "reason", .. })));
    let nobody = Suppressor::new(until, "x").patient(PatientId::from_bytes([9; 16]));
    assert!(matches!(officer.flags().suppress(&nobody), Err(Error::NoSuchPatient(_))));
}

#[test]
fn a_host_that_panics_loses_no_flag() {
    let ward = Ward::watched();
    ward.host.fails.store(true, Ordering::Relaxed);
    let flag = ward.caught();
    assert!(flag.why.contains("could not say") && flag.patient.is_none(), "{flag:?}");
    ward.host.fails.store(false, Ordering::Relaxed);
    let report = ward.officer().audit().unwrap().monitor(Timestamp::MIN, Timestamp::MAX).unwrap();
    assert_eq!(report.new, 1, "the flag itself, now that the host can say");
}

#[test]
fn somebody_known_to_many_is_known_by_the_label_of_the_chart() {
    let ward = Ward::watched();
    let desk = ward.house.session_of(&ward.vault, &as_of("front.desk", &ward.house));
    let star = desk.register_patient([]).unwrap();
    desk.label_chart(star, ChartLabel::new().vip(), "policy 7").unwrap();
    let id = desk.put(star, &note("b")).unwrap();
    ward.osei().get(id).unwrap();
    ward.vault.monitor_now().unwrap();
    let flags = ward.officer().flags().list(FlagState::Any, None).unwrap();
    assert!(flags.iter().all(|flag| flag.rule == MonitorRule::Vip && flag.patient == Some(star)), "{flags:?}");
    let who: BTreeSet<_> = flags.iter().filter_map(|flag| flag.actor).collect();
    assert_eq!(who, [PrincipalId::of("dr.osei"), PrincipalId::of("front.desk")].into());
}

#[test]
fn rules_want_a_credential_and_flags_want_the_right_to_review() {
    let ward = Ward::watched();
    ward.caught();
    let stranger = RawKey::generate().unwrap();
    let refused = ward.vault.set_monitoring(MonitoringRules::new(), &stranger);
    assert!(matches!(refused, Err(Error::Unlock(_))), "{refused:?}");
    let reader = support::base_grant().all_patients().all_kinds().actions([Action::Read]);
    let reader = ward.house.session_of(&ward.vault, &reader.issued_at(ward.house.clock.now()));
    assert!(matches!(reader.flags().list(FlagState::Any, None), Err(Error::Denied { .. })));
    assert!(matches!(reader.audit().map(drop), Err(Error::Denied { .. })));
    let rules = MonitoringRules::new().without(MonitorRule::OwnRecord).review_within(DAY);
    ward.vault.set_monitoring(rules.clone(), &ward.house.key).unwrap();
    let ward = ward.reopened();
    assert_eq!(ward.vault.monitoring().unwrap(), Some(rules));
    ward.house.clock.advance(DAY);
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    let flags = ward.officer().flags().list(FlagState::Any, None).unwrap();
    assert_eq!((flags.len(), flags[0].escalated.is_some()), (1, true), "off, and due sooner");
}

#[test]
fn after_a_crash_the_rules_go_on_and_raise_nothing_twice() {
    let ward = Ward::watched();
    ward.caught();
    ward.osei().get(ward.id).unwrap();
    let copy = ward.house.dir.path().join("copy.vault");
    support::copy_dir(&ward.house.path(), &copy);
    let Ward { house, vault, host, own, id } = ward;
    drop(vault);
    let vault = house.open_at(&copy).unwrap();
    let ward = Ward { house, vault, host, own, id };
    ward.vault.monitor_now().unwrap();
    assert_eq!(ward.officer().flags().list(FlagState::Any, None).unwrap().len(), 1);
    ward.house.clock.advance(DAY);
    ward.osei().get(ward.id).unwrap();
    ward.vault.monitor_now().unwrap();
    assert_eq!(ward.officer().flags().list(FlagState::Any, None).unwrap().len(), 2);
    verify(&ward.officer());
}

#[test]
fn a_summary_tells_of_the_week_and_stands_in_the_log() {
    let ward = Ward::watched();
    ward.caught();
    let officer = ward.officer();
    officer.principals().enrol("dr.osei", NewPrincipal::new()).unwrap();
    let (from, to) = (Timestamp::MIN, Timestamp::MAX);
    let summary = officer.audit().unwrap().summary(from, to).unwrap();
    let osei = summary.actors.iter().find(|known| known.actor == PrincipalId::of("dr.osei")).unwrap();
    assert_eq!((osei.accesses, osei.patients), (1, 1));
    assert_eq!(summary.name(osei.actor), "dr.osei");
    assert_eq!((summary.flags[0].rule, summary.flags[0].open), (MonitorRule::OwnRecord, 1));
    let page = summary.to_html(&SummaryPage::new());
    let digits = ward.own.to_string().replace("patient-", "");
    assert!(page.contains("dr.osei") && page.contains("P-1"));
    assert!(!page.contains(&digits[..8]) && !summary.to_string().contains(&digits[..8]));
    assert_eq!(ward.log(AuditEvent::LogSummarised).len(), 1);
    let none = officer.audit().unwrap().summary(to, to).unwrap();
    assert_eq!((none.entries, none.accesses, none.flags.len()), (0, 0, 0));
}
