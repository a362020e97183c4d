//! Passwords, secrets of authenticators, recovery codes and names stand in no file of the vault, in no message and in no
//! entry of the log.

use crate::people;
use crate::support;

use std::fs;

use chartvault::*;
use people::*;
use support::{House, files_in, whole_log};

const CANARY_NAME: &str = "CanaryPrincipal.n.mensah";
const CANARY_SHOWN: &str = "CanaryShown Efua Mensah";
const CANARY_REASON: &str = "CanaryReason on leave";
const FIRST: &str = "CanaryPassword one duck";
const SECOND: &str = "CanaryPassword two ducks";
const MISTYPED: &str = "CanaryPassword in the field of the name";

#[test]
fn nothing_that_people_sign_in_with_is_found_anywhere() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    let new = NewPrincipal::new().display_name(CANARY_SHOWN).password(Password::new(FIRST));
    let mut shown = vec![format!("{new:?}")];
    operator.principals().enrol(CANARY_NAME, new).unwrap();
    let (first, second) = (Password::new(FIRST), Password::new(SECOND));
    let enrolment = operator.principals().enrol_totp(CANARY_NAME, "Clinic A").unwrap();
    let app = App::scan(&enrolment, &house.clock);
    operator.principals().confirm_totp(CANARY_NAME, &app.code()).unwrap();
    let pending = operator.principals().enrol_totp(CANARY_NAME, "Clinic A").unwrap();
    let codes = operator.principals().new_recovery_codes(CANARY_NAME).unwrap();
    house.clock.step(30);
    let sign_in = vault.sign_in(CANARY_NAME, &first);
    shown.push(format!("{sign_in:?} {first:?} {enrolment:?} {codes:?}"));
    let proof = sign_in.totp(&app.code()).finish().unwrap();
    shown.push(format!("{proof:?}"));
    let account = vault.own_account(proof).unwrap();
    shown.push(format!("{account:?}"));
    account.change_password(&second).unwrap();
    let used = codes.expose_texts().next().unwrap();
    drop(vault.sign_in(CANARY_NAME, &second).recovery_code(&used).finish().unwrap());
    let errors = [
        vault.sign_in(CANARY_NAME, &first).finish().map(drop),
        vault.sign_in(MISTYPED, &second).finish().map(drop),
        operator.principals().set_password(CANARY_NAME, &Password::new("short")),
        operator.principals().enrol(CANARY_NAME, NewPrincipal::new()).map(drop),
        operator.principals().disable(MISTYPED, CANARY_REASON),
        operator.principals().confirm_totp(CANARY_NAME, &app.code()),
        {
            (0..5).for_each(|_| drop(vault.sign_in(MISTYPED, &first).finish().unwrap_err()));
            vault.sign_in(MISTYPED, &first).finish().map(drop)
        },
    ];
    shown.extend(errors.into_iter().map(Result::unwrap_err).map(|error| format!("{error} {error:?}")));
    operator.principals().disable(CANARY_NAME, CANARY_REASON).unwrap();

    let mut secrets: Vec<String> = [FIRST, SECOND, MISTYPED].map(str::to_owned).to_vec();
    let mut raw: Vec<Vec<u8>> = Vec::new();
    for enrolment in [&enrolment, &pending] {
        secrets.push(enrolment.expose_secret().to_string());
        raw.push(data_encoding::BASE32_NOPAD.decode(enrolment.expose_secret().as_bytes()).unwrap());
    }
    secrets.extend(codes.expose_texts().map(|code| code.to_string()));
    // The log is for those who may read it: it names people by their ids, and says why somebody was disabled.
    shown.extend(whole_log(&operator).iter().map(|entry| format!("{entry} {entry:?}")));
    for secret in &secrets {
        assert!(shown.iter().all(|shown| !shown.contains(secret.as_str())), "{secret}");
    }
    assert!(shown.iter().all(|shown| !shown.contains(CANARY_NAME) && !shown.contains(CANARY_SHOWN)), "{shown:#?}");
    let mistyped = Grant::to(MISTYPED).all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    let mistyped = mistyped.valid_for(std::time::Duration::from_secs(60)).sign(&house.issuer, vault.id()).unwrap();
    let id = mistyped.inspect().effective().subject.to_string();
    let in_log = whole_log(&operator).iter().filter(|entry| format!("{entry:?}").contains(&id)).count();
    assert_eq!(in_log, 0, "not even the id of what was typed in the wrong place");

    vault.checkpoint().unwrap();
    vault.close().unwrap();
    raw.extend(secrets.iter().map(|secret| secret.clone().into_bytes()));
    raw.extend([CANARY_NAME, CANARY_SHOWN, CANARY_REASON].map(|text| text.as_bytes().to_vec()));
    let files = files_in(&house.path());
    assert!(files.len() > 3);
    for file in files {
        let bytes = fs::read(house.path().join(&file)).unwrap();
        for secret in &raw {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{secret:?} is in {file:?}");
        }
    }
}
