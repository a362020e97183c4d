//! The evening's review.

use chartvault::{
    Action, AuditEvent, AuditFilter, CaseState, Clock, Grant, Purpose, ReviewDecision, Scope, Session, TableFormat,
    Verdict,
};

use crate::people::{HOUR, Ward};
use crate::show::{item, note, say};
use crate::{Outcome, must};

pub fn review(ward: &Ward) -> Outcome<()> {
    ward.clock.turn_to(20, 0);
    let officer = ward.officer()?;
    emergencies(&officer)?;

    // Nobody decides over a grant of their own, so there are two.
    let deputy = Grant::to("b.moe").role(&ward.office).all_patients().valid_for(8 * HOUR);
    let deputy = ward.vault.session(&ward.issue(deputy, "deputy of the privacy officer")?, Purpose::Operations)?;
    let round = officer.reviews().open(ward.clock.now().saturating_add(24 * HOUR), "each evening")?;
    item("review", format!("round {} over {} live grants", round.number, round.grants));
    let mut revoked = 0;
    for one in officer.reviews().items(round.number).page()?.items {
        let reviewer = if one.subject == officer.principal() { &deputy } else { &officer };
        let known = officer.grants().get(one.grant)?;
        let (decision, why) = match (&*known.note, known.registered_by) {
            ("float pool, today", _) => (ReviewDecision::Revoke, "the pool's shift is over"),
            // Of the founder: it opened a session and was never registered.
            (_, None) if known.rights.actions.contains(&Action::Create) => {
                (ReviewDecision::Revoke, "nobody needs it any more")
            }
            _ => (ReviewDecision::Keep, "as it should be"),
        };
        revoked += usize::from(decision == ReviewDecision::Revoke);
        item(&format!("{decision}"), format!("{} of {}: {why}", one.grant, one.subject));
        reviewer.reviews().decide(round.number, one.grant, decision, why)?;
    }
    let closed = officer.reviews().close(round.number)?;
    must(closed.closed.is_some() && closed.undecided == 0, "the round is closed")?;
    must(revoked == 2, "two are revoked")?;
    let mut file = Vec::new();
    let rows = officer.reviews().items(round.number).export(TableFormat::Csv, &mut file)?;
    say(&format!("The round is closed; for the auditor: a CSV of {rows} rows, {} bytes.", file.len()));

    note("Who could see the second patient tonight:");
    for reach in officer.could_access(ward.patients[1])? {
        say(&reach.to_string());
    }
    note("What to look at:");
    for risk in &officer.risk_report(90 * 24 * HOUR)?.risks {
        say(&format!("- {risk}"));
    }
    told(&officer)
}

fn emergencies(officer: &Session) -> Outcome<()> {
    let cases = officer.cases().list(CaseState::Open, None)?;
    must(cases.len() == 1, "one emergency waits")?;
    for case in cases {
        item("emergency", format!("{} by {}: {}", case.reason, case.actor, case.text));
        let closed = officer.cases().close(case.id, Verdict::Justified, "talked with the ward and the team")?;
        must(closed.review.is_some(), "it is reviewed")?;
    }
    Ok(())
}

/// The day as the log has it.
fn told(officer: &Session) -> Outcome<()> {
    let verified = officer.audit()?.verify(Scope::All).run()?;
    note(&format!("The log: {} entries, sound from the first to the last. Of them:", verified.entries));
    let told = [
        AuditEvent::SignedIn,
        AuditEvent::SignInRefused,
        AuditEvent::GlassBroken,
        AuditEvent::Revoked,
        AuditEvent::CaseClosed,
        AuditEvent::ReviewClosed,
    ];
    let filter = told.iter().fold(AuditFilter::new(), |filter, event| filter.event(*event));
    let mut entries = officer.audit()?.query(filter).limit(100).page()?.entries;
    entries.reverse();
    must(entries.len() >= 6, "the day is in the log")?;
    entries.iter().for_each(|entry| say(&entry.to_string()));
    Ok(())
}
