//! The worked example of docs/format/token.md, recomputed.

use super::*;

const PAGE: &str = include_str!("../../../docs/format/token.md");

/// The bytes after `name =` in the page's example; they may go on over indented lines.
fn written(name: &str) -> Vec<u8> {
    let example = PAGE.split_once("## Example").expect("an example").1;
    let mut lines = example.lines().skip_while(|line| line.split('=').next().map(str::trim) != Some(name));
    let first = lines.next().and_then(|line| line.split_once('=')).unwrap_or_else(|| panic!("no `{name}`")).1;
    let hex: String = std::iter::once(first).chain(lines.take_while(|line| line.starts_with("  "))).collect();
    let hex: String = hex.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap_or_else(|error| panic!("`{name}`: {error}"))
}

fn array<const N: usize>(name: &str) -> [u8; N] {
    written(name).try_into().unwrap_or_else(|_| panic!("`{name}` has another length"))
}

fn secret(name: &str) -> SigningSeed {
    SigningSeed::from_seed(&Secret::take(&mut array(name)))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[track_caller]
fn compare(name: &str, computed: &[u8]) {
    assert_eq!(hex(&written(name)), hex(computed), "`{name}`");
}

#[test]
fn the_pages_example_is_what_the_code_makes() {
    let issuer = IssuerKey::from_secret_bytes(&array("issuer seed"));
    let vault = VaultId::from_bytes(array("vault id"));
    let grant = Grant::to("dr.osei")
        .all_patients()
        .kind_named("note")
        .actions([Action::Read, Action::List])
        .purpose(Purpose::Treatment)
        .issued_at(NOW)
        .valid_for(Duration::from_secs(43_200))
        .sign_with(&issuer, vault, array("nonce 0"), secret("seed 0"))
        .unwrap();
    let token = grant
        .attenuate()
        .issued_at(second(NOW_SECONDS + 60))
        .patient(PatientId::from_bytes(array("patient id")))
        .actions([Action::Read])
        .valid_for(Duration::from_secs(1800))
        .finish_with(array("nonce 1"), secret("seed 1"))
        .unwrap();

    compare("issuer public key", issuer.public().as_bytes());
    compare("kid", issuer.public().id().as_bytes());
    compare("subject", kdf::principal_id("dr.osei").as_bytes());
    compare("kind id", kdf::kind_id("note").as_bytes());
    let (messages, _) = token.wire().messages();
    for (number, block) in token.wire().blocks.iter().enumerate() {
        compare(&format!("body {number}"), &block.body.framed()[2..]);
        compare(&format!("next_pub {number}"), &block.next_public);
        compare(&format!("M_{number}"), &messages[number]);
        compare(&format!("sig_{number}"), &block.signature);
        compare(&format!("rid_{number}"), token.revocation_ids()[number].as_bytes());
    }
    compare("prev_0", &hash::sha256(&[cap::ROOT.bytes(), issuer.public().id().as_bytes()]));
    compare("prev_1", &hash::sha256(&[cap::LINK.bytes(), &messages[0], &token.wire().blocks[0].signature]));
    compare("token", &token.expose_bytes());
    let text = PAGE.lines().find(|line| line.starts_with("cvt1_")).unwrap();
    assert_eq!(text, &*token.expose_text());
    let key: IssuerPublicKey = PAGE.lines().find(|line| line.starts_with("cvpk1_")).unwrap().parse().unwrap();
    assert_eq!(key, issuer.public());

    // And the page's bytes are accepted.
    let read = UnverifiedToken::from_bytes(&written("token")).unwrap();
    let known = |_| Some(*key.as_bytes());
    assert!(read.verify(vault, known, |_| false, second(NOW_SECONDS + 60), DEFAULT_LONGEST_TTL).is_ok());
}
