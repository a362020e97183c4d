//! Which backups are kept: a function of what the manifests say, and of nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::Timestamp;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Which backups are kept. Each rule asks for restore points; what no rule asks for may go. All periods are those of the
/// calendar in UTC, weeks begin on Monday, and the newest backup of a period stands for it. Periods without a backup do not count.
///
/// A copy, which is a backup from the beginning and all that go on from it, goes as a whole, and only when none of its backups is
/// asked for. So more is kept than the rules ask for, the more the rarer
/// [`Backup::from_the_beginning`](crate::Backup::from_the_beginning) is.
///
/// The newest copy and the newest that can be restored are kept whatever the rules say, and without any rule that asks for
/// something everything is.
///
/// ```
/// use std::time::Duration;
/// use chartvault::BackupRetention;
/// let day = Duration::from_secs(24 * 60 * 60);
/// let retention = BackupRetention::new().last(3).daily(14).weekly(8).monthly(12).yearly(10).least_age(30 * day);
/// assert_ne!(retention, BackupRetention::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it says what is kept, and keeps nothing by itself"]
pub struct BackupRetention {
    last: u32,
    hourly: u32,
    daily: u32,
    weekly: u32,
    monthly: u32,
    yearly: u32,
    least_age: Duration,
}

/// What there is to know of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) made: Timestamp,
    /// Whether a state can be restored from it and what stands before it in its chain.
    pub(crate) whole: bool,
    /// The manifest that its chain begins with.
    pub(crate) chain: u64,
}

/// What is kept, and what may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Manifests of the restore points that a rule asks for.
    pub(crate) wanted: BTreeSet<u64>,
    /// Chains that may go whole, by their first manifest, ascending.
    pub(crate) chains: BTreeSet<u64>,
}

impl BackupRetention {
    /// No rule: keeps everything.
    pub const fn new() -> Self {
        Self { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, least_age: Duration::ZERO }
    }

    /// Keeps the newest `n`.
    pub const fn last(mut self, n: u32) -> Self {
        self.last = n;
        self
    }

    /// Keeps the newest of each of the last `n` hours that have one.
    pub const fn hourly(mut self, n: u32) -> Self {
        self.hourly = n;
        self
    }

    /// Keeps the newest of each of the last `n` days that have one.
    pub const fn daily(mut self, n: u32) -> Self {
        self.daily = n;
        self
    }

    /// Keeps the newest of each of the last `n` weeks that have one.
    pub const fn weekly(mut self, n: u32) -> Self {
        self.weekly = n;
        self
    }

    /// Keeps the newest of each of the last `n` months that have one.
    pub const fn monthly(mut self, n: u32) -> Self {
        self.monthly = n;
        self
    }

    /// Keeps the newest of each of the last `n` years that have one.
    pub const fn yearly(mut self, n: u32) -> Self {
        self.yearly = n;
        self
    }

    /// Keeps whatever is not older than this, besides what the rules ask for. It is the time that is left to notice that somebody
    /// who took over the machine makes worthless backups to push the good ones out.
    pub const fn least_age(mut self, age: Duration) -> Self {
        self.least_age = age;
        self
    }

    /// Judges all that there is.
    pub(crate) fn judge(&self, seen: &[Seen], now: Timestamp) -> Verdict {
        let wanted = self.wanted(seen, now);
        let newest = seen.iter().max_by_key(|manifest| manifest.number);
        let newest_whole = seen.iter().filter(|manifest| manifest.whole).max_by_key(|manifest| manifest.number);
        let (true, Some(newest), Some(newest_whole)) = (self.asks(), newest, newest_whole) else {
            return Verdict { wanted, chains: BTreeSet::new() };
        };
        let mut chains: BTreeSet<u64> = seen.iter().map(|manifest| manifest.chain).collect();
        for stays in [newest, newest_whole] {
            chains.remove(&stays.chain);
        }
        for manifest in seen {
            let is_old = now > manifest.made && now.saturating_since(manifest.made) > self.least_age;
            if !is_old || wanted.contains(&manifest.number) {
                chains.remove(&manifest.chain);
            }
        }
        Verdict { wanted, chains }
    }

    const fn asks(&self) -> bool {
        self.last > 0 || self.hourly > 0 || self.daily > 0 || self.weekly > 0 || self.monthly > 0 || self.yearly > 0
    }

    /// The restore points that a rule asks for. Those that claim to be of the future are wanted too, and take nobody's place:
    /// a clock that was wrong for an hour would push out the backups of years.
    fn wanted(&self, seen: &[Seen], now: Timestamp) -> BTreeSet<u64> {
        let whole = seen.iter().filter(|manifest| manifest.whole);
        let (mut points, future): (Vec<&Seen>, Vec<&Seen>) = whole.partition(|manifest| manifest.made <= now);
        points.sort_unstable_by_key(|manifest| std::cmp::Reverse((manifest.made, manifest.number)));
        let mut wanted: BTreeSet<u64> = future.iter().map(|manifest| manifest.number).collect();
        let last = usize::try_from(self.last).unwrap_or(usize::MAX);
        wanted.extend(points.iter().take(last).map(|manifest| manifest.number));
        let rules: [(u32, Period); 5] = [
            (self.hourly, |at| at.as_micros().div_euclid(HOUR)),
            (self.daily, |at| at.as_micros().div_euclid(DAY)),
            // The first day of 1970 was a Thursday.
            (self.weekly, |at| at.as_micros().div_euclid(DAY).saturating_add(3).div_euclid(7)),
            (self.monthly, month),
            (self.yearly, |at| month(at).div_euclid(12)),
        ];
        for (n, period) in rules {
            let (mut left, mut before) = (n, None);
            for point in &points {
                let period = period(point.made);
                if before == Some(period) {
                    continue;
                }
                let Some(fewer) = left.checked_sub(1) else { break };
                (left, before) = (fewer, Some(period));
                wanted.insert(point.number);
            }
        }
        wanted
    }
}

/// Which period a time is in.
type Period = fn(Timestamp) -> i64;

/// Months from the year 0 on; all times that no calendar has are in one.
fn month(at: Timestamp) -> i64 {
    let Ok(instant) = jiff::Timestamp::from_microsecond(at.as_micros()) else { return i64::MIN };
    let date = TimeZone::UTC.to_datetime(instant).date();
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

#[cfg(test)]
mod tests;
