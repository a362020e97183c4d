//! The report as one page that needs nothing else: no script, no other file, and it prints.

use super::{LastDone, SecurityReport, Weight};
use crate::clock::Timestamp;
use crate::html::Html;
use crate::vault::TargetStatus;

impl SecurityReport {
    /// One page of HTML, light or dark as the reader's screen is, for a browser or a printer. It loads nothing and runs no
    /// script, and names no patient.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut out = Html::begin("How the vault is kept");
        self.header(&mut out);
        self.figures(&mut out);
        for weight in Weight::ALL {
            self.findings_of(weight, &mut out);
        }
        self.tables(&mut out);
        out.open("footer", &[]);
        let made =
            format!("chartvault {}. Keep this page as you keep the log: it names people and keys.", self.version);
        out.element("p", &[("class", "quiet")], &made);
        out.close("footer");
        out.end()
    }

    fn header(&self, out: &mut Html) {
        out.open("header", &[]);
        out.element("h1", &[], "How the vault is kept");
        out.element("p", &[("class", "period")], &day(self.at));
        out.element("p", &[("class", "quiet")], &self.vault.to_string());
        let critical = self.of_weight(Weight::Critical).count();
        if critical > 0 {
            let said = format!("{critical} findings are critical: something is wrong now.");
            out.element("p", &[("class", "alarm"), ("role", "alert")], &said);
        }
        out.close("header");
    }

    fn figures(&self, out: &mut Html) {
        let graver = self.of_weight(Weight::Critical).chain(self.of_weight(Weight::High)).count();
        let all = self.findings.iter().filter(|finding| finding.weight != Weight::Note).count();
        let ago = |done: &Option<LastDone>| {
            done.as_ref().map_or_else(|| "never".to_owned(), |done| format!("{} days ago", self.days(done.at)))
        };
        let held = self.anchors.iter().filter_map(|anchor| anchor.size).max();
        let figures = [
            ("Findings", all.to_string(), format!("{graver} critical or high")),
            ("Log", self.entries.to_string(), "entries".to_owned()),
            ("Verified", ago(&self.verified), "the log, from its first entry or an earlier verification".to_owned()),
            (
                "Anchored",
                held.map_or_else(|| "nowhere".to_owned(), |size| size.to_string()),
                format!("entries, at {} places", self.anchors.len()),
            ),
            ("Scrubbed", self.health.rounds.to_string(), "rounds since it was opened".to_owned()),
            ("Key slots", self.keys.slots.len().to_string(), "ways to open the vault".to_owned()),
        ];
        out.open("dl", &[("class", "figures")]);
        for (name, value, says) in figures {
            out.open("div", &[]);
            out.element("dt", &[], name);
            out.element("dd", &[("class", "value")], &value);
            out.element("dd", &[("class", "quiet")], &says);
            out.close("div");
        }
        out.close("dl");
    }

    fn findings_of(&self, weight: Weight, out: &mut Html) {
        let rows: Vec<Vec<String>> = self
            .of_weight(weight)
            .map(|finding| vec![finding.what.clone(), finding.reason.to_string(), finding.mend.to_owned()])
            .collect();
        if rows.is_empty() {
            return;
        }
        let (heading, lead) = match weight {
            Weight::Critical => ("Critical", "Something is wrong now."),
            Weight::High => ("High", "One mishap, or one person, away from harm."),
            Weight::Medium => ("Medium", "A safeguard that should be there is not."),
            Weight::Low => ("Low", "To be put right at the next round."),
            Weight::Note => ("To be known", ""),
        };
        out.section(heading, lead, |out| out.table(heading, &["What", "Why", "What mends it"], &[1, 2], &rows));
    }

    fn tables(&self, out: &mut Html) {
        let slots: Vec<Vec<String>> = self
            .keys
            .slots
            .iter()
            .map(|slot| {
                let used = slot.last_used.map_or_else(|| "never".to_owned(), day);
                let kind = slot.kind.to_string();
                vec![slot.number.to_string(), kind, slot.label.clone(), self.days(slot.created).to_string(), used]
            })
            .collect();
        out.section("Ways to open the vault", "", |out| {
            out.table("Key slots", &["Slot", "Kind", "Label", "Age in days", "Last used"], &[1, 2, 4], &slots);
        });
        let keys: Vec<Vec<String>> = self
            .keys
            .keys
            .iter()
            .map(|key| vec![format!("{} {}", key.sort, key.epoch), self.days(key.not_before).to_string()])
            .collect();
        out.section("Keys", "Ages are upper bounds.", |out| out.table("Keys", &["Key", "Age in days"], &[], &keys));
        let anchors: Vec<Vec<String>> = self
            .anchors
            .iter()
            .map(|anchor| {
                let size = anchor.size.map_or_else(|| "nothing known".to_owned(), |size| format!("{size} entries"));
                let at = anchor.at.map_or_else(|| "not since it was opened".to_owned(), |at| at.to_string());
                vec![anchor.name.clone(), size, at, anchor.failure.clone().unwrap_or_default()]
            })
            .collect();
        out.section("Anchors", "Where the newest checkpoint of the log is kept outside the vault.", |out| {
            out.table("Anchors", &["Anchor", "Holds", "Taken", "Failure"], &[1, 2, 3], &anchors);
        });
        let backups: Vec<Vec<String>> = self.backups.targets.iter().map(|of| self.backup(of)).collect();
        out.section("Backups", "What would be lost if this machine were gone, and how long a restore took.", |out| {
            let heads = ["Target", "State of", "Entries since", "Failure", "Rehearsed", "Recovery in seconds"];
            out.table("Backups", &heads, &[1, 3, 4], &backups);
        });
    }
}

impl SecurityReport {
    fn backup(&self, of: &TargetStatus) -> Vec<String> {
        let drill = of.last_drill.map(|drill| {
            let how = if drill.is_sound() { "" } else { ", failed" };
            format!("{} days ago{how}", self.days(drill.at))
        });
        let recovery = of.last_sound_drill.map(|drill| drill.recovery.as_secs().to_string());
        vec![
            of.target.clone(),
            of.last_backup.map_or_else(|| "none".to_owned(), |made| made.at.to_string()),
            of.entries_since.map(|entries| entries.to_string()).unwrap_or_default(),
            of.failing().map(|failure| failure.why.clone()).unwrap_or_default(),
            drill.unwrap_or_else(|| "never".to_owned()),
            recovery.unwrap_or_default(),
        ]
    }
}

/// The day of an instant.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}
