use super::super::grouped;
use super::*;
use crate::format::worked;
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

const PAGE: &str = include_str!("../../../docs/format/shares.md");

/// A text whose groups are right, around any content.
fn text_around(content: &[u8]) -> String {
    grouped::text_of(&[content, &kdf::share_check(content)].concat()).to_string()
}

proptest! {
    #[test]
    fn enough_shares_give_the_key_back_through_their_text(
        (needed, of) in (2..=16_u8).prop_flat_map(|needed| (Just(needed), needed..=16)), seed: u64,
    ) {
        let (whole, shares) = SharedKey::split(needed, of).unwrap();
        prop_assert_eq!(shares.len(), usize::from(of));
        let mut typed: Vec<Share> = shares.iter().map(|share| share.expose_text().parse().unwrap()).collect();
        let turn = usize::try_from(seed % u64::from(of)).unwrap();
        typed.rotate_left(turn);
        for count in usize::from(needed)..=usize::from(of) {
            let back = SharedKey::combine(&typed[..count]).unwrap();
            prop_assert_eq!((back.expose(), back.set(), back.threshold()), (whole.expose(), whole.set(), (needed, of)));
        }
        let found = usize::from(needed) - 1;
        prop_assert_eq!(SharedKey::combine(&typed[..found]).unwrap_err(), ShareError::TooFew { found, needed });
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,110}") {
        let _ = text.parse::<Share>();
    }
}

#[test]
fn thresholds_are_bounded() {
    for (needed, of) in [(2, 2), (2, 16), (16, 16)] {
        assert!(SharedKey::split(needed, of).is_ok());
    }
    for (needed, of) in [(0, 0), (0, 3), (1, 3), (3, 2), (2, 17), (17, 17), (255, 255)] {
        assert_eq!(SharedKey::split(needed, of).unwrap_err(), ShareError::Threshold { needed, of });
    }
    assert_eq!(SharedKey::combine([]).unwrap_err(), ShareError::TooFew { found: 0, needed: 2 });
}

#[test]
fn shares_of_two_keys_and_a_share_given_twice_are_named() {
    let ((_, ours), (_, theirs)) = (SharedKey::split(2, 3).unwrap(), SharedKey::split(2, 3).unwrap());
    let mixed = SharedKey::combine([&ours[0], &theirs[1]]).unwrap_err();
    assert_eq!(mixed, ShareError::AnotherSet { number: 2, found: theirs[0].set() });
    assert_eq!(SharedKey::combine([&ours[2], &ours[2]]).unwrap_err(), ShareError::Twice { number: 3 });
    // The same set, as somebody forged it, with another threshold.
    let text = text_around(&Share { needed: 3, value: Secret::zeroed(), ..copy(&ours[1]) }.to_bytes());
    let forged = SharedKey::combine([&ours[0], &text.parse().unwrap()]).unwrap_err();
    assert_eq!(forged, ShareError::AnotherSet { number: 2, found: ours[0].set() });
}

fn copy(share: &Share) -> Share {
    Share { value: Secret::from_slice(share.value.expose()).unwrap(), ..*share }
}

#[test]
fn a_forged_share_beside_more_than_enough_is_found_out() {
    let (whole, shares) = SharedKey::split(2, 3).unwrap();
    let mut forged = copy(&shares[1]);
    forged.value.expose_mut()[7] ^= 1;
    let all = [&shares[0], &forged, &shares[2]];
    assert_eq!(SharedKey::combine(all).unwrap_err(), ShareError::Inconsistent { needed: 2 });
    // Beside just enough, nobody can tell but the vault.
    assert_ne!(SharedKey::combine([&shares[0], &forged]).unwrap().expose(), whole.expose());
}

/// Wherever the forged one stands, among those that are taken first or those beyond them.
#[test]
fn one_forged_share_of_any_place_and_byte_is_found_out() {
    let (_, shares) = SharedKey::split(3, 5).unwrap();
    for (place, byte) in (0..5).flat_map(|place| (0..32).map(move |byte| (place, byte))) {
        let mut given: Vec<Share> = shares.iter().map(copy).collect();
        given[place].value.expose_mut()[byte] ^= 0x80;
        for count in 4..=5 {
            let fit = place >= count;
            let answer = SharedKey::combine(&given[..count]).map(drop);
            assert_eq!(
                answer,
                if fit { Ok(()) } else { Err(ShareError::Inconsistent { needed: 3 }) },
                "{place} {byte}"
            );
        }
    }
}

