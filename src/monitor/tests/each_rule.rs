//! Each rule raises what it should, once, and is held back.

use super::*;

fn raised(rules: MonitoringRules, entries: &[AuditEntry], host: &dyn CareContext) -> Vec<RaisedFlag> {
    fed(&mut Monitor::new(rules), entries, host)
}

fn rules_of(flags: &[RaisedFlag]) -> Vec<MonitorRule> {
    flags.iter().map(|flag| flag.rule).collect()
}

fn open_by_day() -> MonitoringRules {
    let hours = OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3").unwrap().open(1..=5, (7, 0), (19, 0));
    MonitoringRules::new().opening_hours(hours)
}

#[test]
fn what_rests_on_the_host_is_raised_once_for_actor_patient_and_day_with_its_entry() {
    use CareAnswer::{No, Yes};
    use MonitorRule::{NoRelation, OwnRecord, SameSurname, Vip};
    for (question, answer, rule) in
        [("own", Yes, OwnRecord), ("surname", Yes, SameSurname), ("vip", Yes, Vip), ("relation", No, NoRelation)]
    {
        let host = Host::says(question, answer);
        let day = 86_400;
        let entries = [
            read(7, noon(), 1, 1),
            read(8, later(60), 1, 1),
            read(9, later(60), 1, 2),
            read(10, later(60), 2, 1),
            read(11, later(day), 1, 1),
        ];
        let flags = raised(MonitoringRules::new(), &entries, &host);
        assert_eq!(rules_of(&flags), [rule; 4], "{question}");
        let evidence: Vec<_> = flags.iter().map(|flag| (flag.entries.clone(), flag.actor, flag.patient)).collect();
        let one = |seq, who, whom| (vec![seq], Some(actor(who)), Some(patient(whom)));
        assert_eq!(evidence, [one(7, 1, 1), one(9, 1, 2), one(10, 2, 1), one(11, 1, 1)], "{question}");
        let other = Host::says(question, if answer == Yes { No } else { Yes });
        assert_eq!(raised(MonitoringRules::new(), &entries, &other), []);
        assert_eq!(raised(MonitoringRules::new(), &entries, &()), [], "nobody keeps it");
        assert_eq!(raised(MonitoringRules::new().without(rule), &entries, &host), []);
    }
}

#[test]
fn a_host_that_cannot_say_loses_no_flag() {
    for question in ["own", "surname", "vip", "relation"] {
        let host = Host::says(question, CareAnswer::Failed);
        let flags = raised(MonitoringRules::new(), &[read(0, noon(), 1, 1), read(1, noon(), 1, 2)], &host);
        assert_eq!(flags.len(), 1, "{question}: one for the actor and the day");
        assert!(flags[0].why.contains("could not say") && flags[0].patient.is_none(), "{flags:?}");
    }
    let panics = CareHook::new(std::sync::Arc::new(Panics));
    let flags = raised(MonitoringRules::new(), &[read(0, noon(), 1, 1)], &panics);
    assert_eq!(rules_of(&flags), [MonitorRule::Vip], "a panic is no answer");
}

struct Panics;

impl CareContext for Panics {
    fn is_vip(&self, _: PatientId) -> CareAnswer {
        panic!("the list is not there")
    }
}

#[test]
fn breaking_the_glass_is_raised_each_time() {
    let broken = |seq, time| AuditEntry { event: AuditEvent::GlassBroken, ..read(seq, time, 1, 1) };
    let flags = raised(MonitoringRules::new(), &[broken(1, noon()), broken(2, noon())], &());
    assert_eq!(rules_of(&flags), [MonitorRule::BreakGlass; 2]);
    assert_eq!(flags[0].patient, Some(patient(1)));
    assert_ne!(flags[0].id, flags[1].id);
}

#[test]
fn volume_counts_patients_within_the_stretch_and_not_reads() {
    let rules = || MonitoringRules::new().volume(5, Duration::from_secs(3_600));
    let same: Vec<_> = (0..50).map(|n| read(n, later(n), 1, 1)).collect();
    assert_eq!(raised(rules(), &same, &()), [], "one patient");
    let four: Vec<_> = (0..4).map(|n| read(n, later(n), 1, n as u16)).collect();
    assert_eq!(raised(rules(), &four, &()), [], "one too few");
    let slowly: Vec<_> = (0..40).map(|n| read(n, later(n * 900), 1, n as u16)).collect();
    assert_eq!(raised(rules(), &slowly, &()), [], "four an hour");
    let five: Vec<_> = (0..9).map(|n| read(n, later(n), 1, n as u16)).collect();
    let flags = raised(rules(), &five, &());
    assert_eq!((rules_of(&flags), &flags[0].entries[..]), (vec![MonitorRule::Volume], &[0, 1, 2, 3, 4][..]), "once");
}

