//! Policy rows as bytes (docs/format/policy.md): `table u8 ‖ fields`, sealed under the policy key.

use std::time::Duration;

use super::erasure::Erasure;
use super::retention::RetentionRow;
use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;
use crate::format::doubt::DoubtMap;
use crate::format::keys::RecordKey;
use crate::read_audit::ReadAudit;
use crate::record::Kind;

const TABLE_ISSUER: u8 = 1;
const TABLE_KIND: u8 = 2;
const TABLE_CLOCK: u8 = 3;
const TABLE_ATTESTER: u8 = 4;
const TABLE_READ_AUDIT: u8 = 5;
const TABLE_DOUBT: u8 = 6;
const TABLE_SLOT_USE: u8 = 7;
const TABLE_DATA_KEY: u8 = 16;
/// From here on: about patients.
const TABLE_RETENTION: u8 = 32;
const TABLE_ERASURE: u8 = 33;

const CHOICE_DURABLE: u8 = 0;
const CHOICE_WINDOWED: u8 = 1;

/// One thing that the vault remembers about whom and what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyRow {
    /// Tokens under this key are accepted.
    Issuer { public: [u8; 32], trusted_at: Timestamp },
    /// A kind that has been used, so that its name can be shown.
    Kind { kind: Kind },
    /// The clock had jumped ahead, and was set back.
    ClockReset { jumped_to: Timestamp, reset_to: Timestamp },
    /// When entries of reads become durable.
    ReadAudit(ReadAudit),
    /// Attestations under this key count.
    Attester { public: [u8; 32], trusted_at: Timestamp },
    /// A key slot opened the vault. `created` is the slot's, since another slot may get its number.
    SlotUse { slot: u8, created: Timestamp, used: Timestamp },
    /// The data key in force.
    DataKey(DataKeyRow),
    /// The vault was salvaged, and these parts of it may be older than they were or lack rows.
    Doubt { salvaged_at: Timestamp, map: DoubtMap },
    /// What keeps a chart, or records of it, from being erased.
    Retention(RetentionRow),
    /// An entry of the erasure ledger.
    Erasure(Erasure),
}

/// Which data key seals, and how far older records were sealed anew under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataKeyRow {
    pub(crate) epoch: u32,
    /// Versions that were looked at.
    pub(crate) passed: u64,
    /// The last of them. A hint: what is older is found by looking at each row.
    pub(crate) last: Option<RecordKey>,
}

/// A policy row that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRow;

impl From<Truncated> for BadRow {
    fn from(_: Truncated) -> Self {
        Self
    }
}

impl PolicyRow {
    /// [`PolicyRow::place`] of the row of doubt.
    pub(crate) const PLACE_OF_DOUBT: (u8, [u8; 16]) = (TABLE_DOUBT, [0; 16]);

    /// [`PolicyRow::place`] of what keeps a chart.
    pub(crate) const fn place_of_retention(patient_tag: [u8; 16]) -> (u8, [u8; 16]) {
        (TABLE_RETENTION, patient_tag)
    }

