//! Item 19: which level what was shown reaches, and how old it may be.

use super::*;
use crate::token::attenuate::AttenuateError;
use crate::token::sign_in::SignInLevel::{self, HardwareKey, OneFactor, TwoFactors};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn demanding(level: SignInLevel) -> Token {
    signed(&narrow().sign_in(level, MINUTE))
}

fn open(token: &Token, sign_in: Option<(SignInLevel, Timestamp)>, claims: &[Claim]) -> Result<(), ProofError> {
    let attest = |claim: &Claim| {
        let attestation = Attestation::of(token, *claim).issued_at(NOW).valid_for(HOUR);
        attestation.answering(&CHALLENGE).sign(&attester()).unwrap()
    };
    let shown = Shown { attestations: claims.iter().map(attest).collect(), sign_in, ..Shown::default() };
    let at = Admission { purpose: Purpose::Treatment, now: NOW };
    verify(token).unwrap().admit(&shown, at, trusted_attester, |_| Ok(CHALLENGE)).map(drop)
}

#[test]
fn each_level_is_reached_by_what_was_shown_and_by_no_less() {
    let (one, two) = (Some((OneFactor, NOW)), Some((TwoFactors, NOW)));
    let key = [Claim::HARDWARE_KEY];
    let shown: [(_, &[Claim], u8); 10] = [
        (None, &[], 0),
        (one, &[], 1),
        (two, &[], 2),
        (None, &[Claim::SIGNED_IN], 1),
        (None, &[Claim::TWO_FACTORS], 2),
        (None, &key, 1),
        (one, &key, 3),
        (two, &key, 3),
        (one, &[Claim::SIGNED_IN], 1),
        (None, &[Claim::SIGNED_IN, Claim::HARDWARE_KEY], 1),
    ];
    for (sign_in, claims, reached) in shown {
        for level in [OneFactor, TwoFactors, HardwareKey] {
            let low = ProofError::SignInTooLow { level: level.code(), shown: reached };
            let expected = if level.code() <= reached { Ok(()) } else { Err(low) };
            assert_eq!(open(&demanding(level), sign_in, claims), expected, "{sign_in:?} {claims:?} {level}");
        }
    }
    assert_eq!(open(&signed(&narrow()), None, &[]), Ok(()), "nothing is demanded");
}

#[test]
fn what_was_shown_for_a_level_is_as_old_as_the_token_allows_at_most() {
    let seconds_ago = |seconds: i64| Some((TwoFactors, Timestamp::from_micros(NOW.as_micros() - seconds * 1_000_000)));
    assert_eq!(open(&demanding(TwoFactors), seconds_ago(60), &[]), Ok(()));
    let old = |level| Err(ProofError::SignInTooOld { level, oldest: 60 });
    assert_eq!(open(&demanding(TwoFactors), seconds_ago(61), &[]), old(2));
    assert_eq!(open(&demanding(HardwareKey), seconds_ago(61), &[Claim::HARDWARE_KEY]), old(3));
    assert_eq!(open(&demanding(OneFactor), seconds_ago(61), &[Claim::SIGNED_IN]), Ok(()));
}

#[test]
fn a_later_block_demands_no_lower_level_and_no_longer_age() {
    let token = demanding(TwoFactors);
    let narrowed = |level, oldest| token.attenuate().issued_at(NOW).sign_in(level, oldest).finish().map(drop);
    let widening = Err(AttenuateError::Widening { caveat: Caveat::Mfa });
    assert_eq!(narrowed(TwoFactors, MINUTE), Ok(()));
    assert_eq!(narrowed(HardwareKey, MINUTE / 2), Ok(()));
    assert_eq!(narrowed(OneFactor, MINUTE), widening);
    assert_eq!(narrowed(HardwareKey, 2 * MINUTE), widening);
}

#[test]
fn a_forged_block_takes_nothing_off_what_the_others_demand() {
    let forged = append(&demanding(TwoFactors), vec![Item::Mfa { level: 0, oldest: u32::MAX }]);
    let low = ProofError::SignInTooLow { level: 2, shown: 1 };
    assert_eq!(open(&forged, Some((OneFactor, NOW)), &[]), Err(low));
    let long_ago = Timestamp::from_micros(NOW.as_micros() - 61_000_000);
    let old = ProofError::SignInTooOld { level: 2, oldest: 60 };
    assert_eq!(open(&forged, Some((TwoFactors, long_ago)), &[]), Err(old));
    let rights = forged.inspect().effective();
    assert_eq!((rights.sign_in, rights.unsupported.len()), (Some((2, MINUTE)), 0));
    assert!(rights.to_string().contains("  sign-in: level 2, at most 60 s ago\n"));
}

#[test]
fn a_level_that_only_later_versions_know_opens_nothing() {
    let token = append(&signed(&narrow()), vec![Item::Mfa { level: 4, oldest: 60 }]);
    let denial = verify(&token).unwrap().decide_opening(Purpose::Treatment, None).unwrap_err();
    assert_eq!((denial.block, denial.reason), (1, DenyReason::Unsupported(Caveat::Mfa)));
    let known = append(&signed(&narrow()), vec![Item::Mfa { level: 3, oldest: 60 }]);
    assert_eq!(verify(&known).unwrap().decide_opening(Purpose::Treatment, None), Ok(()));
}

proptest! {
    /// Narrowing that is allowed never lets in what was not let in before.
    #[test]
    fn no_chain_of_blocks_lets_more_in_than_its_first(
        first in (0..4_u8, 0..5_u32),
        later in prop::collection::vec((0..4_u8, 0..5_u32), 0..4),
        shown in (0..3_u8, 0..5_i64),
    ) {
        let item = |(level, oldest)| Item::Mfa { level, oldest };
        let alone = append(&signed(&narrow()), vec![item(first)]);
        let copy = append(&signed(&narrow()), vec![item(first)]);
        let chain = later.into_iter().fold(copy, |token, one| append(&token, vec![item(one)]));
        let at = Timestamp::from_micros(NOW.as_micros() - shown.1 * 1_000_000);
        let shown = SignInLevel::from_code(shown.0).map(|level| (level, at));
        if open(&chain, shown, &[]).is_ok() {
            prop_assert_eq!(open(&alone, shown, &[]), Ok(()));
        }
    }
}