#[test]
fn each_single_wrong_character_names_its_group() {
    let text = SharedKey::split(2, 2).unwrap().1[0].expose_text();
    assert_eq!(text.len(), 14 * 7 - 1);
    for (at, right) in text.char_indices().filter(|(_, c)| *c != '-') {
        for wrong in grouped::ALPHABET.iter().map(|c| char::from(*c)).filter(|c| *c != right).chain(['U', 'ä']) {
            let typed = format!("{}{wrong}{}", &text[..at], &text[at + 1..]);
            assert_eq!(typed.parse::<Share>().unwrap_err(), InvalidShare::Group { group: at / 7 + 1 }, "{at}");
        }
    }
    assert_eq!("".parse::<Share>().unwrap_err(), InvalidShare::Length { found: 0 });
    assert_eq!("0".repeat(85).parse::<Share>().unwrap_err(), InvalidShare::Length { found: 85 });
}

#[test]
fn what_a_share_cannot_say_of_itself_is_refused_under_right_checks() {
    let whole = copy(&SharedKey::split(2, 3).unwrap().1[0]).to_bytes();
    let with = |needed, of, number| {
        let mut content = whole.to_vec();
        content[6..9].copy_from_slice(&[needed, of, number]);
        text_around(&content).parse::<Share>().map(drop)
    };
    assert_eq!(with(2, 3, 3), Ok(()));
    for (needed, of, number) in [(2, 3, 0), (2, 3, 4), (1, 3, 1), (0, 3, 1), (4, 3, 1), (2, 17, 1), (2, 255, 255)] {
        assert_eq!(with(needed, of, number), Err(InvalidShare::NotAShare), "{needed} {of} {number}");
    }
    // Every bit of it under right groups: the check over the whole.
    let whole = [&whole[..], &kdf::share_check(&whole)].concat();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = grouped::text_of(&flipped).parse::<Share>();
        assert_eq!(read.map(drop), Err(InvalidShare::Whole), "bit {bit}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let (whole, shares) = SharedKey::split(2, 3).unwrap();
    let shown = format!("{whole:?} {:?}", shares[0]);
    let set = whole.set();
    assert_eq!(shown, format!("SharedKey(2 of 3, set {set}, redacted) Share(1 of 3, 2 needed, set {set}, redacted)"));
}

/// Coefficients that are given, one a draw.
struct Given<I>(I);

impl<I: Iterator<Item = u8>> TryRng for Given<I> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next().unwrap().into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("each coefficient is one draw")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("each coefficient is one draw")
    }
}

impl<I: Iterator<Item = u8>> TryCryptoRng for Given<I> {}

#[test]
fn the_worked_example_holds() {
    let set = ShareSetId(worked::array(PAGE, "set"));
    let key = Secret::take(&mut worked::array::<32>(PAGE, "key"));
    let coefficients = ["coefficient_1", "coefficient_2"].map(|name| worked::array::<32>(PAGE, name));
    let in_order = (0..32).flat_map(|at| coefficients.map(|coefficient| coefficient[at]));
    let values = shamir::split_with(&key, 3, 5, &mut Given(in_order)).unwrap();
    let shares: Vec<Share> =
        (1..=5).zip(values).map(|(number, value)| Share { set, needed: 3, of: 5, number, value }).collect();
    for share in &shares {
        let name = |what| format!("{what}_{}", share.number());
        assert_eq!(*share.value.expose(), worked::array(PAGE, &name("value")));
        assert_eq!(*share.expose_text(), worked::text(PAGE, &name("text")));
    }
    let back = SharedKey::combine(&shares[1..4]).unwrap();
    assert_eq!(back.expose(), key.expose());
    let vault: [u8; 16] = worked::array(PAGE, "vault_id");
    let kek = kdf::slot_key(kdf::SlotSecret::SharedKey, &vault, back.expose());
    assert_eq!(*kek.expose(), worked::array(PAGE, "kek_shared_key"));
}
