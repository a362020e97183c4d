//! The longest token that a vault reads, from the issuer in another language, and one that is a byte longer.

use super::orders::{bytes_of, seed};
use super::*;

/// Both are well-formed and signed; a longer one is refused before anything else is looked at.
#[test]
fn a_token_of_4096_bytes_opens_and_one_of_4097_does_not() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let ama = orders::hex(clinic.ama.as_bytes());
    // In each narrowing: patients, of 16 bytes each, and items of 4, 7 and 11 bytes, as many as fit.
    let token = |more: usize, few: [usize; 3]| {
        let narrowings = (0..7).map(|at| {
            let listed = 31.min(more.saturating_sub(31 * at));
            let others = (0..listed).map(|n| format!("{n:02x}{}", &seed(0xEE)[2..32]));
            let patients: Vec<String> = std::iter::once(ama.clone()).chain(others).collect();
            let mut items = json!({ "patients": patients });
            let small = [json!({ "sensitivity": "V" }), json!({ "max_uses": 9 }), json!({ "not_before": 0 })];
            for (small, _) in small.into_iter().zip(few).filter(|(_, few)| at < *few) {
                items = with(items, small);
            }
            block(clinic.start, &items)
        });
        let grant = block(clinic.start, &everything(clinic.start));
        clinic.issue(&std::iter::once(grant).chain(narrowings).collect::<Vec<_>>())
    };
    let least = bytes_of(&run(&[token(0, [0; 3])])[0]).len();
    let of_len = |len: usize| {
        let mut few = (0..8).flat_map(|a| (0..8).flat_map(move |b| (0..8).map(move |c| [a, b, c])));
        let small = |few: &[usize; 3]| 4 * few[0] + 7 * few[1] + 11 * few[2];
        let few = few.find(|few| (len - least - small(few)).is_multiple_of(16)).unwrap();
        token((len - least - small(&few)) / 16, few)
    };
    let texts = run(&[4_095, 4_096, 4_097].map(of_len));
    assert_eq!(texts.iter().map(|text| bytes_of(text).len()).collect::<Vec<_>>(), [4_095, 4_096, 4_097]);
    for text in &texts[..2] {
        assert!(clinic.session(&read(text)).get(clinic.note).is_ok());
    }
    let [text, bytes] = [UnverifiedToken::from_text(&texts[2]), UnverifiedToken::from_bytes(&bytes_of(&texts[2]))];
    assert!(matches!(text, Err(TokenError::TooLong { found: 5_468, most: 5_467 })), "{text:?}");
    assert!(matches!(bytes, Err(TokenError::TooLong { found: 4_097, most: 4_096 })), "{bytes:?}");
}
