//! How grave each finding is, which duty it touches, and what mends it.

use std::time::Duration;

use super::finding::{Reason, SecurityFinding, Weight};
use super::waived::WaivedAdvisory;
use super::{LastDone, SecurityReport};
use crate::error::Error;
use crate::read_audit::ReadAudit;
use crate::session::AccessRisk;
use crate::vault::{KeyRisk, MemoryGuard, Opening, Vault};

/// A key that sealed for longer is worth a rotation (NIST SP 800-57 part 1, table 1: one to two years).
const OLD_KEY: u64 = 365;
/// The log is verified as often, and the vault's files are checked.
const LOOKED_AFTER: Duration = Duration::from_secs(31 * 86_400);

pub(super) fn key_risk(risk: &KeyRisk) -> SecurityFinding {
    use Weight::{High, Low, Medium};
    let (weight, reason, mend) = match risk {
        KeyRisk::OnlyOneSlot { .. } => {
            ((Medium, "only-one-slot"), Reason::EmergencyAccess, "add a slot: Vault::add_slot")
        }
        KeyRisk::NoRecovery => (
            (High, "no-recovery"),
            Reason::EmergencyAccess,
            "add a recovery key, or one that several people hold: Vault::add_slot",
        ),
        KeyRisk::NeverUsed { .. } => (
            (Low, "slot-never-used"),
            Reason::EmergencyAccess,
            "try its credential, or remove the slot: Vault::remove_slot",
        ),
        KeyRisk::CheapPassphrase { .. } => (
            (Medium, "cheap-passphrase"),
            Reason::PasswordManagement,
            "derive it at today's cost: Unlocking::upgrade_kdf, or Vault::change_credential",
        ),
        KeyRisk::HeaderOnOneDisk => (
            (Medium, "header-on-one-disk"),
            Reason::DataBackup,
            "keep a copy of the header elsewhere: Vault::back_up_header",
        ),
        KeyRisk::HeaderOnOneMedium => (
            (Low, "header-on-one-medium"),
            Reason::DataBackup,
            "lock a backup of the header away elsewhere: Vault::back_up_header",
        ),
        KeyRisk::RotationUnderWay => {
            ((Low, "rotation-under-way"), Reason::Encryption, "go on with it: Vault::continue_rotation")
        }
        KeyRisk::ErasuresUnfinished { .. } => {
            ((High, "erasure-unfinished"), Reason::Integrity, "finish it: Vault::continue_erasures")
        }
    };
    SecurityFinding::new(weight, risk, reason, mend)
}

pub(super) fn access_risk(risk: &AccessRisk) -> SecurityFinding {
    use Weight::{High, Low, Medium};
    let (weight, reason, mend) = match risk {
        AccessRisk::NoSecondFactor { .. } => {
            ((High, "no-second-factor"), Reason::Authentication, "enrol an authenticator app: Principals::enrol_totp")
        }
        AccessRisk::WiderThanUse { .. } => (
            (Low, "grant-wider-than-use"),
            Reason::AccessModification,
            "narrow it at the next review of grants: Session::reviews",
        ),
        AccessRisk::Unused { .. } => {
            ((Medium, "grant-unused"), Reason::AccessModification, "revoke it: Session::revoke")
        }
        AccessRisk::RoleNotReviewed { .. } => {
            ((Low, "role-not-reviewed"), Reason::AccessModification, "review it: Session::reviews")
        }
        AccessRisk::OpenEmergency { overdue: true, .. } => {
            ((High, "emergency-overdue"), Reason::ActivityReview, "review it today: Session::cases")
        }
        AccessRisk::OpenEmergency { .. } => {
            ((Medium, "emergency-open"), Reason::ActivityReview, "review it: Session::cases")
        }
        AccessRisk::NoReview { .. } => {
            ((Medium, "no-review"), Reason::AccessModification, "open a review of grants: Session::reviews")
        }
        AccessRisk::IssuerWithoutCeiling { .. } => (
            (Medium, "issuer-without-ceiling"),
            Reason::AccessModification,
            "say what it may grant at most: Vault::limit_issuer",
        ),
        AccessRisk::OldIssuer { .. } => (
            (Low, "issuer-old"),
            Reason::Encryption,
            "trust a new key, and distrust this one once its tokens have ended: Vault::trust_issuer",
        ),
        AccessRisk::NoAutomaticLogOff => {
            ((Medium, "no-log-off"), Reason::AutomaticLogOff, "set an idle time: AccessRules::idle")
        }
        AccessRisk::UnregisteredGrants => (
            (Medium, "unregistered-grants"),
            Reason::AccessModification,
            "accept registered grants only: AccessRules::registered_grants_only",
        ),
    };
    SecurityFinding::new(weight, risk, reason, mend)
}

/// Keys in use for longer than is advised, the newest of each sort.
pub(super) fn old_keys(report: &SecurityReport) -> Vec<SecurityFinding> {
    let mut newest: Vec<_> = report.keys.keys.clone();
    newest.sort_by_key(|key| (key.sort, std::cmp::Reverse(key.epoch)));
    newest.dedup_by_key(|key| key.sort);
    let old = newest.into_iter().map(|key| (key.sort, report.days(key.not_before)));
    let old = old.filter(|(_, days)| *days > OLD_KEY).map(|(sort, days)| {
        let what = format!("the newest {sort} has been in use for up to {days} days");
        let mend = "rotate it at a quiet hour: Vault::begin_data_rotation, Vault::rotate_root";
        SecurityFinding::new((Weight::Low, "old-key"), what, Reason::Encryption, mend)
    });
    old.collect()
}

