//! One ciphertext for two keys. Neither AEAD commits to its key, so such a ciphertext can be made (Len, Grubbs and
//! Ristenpart, "Partitioning Oracle Attacks", 2021). Here it is made, the AEAD accepts it under both keys, and sealing
//! does not.

use super::aead::{self, Suite};
use super::hash::Prk;
use super::kdf::SEAL_RECORD;
use super::pad;
use super::seal::{FLOOR_VALUE, OpenError, Sealer};

const SUITE: Suite = Suite::Aes256Gcm;
const AAD: &[u8] = b"place";
/// The block of the ciphertext that is solved for; it lies inside the body.
const BLOCK: std::ops::Range<usize> = 80..96;

/// The tag of a given ciphertext: its plaintext is found with the key stream, then sealed.
fn tag_of(key: &[u8; 32], ciphertext: &[u8]) -> u128 {
    let mut key_stream = vec![0; ciphertext.len()];
    aead::encrypt_detached(SUITE, key, &[], &[0; 12], &mut key_stream).unwrap();
    let mut plaintext: Vec<u8> = key_stream.iter().zip(ciphertext).map(|(a, b)| a ^ b).collect();
    u128::from_be_bytes(aead::encrypt_detached(SUITE, key, &[], &[0; 12], &mut plaintext).unwrap())
}

/// Solves `Σ x_i · columns[i] = target` over GF(2), by elimination; bit i of the answer is x_i.
fn solve(columns: &[u128], target: u128) -> u128 {
    let mut pivots: Vec<(u128, u128)> = Vec::new();
    let reduce = |pivots: &[(u128, u128)], mut value: u128, mut combination: u128| {
        for (pivot, of) in pivots {
            if value ^ pivot < value {
                value ^= pivot;
                combination ^= of;
            }
        }
        (value, combination)
    };
    for (i, column) in columns.iter().enumerate() {
        let (value, combination) = reduce(&pivots, *column, 1 << i);
        if value != 0 {
            pivots.push((value, combination));
            pivots.sort_unstable_by(|a, b| b.cmp(a));
        }
    }
    let (rest, combination) = reduce(&pivots, target, 0);
    assert_eq!(rest, 0, "the two hash keys differ, so that a solution exists");
    combination
}

#[test]
fn a_ciphertext_that_two_keys_open_is_refused_by_its_commitment() {
    let sealers = [1, 2].map(|key| Sealer::new(Prk::from_key(&[key; 32]), SEAL_RECORD, FLOOR_VALUE));
    let salt = [7; 32];
    let [(key1, commitment1), (key2, commitment2)] =
        sealers.each_ref().map(|sealer| sealer.derive(&5u64.to_be_bytes(), AAD, &salt));

    let mut sealed_body = pad::pad(&[b'x'; 252], FLOOR_VALUE, 0).unwrap();
    aead::encrypt_detached(SUITE, key1.expose(), &[], &[0; 12], &mut sealed_body).unwrap();
    let difference = |ciphertext: &[u8]| tag_of(key1.expose(), ciphertext) ^ tag_of(key2.expose(), ciphertext);
    let target = difference(&sealed_body);
    let flipped = |bit: usize| {
        let mut other = sealed_body.clone();
        other[BLOCK.start + bit / 8] ^= 1 << (bit % 8);
        other
    };
    let columns: Vec<u128> = (0..128).map(|bit| difference(&flipped(bit)) ^ target).collect();
    let solution = solve(&columns, target);
    for (byte, change) in sealed_body[BLOCK].iter_mut().zip(solution.to_le_bytes()) {
        *byte ^= change;
    }
    sealed_body.extend_from_slice(&tag_of(key1.expose(), &sealed_body).to_be_bytes());

    for key in [&key1, &key2] {
        assert_eq!(aead::decrypt(SUITE, key.expose(), &mut sealed_body.clone()), Ok(()), "the AEAD accepts both keys");
    }
    let first = [&salt[..], &commitment1, &sealed_body].concat();
    let second = [&salt[..], &commitment2, &sealed_body].concat();
    assert!(sealers[0].open(SUITE, AAD, &first).is_ok());
    assert_eq!(sealers[1].open(SUITE, AAD, &first), Err(OpenError));
    assert_eq!(sealers[0].open(SUITE, AAD, &second), Err(OpenError));
}
