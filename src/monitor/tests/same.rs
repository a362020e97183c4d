//! The same entries give the same flags, however they come; and memory has a bound.

use proptest::prelude::*;

use super::super::engine::{ACTORS, FLAGS, ITEMS};
use super::*;

/// A small day: seconds since the entry before, who, whom, and what.
fn any_log() -> impl Strategy<Value = Vec<AuditEntry>> {
    proptest::collection::vec((0u64..20_000, 0u8..4, 0u16..8, 0u8..6), 0..120).prop_map(|steps| {
        let mut time = 0;
        let made = |(seq, (after, who, whom, what)): (u64, (u64, u8, u16, u8))| {
            time += after;
            match what {
                0 => denied(seq, later(time), who),
                1 => AuditEntry { event: AuditEvent::GlassBroken, ..read(seq, later(time), who, whom) },
                2 => entry(seq, later(time), AuditEvent::SignInRefused, Outcome::Denied),
                _ => read(seq, later(time), who, whom),
            }
        };
        (0..).zip(steps).map(made).collect()
    })
}

fn strict() -> MonitoringRules {
    let hours = OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3").unwrap().open(1..=5, (7, 0), (19, 0));
    MonitoringRules::new()
        .volume(3, Duration::from_secs(7_200))
        .unusual(2, 2)
        .denials(2, Duration::from_secs(7_200))
        .sign_ins(2, Duration::from_secs(7_200))
        .opening_hours(hours)
}

proptest! {
    #[test]
    fn at_once_in_pieces_and_resumed_give_the_same_flags(log in any_log(), cuts in proptest::collection::vec(0usize..120, 0..4)) {
        let host = Host { answers: [("own", CareAnswer::Yes), ("relation", CareAnswer::No), ("vip", CareAnswer::Failed)].into() };
        let whole = fed(&mut Monitor::new(strict()), &log, &host);
        let (mut pieces, mut resumed) = (Vec::new(), Vec::new());
        let (mut goes_on, mut saved) = (Monitor::new(strict()), Monitor::new(strict()).save());
        let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut.min(log.len())).chain([0, log.len()]).collect();
        bounds.sort_unstable();
        for piece in bounds.windows(2) {
            // What was fed before comes again, and is passed over.
            let overlapping = &log[piece[0].saturating_sub(5)..piece[1]];
            pieces.extend(fed(&mut goes_on, overlapping, &host));
            let mut monitor = Monitor::resume(strict(), &saved).unwrap();
            resumed.extend(fed(&mut monitor, overlapping, &host));
            saved = monitor.save();
        }
        prop_assert_eq!(&pieces, &whole);
        prop_assert_eq!(&resumed, &whole);
        let mut ids: Vec<_> = whole.iter().map(|flag| flag.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), whole.len(), "none twice");
        prop_assert!(whole.iter().all(|flag| flag.entries.iter().all(|seq| *seq < log.len() as u64)));
    }
}

#[test]
fn patients_are_forgotten_with_the_day_after_the_stretch() {
    let mut monitor = Monitor::new(MonitoringRules::new());
    let host = Host::says("relation", CareAnswer::No);
    fed(&mut monitor, &[read(0, noon(), 1, 1), denied(1, noon(), 1)], &host);
    assert_eq!((monitor.items, monitor.flags.len()), (2, 1));
    fed(&mut monitor, &[denied(2, later(3 * 86_400), 2)], &host);
    assert_eq!((monitor.items, monitor.flags.len()), (1, 0));
    let saved = monitor.save();
    let remembers = |patient| saved.windows(8).any(|bytes| bytes == crate::crypto::kdf::seen_patient(patient));
    assert!(!remembers(patient(1)));
}

#[test]
fn however_many_come_no_more_is_remembered_than_fits_and_what_was_let_go_is_counted() {
    let mut monitor = Monitor::new(MonitoringRules::new().volume(1_000, Duration::from_secs(86_400)));
    let host = Host::says("relation", CareAnswer::No);
    for n in 0..4_000u32 {
        let mut read = read(n.into(), later(u64::from(n)), 0, 0);
        read.actor = Some(PrincipalId::from_bytes([&n.to_be_bytes()[..], &[1; 12]].concat().try_into().unwrap()));
        read.subjects = (0..10)
            .map(|m| AuditSubject { patient: Some(patient(m)), counter: Some(1), records: Vec::new() })
            .collect();
        assert!(monitor.feed(&read, &host).len() >= 10);
    }
    assert!(monitor.actors.len() <= ACTORS && monitor.items <= ITEMS && monitor.flags.len() <= FLAGS);
    assert_eq!(monitor.items, monitor.actors.values().map(|actor| actor.items()).sum::<usize>());
    assert!(monitor.take_tally().let_go >= 4_000 - ACTORS as u64);
    assert_eq!(Monitor::resume(MonitoringRules::new(), &monitor.save()).unwrap().save(), monitor.save());
}
