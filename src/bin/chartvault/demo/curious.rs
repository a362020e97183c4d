//! A colleague opens a neighbour's chart as if it were an emergency: nobody stops them, and nobody misses it.

use std::time::Duration;

use chartvault::{
    Action, AuditEvent, CaseState, Confidentiality, EmergencyReason, Error, FlagState, FlagVerdict, Grant, MonitorRule,
    Purpose, Session, Ticket, Verdict,
};

use super::guide::{Answer, Guide, Question};
use super::house::{House, NURSE};
use super::{must, otherwise, refused};
use crate::failure::Outcome;

const WHAT_NOW: Question = Question {
    asks: "You are the privacy officer and see the flag. What do you do first?",
    answers: &[
        Answer {
            text: "Ask the ward: was there an emergency that night? Then ask Deniz Kaya, and only then decide.",
            because: "A flag is no proof. Often there is a good reason, and the ward knows it.",
        },
        Answer {
            text: "Take away the possibility to open charts in an emergency, so that it cannot happen again.",
            because: "Then one night somebody cannot read an allergy in time. Emergencies have to stay open, and be looked at.",
        },
        Answer {
            text: "Nothing: the vault allowed it, so it will have been in order.",
            because: "In an emergency the vault lets everybody in who may be needed. Judging is left to people: to you.",
        },
    ],
    right: 1,
};

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "Nurse Deniz Kaya has a night shift. Max Beispiel, who lives next door to Deniz, is a patient of the house; his \
         chart is marked confidential. There was no emergency. Deniz just wonders what he has.",
    )?;
    let vault = house.open()?;
    let shift = Grant::to(NURSE).actions([Action::Read, Action::List]);
    let shift = shift.purposes([Purpose::Treatment, Purpose::BreakGlass]).emergency(
        [Action::Read, Action::List],
        Confidentiality::Restricted,
        Duration::from_secs(900),
    );
    let nurse = vault.session(&house.sign(shift)?, Purpose::Treatment)?;
    let error = refused(nurse.get_verbatim(house.neighbour.record), "a confidential record is not read in passing")?;
    let Error::Denied { ticket } = error else { return Err(otherwise("it is denied with a ticket")) };
    guide.happened("Deniz opens the record as usual", error)?;

    guide.tell(
        "There is a way for emergencies: to BREAK THE GLASS, as with a fire alarm. Whoever may be needed gets in at once, for \
         one patient and a quarter of an hour, and has to say why. Deniz types: \"short of breath\".",
    )?;
    let reason = EmergencyReason::PatientInDanger;
    let urgent = nurse.break_glass(house.neighbour.patient, reason, "short of breath")?;
    let read = urgent.get_verbatim(house.neighbour.record)?;
    must(read.value == house.neighbour.text.as_bytes(), "the record is what was put")?;
    guide.happened("Deniz breaks the glass", format!("{} opens, and the record is read", urgent.id()))?;
    urgent.close()?;

    vault.monitor_now()?;
    let officer = house.officer(&vault)?;
    guide.happened("The next morning the privacy officer looks the ticket up", why(&officer, ticket)?)?;
    let flags = officer.flags().list(FlagState::Open, None)?;
    let flag = flags.iter().find(|flag| flag.rule == MonitorRule::BreakGlass);
    let flag = flag.ok_or_else(|| otherwise("monitoring raised a flag"))?;
    let rests_on: Vec<_> = flag.entries.iter().map(ToString::to_string).collect();
    guide.happened(
        "Monitoring, which reads the log by itself, has raised a flag",
        format!("{}, rule {}: {} (rests on entries {})", flag.id, flag.rule, flag.why, rests_on.join(", ")),
    )?;
    let cases = officer.cases().list(CaseState::Open, None)?;
    let case = cases.first().ok_or_else(|| otherwise("a case waits for review"))?;
    guide.happened(
        "A case waits for somebody to review it",
        format!("{}: {}: {}; by {}; due {}", case.id, case.reason, case.text, house.name_of(case.actor), case.due),
    )?;

    guide.ask(&WHAT_NOW)?;

    guide.tell("The ward knows of no emergency, and Deniz admits it. So the officer writes down how it ended.")?;
    let error = refused(nurse.cases().close(case.id, Verdict::Justified, "all fine"), "nobody closes a case alone")?;
    guide.happened("Could Deniz have closed the case?", error)?;
    let closed = officer.cases().close(case.id, Verdict::NotJustified, "the ward knows of no emergency")?;
    guide.happened(
        "The officer closes the case",
        closed.review.map_or_else(String::new, |review| review.verdict.to_string()),
    )?;
    let closed = officer.flags().close(flag.id, FlagVerdict::Misuse, "see the case; talked with the ward")?;
    guide.happened("and the flag", closed.closed.map_or_else(String::new, |closed| closed.verdict.to_string()))?;

    let wanted = [
        AuditEvent::RecordRead,
        AuditEvent::GlassBroken,
        AuditEvent::FlagRaised,
        AuditEvent::CaseClosed,
        AuditEvent::FlagClosed,
    ];
    let entries = house.log(&vault, &wanted)?;
    guide.log(house, &entries)?;
    guide.advise(
        &[
            "Look at open cases and flags each morning; somebody else than the person whom they are about.",
            "Ask the ward first, then the person. Close both with a note that names no patient.",
            "If it was misuse: talk with whoever leads the staff and with the data protection officer; the patient may have \
             to be told.",
            "If you ever break the glass yourself, and rightly: a true reason in a few words is all that is asked of you.",
        ],
        &[
            "chartvault review flags --token officer.token --purpose operations".to_owned(),
            "chartvault review cases --token officer.token --purpose operations".to_owned(),
            format!(
                "chartvault review close-case {} --verdict not-justified --note 'no emergency' --token officer.token \
                 --purpose operations",
                case.id
            ),
            format!(
                "chartvault review close-flag {} --verdict misuse --note 'see the case' --token officer.token --purpose \
                 operations",
                flag.id
            ),
            format!("chartvault audit explain {ticket} --token officer.token --purpose operations"),
            format!("chartvault audit access {} --token officer.token --purpose operations", house.neighbour.patient),
        ],
    )?;
    vault.close()
}

/// Why something was denied, without the numbers that only programs need.
fn why(officer: &Session, ticket: Ticket) -> Outcome<String> {
    let told = officer.explain(ticket)?;
    let reasons: Vec<_> = told.refusals.iter().map(|denial| denial.reason.to_string()).collect();
    Ok(format!("{}, entry {}: {}", told.event, told.seq, reasons.join("; ")))
}