#[test]
fn what_is_unusual_is_measured_by_the_actors_own_days() {
    let rules = || MonitoringRules::new().unusual(3, 6).without(MonitorRule::Volume);
    let days = |per_day: &[u16]| -> Vec<AuditEntry> {
        let mut entries = Vec::new();
        for (day, patients) in (0u64..).zip(per_day) {
            for n in 0..*patients {
                entries.push(read(entries.len() as u64, later(day * 86_400), 1, n));
            }
        }
        entries
    };
    assert_eq!(raised(rules(), &days(&[2, 2, 2, 2, 5]), &()), [], "too few days are known");
    assert_eq!(raised(rules(), &days(&[2, 2, 2, 2, 2, 5]), &()), [], "fewer than the least");
    let flags = raised(rules(), &days(&[2, 2, 2, 2, 2, 9]), &());
    assert_eq!(rules_of(&flags), [MonitorRule::Unusual]);
    assert!(flags[0].why.contains("6 patients") && flags[0].why.contains("2 are usual"), "{}", flags[0].why);
    assert_eq!(raised(rules(), &days(&[8, 8, 8, 8, 8, 9]), &()), [], "usual for them");
}

#[test]
fn off_hours_go_by_the_clocks_of_the_place_and_by_the_rota() {
    let at = |text: &str| read(1, text.parse().unwrap(), 1, 1);
    let open = ["2026-01-05T06:00:00Z", "2026-01-05T17:59:59Z", "2026-07-06T05:00:00Z"];
    let closed = ["2026-01-05T05:59:59Z", "2026-01-05T18:00:00Z", "2026-07-06T17:00:00Z", "2026-01-04T12:00:00Z"];
    for text in open {
        assert_eq!(raised(open_by_day(), &[at(text)], &()), [], "{text}");
    }
    for text in closed {
        assert_eq!(rules_of(&raised(open_by_day(), &[at(text)], &())), [MonitorRule::OffHours], "{text}");
    }
    assert_eq!(raised(MonitoringRules::new(), &[at(closed[0])], &()), [], "no hours are known");
    let mut monitor = Monitor::new(open_by_day());
    assert_eq!(fed(&mut monitor, &[at(closed[0])], &Host::says("duty", CareAnswer::Yes)), []);
    assert_eq!(monitor.take_tally().by_rule[&MonitorRule::OffHours], (0, 1), "counted, not silent");
    let unsure = raised(open_by_day(), &[at(closed[0])], &Host::says("duty", CareAnswer::Failed));
    assert!(unsure[0].against.contains("on duty"), "{unsure:?}");
}

#[test]
fn bursts_count_what_entries_stand_for_within_the_stretch() {
    let rules = || MonitoringRules::new().denials(4, Duration::from_secs(600)).sign_ins(3, Duration::from_secs(600));
    let three = AuditEntry { count: Some(3), ..denied(0, noon(), 1) };
    assert_eq!(raised(rules(), &[three.clone(), denied(1, later(600), 1)], &()), [], "not within it");
    assert_eq!(raised(rules(), &[three.clone(), denied(1, later(9), 2)], &()), [], "of two");
    let flags = raised(rules(), &[three, denied(1, later(9), 1)], &());
    assert_eq!((rules_of(&flags), &flags[0].entries[..]), (vec![MonitorRule::Denials], &[0, 1][..]));
    let refused = |seq, who: Option<u8>| {
        let refused = entry(seq, later(seq), AuditEvent::SignInRefused, Outcome::Denied);
        AuditEntry { actor: who.map(actor), ..refused }
    };
    let flags = raised(rules(), &[refused(0, None), refused(1, Some(1)), refused(2, None)], &());
    assert_eq!(flags, []);
    let flags = raised(rules(), &[refused(0, None), refused(1, None), refused(2, None)], &());
    assert_eq!((rules_of(&flags), flags[0].actor), (vec![MonitorRule::SignIns], None));
    let export = |seq, n| {
        let (event, action) = (AuditEvent::RecordsExported, Some(Action::Export));
        AuditEntry { event, action, count: Some(n), ..read(seq, later(seq), 1, 1) }
    };
    assert_eq!(raised(MonitoringRules::new(), &[export(0, 999)], &()), []);
    let flags = raised(MonitoringRules::new(), &[export(0, 999), export(1, 1)], &());
    assert_eq!(rules_of(&flags), [MonitorRule::BulkExport]);
}

