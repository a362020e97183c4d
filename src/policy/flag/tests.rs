use std::sync::Arc;

use proptest::prelude::*;

use super::super::{MonitoringRow, PolicyRow, SuppressorRow};
use super::*;
use crate::crypto::kdf::{flag_id, principal_id};
use crate::format::worked;
use crate::monitor::{Monitor, MonitoringRules, OpeningHours};

fn at() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

fn documented(patient_tag: Option<[u8; 16]>) -> FlagRow {
    let later = |seconds| at().saturating_add(std::time::Duration::from_secs(seconds));
    let actor = principal_id("dr.osei");
    FlagRow {
        id: flag_id(MonitorRule::OwnRecord.code(), actor.as_bytes(), &[0xA1; 16], 20_458),
        patient_tag,
        rule: MonitorRule::OwnRecord,
        actor: Some(actor),
        at: at(),
        raised: later(60),
        entries: vec![7, 9],
        why: "in the chart of their own".into(),
        against: String::new(),
        assigned: None,
        closed: Some(FlagClosed {
            by: principal_id("a.lund"),
            at: later(3_600),
            verdict: FlagVerdict::Explained,
            note: "asked by the clinic to".into(),
        }),
        escalated: None,
    }
}

fn rules() -> PolicyRow {
    let hours = OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3").unwrap().open(1..=5, (7, 0), (19, 0));
    PolicyRow::Monitoring(Arc::new(MonitoringRow { from: 12, rules: MonitoringRules::new().opening_hours(hours) }))
}

fn suppressor(patient_tag: Option<[u8; 16]>) -> PolicyRow {
    PolicyRow::Suppressor(SuppressorRow {
        number: 1,
        patient_tag,
        rule: Some(MonitorRule::SameSurname),
        actor: None,
        group: Some("ward 3".into()),
        until: at().saturating_add(std::time::Duration::from_secs(86_400)),
        by: principal_id("a.lund"),
        made: at(),
        reason: "one family works there".into(),
    })
}

#[test]
fn the_worked_examples_hold_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
    let state = PolicyRow::MonitorState(Monitor::new(MonitoringRules::new()).save().into());
    let examples = [
        ("flag_row", PolicyRow::Flag(documented(None))),
        ("flag_row_of_patient", PolicyRow::Flag(documented(Some([0xD4; 16])))),
        ("monitoring_row", rules()),
        ("suppressor_row", suppressor(None)),
        ("suppressor_row_of_patient", suppressor(Some([0xD4; 16]))),
        ("monitor_state_row", state),
    ];
    for (name, row) in examples {
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(include_str!("../../../docs/format/policy.md"), name), "{name}");
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()), "{name}");
        // Rules without opening hours end before these.
        let short = if name == "monitoring_row" { 44 } else { usize::MAX };
        for len in (0..bytes.len()).filter(|len| *len != short) {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{name} {len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow), "{name}");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "{name} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn flags_and_suppressors_come_back(
        (id, tag, who) in any::<([u8; 16], Option<[u8; 16]>, Option<[u8; 16]>)>(),
        (at, raised, until) in any::<(i64, i64, i64)>(),
        entries in proptest::collection::btree_set(any::<u64>(), 0..=MAX_EVIDENCE),
        (rule, verdict) in (0usize..11, 0usize..4),
        texts in ("[a-zé ]{0,120}x", "[a-zé ]{0,200}"),
        assigned in proptest::option::of(any::<([u8; 16], i64)>()),
        note in proptest::option::of("[a-zé ]{0,200}x"),
        escalated in proptest::option::of(any::<i64>()),
    ) {
        let actor = who.map(PrincipalId::from_bytes);
        let closed = note.map(|note| FlagClosed {
            by: PrincipalId::from_bytes(id),
            at: Timestamp::from_micros(raised),
            verdict: FlagVerdict::ALL[verdict],
            note,
        });
        let flag = PolicyRow::Flag(FlagRow {
            id: FlagId::from_bytes(id),
            patient_tag: tag,
            rule: MonitorRule::ALL[rule],
            actor,
            at: Timestamp::from_micros(at),
            raised: Timestamp::from_micros(raised),
            entries: entries.into_iter().collect(),
            why: texts.0.clone(),
            against: texts.1,
            assigned: assigned.map(|(to, at)| (PrincipalId::from_bytes(to), Timestamp::from_micros(at))),
            closed,
            escalated: escalated.map(Timestamp::from_micros),
        });
        prop_assert_eq!(PolicyRow::parse(&flag.to_bytes()), Ok(flag));
        let suppressor = PolicyRow::Suppressor(SuppressorRow {
            number: 9,
            patient_tag: tag,
            rule: who.map(|_| MonitorRule::ALL[rule]),
            actor,
            group: who.map(|_| "ward 3".to_owned()),
            until: Timestamp::from_micros(until),
            by: PrincipalId::from_bytes(id),
            made: Timestamp::from_micros(at),
            reason: texts.0,
        });
        prop_assert_eq!(PolicyRow::parse(&suppressor.to_bytes()), Ok(suppressor));
    }
}
