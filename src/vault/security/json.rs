//! The report for programs.

use super::{LastDone, SecurityReport};
use crate::json::Object;
use crate::vault::TargetStatus;

impl SecurityReport {
    /// The same as JSON (RFC 8259), one object on one line. Members: `vault`, `at`, `version`, `findings` (each with `weight`,
    /// `code`, `what`, `section`, `asks`, `mend`), `slots` (`slot`, `kind`, `label`, `days`, `last_used`), `keys` (`sort`, `epoch`,
    /// `days`), `anchors` (`name`, `size`, `at`, `failure`), `entries`, `verified` and `checked` (`at`, `seq`, `count`,
    /// `detail`), `scrub_rounds`, `mended`, `backups` (`target`, `manifest`, `seconds` since the state that it holds, `entries`
    /// since then, `failure`, `verified`, `drilled`, `drill` (its outcome), `recovery_seconds` of the last that
    /// was sound), `waived` (`id`, `reason`). What is
    /// not known is no member.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut all = Object::new();
        all.text("vault", &self.vault.to_string());
        all.text("at", &self.at.to_string());
        all.text("version", self.version);
        all.member(
            "findings",
            &array(self.findings.iter().map(|finding| {
                let mut object = Object::new();
                object.text("weight", &finding.weight.to_string());
                object.text("code", finding.code);
                object.text("what", &finding.what);
                object.text("section", finding.reason.section());
                object.text("asks", finding.reason.asks());
                object.text("mend", finding.mend);
                object.end()
            })),
        );
        all.member(
            "slots",
            &array(self.keys.slots.iter().map(|slot| {
                let mut object = Object::new();
                object.number("slot", slot.number.into());
                object.text("kind", &slot.kind.to_string());
                object.text("label", &slot.label);
                object.number("days", self.days(slot.created));
                object.maybe("last_used", slot.last_used.map(|at| at.to_string()));
                object.end()
            })),
        );
        all.member(
            "keys",
            &array(self.keys.keys.iter().map(|key| {
                let mut object = Object::new();
                object.text("sort", &key.sort.to_string());
                object.number("epoch", key.epoch.into());
                object.number("days", self.days(key.not_before));
                object.end()
            })),
        );
        all.member(
            "anchors",
            &array(self.anchors.iter().map(|anchor| {
                let mut object = Object::new();
                object.text("name", &anchor.name);
                if let Some(size) = anchor.size {
                    object.number("size", size);
                }
                object.maybe("at", anchor.at.map(|at| at.to_string()));
                object.maybe("failure", anchor.failure.clone());
                object.end()
            })),
        );
        all.number("entries", self.entries);
        for (name, done) in [("verified", &self.verified), ("checked", &self.checked)] {
            if let Some(done) = done {
                all.member(name, &last_done(done));
            }
        }
        all.number("scrub_rounds", self.health.rounds);
        all.number("mended", self.health.mended);
        all.member("backups", &array(self.backups.targets.iter().map(backup)));
        all.member(
            "waived",
            &array(self.waived.iter().map(|advisory| {
                let mut object = Object::new();
                object.text("id", advisory.id);
                object.text("reason", advisory.reason);
                object.end()
            })),
        );
        all.end()
    }
}

fn backup(of: &TargetStatus) -> String {
    let mut object = Object::new();
    object.text("target", &of.target);
    if let (Some(made), Some(age), Some(entries)) = (of.last_backup, of.age, of.entries_since) {
        object.number("manifest", made.manifest);
        object.number("seconds", age.as_secs());
        object.number("entries", entries);
    }
    object.maybe("failure", of.failing().map(|failure| failure.why.clone()));
    object.maybe("verified", of.last_verified.map(|verified| verified.at.to_string()));
    if let Some(drill) = of.last_drill {
        object.text("drilled", &drill.at.to_string());
        object.text("drill", &drill.outcome.to_string());
    }
    if let Some(drill) = of.last_sound_drill {
        object.number("recovery_seconds", drill.recovery.as_secs());
    }
    object.end()
}

fn last_done(done: &LastDone) -> String {
    let mut object = Object::new();
    object.text("at", &done.at.to_string());
    object.number("seq", done.seq);
    if let Some(count) = done.count {
        object.number("count", count.into());
    }
    object.maybe("detail", done.detail.clone());
    object.end()
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}
