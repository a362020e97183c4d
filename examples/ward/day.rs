//! What happens by day.

use chartvault::{Action, DenyReason, Error, Grant, Purpose, Revoke, Session};

use crate::people::{HOUR, Ward, nurses_password};
use crate::show::{item, say};
use crate::{Outcome, must};

/// For one patient and an hour, without asking the desk.
pub fn handover(ward: &Ward) -> Outcome<()> {
    ward.clock.turn_to(10, 0);
    let float = Grant::to("float.pool").role(&ward.nurse).all_patients().valid_for(12 * HOUR);
    let token = ward.issue(float, "float pool, today")?;
    let narrow = token.attenuate().issued_at(ward_now(ward)).patient(ward.patients[0]).actions([Action::Read]);
    let narrow = narrow.valid_for(HOUR).finish()?;
    item("handed over", "reading, one patient, one hour; made offline by narrowing");
    let helper = ward.vault.session(&narrow, Purpose::Treatment)?;
    must(helper.get(ward.notes[0]).is_ok(), "the helper reads that chart")?;
    must(helper.get(ward.notes[1]).is_err(), "and no other one")?;
    must(token.attenuate().actions([Action::Erase]).finish().is_err(), "a wider one cannot be made")?;
    say("The other chart stays closed, and a wider token cannot even be made.");
    ward.clock.turn_to(11, 1);
    must(helper.get(ward.notes[0]).is_err(), "after an hour it is over")?;
    say("After an hour it is over by itself.");
    Ok(())
}

/// Somebody of the front desk looks where they have nothing to do.
pub fn snoop(ward: &Ward) -> Outcome<()> {
    ward.clock.turn_to(13, 0);
    let clerk = Grant::to("c.brandt").role(&ward.clerk).all_patients().valid_for(8 * HOUR);
    let token = ward.issue(clerk, "front desk, today")?;
    let session = ward.vault.session(&token, Purpose::Operations)?;
    let Err(Error::Denied { ticket }) = session.get(ward.notes[1]) else {
        return Err("the clerk read a note".into());
    };
    item("the clerk is told", format!("denied, {ticket}"));
    let told = ward.officer()?.explain(ticket)?;
    must(told.refusals.iter().any(|denial| denial.reason == DenyReason::Kind), "the kind was what refused")?;
    item("the officer is told", told.to_string().trim_end());
    Ok(())
}

/// Beyond the usual rights, with a reason.
pub fn emergency(ward: &Ward, nurse: &Session) -> Outcome<()> {
    use chartvault::EmergencyReason::PatientInDanger;
    ward.clock.turn_to(15, 0);
    let (password, code) = (nurses_password(), ward.telephone.code(&ward.clock));
    let proof = ward.vault.sign_in("n.adu", &password).totp(&code).finish()?;
    let session = ward.vault.session_with(ward.shift()?, Purpose::Treatment).sign_in(proof).open()?;
    must(nurse.get(ward.notes[0]).is_err(), "the morning's session lay idle")?;
    say("Her session of the morning lay idle and has ended; she signed in again.");
    must(session.break_glass(ward.patients[1], PatientInDanger, " ").is_err(), "without a reason it stays whole")?;
    let urgent = session.break_glass(ward.patients[1], PatientInDanger, "not breathing well; team called")?;
    item("glass broken", format!("for one patient, a quarter of an hour, {}", urgent.id()));
    must(urgent.get(ward.notes[1]).is_ok(), "that chart opens")?;
    must(urgent.get(ward.notes[0]).is_err(), "and no other one")?;
    ward.clock.turn_to(15, 20);
    must(urgent.get(ward.notes[1]).is_err(), "it is over")?;
    say("A quarter of an hour later it is over; the case waits for somebody else's review.");
    Ok(())
}

/// A token that works on one tablet alone; then the tablet is gone.
pub fn lost_tablet(ward: &Ward) -> Outcome<()> {
    ward.clock.turn_to(17, 0);
    let round = Grant::to("n.adu").role(&ward.nurse).all_patients().device(ward.tablet.public().id());
    let token = ward.issue(round.valid_for(8 * HOUR), "evening round, tablet 7")?;
    must(ward.vault.session(&token, Purpose::Treatment).is_err(), "elsewhere it opens nothing")?;
    let challenge = ward.vault.challenge()?;
    let proof = ward.tablet.prove(&token, &challenge, Purpose::Treatment, &[0; 32]);
    let session = ward.vault.session_with(&token, Purpose::Treatment).device(proof).open()?;
    must(session.get(ward.notes[0]).is_ok(), "on the tablet it does")?;
    ward.officer()?.grants().revoke(Revoke::Block(token.id()), "tablet 7 is lost")?;
    must(session.get(ward.notes[0]).is_err(), "the open session is dead")?;
    say("Revoked: the session that is open on the tablet is dead with its next call.");
    Ok(())
}

fn ward_now(ward: &Ward) -> chartvault::Timestamp {
    use chartvault::Clock;
    ward.clock.now()
}
