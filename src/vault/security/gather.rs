//! Brings together what the report is made of.

use std::time::Duration;

use super::{LastDone, SecurityReport, waived::WAIVED};
use super::{backups, weigh};
use crate::audit::{AuditEvent, AuditFilter, Outcome};
use crate::error::Error;
use crate::session::Session;
use crate::vault::Vault;

/// How far back rights are compared with their use: a quarter.
const WINDOW: Duration = Duration::from_secs(92 * 86_400);

pub(super) fn report(vault: &Vault, session: &Session) -> Result<SecurityReport, Error> {
    if !session.is_of(&vault.0.gate) {
        return Err(Error::OtherVault);
    }
    let access = session.risk_report(WINDOW)?;
    let keys = vault.key_report()?;
    let newest = session.audit()?.query(AuditFilter::new()).limit(1).page()?;
    let entries = newest.entries.first().map_or(0, |entry| entry.seq.saturating_add(1));
    let mut report = SecurityReport {
        vault: vault.id(),
        at: keys.at,
        version: env!("CARGO_PKG_VERSION"),
        findings: Vec::new(),
        anchors: vault.anchors(),
        entries,
        verified: last(session, AuditEvent::AuditVerified)?,
        checked: last(session, AuditEvent::VaultChecked)?,
        health: vault.health(),
        backups: vault.backup_status()?,
        waived: WAIVED,
        keys,
    };
    let mut findings = Vec::new();
    findings.extend(report.keys.risks.iter().map(weigh::key_risk));
    findings.extend(weigh::old_keys(&report));
    findings.extend(access.risks.iter().map(weigh::access_risk));
    findings.extend(weigh::log(&report));
    findings.extend(backups::backups(&report.backups));
    findings.extend(weigh::disks(&report, vault.opening()));
    findings.extend(weigh::settings(vault)?);
    findings.extend(weigh::waived(report.waived));
    findings.sort_by_key(|finding| finding.weight);
    report.findings = findings;
    Ok(report)
}

/// The newest entry of something that ended well.
fn last(session: &Session, event: AuditEvent) -> Result<Option<LastDone>, Error> {
    let filter = AuditFilter::new().event(event).outcome(Outcome::Allowed);
    let mut before = None;
    loop {
        let mut query = session.audit()?.query(filter.clone()).limit(1);
        if let Some(seq) = before {
            query = query.before(seq);
        }
        let page = query.page()?;
        if let Some(entry) = page.entries.into_iter().next() {
            return Ok(Some(LastDone { at: entry.time, seq: entry.seq, count: entry.count, detail: entry.detail }));
        }
        match page.next {
            Some(seq) => before = Some(seq),
            None => return Ok(None),
        }
    }
}
