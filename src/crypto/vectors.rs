//! Known answers from outside: Project Wycheproof, the RFCs and FIPS 180-4, through the functions as the crate wires them.
//! Every test counts its cases, so that none passes by running nothing.

use data_encoding::HEXLOWER_PERMISSIVE;
use wycheproof::TestResult;

use super::aead::{self, AeadFailed, Suite};
use super::hash::{HmacKey, Prk, hmac, sha256};
use super::passphrase::{Passphrase, PassphraseCost, argon2id};
use super::sign::{self, SigningSeed};
use crate::secret::Secret;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let digits: String = text.split_whitespace().collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).unwrap().try_into().unwrap()
}

/// Runs the groups of the suite's sizes; returns how many cases were valid and how many were not.
fn run_aead(suite: Suite, name: wycheproof::aead::TestName) -> (usize, usize) {
    let set = wycheproof::aead::TestSet::load(name).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    let groups = set.test_groups.iter();
    for group in groups.filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128)) {
        for case in &group.tests {
            let (key, nonce) = (case.key[..].try_into().unwrap(), case.nonce[..].try_into().unwrap());
            let tag = case.tag[..].try_into().unwrap();
            let mut buffer = case.ct.to_vec();
            let opened = aead::decrypt_detached(suite, key, &case.aad, nonce, &mut buffer, tag);
            if case.result == TestResult::Valid {
                assert_eq!((opened, &buffer), (Ok(()), &*case.pt), "{case:?}");
                let mut buffer = case.pt.to_vec();
                let sealed = aead::encrypt_detached(suite, key, &case.aad, nonce, &mut buffer);
                assert_eq!((sealed, &buffer), (Ok(*tag), &*case.ct), "{case:?}");
                valid += 1;
            } else {
                assert_eq!(opened, Err(AeadFailed), "{case:?}");
                invalid += 1;
            }
        }
    }
    (valid, invalid)
}

#[test]
fn chacha20_poly1305_wycheproof() {
    let counts = run_aead(Suite::ChaCha20Poly1305, wycheproof::aead::TestName::ChaCha20Poly1305);
    assert_eq!(counts, (256, 60));
}

#[test]
fn aes_256_gcm_wycheproof() {
    assert_eq!(run_aead(Suite::Aes256Gcm, wycheproof::aead::TestName::AesGcm), (39, 27));
}

/// Keys of up to 32 bytes: HMAC fills a shorter key with zeros, so that the crate's 32-byte keys say the same.
#[test]
fn hmac_sha_256_wycheproof() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for case in set.test_groups.iter().flat_map(|group| &group.tests).filter(|case| case.key.len() <= 32) {
        let mut key = [0; 32];
        key[..case.key.len()].copy_from_slice(&case.key);
        let tag = HmacKey::new(&key).tag(&[&case.msg]);
        assert_eq!(hmac(&key, &[&case.msg]), tag);
        let matches = tag[..case.tag.len()] == case.tag[..];
        assert_eq!(matches, case.result == TestResult::Valid, "{case:?}");
        if matches { valid += 1 } else { invalid += 1 }
    }
    assert_eq!((valid, invalid), (60, 108));
}

/// Salts of up to 32 bytes and outputs of up to two blocks, which is what the formats use.
#[test]
fn hkdf_sha_256_wycheproof() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut one_block, mut two_blocks) = (0, 0);
    for case in set.test_groups.iter().flat_map(|group| &group.tests) {
        if case.result != TestResult::Valid || case.salt.len() > 32 || case.size > 64 {
            continue;
        }
        let mut salt = [0; 32];
        salt[..case.salt.len()].copy_from_slice(&case.salt);
        let prk = Prk::extract(&salt, &case.ikm);
        let (first, second) = prk.expand64(&[&case.info]);
        let both = [*first.expose(), second].concat();
        assert_eq!(both[..case.size], case.okm[..], "{case:?}");
        if case.size <= 32 {
            assert_eq!(prk.expand32(&[&case.info]).expose()[..case.size], case.okm[..], "{case:?}");
            one_block += 1;
        } else {
            two_blocks += 1;
        }
    }
    assert_eq!((one_block, two_blocks), (26, 39));
}

#[test]
fn ed25519_wycheproof() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid, mut other_length) = (0, 0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
        for case in &group.tests {
            let Ok(signature) = case.sig[..].try_into() else {
                assert_ne!(case.result, TestResult::Valid, "{case:?}");
                other_length += 1;
                continue;
            };
            let verified = sign::verify(&key, &case.msg, signature);
            assert_eq!(verified, case.result == TestResult::Valid, "{case:?}");
            if verified { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!((valid, invalid, other_length), (88, 51, 12));
}

/// RFC 8032, section 7.1, tests 1 to 3.
#[test]
fn ed25519_rfc_8032() {
    let cases: [(&str, &str, &[u8], &str); 3] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            &[],
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
             387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            &[0xaf, 0x82],
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
             4a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let seed = SigningSeed::from_seed(&Secret::take(&mut hex(seed)));
        assert_eq!(seed.public(), hex(public));
        assert_eq!(seed.sign(message), hex(signature));
        assert!(sign::verify(&hex(public), message, &hex(signature)));
    }
}

/// RFC 9106, section 5.3. The crate itself never uses a secret or associated data, so the vector is run on the library,
/// and the wired function is then held against the library.
#[test]
fn argon2id_rfc_9106() {
    let mut params = argon2::ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).output_len(32).data(argon2::AssociatedData::new(&[4; 12]).unwrap());
    let params = params.build().unwrap();
    let library =
        argon2::Argon2::new_with_secret(&[3; 8], argon2::Algorithm::Argon2id, argon2::Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    library.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(tag, hex("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"));
}

#[test]
fn argon2id_as_wired_agrees_with_its_library() {
    let costs = [PassphraseCost::MINIMUM, PassphraseCost::new(19 * 1024, 3, 4).unwrap()];
    for cost in costs {
        let params = argon2::Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(32)).unwrap();
        let library = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut expected = [0; 32];
        library.hash_password_into(b"correct horse", &[7; 32], &mut expected).unwrap();
        assert_eq!(*Passphrase::new("correct horse").derive(cost, &[7; 32]).unwrap().expose(), expected);
        let mut direct = [0; 32];
        argon2id(b"correct horse", &[7; 32], cost, &mut direct).unwrap();
        assert_eq!(direct, expected);
    }
}

/// The examples that NIST publishes for FIPS 180-4, and the empty message.
#[test]
fn sha_256_fips_180_4() {
    let million = vec![b'a'; 1_000_000];
    let cases: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    for (message, digest) in cases {
        assert_eq!(sha256(&[message]), hex(digest));
        let (head, tail) = message.split_at(message.len() / 3);
        assert_eq!(sha256(&[head, tail]), hex(digest));
    }
}
