//! A summary as one page that needs nothing else: no script, no other file, and it prints.

mod bars;
mod heat;
mod tables;
mod timeline;

use super::Summary;
use super::pseudonyms::{Naming, Pseudonyms};
use crate::html::Html;
use crate::monitor::clock_text;

/// How a summary is shown as a page ([`Summary::to_html`]). By default patients stand there as `P-1` and so on, which says
/// nothing on any other page, and what people typed is left out.
///
/// ```
/// use chartvault::SummaryPage;
/// let page = SummaryPage::new().title("Access to charts, week 2");
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct SummaryPage {
    title: Option<String>,
    naming: Naming,
    texts: bool,
}

impl std::fmt::Debug for SummaryPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SummaryPage").field("title", &self.title).field("texts", &self.texts).finish_non_exhaustive()
    }
}

impl SummaryPage {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its title; "Access to patient charts" if not called.
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// Patients stand there under the same names as on every page with this key, so that pages can be joined: keep it as
    /// secret as the log.
    pub const fn joined_by(mut self, key: [u8; 32]) -> Self {
        self.naming = Naming::Joined(key);
        self
    }

    /// Patients stand there with their ids.
    pub const fn with_patient_ids(mut self) -> Self {
        self.naming = Naming::Clear;
        self
    }

    /// The words with which the glass was broken stand there as they were typed. They can name people.
    pub const fn with_texts(mut self) -> Self {
        self.texts = true;
        self
    }
}

impl Summary {
    /// One page of HTML with charts (SVG) and tables, for a browser or a printer: it holds all it needs, loads nothing, and runs
    /// no script.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let summary = session.audit()?.summary(Timestamp::MIN, Timestamp::MAX)?;
    /// let page = summary.to_html(&SummaryPage::new());
    /// assert!(page.starts_with("<!DOCTYPE html>"));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn to_html(&self, page: &SummaryPage) -> String {
        let title = page.title.as_deref().unwrap_or("Access to patient charts");
        let mut patients = Pseudonyms::new(&page.naming);
        let mut out = Html::begin(title);
        self.header(&mut out, title);
        self.key_figures(&mut out);
        out.section("By day", "Accesses to charts on each day, with what was refused and every emergency.", |out| {
            timeline::chart(out, self);
        });
        let when = if self.hours.is_some() {
            "Accesses by weekday and hour. What is framed lies within opening hours."
        } else {
            "Accesses by weekday and hour, in UTC. Set opening hours to see what lies outside them."
        };
        out.section("By weekday and hour", when, |out| heat::chart(out, self));
        out.section("Who was in charts most", "A high figure is no misuse: wards and roles differ.", |out| {
            bars::chart(out, self);
        });
        tables::all(&mut out, self, &mut patients, page.texts);
        self.footer(&mut out, page);
        out.end()
    }

    fn header(&self, out: &mut Html, title: &str) {
        let hours = self.hours.as_ref();
        out.open("header", &[]);
        out.element("h1", &[], title);
        // Without the rules of summer time.
        let zone = hours.map_or("UTC", |hours| hours.zone().split(',').next().unwrap_or_default());
        let period = self.period();
        out.element("p", &[("class", "period")], &period);
        let made = format!("From the audit log, made {}. Times: {zone}.", clock_text(hours, self.made));
        out.element("p", &[("class", "quiet")], &made);
        if let Some(until) = self.pruned_until {
            let until = clock_text(hours, until);
            let said = format!("Entries up to {until} were pruned from the log, and are not in this summary.");
            out.element("p", &[("class", "alarm")], &said);
        }
        if self.unreadable > 0 {
            let said = format!("{} entries do not open. Verify the log before anything else.", self.unreadable);
            out.element("p", &[("class", "alarm"), ("role", "alert")], &said);
        }
        out.close("header");
    }

    fn key_figures(&self, out: &mut Html) {
        let (raised, open, overdue) = self.flag_totals();
        let open_cases = self.emergencies.iter().filter(|emergency| emergency.verdict.is_none()).count();
        let least = if self.at_least { " or more" } else { "" };
        let after = match self.hours {
            Some(_) => format!("{} after hours", grouped(self.after_hours)),
            None => "opening hours not set".to_owned(),
        };
        let count = |n: usize| grouped(u64::try_from(n).unwrap_or(u64::MAX));
        let (batches, records) = self.exports;
        let figures = [
            ("Accesses", grouped(self.accesses), after),
            ("Patients", format!("{}{least}", grouped(self.patients)), "in whose charts somebody was".to_owned()),
            ("People", format!("{}{least}", count(self.actors.len())), "in charts, or refused".to_owned()),
            ("Denials", grouped(self.all_denials()), "for all causes".to_owned()),
            ("Emergencies", count(self.emergencies.len()), format!("{} not reviewed", count(open_cases))),
            ("Flags open", grouped(open), format!("of {}; {} overdue", grouped(raised), grouped(overdue))),
            ("Exported", grouped(records), format!("records in {} batches", grouped(batches))),
            ("Erasures", grouped(self.erasures), "patients".to_owned()),
        ];
        out.open("dl", &[("class", "figures")]);
        for (name, value, note) in figures {
            out.open("div", &[]);
            out.element("dt", &[], name);
            out.element("dd", &[("class", "value")], &value);
            out.element("dd", &[("class", "quiet")], &note);
            out.close("div");
        }
        out.close("dl");
    }

    fn footer(&self, out: &mut Html, page: &SummaryPage) {
        out.open("footer", &[]);
        let patients = match page.naming {
            Naming::Numbers => "Patients are numbered for this page alone.",
            Naming::Joined(_) => "Patients stand under names that are the same on all pages with the same key.",
            Naming::Clear => "Patients stand with their ids: keep this page as the log itself.",
        };
        out.element("p", &[("class", "quiet")], patients);
        let made = "An access is an entry of the log that says that somebody was in a chart. A flag is no finding: it is closed \
                    by a person, with a verdict.";
        out.element("p", &[("class", "quiet")], made);
        out.close("footer");
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// The end of an axis for values up to `most`, and the step between its lines: some three or four of them.
pub(super) fn axis(most: u64) -> (u64, u64) {
    let mut step: u64 = 1;
    'found: loop {
        for factor in [1, 2, 5] {
            let wide = step.saturating_mul(factor);
            if most <= wide.saturating_mul(4) || wide > u64::MAX / 64 {
                step = wide;
                break 'found;
            }
        }
        step = step.saturating_mul(10);
    }
    (most.div_ceil(step).max(1).saturating_mul(step), step)
}

/// How many of `length` units a value takes on an axis; in hundredths, so that no float is needed.
pub(super) fn part(value: u64, end: u64, length: u64) -> u64 {
    let parts = u128::from(value.min(end)) * u128::from(length) / u128::from(end.max(1));
    u64::try_from(parts).unwrap_or(length)
}
