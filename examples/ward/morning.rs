//! What is done once, and what is done each morning.

use std::path::Path;

use chartvault::{
    AccessRules, Action, Clock, Confidentiality, DeviceKey, Error, Grant, IssuerKey, NewPrincipal, Options, Passphrase,
    Purpose, Role, Session, SignInLevel, Token, Vault,
};

use crate::clock::Day;
use crate::people::{HOUR, Note, Telephone, Ward, nurses_password};
use crate::show::{item, say};
use crate::{Outcome, must};

pub fn open_the_house(dir: &Path) -> Outcome<Ward> {
    let (clock, passphrase) = (Day::begin()?, Passphrase::new("seven herons over a quiet harbour"));
    clock.turn_to(6, 0);
    let options = Options::new().clock(clock.clone());
    let (vault, _) = Vault::create(dir.join("ward.vault")).passphrase(&passphrase).options(options).finish()?;
    let desk = IssuerKey::generate()?;
    vault.trust_issuer(desk.public(), &passphrase)?;

    // The first tokens of a house: for whoever runs it, and for whoever looks after rights. Neither treats anybody.
    let clinical = Role::clinical();
    let sign = |grant: Grant| grant.all_patients().issued_at(clock.now()).valid_for(18 * HOUR).sign(&desk, vault.id());
    let founder = Grant::to("founder").all_kinds().actions([Action::Grant, Action::Create]);
    let founder = sign(founder.purpose(Purpose::Operations))?;
    let founder = vault.session(&founder, Purpose::Operations)?;
    let mut roles = Vec::new();
    for role in &clinical {
        roles.push(founder.roles().define(role)?);
    }
    item("roles", clinical.iter().map(Role::name).collect::<Vec<_>>().join(", "));
    let revision = |name: &str| roles.iter().find(|role| role.role.name() == name).cloned().ok_or("no such role");
    let officer = sign(Grant::to("a.lund").role(&revision("privacy-officer")?))?;
    let administrator = sign(Grant::to("it").role(&revision("administrator")?))?;

    let patients = [founder.register_patient([])?, founder.register_patient([])?];
    let texts = ["slept well; dressing changed", "asks for her daughter"];
    let put = |at: usize| founder.put(patients[at], &Note { text: texts[at].to_owned() });
    let notes = [put(0)?, put(1)?];
    founder.close()?;

    let telephone = enrol(&vault, &administrator, &clock)?;
    vault.set_access_rules(
        AccessRules::new().idle(HOUR / 4 * 3).sessions_at_once(4).registered_grants_only(false),
        &passphrase,
    )?;
    item("rules for all", "sessions end after 45 idle minutes; four at once");
    Ok(Ward {
        nurse: revision("nurse")?,
        clerk: revision("front-desk")?,
        office: revision("privacy-officer")?,
        shift: None,
        tablet: DeviceKey::generate()?,
        vault,
        clock,
        desk,
        officer,
        telephone,
        patients,
        notes,
    })
}

/// The nurse gets an account, and confirms her telephone with a first code.
fn enrol(vault: &Vault, administrator: &Token, clock: &Day) -> Outcome<Telephone> {
    let session = vault.session(administrator, Purpose::SystemAdministration)?;
    let principals = session.principals();
    principals.enrol("n.adu", NewPrincipal::new().display_name("Nurse Adu").password(nurses_password()))?;
    let enrolment = principals.enrol_totp("n.adu", "Ward 3")?;
    let telephone = Telephone::scan(&enrolment.expose_uri())?;
    principals.confirm_totp("n.adu", &telephone.code(clock))?;
    let codes = principals.new_recovery_codes("n.adu")?;
    item(
        "enrolled",
        format!("Nurse Adu, with an authenticator and {} recovery codes on paper", codes.expose_texts().count()),
    );
    Ok(telephone)
}

pub fn sign_in(ward: &mut Ward) -> Outcome<Session> {
    ward.clock.turn_to(7, 0);
    let shift = Grant::to("n.adu")
        .role(&ward.nurse)
        .all_patients()
        .sign_in(SignInLevel::TwoFactors, 12 * HOUR)
        .emergency([Action::Read, Action::List], Confidentiality::Restricted, HOUR / 4)
        .valid_for(13 * HOUR);
    let token = ward.issue(shift, "day shift, ward 3")?;
    item("the desk issued", format!("{} from role nurse, revision {}", token.id(), ward.nurse.revision));

    let password = nurses_password();
    let alone = ward.vault.sign_in("n.adu", &password).finish()?;
    let refused = ward.vault.session_with(&token, Purpose::Treatment).sign_in(alone).open();
    must(refused.is_err(), "a password alone is not enough")?;
    say("The password alone opens nothing: the token wants two factors.");
    let code = ward.telephone.code(&ward.clock);
    let proof = ward.vault.sign_in("n.adu", &password).totp(&code).finish()?;
    let session = ward.vault.session_with(&token, Purpose::Treatment).sign_in(proof).open()?;
    let again = ward.vault.sign_in("n.adu", &password).totp(&code).finish();
    must(matches!(again, Err(Error::SignInRefused)), "a code is good once")?;
    say("The code of her telephone does; shown a second time it is worthless.");
    let found = session.get(ward.notes[0])?;
    item("she reads", &found.value.text);
    ward.shift = Some(token);
    Ok(session)
}
