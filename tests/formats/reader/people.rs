//! What the stranger finds of those who are enrolled, and of sign-ins that failed: everything but what they sign in with.

use serde_json::json;

use super::*;

const NAME: &str = "n.mensah";
const PASSWORD: &str = "seven ducks in a row";

#[test]
fn a_stranger_reads_principals_and_failed_sign_ins_as_the_library_does() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::ChaCha20Poly1305);
    let (clock, pass) = (&exhibit.clock, Passphrase::new(PASSPHRASE));
    let locked = Vault::open_with(exhibit.path(), options(clock).password_cost(PassphraseCost::MINIMUM)).unwrap();
    let vault = locked.unlock(&pass).unwrap();
    let operator = session(&vault, &exhibit.issuer, clock);
    let new = NewPrincipal::new().display_name("Efua Mensah").password(Password::new(PASSWORD));
    let mensah = operator.principals().enrol(NAME, new).unwrap();
    let gone = operator.principals().enrol("gone", NewPrincipal::new()).unwrap();
    clock.step(60);
    operator.principals().disable("gone", "left the clinic").unwrap();
    drop(operator.principals().enrol_totp(NAME, "Clinic A").unwrap());
    let codes = operator.principals().new_recovery_codes(NAME).unwrap();
    let (password, wrong) = (Password::new(PASSWORD), Password::new("eight ducks"));
    let code = codes.expose_texts().next().unwrap();
    drop(vault.sign_in(NAME, &password).recovery_code(&code).finish().unwrap());
    (0..2).for_each(|_| drop(vault.sign_in(NAME, &wrong).finish().unwrap_err()));
    let page = operator.principals().list(None, 10).unwrap().principals;
    vault.close().unwrap();

    let read = json(&exhibit.path(), PASSPHRASE);
    let found = |id: PrincipalId| read["policy"]["principals"][hex(id.as_bytes())].clone();
    let at = |time: Timestamp| json!(time.as_micros());
    let [listed_gone, listed_mensah] = &page[..] else { panic!("{page:?}") };
    let disabled = listed_gone.disabled.as_ref().unwrap();
    assert_eq!(
        found(gone),
        json!({
            "name": "gone", "display_name": null, "enrolled": at(listed_gone.enrolled), "last_sign_in": null,
            "disabled": [at(disabled.since), "left the clinic"], "argon2id": null, "step": null,
            "pending_since": null, "recovery_codes": 0,
        })
    );
    assert_eq!(
        found(mensah),
        json!({
            "name": NAME, "display_name": "Efua Mensah", "enrolled": at(listed_mensah.enrolled),
            "last_sign_in": at(listed_mensah.last_sign_in.unwrap()), "disabled": null, "argon2id": [19 * 1024, 2, 1],
            "step": null, "pending_since": at(clock.now()), "recovery_codes": 9,
        })
    );
    assert_eq!(read["policy"]["failed_sign_ins"][hex(mensah.as_bytes())], json!([2, at(clock.now())]));
    assert!(!read.to_string().contains(&*code));
}