#[test]
fn a_suppressor_holds_for_whom_it_names_and_until_it_ends_and_never_for_who_made_it() {
    let host = Host { answers: [("own", CareAnswer::Yes), ("group", CareAnswer::Yes)].into() };
    let until = later(3_600);
    let holds = |suppressor: Suppressor, time| {
        let mut monitor = Monitor::new(MonitoringRules::new());
        monitor.suppress(vec![suppressor]);
        let raised = fed(&mut monitor, &[read(0, time, 1, 1)], &host).len();
        assert_eq!(monitor.take_tally().suppressed(), u64::from(raised == 0));
        raised == 0
    };
    let any = || Suppressor::new(until, "same department");
    assert!(holds(any(), noon()));
    assert!(!holds(any(), until), "it has ended");
    assert!(holds(any().rule(MonitorRule::OwnRecord), noon()) && !holds(any().rule(MonitorRule::Vip), noon()));
    assert!(holds(any().actor(actor(1)), noon()) && !holds(any().actor(actor(2)), noon()));
    assert!(holds(any().patient(patient(1)), noon()) && !holds(any().patient(patient(2)), noon()));
    assert!(holds(any().group("ward 3"), noon()) && !holds(any().group("ward 4"), noon()));
    assert!(!holds(Suppressor { by: Some(actor(1)), ..any() }, noon()));
    let unsure = Host { answers: [("own", CareAnswer::Yes), ("group", CareAnswer::Failed)].into() };
    let mut monitor = Monitor::new(MonitoringRules::new());
    monitor.suppress(vec![any().group("ward 3")]);
    let flags = fed(&mut monitor, &[read(0, noon(), 1, 1)], &unsure);
    assert!(flags[0].against.contains("suppressor"), "{flags:?}");
}

#[test]
fn a_flag_that_was_held_back_is_raised_once_nothing_holds_it_back() {
    let host = Host::says("own", CareAnswer::Yes);
    let mut monitor = Monitor::new(MonitoringRules::new());
    monitor.suppress(vec![Suppressor::new(later(60), "rota")]);
    assert_eq!(fed(&mut monitor, &[read(0, noon(), 1, 1), read(1, later(1), 1, 1)], &host), []);
    assert_eq!(fed(&mut monitor, &[read(2, later(60), 1, 1), read(3, later(61), 1, 1)], &host).len(), 1);
    assert_eq!(monitor.take_tally().by_rule[&MonitorRule::OwnRecord], (1, 1));
}

#[test]
fn a_flag_carries_what_speaks_against_it() {
    let host = Host { answers: [("own", CareAnswer::Yes), ("explains", CareAnswer::Yes)].into() };
    let asked = AuditEntry { purpose: Some(Purpose::PatientRequest), ..read(0, noon(), 1, 1) };
    let flags = raised(MonitoringRules::new(), &[asked], &host);
    assert_eq!(flags[0].against, "a referral is on its way; the patient had asked for it");
}

#[test]
fn neither_the_facility_nor_work_on_rights_is_an_access_to_a_chart() {
    let host = Host::says("relation", CareAnswer::No);
    let mut facility = read(0, noon(), 1, 1);
    facility.subjects[0].patient = Some(PatientId::FACILITY);
    let erased = AuditEntry { subjects: Vec::new(), ..read(1, noon(), 1, 1) };
    let review = AuditEntry { action: Some(Action::Review), ..read(2, noon(), 1, 1) };
    let failed = AuditEntry { outcome: Outcome::Failed, ..read(3, noon(), 1, 1) };
    assert_eq!(raised(MonitoringRules::new(), &[facility, erased, review, failed], &host), []);
}
