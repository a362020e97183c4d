mod page;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::audit::{AuditEntry, AuditEvent, AuditRecord, AuditSubject, Outcome};
use crate::ids::KindId;
use crate::monitor::tests::{actor, denied, entry, later, noon, patient, read};
use crate::terms::Action;
use crate::token::DenyReason;

pub(super) fn hours() -> OpeningHours {
    OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3").unwrap().open(1..=5, (7, 0), (19, 0))
}

pub(super) fn summed(entries: &[AuditEntry]) -> Summary {
    let mut gatherer = Gatherer::new((noon(), Timestamp::MAX), noon(), Some(hours()));
    entries.iter().for_each(|entry| gatherer.add(entry));
    gatherer.finish(|principal| (principal == actor(1)).then(|| "dr.osei".to_owned()))
}

/// Seconds since the entry before, who, whom, what, how often.
type Step = (u64, u8, u16, u8, u32);

fn made(steps: &[Step]) -> Vec<AuditEntry> {
    let mut time = 0;
    let one = |(seq, (after, who, whom, what, n)): (u64, &Step)| {
        time += after;
        let (at, read) = (later(time), read(seq, later(time), *who, *whom));
        match what {
            0 => AuditEntry { count: Some(*n), reason: Some(DenyReason::Expired.code()), ..denied(seq, at, *who) },
            1 => entry(seq, at, AuditEvent::TokenRefused, Outcome::Denied),
            2 => {
                let (event, action) = (AuditEvent::RecordsExported, Some(Action::Export));
                AuditEntry { event, action, count: Some(*n), ..read }
            }
            3 => AuditEntry { event: AuditEvent::ErasureBegun, action: Some(Action::Erase), ..read },
            4 => AuditEntry { event: AuditEvent::GlassBroken, action: Some(Action::Review), ..read },
            5 => AuditEntry { outcome: Outcome::Failed, ..read },
            _ => read,
        }
    };
    (0..).zip(steps).map(one).collect()
}

proptest! {
    #[test]
    fn the_figures_are_those_of_a_count_by_hand(
        steps in proptest::collection::vec((0u64..50_000, 0u8..4, 0u16..6, 0u8..12, 1u32..5), 0..100)
    ) {
        let summary = summed(&made(&steps));
        let is_access = |what: u8| what == 2 || what > 5;
        let accesses = steps.iter().filter(|step| is_access(step.3));
        prop_assert_eq!(summary.entries, steps.len() as u64);
        prop_assert_eq!(summary.accesses, accesses.clone().count() as u64);
        let patients: BTreeSet<u16> = accesses.clone().map(|step| step.2).collect();
        prop_assert_eq!(summary.patients, patients.len() as u64);
        let expired: u64 = steps.iter().filter(|step| step.3 == 0).map(|step| u64::from(step.4)).sum();
        let refused = steps.iter().filter(|step| step.3 == 1).count() as u64;
        let denials: BTreeMap<String, u64> = summary.denials.iter().cloned().collect();
        prop_assert_eq!(denials.get(&DenyReason::Expired.to_string()).copied().unwrap_or(0), expired);
        prop_assert_eq!(denials.get("token refused").copied().unwrap_or(0), refused);
        prop_assert_eq!(summary.all_denials(), expired + refused);
        let exports = steps.iter().filter(|step| step.3 == 2);
        let records: u64 = exports.clone().map(|step| u64::from(step.4)).sum();
        prop_assert_eq!(summary.exports, (exports.count() as u64, records));
        prop_assert_eq!(summary.erasures, steps.iter().filter(|step| step.3 == 3).count() as u64);
        prop_assert_eq!(summary.by_hour.iter().flatten().sum::<u64>(), summary.accesses);
        let days = |of: fn(&DaySummary) -> u64| summary.days.iter().map(of).sum::<u64>();
        prop_assert_eq!(days(|day| day.accesses), summary.accesses);
        prop_assert_eq!(days(|day| day.denials), summary.all_denials());
        prop_assert_eq!(days(|day| day.emergencies), steps.iter().filter(|step| step.3 == 4).count() as u64);
        let mut expected = BTreeMap::<PrincipalId, (u64, u64, BTreeSet<u16>, u64)>::new();
        let mut time = 0;
        for (after, who, whom, what, n) in &steps {
            time += after;
            if is_access(*what) {
                let one = expected.entry(actor(*who)).or_default();
                one.0 += 1;
                one.1 += u64::from(!hours().covers(later(time)));
                one.2.insert(*whom);
            } else if *what == 0 {
                expected.entry(actor(*who)).or_default().3 += u64::from(*n);
            }
        }
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(who, (all, after, whom, no))| (who, (all, after, whom.len() as u64, no))).collect();
        let found = summary.actors.iter().map(|known| {
            (known.actor, (known.accesses, known.after_hours, known.patients, known.denials))
        });
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
        prop_assert!(summary.actors.is_sorted_by_key(|known| u64::MAX - known.accesses));
    }
}

