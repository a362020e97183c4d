//! Opening hours, in the time zone of the place.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;

/// Bytes of a zone's text.
const MAX_ZONE: usize = 64;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A time zone that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time zone is no POSIX TZ text of at most 64 bytes, such as CET-1CEST,M3.5.0,M10.5.0/3")]
pub struct InvalidZone;

/// When a place is open, day by day, in its time zone.
///
/// The zone is a POSIX TZ text (IEEE Std 1003.1, section 8.3), which says itself when summer time begins and ends: the
/// vault needs no table of zones, and next year's flags are those of today's rules.
///
/// ```
/// use chartvault::OpeningHours;
/// let hours = OpeningHours::new("CET-1CEST,M3.5.0,M10.5.0/3")?
///     .open(1..=5, (7, 0), (19, 30)) // Monday to Friday
///     .open(6..=6, (8, 0), (12, 0));
/// assert!(!hours.covers("2026-07-04T18:00:00Z".parse().unwrap())); // Saturday evening
/// # Ok::<(), chartvault::InvalidZone>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct OpeningHours {
    zone: String,
    tz: TimeZone,
    /// From Monday on: minutes of the day from which and until which it is open.
    days: [(u16, u16); 7],
}

impl OpeningHours {
    /// A place in this zone that is never open; say when it is with [`OpeningHours::open`].
    ///
    /// # Errors
    /// [`InvalidZone`].
    pub fn new(zone: &str) -> Result<Self, InvalidZone> {
        if zone.len() > MAX_ZONE {
            return Err(InvalidZone);
        }
        let tz = TimeZone::posix(zone).map_err(|_| InvalidZone)?;
        Ok(Self { zone: zone.to_owned(), tz, days: [(0, 0); 7] })
    }

    /// Open on these days (1 is Monday, 7 Sunday; others count for nothing) between these hours and minutes. `(24, 0)` is
    /// midnight at the end of the day; what is later counts as that.
    pub fn open(mut self, days: RangeInclusive<u8>, from: (u8, u8), until: (u8, u8)) -> Self {
        let minutes = |(hour, minute): (u8, u8)| (u16::from(hour) * 60 + u16::from(minute)).min(DAY);
        for (day, hours) in (1..).zip(&mut self.days) {
            if days.contains(&day) {
                *hours = (minutes(from), minutes(until));
            }
        }
        self
    }

    /// Its time zone, as it was given.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Whether the place is open at this instant.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        let Some(local) = local(Some(self), at) else { return false };
        self.days.get(local.weekday).is_some_and(|(from, until)| (*from..*until).contains(&local.minute))
    }

    /// Of a day, 0 for Monday: the minutes from which and until which it is open.
    pub(crate) fn of_day(&self, weekday: usize) -> Option<(u16, u16)> {
        self.days.get(weekday).copied().filter(|(from, until)| from < until)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::try_from(self.zone.len()).unwrap_or(u8::MAX));
        out.put(self.zone.as_bytes());
        for (from, until) in self.days {
            out.put_u16(from);
            out.put_u16(until);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        let len = reader.u8()?;
        let zone = std::str::from_utf8(reader.take(len.into())?).map_err(|_| Truncated)?;
        let mut hours = Self::new(zone).map_err(|_| Truncated)?;
        for day in &mut hours.days {
            *day = (reader.u16()?, reader.u16()?);
            if day.0.max(day.1) > DAY {
                return Err(Truncated);
            }
        }
        Ok(hours)
    }
}

impl fmt::Debug for OpeningHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningHours").field("zone", &self.zone).field("days", &self.days).finish()
    }
}

/// An instant on the clocks of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// Days since 1970-01-01, there.
    pub(crate) day: i32,
    /// 0 is Monday.
    pub(crate) weekday: usize,
    /// Minute of the day.
    pub(crate) minute: u16,
}

/// An instant on the clocks of the place with these hours, or in UTC. `None` for what no calendar has.
pub(crate) fn local(hours: Option<&OpeningHours>, at: Timestamp) -> Option<Local> {
    let instant = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    let there = instant.to_zoned(hours.map_or(TimeZone::UTC, |hours| hours.tz.clone()));
    let since = i64::from(there.offset().seconds()).saturating_add(instant.as_second());
    let part = |part: i8| u16::try_from(part).ok();
    Some(Local {
        day: i32::try_from(since.div_euclid(86_400)).ok()?,
        weekday: usize::try_from(there.weekday().to_monday_zero_offset()).ok()?,
        minute: part(there.hour())? * 60 + part(there.minute())?,
    })
}

/// An instant on the clocks of the place, to the minute.
pub(crate) fn clock_text(hours: Option<&OpeningHours>, at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_microsecond(at.as_micros()) else { return at.to_string() };
    let there = instant.to_zoned(hours.map_or(TimeZone::UTC, |hours| hours.tz.clone()));
    format!("{} {:02}:{:02}", there.date(), there.hour(), there.minute())
}

/// A day since 1970-01-01 as a date.
pub(crate) fn day_text(day: i32) -> String {
    let start = jiff::Timestamp::from_second(i64::from(day).saturating_mul(86_400));
    start.map_or_else(|_| day.to_string(), |start| start.to_zoned(TimeZone::UTC).date().to_string())
}
