//! Which rules are on, and from when on they raise a flag.

use std::time::Duration;

use super::hours::OpeningHours;
use super::rule::MonitorRule;
use crate::bytes::{Put, Reader, Truncated};

/// How long a flag may wait to be closed, unless a vault says otherwise: a week.
const REVIEW_WITHIN: u32 = 7 * 86_400;
/// The longest stretch of time that a rule looks at: a week, in seconds.
const LONGEST: u32 = 7 * 86_400;
/// The most patients that a rule counts.
const MOST_PATIENTS: u16 = 1_000;

/// Which rules are on, and from when on they raise a flag. The defaults are all rules but [`MonitorRule::OffHours`], which is
/// on once there are opening hours; what rests on the host raises nothing where the host keeps no such thing.
///
/// Values out of bounds count as the nearest within: 2 to 1,000 patients, stretches of 1 minute to 7 days.
///
/// ```
/// use std::time::Duration;
/// use chartvault::{MonitorRule, MonitoringRules, OpeningHours};
/// let rules = MonitoringRules::new()
///     .volume(80, Duration::from_secs(12 * 60 * 60))
///     .without(MonitorRule::SameSurname)
///     .opening_hours(OpeningHours::new("EST5EDT,M3.2.0,M11.1.0")?.open(1..=5, (7, 0), (19, 0)));
/// assert!(!rules.has(MonitorRule::SameSurname) && rules.has(MonitorRule::OffHours));
/// # Ok::<(), chartvault::InvalidZone>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct MonitoringRules {
    on: u16,
    pub(super) volume: (u16, u32),
    pub(super) unusual: (u8, u16),
    pub(super) denials: (u16, u32),
    pub(super) exports: (u32, u32),
    pub(super) sign_ins: (u16, u32),
    review_within: u32,
    pub(super) hours: Option<OpeningHours>,
}

impl Default for MonitoringRules {
    fn default() -> Self {
        Self {
            on: MonitorRule::ALL.iter().fold(0, |all, rule| all | rule.bit()),
            volume: (50, 8 * 3_600),
            unusual: (3, 20),
            denials: (10, 600),
            exports: (1_000, 3_600),
            sign_ins: (5, 900),
            review_within: REVIEW_WITHIN,
            hours: None,
        }
    }
}

fn seconds(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(LONGEST).clamp(60, LONGEST)
}

impl MonitoringRules {
    /// The defaults: 50 patients in 8 hours; 3 times what is usual for the actor and 20 patients at least; 10 denials in 10
    /// minutes; 1,000 records exported in an hour; 5 refused sign-ins in 15 minutes; a week to close a flag.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns a rule off.
    pub const fn without(mut self, rule: MonitorRule) -> Self {
        self.on &= !rule.bit();
        self
    }

    /// Turns a rule on that was turned off.
    pub const fn with(mut self, rule: MonitorRule) -> Self {
        self.on |= rule.bit();
        self
    }

    /// [`MonitorRule::Volume`]: from so many patients within this time on.
    pub fn volume(mut self, patients: u16, within: Duration) -> Self {
        self.volume = (patients.clamp(2, MOST_PATIENTS), seconds(within));
        self
    }

    /// [`MonitorRule::Unusual`]: from so many times (2 to 100) the patients of the actor's own usual day on, and so many
    /// patients at least. Usual is what the days on which the actor was in charts came to, later ones counting for more;
    /// nothing is usual before five such days.
    pub fn unusual(mut self, times: u8, least: u16) -> Self {
        self.unusual = (times.clamp(2, 100), least.clamp(2, MOST_PATIENTS));
        self
    }

    /// [`MonitorRule::Denials`]: from so many denials (2 to 1,000) within this time on.
    pub fn denials(mut self, denials: u16, within: Duration) -> Self {
        self.denials = (denials.clamp(2, MOST_PATIENTS), seconds(within));
        self
    }

    /// [`MonitorRule::BulkExport`]: from so many exported records within this time on.
    pub fn exports(mut self, records: u32, within: Duration) -> Self {
        self.exports = (records.max(1), seconds(within));
        self
    }

