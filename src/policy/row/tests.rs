//! Policy rows against the format page, cut, prolonged and with each bit flipped.

use super::*;
use crate::format::keys::Tree;
use crate::format::worked;
use proptest::prelude::*;

const PAGE: &str = include_str!("../../../docs/format/policy.md");

#[test]
fn the_worked_example_holds() {
    let public = worked::array(PAGE, "issuer_public");
    let issuer = PolicyRow::Issuer { public, trusted_at: "2026-01-05T12:00:00Z".parse().unwrap() };
    assert_eq!(worked::bytes(PAGE, "issuer_row"), issuer.to_bytes());
    let attester = PolicyRow::Attester { public, trusted_at: "2026-01-05T12:00:00Z".parse().unwrap() };
    assert_eq!(worked::bytes(PAGE, "attester_row"), attester.to_bytes());
    let name = String::from_utf8(worked::bytes(PAGE, "kind_name")).unwrap();
    let kind = PolicyRow::Kind { kind: Kind::new(&name).unwrap() };
    assert_eq!(worked::bytes(PAGE, "kind_row"), kind.to_bytes());
    let [jumped_to, reset_to] = ["jumped_to", "reset_to"].map(|name| worked::text(PAGE, name).parse().unwrap());
    assert_eq!(worked::bytes(PAGE, "clock_row"), PolicyRow::ClockReset { jumped_to, reset_to }.to_bytes());
    let window = ReadAudit::Windowed { delay: Duration::from_millis(50), entries: 500 };
    assert_eq!(worked::bytes(PAGE, "windowed_row"), PolicyRow::ReadAudit(window).to_bytes());
    assert_eq!(worked::bytes(PAGE, "durable_row"), PolicyRow::ReadAudit(ReadAudit::Durable).to_bytes());
}

#[test]
fn a_use_of_a_slot_that_was_cut_prolonged_or_flipped_is_refused_or_another_one() {
    let [created, used] = ["2026-01-05T12:00:00Z", "2026-01-06T07:30:00Z"].map(|time| time.parse().unwrap());
    let row = PolicyRow::SlotUse { slot: 3, created, used };
    let bytes = row.to_bytes();
    assert_eq!(bytes, worked::bytes(PAGE, "slot_use_row"));
    assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
    for len in 0..bytes.len() {
        assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
    }
    assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
    }
    assert_ne!(row.place(), PolicyRow::SlotUse { slot: 4, created, used }.place());
}

proptest! {
    #[test]
    fn uses_of_slots_come_back(slot: u8, created: i64, used: i64) {
        let [created, used] = [created, used].map(Timestamp::from_micros);
        let row = PolicyRow::SlotUse { slot, created, used };
        prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
    }
}

fn data_key_rows() -> [PolicyRow; 2] {
    let (patient_tag, kind_tag) = (std::array::from_fn(|at| 0xA0 + at as u8), [0x11; 8]);
    let last = Some(RecordKey { patient_tag, kind_tag, number: 3, version: 1 });
    [DataKeyRow { epoch: 2, passed: 0, last: None }, DataKeyRow { epoch: 2, passed: 500, last }].map(PolicyRow::DataKey)
}

#[test]
fn a_data_key_in_force_that_was_cut_prolonged_or_flipped_is_refused_or_another_one() {
    for (row, name) in data_key_rows().into_iter().zip(["data_key_row", "data_key_row_under_way"]) {
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, name));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        // Without the whole of its last field it is one that has none.
        for len in (0..bytes.len()).filter(|len| *len != 13) {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }
    let none = DataKeyRow { epoch: 0, passed: 0, last: None };
    assert_eq!(PolicyRow::parse(&PolicyRow::DataKey(none).to_bytes()), Err(BadRow));
}

proptest! {
    #[test]
    fn data_keys_in_force_come_back(
        epoch in 1..=u32::MAX,
        passed: u64,
        last in prop::option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), 1..=u64::MAX, 1..=u32::MAX)),
    ) {
        let key = |(patient_tag, kind_tag, number, version)| RecordKey { patient_tag, kind_tag, number, version };
        let row = PolicyRow::DataKey(DataKeyRow { epoch, passed, last: last.map(key) });
        prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
    }
}

fn any_choice() -> impl Strategy<Value = ReadAudit> {
    let windowed = (1_000_000..=60_000_000_000_u64, 1..=10_000_u32)
        .prop_map(|(nanos, entries)| ReadAudit::Windowed { delay: Duration::from_nanos(nanos), entries });
    prop_oneof![Just(ReadAudit::Durable), windowed]
}

proptest! {
    #[test]
    fn a_choice_of_the_read_audit_comes_back(choice in any_choice()) {
        let row = PolicyRow::ReadAudit(choice);
        prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
    }

    #[test]
    fn what_parses_is_what_would_be_written(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
        let bytes = [&[TABLE_READ_AUDIT][..], &bytes].concat();
        if let Ok(row) = PolicyRow::parse(&bytes) {
            prop_assert_eq!(row.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_choice_that_was_cut_prolonged_or_flipped_is_refused_or_another_one() {
    let window = ReadAudit::Windowed { delay: Duration::from_secs(1), entries: 100 };
    for row in [PolicyRow::ReadAudit(window), PolicyRow::ReadAudit(ReadAudit::Durable)] {
        let bytes = row.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }
    let (delay, entries) = (Duration::from_secs(61), 10_001);
    for out in [ReadAudit::Windowed { delay, entries: 1 }, ReadAudit::Windowed { delay: delay / 2, entries }] {
        assert_eq!(PolicyRow::parse(&PolicyRow::ReadAudit(out).to_bytes()), Err(BadRow));
    }
}

#[test]
fn doubt_that_was_cut_prolonged_or_flipped_is_refused_or_another_one() {
    let mut map = DoubtMap::default();
    map.doubt(Tree::Records, 0x123);
    map.doubt(Tree::Policy, 0);
    let row = PolicyRow::Doubt { salvaged_at: "2026-01-05T12:00:00Z".parse().unwrap(), map };
    let bytes = row.to_bytes();
    assert_eq!(PolicyRow::parse(&bytes).as_ref(), Ok(&row));
    let head = worked::bytes(PAGE, "doubt_row_head");
    assert_eq!(bytes[..head.len()], head);
    assert_eq!(worked::array::<32>(PAGE, "doubt_row_sha256"), crate::crypto::hash::sha256(&[&bytes]));
    for len in 0..bytes.len() {
        assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
    }
    assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
    }
}

#[test]
fn rows_come_back_and_cut_ones_do_not() {
    let rows = [
        PolicyRow::Issuer { public: [7; 32], trusted_at: Timestamp::from_micros(-5) },
        PolicyRow::Kind { kind: Kind::new("Observation").unwrap() },
        PolicyRow::ClockReset { jumped_to: Timestamp::from_micros(9), reset_to: Timestamp::from_micros(-9) },
        PolicyRow::Attester { public: [8; 32], trusted_at: Timestamp::from_micros(5) },
    ];
    for row in rows {
        let bytes = row.to_bytes();
        assert_eq!(PolicyRow::parse(&bytes), Ok(row));
        assert_eq!(PolicyRow::parse(&bytes[..1]), Err(BadRow));
    }
    let (public, trusted_at) = ([7; 32], Timestamp::from_micros(0));
    for row in [PolicyRow::Issuer { public, trusted_at }, PolicyRow::Attester { public, trusted_at }] {
        let bytes = row.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
    }
    assert_eq!(PolicyRow::parse(&[4, 1, 2]), Err(BadRow));
    assert_eq!(PolicyRow::parse(b"\x02not a kind"), Err(BadRow));
}
