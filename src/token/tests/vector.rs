//! The worked example of docs/format/token.md, recomputed.

use super::*;
use crate::token::possession::Occasion;

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

/// The grant and the narrowing of the page's example, not finished yet.
fn example(finish: impl FnOnce(crate::token::Attenuation<'_>)) {
    let issuer = IssuerKey::from_secret_bytes(&array("issuer seed"));
    let grant = Grant::to("dr.osei").all_patients().kind_named("note").actions([Action::Read, Action::List]);
    let grant = grant.purpose(Purpose::Treatment).issued_at(NOW).valid_for(Duration::from_secs(43_200));
    let vault = VaultId::from_bytes(array("vault id"));
    let grant = grant.sign_with(&issuer, vault, array("nonce 0"), secret("seed 0")).unwrap();
    let narrowing = grant.attenuate().issued_at(second(NOW_SECONDS + 60)).actions([Action::Read]);
    let narrowing = narrowing.patient(PatientId::from_bytes(array("patient id")));
    finish(narrowing.valid_for(Duration::from_secs(1800)));
}

fn line(prefix: &str) -> &'static str {
    PAGE.lines().find(|line| line.starts_with(prefix)).unwrap_or_else(|| panic!("no `{prefix}`"))
}

#[test]
fn the_pages_sealed_token_is_what_the_code_makes() {
    example(|narrowing| {
        let sealed = narrowing.finish_with(array("nonce 1"), secret("seed 1")).unwrap().seal().unwrap();
        compare("sealed token", &sealed.expose_bytes());
        let message = [b"\x16chartvault/v1/cap/seal", &written("H(unproven)")[..]].concat();
        assert_eq!(sealed.as_ref().wire().seal_message(), message);
        compare("seal", &secret("seed 1").sign(&message));
        let now = second(NOW_SECONDS + 60);
        let verified = sealed.as_ref().verify(sealed.vault(), trusted, |_| false, now, DEFAULT_LONGEST_TTL);
        assert!(verified.is_ok());
    });
}

#[test]
fn the_pages_bound_token_its_proofs_and_its_attestation_are_what_the_code_makes() {
    let holder = HolderKey::from_secret_bytes(&array("holder seed"));
    let device = DeviceKey::from_secret_bytes(&array("device seed"));
    let attester = AttesterKey::from_secret_bytes(&array("attester seed"));
    let (challenge, transcript) = (Challenge::from_bytes(array("challenge")), array("transcript"));
    compare("holder public key", holder.public().as_bytes());
    compare("device public key", device.public().as_bytes());
    compare("device id", device.public().id().as_bytes());
    compare("attester public", attester.public().as_bytes());
    compare("attester kid", attester.public().id().as_bytes());
    example(|narrowing| {
        let token = narrowing.bound_to(holder.public()).finish_with(array("nonce 1")).unwrap();
        compare("bound token", &token.expose_bytes());
        compare("bound sig_1", &token.wire().blocks[1].signature);
        compare("bound rid_1", token.id().as_bytes());
        compare("H(bound token)", &token.as_ref().digest());
        let (vault, digest, purpose) = (token.vault(), token.as_ref().digest(), Purpose::Treatment);
        let occasion = Occasion { vault, token: &digest, purpose, transcript: &transcript };
        compare("P", &occasion.message(&challenge));
        let possession = holder.prove(&token, &challenge, purpose, &transcript).unwrap();
        compare("possession", &possession.to_bytes());
        assert_eq!((line("cvpp1_"), line("cvch1_")), (&*possession.to_string(), &*challenge.to_string()));
        let proof = device.prove(&token, &challenge, purpose, &transcript);
        compare("device proof", &proof.to_bytes());

        let now = second(NOW_SECONDS + 90);
        let new = Attestation::of(&token, Claim::SIGNED_IN).answering(&challenge).issued_at(now);
        let attestation = new.valid_for(Duration::from_secs(300)).sign(&attester).unwrap();
        compare("attested message", &attestation.message(vault));
        compare("attestation", &attestation.to_bytes());
        assert_eq!(line("cvat1_"), attestation.to_string());

        // And the page's bytes open a session.
        let attestations = vec![Attestation::parse(&written("attestation")).unwrap()];
        let possession = Some(Possession::parse(&written("possession")).unwrap());
        let device = Some(DeviceProof::parse(&written("device proof")).unwrap());
        let shown = Shown { possession, device, attestations, transcript, sign_in: None };
        let verified = token.as_ref().verify(vault, trusted, |_| false, now, DEFAULT_LONGEST_TTL).unwrap();
        let known = |id| (id == attester.public().id()).then_some(*attester.public().as_bytes());
        assert!(verified.admit(&shown, Admission { purpose, now }, known, |_| Ok(challenge)).is_ok());
    });
}
