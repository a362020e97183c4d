//! Principals against the format page, cut, prolonged and with each bit flipped.

use std::sync::Arc;

use super::super::PolicyRow;
use super::*;
use crate::format::worked;
use proptest::prelude::*;

const PAGE: &str = include_str!("../../../docs/format/policy.md");

pub(crate) fn verifier(cost: PassphraseCost) -> Verifier {
    Verifier { cost, salt: [0x51; 32], hash: Secret::take(&mut [0x52; 32]) }
}

fn totp(byte: u8) -> TotpSecret {
    TotpSecret::new(Secret::take(&mut [byte; TOTP_SECRET]))
}

/// The one of docs/format/policy.md.
fn documented() -> PrincipalRow {
    let time = |text: &str| text.parse().unwrap();
    let mut row = PrincipalRow::new("dr.osei", time("2026-01-05T12:00:00Z"));
    row.display_name = Some("Dr. Osei".into());
    row.last_sign_in = Some(time("2026-01-06T07:30:00Z"));
    row.disabled = Some(Disabled { since: time("2026-01-07T00:00:00Z"), reason: "on leave".into() });
    row.password = Some(verifier(PassphraseCost::new(64 * 1024, 3, 1).unwrap()));
    row.totp = Some(Totp { secret: totp(0x53), used: 58_923_060 });
    row.pending = Some((totp(0x54), time("2026-01-06T08:00:00Z")));
    row.recovery_codes = vec![[0x55; 32], [0x56; 32]];
    row
}

fn parsed(bytes: &[u8]) -> Result<PolicyRow, BadRow> {
    PolicyRow::parse(bytes)
}

#[test]
fn the_worked_examples_hold_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
    let plain = PrincipalRow::new("dr.osei", "2026-01-05T12:00:00Z".parse().unwrap());
    for (row, name) in [(documented(), "principal_row"), (plain, "principal_row_without_factors")] {
        let row = PolicyRow::Principal(Arc::new(row));
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, name));
        assert_eq!(parsed(&bytes).as_ref(), Ok(&row));
        for len in 0..bytes.len() {
            assert_eq!(parsed(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(parsed(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(parsed(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }
}

#[test]
fn the_largest_row_fits_the_room_that_was_made_for_it() {
    let mut row = documented();
    row.name = "n".repeat(MAX_NAME);
    row.display_name = Some("d".repeat(MAX_DISPLAY_NAME));
    row.disabled = Some(Disabled { since: Timestamp::MIN, reason: "r".repeat(MAX_DISABLED_REASON) });
    row.recovery_codes = vec![[7; 32]; RECOVERY_CODES];
    let row = PolicyRow::Principal(Arc::new(row));
    let bytes = row.to_bytes();
    assert!(bytes.len() <= ROW_CAPACITY, "{}", bytes.len());
    assert_eq!(parsed(&bytes), Ok(row));
}

#[test]
fn names_and_codes_beyond_their_bounds_are_refused() {
    let refused = |change: &dyn Fn(&mut PrincipalRow)| {
        let mut row = documented();
        change(&mut row);
        assert_eq!(parsed(&PolicyRow::Principal(Arc::new(row)).to_bytes()), Err(BadRow));
    };
    refused(&|row| row.name = "n".repeat(MAX_NAME + 1));
    refused(&|row| row.name = " ".into());
    refused(&|row| row.display_name = Some(String::new()));
    refused(&|row| row.recovery_codes = vec![[7; 32]; RECOVERY_CODES + 1]);
    let bytes = PolicyRow::Principal(Arc::new(documented())).to_bytes();
    let argon2id = bytes.windows(5).position(|five| five == [1, 0, 1, 0, 0]).unwrap();
    for (at, byte) in [(argon2id, 2), (argon2id + 1, 1), (argon2id + 8, 0)] {
        let mut bad = bytes.clone();
        bad[at] = byte;
        assert_eq!(parsed(&bad), Err(BadRow), "{at}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?} {:?}", documented(), PolicyRow::Principal(Arc::new(documented())));
    for secret in ["dr.osei", "Osei", "leave", "82", "83", "52", "53"] {
        assert!(!shown.replace(&documented().id().to_string(), "").contains(secret), "{shown}");
    }
}

fn any_row() -> impl Strategy<Value = PolicyRow> {
    let texts = ("[a-zé.]{1,40}", prop::option::of("[A-Za-zé ]{1,30}x"));
    let times = (any::<i64>(), prop::option::of(any::<i64>()));
    let disabled = prop::option::of((any::<i64>(), "[a-z ]{0,40}x"));
    let factors = (any::<bool>(), prop::option::of((any::<u8>(), any::<u64>())), prop::option::of(any::<(u8, i64)>()));
    let codes = prop::collection::vec(any::<[u8; 32]>(), 0..=RECOVERY_CODES);
    (texts, times, disabled, factors, codes).prop_map(|(texts, times, disabled, factors, codes)| {
        let mut row = PrincipalRow::new(&texts.0, Timestamp::from_micros(times.0));
        row.display_name = texts.1;
        row.last_sign_in = times.1.map(Timestamp::from_micros);
        row.disabled = disabled.map(|(since, reason)| Disabled { since: Timestamp::from_micros(since), reason });
        row.password = factors.0.then(|| verifier(PassphraseCost::MINIMUM));
        row.totp = factors.1.map(|(secret, used)| Totp { secret: totp(secret), used });
        row.pending = factors.2.map(|(secret, since)| (totp(secret), Timestamp::from_micros(since)));
        row.recovery_codes = codes;
        PolicyRow::Principal(Arc::new(row))
    })
}

proptest! {
    #[test]
    fn principals_come_back(row in any_row()) {
        prop_assert_eq!(parsed(&row.to_bytes()), Ok(row));
    }

    #[test]
    fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..80)) {
        for table in [10, 18] {
            let bytes = [&[table][..], &rest].concat();
            if let Ok(row) = parsed(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
