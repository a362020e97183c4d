//! Why something was denied: a ticket, resolved by an auditor.

use std::fmt;

use super::Session;
use super::access::{Done, Hold, Op};
use super::audit::{self, AuditQuery};
use crate::audit::{AuditEntry, AuditEvent, AuditFilter};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket};
use crate::terms::{Action, Purpose};
use crate::token::{Denial, DenyReason};

/// Why an operation was denied, block by block. `Display` gives lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The ticket that was given out with the denial.
    pub ticket: Ticket,
    /// The number of its entry in the log.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// What was tried.
    pub event: AuditEvent,
    /// Who tried.
    pub actor: Option<PrincipalId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// The revocation ids of the token's blocks, the grant's first.
    pub token: Vec<RevocationId>,
    /// Under which right.
    pub action: Option<Action>,
    /// For which purpose.
    pub purpose: Option<Purpose>,
    /// With which kind of record, where one was asked for.
    pub kind: Option<KindId>,
    /// In whose chart: one that is there, or the id that was asked for in vain.
    pub patient: Option<PatientId>,
    /// Everything that refused, in the order of the blocks; what is a rule of the vault says so
    /// ([`DenyReason::is_rule`]).
    pub refusals: Vec<Denial>,
}

impl Session {
    /// Explains a denial to somebody with the audit action for all patients and kinds. Looks through the log from its newest
    /// entry back until it finds the ticket.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (session, token) = (clinic.session(), &clinic.token);
    /// let patient = session.register_patient([])?;
    /// let narrow = token.attenuate().actions([Action::Read]).finish().unwrap();
    /// let nurse = clinic.vault.session(&narrow, Purpose::Treatment)?;
    /// let Err(Error::Denied { ticket }) = nurse.put(patient, &Note { text: "x".into() }) else { panic!() };
    /// let explanation = session.explain(ticket)?;
    /// assert_eq!(explanation.refusals, [Denial { block: 1, reason: DenyReason::Action }]);
    /// assert!(explanation.to_string().contains("block 1: the action is not allowed"));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchTicket`], [`Error::Audit`] when an entry on the way was changed or does not open, and what
    /// [`Session`] lists.
    pub fn explain(&self, ticket: Ticket) -> Result<Explanation, Error> {
        let op = self.begin(audit::access(AuditEvent::DenialExplained))?;
        op.run(Hold::Nothing, |op| {
            let entry = find(op, ticket)?.ok_or(Error::NoSuchTicket { ticket })?;
            Ok(Done { detail: Some(ticket.to_string()), ..Done::read(Explanation::of(ticket, entry), Vec::new()) })
        })
    }
}

fn find(op: &Op<'_>, ticket: Ticket) -> Result<Option<AuditEntry>, Error> {
    let mut before = None;
    loop {
        let query = AuditQuery::new(op.session, AuditFilter::new().ticket(ticket), before).limit(1);
        let page = query.collect(op)?;
        match (page.entries.into_iter().next(), page.next) {
            (Some(entry), _) => return Ok(Some(entry)),
            (None, Some(seq)) => before = Some(seq),
            (None, None) => return Ok(None),
        }
    }
}

impl Explanation {
    fn of(ticket: Ticket, entry: AuditEntry) -> Self {
        let known = |(block, code): &(u8, u16)| Some(Denial { block: *block, reason: DenyReason::from_code(*code)? });
        let mut refusals: Vec<Denial> = entry.refusals.iter().filter_map(known).collect();
        if refusals.is_empty() {
            // Before refusals were listed, the first one stood in the detail.
            let block = entry.detail.as_deref().and_then(|detail| detail.strip_prefix("block ")?.parse().ok());
            refusals.extend(entry.reason.and_then(|code| known(&(block.unwrap_or(0), code))));
        }
        Self {
            ticket,
            seq: entry.seq,
            time: entry.time,
            event: entry.event,
            actor: entry.actor,
            session: entry.session,
            token: entry.revocation_ids,
            action: entry.action,
            purpose: entry.purpose,
            kind: entry.kind,
            patient: entry.subjects.first().and_then(|subject| subject.patient).or(entry.requested),
            refusals,
        }
    }
}

fn text(value: Option<impl fmt::Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn said(f: &mut fmt::Formatter<'_>, what: &str, value: Option<String>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(f, "  {what}: {value}"))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} denied at {} (entry {})", self.ticket, self.event, self.time, self.seq)?;
        said(f, "actor", text(self.actor))?;
        said(f, "session", text(self.session))?;
        said(f, "action", text(self.action))?;
        said(f, "purpose", text(self.purpose))?;
        said(f, "kind", text(self.kind))?;
        said(f, "patient", text(self.patient))?;
        for (block, rid) in (0_u8..).zip(&self.token) {
            let refused = self.refusals.iter().filter(|denial| denial.block == block && !denial.reason.is_rule());
            let reasons: Vec<String> = refused.map(|denial| denial.reason.to_string()).collect();
            let said = if reasons.is_empty() { "allows it".to_owned() } else { reasons.join("; ") };
            writeln!(f, "  block {block}: {said} ({rid})")?;
        }
        let mut rules = self.refusals.iter().filter(|denial| denial.reason.is_rule());
        rules.try_for_each(|denial| writeln!(f, "  rule of the vault: {}", denial.reason))
    }
}
