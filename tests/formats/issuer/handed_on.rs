//! Tokens that go from hand to hand between the library and the issuer in another language.

use super::*;

/// Reads notes of one patient and nothing else.
#[track_caller]
fn reads_notes_of_ama_alone(clinic: &Clinic, token: &UnverifiedToken) {
    let session = clinic.session(token);
    assert_eq!(session.get(clinic.note).unwrap().value, note("a"));
    clinic.denied(session.get(clinic.of_ben), DenyReason::Patient);
    clinic.denied(session.get(clinic.allergy), DenyReason::Kind);
    clinic.denied(session.put(clinic.ama, &note("d")), DenyReason::Action);
}

#[test]
fn either_narrows_what_the_other_made() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let (start, now) = (clinic.start, clinic.house.clock.now());
    let ama = json!({ "patients": [orders::hex(clinic.ama.as_bytes())] });
    let narrow =
        |token: Value, items: &Value| json!({ "do": "narrow", "token": token, "blocks": [block(start, items)] });
    let ours = clinic.house.grant().sign(&clinic.house.issuer, clinic.vault.id()).unwrap();
    let theirs = run(&[
        clinic.issue(&[block(start, &everything(start))]),
        narrow(json!(0), &ama),
        narrow(json!(*ours.expose_text()), &ama),
    ]);
    // The library narrows them further, then Python again, in one more run for both.
    let kinds = |text: &String| {
        let token = Token::from_text(text).unwrap();
        token.attenuate().issued_at(now).kind::<Note>().finish().unwrap()
    };
    let narrower: Vec<Token> = theirs[1..].iter().map(kinds).collect();
    let last = json!({ "actions": ["read"] });
    let narrowest = run(&narrower.iter().map(|token| narrow(json!(*token.expose_text()), &last)).collect::<Vec<_>>());
    for (text, before) in narrowest.iter().zip(&narrower) {
        let token = Token::from_text(text).unwrap();
        reads_notes_of_ama_alone(&clinic, token.as_ref());
        let rids = token.revocation_ids();
        assert_eq!(rids[..3], before.revocation_ids(), "what is revoked takes its narrower ones with it");
        assert_eq!((rids.len(), token.inspect().blocks().len()), (4, 4));
        // The library seals, and Python cannot narrow what is sealed.
        let sealed = token.seal().unwrap();
        reads_notes_of_ama_alone(&clinic, sealed.as_ref());
        let order = json!({ "do": "narrow", "token": *sealed.expose_text(), "blocks": [block(start, &json!({}))] });
        assert!(orders::try_run(&[order]).is_err());
        // A block that says more than those before is not built here, forged there, and gives nothing.
        assert!(matches!(
            token.attenuate().issued_at(now).actions([Action::Void]).finish(),
            Err(AttenuateError::Widening { .. })
        ));
    }
    let forged = narrow(json!(narrowest[1]), &widening(start));
    reads_notes_of_ama_alone(&clinic, &read(&run(&[forged])[0]));
}

#[test]
fn what_the_other_seals_and_binds_is_sealed_and_bound() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let (start, now) = (clinic.start, clinic.house.clock.now());
    let holder = HolderKey::from_secret_bytes(&[0x41; 32]);
    let limits = json!({
        "patients": [orders::hex(clinic.ama.as_bytes())], "kinds": ["note"], "actions": ["read"],
    });
    let grant = block(start, &with(everything(start), limits));
    let form = |proof: &str, last: Value| with(clinic.issue(&[last]), json!({ "proof": proof }));
    let held = with(grant.clone(), json!({ "holder": holder.public().to_string() }));
    let texts = run(&[form("sealed", grant), form("bound", held)]);
    let sealed: SealedToken = texts[0].parse().unwrap();
    reads_notes_of_ama_alone(&clinic, sealed.as_ref());
    assert!(matches!(Token::from_text(&texts[0]), Err(TokenError::NotOpen)));
    assert!(matches!(BoundToken::from_text(&texts[0]), Err(TokenError::NotBound)));
    assert!(matches!(SealedToken::from_text(&texts[1]), Err(TokenError::NotSealed)));

    let bound = BoundToken::from_text(&texts[1]).unwrap();
    let open = |token: &BoundToken| {
        let challenge = clinic.vault.challenge().unwrap();
        let proof = holder.prove(token, &challenge, Purpose::Treatment, &[0; 32]).unwrap();
        clinic.vault.session_with(token, Purpose::Treatment).possession(proof).open()
    };
    assert!(open(&bound).unwrap().get(clinic.note).is_ok());
    // Its holder narrows it, and binds it again; Python narrows a bound token of the library with the holder's key.
    let ours = bound.attenuate(&holder).unwrap().issued_at(now).sensitivity(Confidentiality::Low);
    let ours = ours.bound_to(holder.public()).finish().unwrap();
    assert_eq!(ours.holder().unwrap(), holder.public());
    assert!(matches!(open(&ours).unwrap().get(clinic.note), Err(Error::Denied { .. })));
    let order = json!({
        "do": "narrow", "token": *bound.expose_text(), "key": orders::seed(0x41), "proof": "bound",
        "blocks": [{ "issued_at": start, "items": { "sensitivity": "N" }, "holder": holder.public().to_string() }],
    });
    let theirs = BoundToken::from_text(&run(&[order])[0]).unwrap();
    let session = open(&theirs).unwrap();
    assert!(session.get(clinic.note).is_ok());
    clinic.denied(session.get(clinic.restricted), DenyReason::Sensitivity);
}
