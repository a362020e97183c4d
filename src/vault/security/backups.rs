//! What the report says of backups.

use std::time::Duration;

use super::finding::{Reason, SecurityFinding, Weight};
use crate::policy::{LastBackup, LastDrill};
use crate::vault::{BackupStatus, TargetStatus};

const DAY: Duration = Duration::from_secs(86_400);
/// A backup is made every day; a night that failed is still in time to be noticed.
const BACKUP_DUE: Duration = Duration::from_secs(36 * 3_600);
/// Whatever went wrong was not noticed.
const BACKUP_OVERDUE: Duration = DAY.saturating_mul(7);
/// A restore is rehearsed every quarter.
const DRILL_DUE: Duration = DAY.saturating_mul(92);
/// Failures at a target that nobody has used for longer say nothing about now.
const FAILURE_COUNTS: Duration = DAY.saturating_mul(31);
/// Work without charts for longer wants a plan.
const LONG_RECOVERY: Duration = Duration::from_secs(4 * 3_600);

const RUN: &str = "make one, and make them regularly: Vault::backup; chartvault backup run";
const DRILL: &str = "rehearse a restore: Vault::drill; chartvault backup drill";

pub(super) fn backups(status: &BackupStatus) -> Vec<SecurityFinding> {
    // A build that makes no backups does not ask for them, unless another one did.
    if status.targets.is_empty() && !cfg!(feature = "backup") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    match newest(status) {
        None => {
            let what = "no backup: if this machine is lost, all of it is";
            findings.push(SecurityFinding::new((Weight::High, "no-backup"), what, Reason::DataBackup, RUN));
        }
        Some((target, made)) => {
            findings.extend(age(target));
            findings.extend(pack(status, &made));
            findings.extend(drills(status));
        }
    }
    findings.extend(status.targets.iter().filter_map(|target| failing(status, target)));
    findings
}

/// The newest backup of all, and where it is.
fn newest(status: &BackupStatus) -> Option<(&TargetStatus, LastBackup)> {
    let made = status.targets.iter().filter_map(|target| Some((target, target.last_backup?)));
    made.max_by_key(|(_, made)| made.at)
}

fn age(target: &TargetStatus) -> Option<SecurityFinding> {
    let (age, since) = (target.age?, target.entries_since?);
    if age <= BACKUP_DUE {
        return None;
    }
    let weight = if age > BACKUP_OVERDUE { Weight::High } else { Weight::Medium };
    let hours = age.as_secs() / 3_600;
    let what = format!("the newest backup is {hours} hours old: {since} log entries would be lost");
    Some(SecurityFinding::new((weight, "backup-old"), what, Reason::DataBackup, RUN))
}

/// The key pack that the newest backup needs.
fn pack(status: &BackupStatus, made: &LastBackup) -> Option<SecurityFinding> {
    let mend = "make a backup with a key pack: Backup::packs_to; chartvault backup run";
    let finding = |weight, what: String| Some(SecurityFinding::new(weight, what, Reason::DisasterRecovery, mend));
    let Some(pack) = made.pack else {
        let what = "the newest backup has no key pack: nothing can be restored from it".to_owned();
        return finding((Weight::High, "no-key-pack"), what);
    };
    let erased = status.erasures.saturating_sub(pack.erasures);
    if erased > 0 {
        let what = format!(
            "key pack {} is older than the erasure ledger: with it {erased} patients can be read in backups who were erased since",
            pack.number
        );
        return finding((Weight::High, "key-pack-old"), what);
    }
    if pack.header_generation < status.header_generation {
        let what = format!("key pack {} is older than the vault's keys and slots as they are now", pack.number);
        return finding((Weight::Medium, "key-pack-old"), what);
    }
    None
}

fn drills(status: &BackupStatus) -> Vec<SecurityFinding> {
    let drills = status.targets.iter().filter_map(|target| Some((target, target.last_drill?)));
    let mut findings = Vec::new();
    if let Some((target, LastDrill { at, .. })) =
        drills.max_by_key(|(_, drill)| drill.at).filter(|(_, drill)| !drill.is_sound())
    {
        let what = format!("the last rehearsed restore, of {} at {at}, failed", target.target);
        let mend = "see in the log what failed, mend it and rehearse again: Vault::drill; chartvault backup drill";
        findings.push(SecurityFinding::new((Weight::High, "drill-failed"), what, Reason::DisasterRecovery, mend));
    }
    let sound = status.last_sound_drill();
    let due = match sound {
        None => Some(("no-drill", "no restore of a backup was ever rehearsed".to_owned())),
        Some(drill) if status.at.saturating_since(drill.at) > DRILL_DUE => Some((
            "drill-old",
            format!(
                "a restore was last rehearsed {} days ago",
                status.at.saturating_since(drill.at).as_secs() / DAY.as_secs()
            ),
        )),
        Some(_) => None,
    };
    findings.extend(
        due.map(|(code, what)| SecurityFinding::new((Weight::Medium, code), what, Reason::ContingencyTesting, DRILL)),
    );
    if let Some(drill) = sound.filter(|drill| drill.recovery > LONG_RECOVERY) {
        let hours = drill.recovery.as_secs() / 3_600;
        let what = format!("a restore takes {hours} hours until the vault is open");
        let mend = "write down how work goes on meanwhile, or keep a copy that follows the vault (docs/backup.md)";
        findings.push(SecurityFinding::new((Weight::Low, "recovery-slow"), what, Reason::EmergencyMode, mend));
    }
    findings
}

fn failing(status: &BackupStatus, target: &TargetStatus) -> Option<SecurityFinding> {
    let failure = target.failing().filter(|failure| status.at.saturating_since(failure.at) <= FAILURE_COUNTS)?;
    let what = format!("the last backup to {}, at {}, failed: {}", target.target, failure.at, failure.why);
    let mend = "mend what the log's entry says, and run it again: Vault::backup; chartvault backup run";
    Some(SecurityFinding::new((Weight::High, "backup-failed"), what, Reason::DataBackup, mend))
}

#[cfg(all(test, feature = "backup"))]
mod tests {
    use super::*;
    use crate::audit::Outcome;
    use crate::clock::Timestamp;

    #[test]
    fn a_restore_that_takes_long_is_told() {
        let at = Timestamp::from_micros(1_000_000);
        for (hours, told) in [(4, false), (5, true)] {
            let recovery = Duration::from_secs(hours * 3_600);
            let drill = LastDrill::new((at, Outcome::Allowed), 1, (recovery, recovery), 10);
            let target = TargetStatus {
                target: "disk".to_owned(),
                last_backup: None,
                age: None,
                entries_since: None,
                last_failure: None,
                last_verified: None,
                last_drill: None,
                last_sound_drill: Some(drill),
                drill_age: None,
            };
            let status = BackupStatus { at, entries: 1, targets: vec![target], header_generation: 1, erasures: 0 };
            let found = drills(&status).iter().any(|finding| finding.code == "recovery-slow");
            assert_eq!(found, told, "{hours}");
        }
    }
}
