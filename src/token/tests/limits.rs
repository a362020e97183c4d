//! The vault's limits on a grant's validity.

use super::*;

fn check(token: &Token, now: Timestamp, longest: Duration) -> Option<TokenError> {
    token.as_ref().verify(VAULT, trusted, |_| false, now, longest).err()
}

#[test]
fn the_longest_validity_is_exact() {
    let token = signed(&wide().valid_for(HOUR));
    let shorter = Duration::from_secs(3599);
    assert_eq!(check(&token, NOW, HOUR), None);
    assert_eq!(check(&token, NOW, shorter), Some(TokenError::LifetimeTooLong { longest: shorter }));
    // It is not made shorter by waiting.
    let later = second(NOW_SECONDS + 3000);
    assert_eq!(check(&token, later, shorter), Some(TokenError::LifetimeTooLong { longest: shorter }));
    let year = signed(&wide().valid_for(DEFAULT_LONGEST_TTL));
    assert_eq!(check(&year, NOW, DEFAULT_LONGEST_TTL), None);
}

#[test]
fn a_grant_from_the_future_is_refused_beyond_the_tolerance() {
    let issued = |ahead: u64| signed(&wide().issued_at(second(NOW_SECONDS + ahead)));
    assert_eq!(check(&issued(120), NOW, HOUR), None);
    let from = second(NOW_SECONDS + 121);
    assert_eq!(check(&issued(121), NOW, HOUR), Some(TokenError::NotYetValid { block: 0, from }));
}

#[test]
fn a_grant_for_ever_is_refused() {
    let items: Vec<RawItem> =
        raw_grant().into_iter().map(|item| if item.0 == 0x11 { (0x11, vec![0xFF; 8]) } else { item }).collect();
    let refused = accept(&Raw::grant(&items).bytes()).err();
    assert_eq!(refused, Some(TokenError::LifetimeTooLong { longest: DEFAULT_LONGEST_TTL }));
    assert!(refused.unwrap().to_string().contains("366 days"));
}