#[test]
fn hours_and_days_are_those_of_the_place() {
    // 23:30 on Sunday in UTC is half past midnight on Monday there.
    let late = read(0, "2026-01-04T23:30:00Z".parse().unwrap(), 1, 1);
    let summary = summed(&[late]);
    assert_eq!((summary.by_hour[0][0], summary.after_hours), (1, 1));
    assert_eq!(summary.days[0].date, "2026-01-05");
}

#[test]
fn several_reads_under_one_entry_count_each_and_the_facility_is_no_patient() {
    use crate::audit::AuditRead;
    let mut several = read(0, noon(), 1, 1);
    several.reads = vec![AuditRead { time: noon(), subject: 0, records: 1 }; 3];
    let mut facility = read(1, noon(), 1, 1);
    facility.subjects[0].patient = Some(PatientId::FACILITY);
    let mut erased = read(2, noon(), 1, 1);
    erased.subjects[0] = AuditSubject { patient: None, counter: None, records: Vec::new() };
    let summary = summed(&[several, facility, erased]);
    assert_eq!((summary.accesses, summary.patients), (4, 1), "one who was erased is nobody, but somebody was there");
}

#[test]
fn what_was_exported_is_counted_by_its_records_where_no_count_says() {
    let mut export = read(0, noon(), 1, 1);
    export.event = AuditEvent::RecordsExported;
    export.subjects[0].records = vec![AuditRecord::new(KindId::from_bytes([1; 16]), 1, 1, [0; 16]); 7];
    assert_eq!(summed(&[export]).exports, (1, 7));
}

#[test]
fn flags_are_told_by_rule_and_verdict() {
    let mut gatherer = Gatherer::new((noon(), Timestamp::MAX), noon(), None);
    gatherer.flag(MonitorRule::Vip, true, None);
    gatherer.flag(MonitorRule::BreakGlass, false, Some(FlagVerdict::Misuse));
    gatherer.flag(MonitorRule::Vip, false, Some(FlagVerdict::Explained));
    gatherer.flag(MonitorRule::Vip, false, None);
    let summary = gatherer.finish(|_| None);
    assert_eq!(summary.flag_totals(), (4, 2, 1));
    let vip = &summary.flags[1];
    assert_eq!((vip.rule, vip.open, vip.overdue, vip.closed[&FlagVerdict::Explained]), (MonitorRule::Vip, 2, 1, 1));
}

#[test]
fn a_period_without_an_end_says_so() {
    let summary = Summary { from: Timestamp::MIN, ..summed(&[]) };
    assert!(summary.to_string().starts_with("Audit log from the beginning until now ("), "{summary}");
    assert!(summary.to_html(&SummaryPage::new()).contains("the beginning until now"));
}

#[test]
fn the_tables_name_who_is_known_and_no_patient() {
    let mut summary = summed(&[read(0, noon(), 1, 1), read(1, noon(), 2, 1)]);
    summary.emergencies.push(page::emergency("Mrs Novak fell"));
    let text = summary.to_string();
    let found = |row: &str| text.lines().any(|line| line.split_whitespace().eq(row.split_whitespace()));
    assert!(found("dr.osei 1 0 1 0") && found("principal-02020202 1 0 1 0"), "{text}");
    assert!(found("P-1 2 2"), "{text}");
    assert!(!text.contains("patient-") && !text.contains("Novak"), "{text}");
}
