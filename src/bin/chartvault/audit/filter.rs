//! Which entries of the log are wanted, as arguments.

use chartvault::{Action, AuditEvent, AuditFilter, Outcome, PatientId, PrincipalId, Purpose, Ticket, Timestamp};
use clap::Args;

use crate::read::patient;
use crate::words;

/// Conditions of different sorts all have to hold; of one sort, one of them.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Which entries")]
pub struct Filter {
    /// About this patient; may be repeated
    #[arg(long = "about", value_name = "PATIENT", value_parser = patient)]
    patients: Vec<PatientId>,
    /// Done, or tried, by this principal, by name; may be repeated
    #[arg(long = "actor", value_name = "NAME")]
    actors: Vec<String>,
    /// Of this event, such as record-read or session-refused; may be repeated
    #[arg(long = "event", value_name = "EVENT", value_parser = event)]
    events: Vec<AuditEvent>,
    /// Under this right, such as read or export; may be repeated
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// That ended so: allowed, denied or failed
    #[arg(long = "outcome", value_name = "OUTCOME", value_parser = outcome)]
    outcomes: Vec<Outcome>,
    /// Of sessions for this purpose; may be repeated
    #[arg(long = "for-purpose", value_name = "PURPOSE", value_parser = words::purpose)]
    purposes: Vec<Purpose>,
    /// The denial of this ticket
    #[arg(long, value_name = "TICKET")]
    ticket: Option<Ticket>,
    /// At this time or later
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    from: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    to: Option<Timestamp>,
}

fn event(text: &str) -> Result<AuditEvent, String> {
    let known = AuditEvent::ALL.iter().find(|event| event.to_string() == text);
    known.copied().ok_or_else(|| {
        let words: Vec<&str> = text.split('-').collect();
        let all = AuditEvent::ALL.iter().map(ToString::to_string);
        let near: Vec<String> = all.filter(|name| name.split('-').any(|word| words.contains(&word))).collect();
        match near.is_empty() {
            true => format!("{text:?} is no event; docs/format/audit.md lists them"),
            false => format!("{text:?} is no event; there are {}", near.join(", ")),
        }
    })
}

fn outcome(text: &str) -> Result<Outcome, String> {
    match text {
        "allowed" => Ok(Outcome::Allowed),
        "denied" => Ok(Outcome::Denied),
        "failed" => Ok(Outcome::Failed),
        _ => Err(format!("{text:?} is no outcome; there are allowed, denied and failed")),
    }
}

impl Filter {
    pub fn build(&self) -> AuditFilter {
        let mut filter = AuditFilter::new();
        filter = self.patients.iter().fold(filter, |filter, patient| filter.patient(*patient));
        filter = self.actors.iter().fold(filter, |filter, name| filter.actor(PrincipalId::of(name)));
        filter = self.events.iter().fold(filter, |filter, event| filter.event(*event));
        filter = self.actions.iter().fold(filter, |filter, action| filter.action(*action));
        filter = self.outcomes.iter().fold(filter, |filter, outcome| filter.outcome(*outcome));
        filter = self.purposes.iter().fold(filter, |filter, purpose| filter.purpose(*purpose));
        filter = self.ticket.into_iter().fold(filter, AuditFilter::ticket);
        filter = self.from.into_iter().fold(filter, AuditFilter::from);
        self.to.into_iter().fold(filter, AuditFilter::to)
    }
}
