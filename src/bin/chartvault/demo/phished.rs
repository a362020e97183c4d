//! A token is phished: one that is bound to its holder's key is of no use, one that is not is revoked.

use chartvault::{
    Action, AuditEntry, AuditEvent, Grant, HolderKey, Outcome as Ended, PrincipalId, Purpose, Revoke, UnverifiedToken,
};

use super::guide::{Answer, Guide, Question};
use super::house::{DAY, DOCTOR, House};
use super::{failed, must, refused};
use crate::failure::Outcome;

const WHAT_NOW: Question = Question {
    asks: "Dr. Weber calls you: \"I think I fell for a mail.\" What comes first?",
    answers: &[
        Answer {
            text: "Wait until tonight: the passes end by themselves.",
            because: "Until tonight a thief can read every chart that she may read. Minutes count.",
        },
        Answer {
            text: "Find her passes and revoke them by their numbers, now; then look in the log what was done with them.",
            because: "Revoking holds at once, in sessions that are open as well. The log then says whose charts were read.",
        },
        Answer {
            text: "Change the passphrase of the vault.",
            because: "The passphrase opens the vault on its machine; a pass is something else, and goes on working after that.",
        },
    ],
    right: 2,
};

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "Dr. Anna Weber gets a mail: \"Your access runs out, please confirm\". The page behind it looks real. She pastes two \
         passes into it: that of her tablet, which is BOUND (it works only together with a secret key inside the tablet), \
         and an older one for the front desk's computer, which is not bound to anything.",
    )?;
    let vault = house.open()?;
    let tablet = HolderKey::generate().map_err(failed)?;
    let rights = || Grant::to(DOCTOR).actions([Action::Read, Action::List]).purpose(Purpose::Treatment);
    let bound = rights().all_patients().all_kinds().valid_for(DAY).bound_to(tablet.public());
    let bound = bound.sign(house.issuer(), house.id).map_err(failed)?;
    let unbound = house.sign(rights())?;

    let challenge = vault.challenge()?;
    let proof = tablet.prove(&bound, &challenge, Purpose::Treatment, &[0; 32]).map_err(failed)?;
    let hers = vault.session_with(&bound, Purpose::Treatment).possession(proof).open()?;
    must(hers.get_verbatim(house.erika.record).is_ok(), "the doctor reads a chart with her tablet")?;

    // All that the thief has is text.
    let stolen = [UnverifiedToken::from_text(&bound.expose_text()), UnverifiedToken::from_text(&unbound.expose_text())];
    let [stolen_bound, stolen_unbound] = stolen;
    let (stolen_bound, stolen_unbound) = (stolen_bound.map_err(failed)?, stolen_unbound.map_err(failed)?);
    let error = refused(vault.session(&stolen_bound, Purpose::Treatment), "a bound token opens nothing by itself")?;
    guide.happened("The thief shows the bound pass, without the tablet", error)?;
    let other = HolderKey::generate().map_err(failed)?;
    let forged = other.prove(&stolen_bound, &vault.challenge()?, Purpose::Treatment, &[0; 32]);
    let error = forged.err().ok_or_else(|| super::otherwise("another key proves nothing"))?;
    guide.happened("The thief tries with a key of their own", error)?;
    guide.tell(
        "(A CHALLENGE is a random number that the vault gives out to be signed. Only the key inside the tablet can sign it for \
         that pass.)",
    )?;
    let theirs = vault.session(&stolen_unbound, Purpose::Treatment)?;
    let read = theirs.get_verbatim(house.erika.record)?;
    must(read.value == house.erika.text.as_bytes(), "the record is what was put")?;
    guide.happened(
        "The thief shows the pass that is bound to nothing",
        format!("it opens a session, as for anybody who has it; a record of {} bytes is read", read.value.len()),
    )?;

    guide.ask(&WHAT_NOW)?;

    let officer = house.officer(&vault)?;
    let live = officer.grants().of(PrincipalId::of(DOCTOR)).page()?.grants;
    let ids: Vec<_> = live.iter().map(|grant| grant.id.to_string()).collect();
    guide.happened("The privacy officer asks for Dr. Weber's passes", ids.join("\n"))?;
    must(ids.len() == 2, "both passes are found")?;
    for grant in &live {
        let _ = officer.grants().revoke(Revoke::Block(grant.id), "phished")?;
    }
    guide.happened("Both are revoked by their numbers", format!("{} revoked", live.len()))?;
    let error = refused(theirs.get_verbatim(house.erika.record), "the thief's session is over")?;
    guide.happened("The thief, whose session was still open, reads on", error)?;
    let error = refused(hers.get_verbatim(house.erika.record), "the doctor's session is over as well")?;
    guide.happened("Dr. Weber's own session ends as well", error)?;
    guide.tell(
        "(Whoever is refused is not told why, but given a TICKET: a number by which somebody who may read the log finds the \
         reason.)",
    )?;
    let anew = house.sign(rights())?;
    must(vault.session(&anew, Purpose::Treatment)?.get_verbatim(house.erika.record).is_ok(), "a new token works")?;
    guide.happened("She gets a new pass and works on", anew.id())?;

    let wanted = [AuditEvent::SessionOpened, AuditEvent::RecordRead, AuditEvent::Revoked];
    let entries = house.log(&vault, &wanted)?;
    let denied = |entry: &&AuditEntry| entry.outcome != Ended::Allowed;
    must(entries.iter().filter(denied).count() >= 3, "what was refused is in the log")?;
    guide.log(house, &entries)?;
    guide.tell(
        "Mind: what the thief read stands in the log under Dr. Weber's name, since it was her pass. Ask her which of these \
         entries were hers.",
    )?;
    let first = ids.first().cloned().unwrap_or_default();
    guide.advise(
        &[
            "Call whoever looks after rights at once, day or night. Nobody is blamed for a call.",
            "Revoke every pass that was in the mail, or all of that person.",
            "Read in the log what was done since; tell the data protection officer whose charts were read.",
            "Have passes bound to a device from now on, so that their text alone is worth nothing: ask whoever made your \
             software.",
        ],
        &[
            "chartvault token ls --of dr.weber --token officer.token --purpose operations".to_owned(),
            format!("chartvault token revoke {first} --reason 'phished' --token officer.token --purpose operations"),
            "chartvault token revoke --of dr.weber --reason 'phished' --token officer.token --purpose operations"
                .to_owned(),
            "chartvault audit query --actor dr.weber --token officer.token --purpose operations".to_owned(),
        ],
    )?;
    vault.close()
}
