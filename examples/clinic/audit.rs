//! Act five: the privacy officer asks the log who did what, and why somebody was denied.

use chartvault::{AuditEntry, AuditFilter, DenyReason, Outcome as Ended};

use crate::Outcome;
use crate::day::Day;
use crate::import::Imported;
use crate::show::{item, note, say, short};
use crate::staff::Clinic;

pub fn run(clinic: &Clinic, imported: &Imported, day: &Day) -> Outcome<()> {
    let auditor = clinic.auditor(&clinic.vault)?;
    let page = auditor.audit()?.query(AuditFilter::new().actor(day.actor)).page()?;
    say(&format!("{:>6}  {:<8}  {:<8}  {:<15}  {:<8}  about", "entry", "time", "who", "what", "outcome"));
    for entry in page.entries.iter().rev() {
        say(&line(entry, imported, day));
    }

    let denied = auditor.audit()?.query(AuditFilter::new().outcome(Ended::Denied)).page()?.entries;
    let [denial] = &denied[..] else { return Err(format!("{} denials in the log, not one", denied.len()).into()) };
    if denial.ticket != Some(day.ticket) {
        return Err("the denial in the log has another ticket".into());
    }
    let reason = denial.reason.and_then(DenyReason::from_code).ok_or("the log does not say why")?;
    note("The ticket leads to the denial:\n");
    item("entry", denial.seq);
    item("who", who(denial, day));
    item("asked for", about(denial, imported));
    item("denied because", reason);
    item("by", format!("{} of the token, which dr.osei added", denial.detail.as_deref().unwrap_or("no block")));
    auditor.close()?;
    Ok(())
}

fn line(entry: &AuditEntry, imported: &Imported, day: &Day) -> String {
    let time: String = entry.time.to_string().chars().skip(11).take(8).collect();
    let (seq, event, outcome) = (entry.seq, entry.event.to_string(), entry.outcome.to_string());
    let about = short(&about(entry, imported), 22);
    format!("{seq:>6}  {time}  {:<8}  {event:<15}  {outcome:<8}  {about}", who(entry, day))
}

/// The log knows the physician's name for both; whoever holds a narrowed token has one block more.
fn who(entry: &AuditEntry, day: &Day) -> &'static str {
    match entry.revocation_ids.last() {
        Some(token) if *token == day.nurse => "nurse",
        Some(token) if *token == day.physician => "dr.osei",
        _ => "?",
    }
}

fn about(entry: &AuditEntry, imported: &Imported) -> String {
    let patient = entry.subjects.first().and_then(|subject| subject.patient).or(entry.requested);
    patient.map_or(String::new(), |patient| imported.name(patient))
}