/// What proves the log.
pub(super) fn log(report: &SecurityReport) -> Vec<SecurityFinding> {
    let mut findings = Vec::new();
    if report.anchors.is_empty() {
        let what = "no anchor: a vault that was put back to an older state, or whose log was cut, is not found out";
        let mend = "keep checkpoints on another disk or with a witness: Options::anchor";
        findings.push(SecurityFinding::new((Weight::High, "no-anchor"), what, Reason::AuditControls, mend));
    }
    for anchor in &report.anchors {
        if let Some(failure) = &anchor.failure {
            let what = format!("the anchor {} did not take the last checkpoint: {failure}", anchor.name);
            let mend = "mend what it says, and look again: Vault::anchors";
            findings.push(SecurityFinding::new((Weight::High, "anchor-failing"), what, Reason::AuditControls, mend));
        }
    }
    if let Some(what) = overdue(report, report.verified.as_ref(), "verification of the log") {
        let mend = "verify it: AuditView::verify";
        findings.push(SecurityFinding::new((Weight::Medium, "log-not-verified"), what, Reason::AuditControls, mend));
    }
    findings
}

/// That something was not done for too long.
fn overdue(report: &SecurityReport, last: Option<&LastDone>, name: &str) -> Option<String> {
    match last {
        None => Some(format!("the log knows of no {name}")),
        Some(LastDone { at, .. }) if report.at.saturating_since(*at) > LOOKED_AFTER => {
            Some(format!("the last {name} is {} days ago", report.days(*at)))
        }
        Some(_) => None,
    }
}

/// The files.
pub(super) fn disks(report: &SecurityReport, opening: &Opening) -> Vec<SecurityFinding> {
    let mut findings = Vec::new();
    let wrong = report.health.findings.len();
    if wrong > 0 {
        let what = format!("{wrong} things in the vault's files are wrong and were not mended");
        let mend = "docs/repair.md: Vault::check, then a backup or LockedVault::salvage";
        findings.push(SecurityFinding::new((Weight::Critical, "damage"), what, Reason::Integrity, mend));
    }
    if report.health.mended > 0 {
        let what = format!(
            "{} things in the vault's files had to be put right: the disk may be failing",
            report.health.mended
        );
        let mend = "look at the disk's own report, and be ready to replace it";
        findings.push(SecurityFinding::new((Weight::High, "mended"), what, Reason::Integrity, mend));
    }
    // The scrub compares all of it as well.
    if report.health.rounds == 0
        && let Some(what) = overdue(report, report.checked.as_ref(), "check of the vault's files")
    {
        let mend = "check them: Vault::check; or let the scrub run: Options::scrub_rate";
        findings.push(SecurityFinding::new((Weight::Low, "not-checked"), what, Reason::Integrity, mend));
    }
    if let Some(why) = &opening.signing_key_unsaved {
        let what = format!("the log's signing key is in memory only: {why}");
        let mend = "give it a file that can be written: Options::signing_key_file";
        findings.push(SecurityFinding::new((Weight::Medium, "signing-key-unsaved"), what, Reason::AuditControls, mend));
    }
    for unread in &opening.anchors_unread {
        let what = format!("an anchor could not be asked when the vault was opened: {unread}");
        let mend = "mend what it says, and open the vault again";
        findings.push(SecurityFinding::new((Weight::High, "anchor-unread"), what, Reason::AuditControls, mend));
    }
    findings
}

/// What the vault and the process were told to do.
pub(super) fn settings(vault: &Vault) -> Result<Vec<SecurityFinding>, Error> {
    let mut findings = Vec::new();
    if vault.monitoring()?.is_none() {
        let what = "no rules run over the log: misuse is noticed only when somebody looks";
        let mend = "set rules: Vault::set_monitoring (docs/monitoring.md)";
        findings.push(SecurityFinding::new((Weight::Medium, "no-monitoring"), what, Reason::ActivityReview, mend));
    }
    if let choice @ ReadAudit::Windowed { .. } = vault.read_audit()? {
        let what = format!("entries of reads may be lost in a crash: {choice}");
        let mend = "ReadAudit::Durable, unless bulk work needs the window: Vault::set_read_audit";
        findings.push(SecurityFinding::new((Weight::Low, "reads-may-be-lost"), what, Reason::AuditControls, mend));
    }
    let memory = vault.memory_protection();
    for (guard, code, of) in
        [(memory.swap, "memory-swapped", "swap"), (memory.core_dumps, "memory-dumped", "core dumps")]
    {
        if guard != MemoryGuard::On {
            let what = format!("nothing keeps the memory of this process from {of}: {guard}");
            let mend = "Options::harden_process, or encrypt swap and turn off core dumps";
            findings.push(SecurityFinding::new((Weight::Low, code), what, Reason::Encryption, mend));
        }
    }
    Ok(findings)
}

pub(super) fn waived(advisories: &[WaivedAdvisory]) -> impl Iterator<Item = SecurityFinding> {
    advisories.iter().map(|WaivedAdvisory { id, reason }| {
        let mend = "nothing, as long as the reason holds; look again at each update";
        let what = format!("an advisory on a dependency is waived: {id}: {reason}");
        SecurityFinding::new((Weight::Note, "advisory-waived"), what, Reason::Evaluation, mend)
    })
}
