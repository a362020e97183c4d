//! A vault in which people are enrolled, kept in the repository: every later version must let them in with what they had, and
//! nobody else.
//!
//! In `tests/golden/people`: `vault.zst`, packed as tests/formats/golden.rs says, and `shown`, what was shown once: the secret of the
//! authenticator and the recovery codes, of which the first was used. When a format changes, keep them, and write new ones
//! beside them with `cargo test --test formats golden_people::write_a_new_golden_vault -- --ignored`.

use crate::people;
use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartvault::*;
use people::*;
use support::{HandClock, everything, files_in, golden, small, verify};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/people")
}

fn key() -> RawKey {
    RawKey::from_bytes([0x47; 32])
}

fn options(clock: &Arc<HandClock>) -> Options {
    small().clock(clock.clone()).password_cost(PassphraseCost::MINIMUM)
}

fn session(vault: &Vault, clock: &HandClock) -> Session {
    let issuer = IssuerKey::from_secret_bytes(&[0x69; 32]);
    let token = everything().issued_at(clock.now()).sign(&issuer, vault.id()).unwrap();
    vault.session(token, Purpose::Treatment).unwrap()
}

#[test]
#[ignore = "writes tests/golden/people anew; only for a new version of the formats"]
fn write_a_new_golden_vault() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let (path, raw_key) = (dir.path().join("vault"), key());
    let (vault, _) = Vault::create(&path).raw_key(&raw_key).options(options(&clock)).finish().unwrap();
    vault.trust_issuer(IssuerKey::from_secret_bytes(&[0x69; 32]).public(), &key()).unwrap();
    let operator = session(&vault, &clock);
    let new = NewPrincipal::new().display_name("Efua Mensah").password(password());
    operator.principals().enrol(NAME, new).unwrap();
    enrol(&operator, "gone");
    operator.principals().disable("gone", "left the clinic").unwrap();
    let enrolment = operator.principals().enrol_totp(NAME, "Clinic A").unwrap();
    let app = App::scan(&enrolment, &clock);
    operator.principals().confirm_totp(NAME, &app.code()).unwrap();
    let codes = operator.principals().new_recovery_codes(NAME).unwrap();
    let codes: Vec<String> = codes.expose_texts().map(|code| code.to_string()).collect();
    drop(vault.sign_in(NAME, &password()).recovery_code(&codes[0]).finish().unwrap());
    drop(vault.sign_in(NAME, &wrong()).finish().unwrap_err());
    (0..5).for_each(|_| drop(vault.sign_in("nobody", &wrong()).finish().unwrap_err()));
    vault.close().unwrap();
    fs::create_dir_all(home()).unwrap();
    golden::pack(&path, &files_in(&path), &home().join("vault.zst"));
    fs::write(home().join("shown"), format!("{}\n{}\n", *enrolment.expose_secret(), codes.join("\n"))).unwrap();
}

#[test]
fn the_golden_vault_lets_in_whom_it_knows_with_what_they_had() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("vault");
    golden::unpack_from(&home().join("vault.zst"), &path);
    let vault = Vault::open_with(&path, options(&clock)).unwrap().unlock(&key()).unwrap();
    let operator = session(&vault, &clock);
    let page = operator.principals().list(None, 10).unwrap();
    let [gone, mensah] = &page.principals[..] else { panic!("{page:?}") };
    assert_eq!(gone.disabled.as_ref().map(|disabled| &*disabled.reason), Some("left the clinic"));
    assert_eq!((mensah.display_name.as_deref(), mensah.failures), (Some("Efua Mensah"), 1));
    assert_eq!((mensah.has_totp, mensah.recovery_codes), (true, 9));
    assert!(matches!(vault.sign_in("nobody", &wrong()).finish(), Err(Error::TryAgain { .. })));
    clock.step(60);

    let shown = fs::read_to_string(home().join("shown")).unwrap();
    let (secret, codes) = shown.split_once('\n').unwrap();
    let codes: Vec<&str> = codes.lines().collect();
    let app = App::with_secret(secret, &clock);
    let level = |sign_in: SignIn<'_>| sign_in.finish().map(|proof| proof.level());
    let (right, wrong) = (password(), wrong());
    assert!(matches!(level(vault.sign_in(NAME, &right)), Ok(SignInLevel::OneFactor)));
    assert!(matches!(level(vault.sign_in(NAME, &right).totp(&app.code())), Ok(SignInLevel::TwoFactors)));
    assert!(matches!(level(vault.sign_in(NAME, &right).recovery_code(codes[1])), Ok(SignInLevel::TwoFactors)));
    assert!(matches!(level(vault.sign_in(NAME, &right).recovery_code(codes[0])), Err(Error::SignInRefused)));
    assert!(matches!(level(vault.sign_in(NAME, &wrong)), Err(Error::SignInRefused)));
    assert!(matches!(level(vault.sign_in("gone", &right)), Err(Error::SignInRefused)));
    verify(&operator);
}