    /// Its table and the id that, blinded, is its storage key.
    pub(crate) fn place(&self) -> (u8, [u8; 16]) {
        match self {
            Self::Issuer { public, .. } => (TABLE_ISSUER, *crate::crypto::kdf::issuer_id(public).as_bytes()),
            Self::Kind { kind } => (TABLE_KIND, *kind.id().as_bytes()),
            Self::ClockReset { .. } => (TABLE_CLOCK, [0; 16]),
            Self::ReadAudit(_) => (TABLE_READ_AUDIT, [0; 16]),
            Self::Attester { public, .. } => (TABLE_ATTESTER, *crate::crypto::kdf::attester_id(public).as_bytes()),
            Self::Doubt { .. } => Self::PLACE_OF_DOUBT,
            Self::DataKey(_) => (TABLE_DATA_KEY, [0; 16]),
            Self::SlotUse { slot, .. } => (TABLE_SLOT_USE, [*slot, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Self::Retention(row) => Self::place_of_retention(row.patient_tag),
            Self::Erasure(row) => (TABLE_ERASURE, row.patient_tag),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        match self {
            Self::Issuer { public, trusted_at } => {
                bytes.put_u8(TABLE_ISSUER);
                bytes.put(public);
                bytes.put_i64(trusted_at.as_micros());
            }
            Self::Kind { kind } => {
                bytes.put_u8(TABLE_KIND);
                bytes.put(kind.as_str().as_bytes());
            }
            Self::ClockReset { jumped_to, reset_to } => {
                bytes.put_u8(TABLE_CLOCK);
                bytes.put_i64(jumped_to.as_micros());
                bytes.put_i64(reset_to.as_micros());
            }
            Self::Attester { public, trusted_at } => {
                bytes.put_u8(TABLE_ATTESTER);
                bytes.put(public);
                bytes.put_i64(trusted_at.as_micros());
            }
            Self::SlotUse { slot, created, used } => {
                bytes.put_u8(TABLE_SLOT_USE);
                bytes.put_u8(*slot);
                bytes.put_i64(created.as_micros());
                bytes.put_i64(used.as_micros());
            }
            Self::DataKey(DataKeyRow { epoch, passed, last }) => {
                bytes.put_u8(TABLE_DATA_KEY);
                bytes.put_u32(*epoch);
                bytes.put_u64(*passed);
                if let Some(last) = last {
                    bytes.put(&last.to_bytes());
                }
            }
            Self::Doubt { salvaged_at, map } => {
                bytes.put_u8(TABLE_DOUBT);
                bytes.put_i64(salvaged_at.as_micros());
                map.encode(&mut bytes);
            }
            Self::Retention(row) => {
                bytes.put_u8(TABLE_RETENTION);
                row.encode(&mut bytes);
            }
            Self::Erasure(row) => {
                bytes.put_u8(TABLE_ERASURE);
                row.encode(&mut bytes);
            }
            Self::ReadAudit(choice) => {
                bytes.put_u8(TABLE_READ_AUDIT);
                match choice {
                    ReadAudit::Durable => bytes.put_u8(CHOICE_DURABLE),
                    ReadAudit::Windowed { delay, entries } => {
                        bytes.put_u8(CHOICE_WINDOWED);
                        bytes.put_u64(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
                        bytes.put_u32(*entries);
                    }
                }
            }
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRow> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            TABLE_ISSUER => {
                let public = reader.array()?;
                let trusted_at = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::Issuer { public, trusted_at })
            }
            TABLE_KIND => {
                let name = std::str::from_utf8(reader.rest()).map_err(|_| BadRow)?;
                Ok(Self::Kind { kind: Kind::new(name).map_err(|_| BadRow)? })
            }
            TABLE_CLOCK => {
                let jumped_to = Timestamp::from_micros(reader.i64()?);
                let reset_to = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::ClockReset { jumped_to, reset_to })
            }
            TABLE_ATTESTER => {
                let public = reader.array()?;
                let trusted_at = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::Attester { public, trusted_at })
            }
            TABLE_SLOT_USE => {
                let slot = reader.u8()?;
                let created = Timestamp::from_micros(reader.i64()?);
                let used = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::SlotUse { slot, created, used })
            }
            TABLE_DATA_KEY => {
                let epoch = reader.u32()?;
                let passed = reader.u64()?;
                let last = match reader.rest() {
                    [] => None,
                    key => Some(RecordKey::from_bytes(key).map_err(|_| BadRow)?),
                };
                if epoch == 0 {
                    return Err(BadRow);
                }
                Ok(Self::DataKey(DataKeyRow { epoch, passed, last }))
            }
            TABLE_DOUBT => {
                let salvaged_at = Timestamp::from_micros(reader.i64()?);
                let map = DoubtMap::decode(&mut reader)?;
                reader.finish()?;
                Ok(Self::Doubt { salvaged_at, map })
            }
            TABLE_RETENTION => RetentionRow::decode(reader).map(Self::Retention),
            TABLE_ERASURE => Erasure::decode(reader).map(Self::Erasure),
            TABLE_READ_AUDIT => {
                let choice = match reader.u8()? {
                    CHOICE_DURABLE => ReadAudit::Durable,
                    CHOICE_WINDOWED => {
                        ReadAudit::Windowed { delay: Duration::from_nanos(reader.u64()?), entries: reader.u32()? }
                    }
                    _ => return Err(BadRow),
                };
                reader.finish()?;
                choice.check().map(Self::ReadAudit).map_err(|_| BadRow)
            }
            _ => Err(BadRow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::keys::Tree;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

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
        [DataKeyRow { epoch: 2, passed: 0, last: None }, DataKeyRow { epoch: 2, passed: 500, last }]
            .map(PolicyRow::DataKey)
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
}