    /// [`MonitorRule::SignIns`]: from so many refused sign-ins (2 to 1,000) of one principal within this time on. Those of
    /// names that nobody has count together.
    pub fn sign_ins(mut self, refused: u16, within: Duration) -> Self {
        self.sign_ins = (refused.clamp(2, MOST_PATIENTS), seconds(within));
        self
    }

    /// When the place is open, for [`MonitorRule::OffHours`] and for the clock of summaries.
    pub fn opening_hours(mut self, hours: OpeningHours) -> Self {
        self.hours = Some(hours);
        self
    }

    /// How long a flag may wait to be closed before it is overdue: whole seconds, one at least.
    pub fn review_within(mut self, length: Duration) -> Self {
        self.review_within = u32::try_from(length.as_secs()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Whether a rule is on.
    #[must_use]
    pub const fn has(&self, rule: MonitorRule) -> bool {
        self.on & rule.bit() != 0 && (!matches!(rule, MonitorRule::OffHours) || self.hours.is_some())
    }

    /// How long a flag may wait to be closed.
    #[must_use]
    pub fn time_to_close(&self) -> Duration {
        Duration::from_secs(self.review_within.into())
    }

    /// When the place is open, where that is set.
    #[must_use]
    pub const fn hours(&self) -> Option<&OpeningHours> {
        self.hours.as_ref()
    }

    /// What the log says of them.
    pub(crate) fn told(&self) -> String {
        let on: Vec<String> =
            MonitorRule::ALL.iter().filter(|rule| self.has(**rule)).map(ToString::to_string).collect();
        format!(
            "on: {}; volume {} in {} s, unusual {} times and {}, denials {} in {} s, exports {} in {} s, sign-ins {} in {} s; \
             hours {}; to be closed within {} s",
            on.join(" "),
            self.volume.0,
            self.volume.1,
            self.unusual.0,
            self.unusual.1,
            self.denials.0,
            self.denials.1,
            self.exports.0,
            self.exports.1,
            self.sign_ins.0,
            self.sign_ins.1,
            self.hours.as_ref().map_or("none", OpeningHours::zone),
            self.review_within,
        )
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.on);
        out.put_u16(self.volume.0);
        out.put_u32(self.volume.1);
        out.put_u8(self.unusual.0);
        out.put_u16(self.unusual.1);
        out.put_u16(self.denials.0);
        out.put_u32(self.denials.1);
        out.put_u32(self.exports.0);
        out.put_u32(self.exports.1);
        out.put_u16(self.sign_ins.0);
        out.put_u32(self.sign_ins.1);
        out.put_u32(self.review_within);
        if let Some(hours) = &self.hours {
            hours.encode(out);
        }
    }

    pub(crate) fn decode(mut reader: Reader<'_>) -> Result<Self, Truncated> {
        let mut rules = Self {
            on: reader.u16()?,
            volume: (reader.u16()?, reader.u32()?),
            unusual: (reader.u8()?, reader.u16()?),
            denials: (reader.u16()?, reader.u32()?),
            exports: (reader.u32()?, reader.u32()?),
            sign_ins: (reader.u16()?, reader.u32()?),
            review_within: reader.u32()?,
            hours: None,
        };
        if !reader.rest().is_empty() {
            rules.hours = Some(OpeningHours::decode(&mut reader)?);
        }
        reader.finish()?;
        let all = Self::default().on;
        let stretch = |length: u32| (60..=LONGEST).contains(&length);
        let count = |count: u16| (2..=MOST_PATIENTS).contains(&count);
        let sound = rules.on & !all == 0
            && [rules.volume.1, rules.denials.1, rules.exports.1, rules.sign_ins.1].into_iter().all(stretch)
            && [rules.volume.0, rules.unusual.1, rules.denials.0, rules.sign_ins.0].into_iter().all(count)
            && (2..=100).contains(&rules.unusual.0)
            && rules.exports.0 > 0
            && rules.review_within > 0;
        if sound { Ok(rules) } else { Err(Truncated) }
    }
}
