//! The rules that hold for all tokens of a vault, whoever issued them; one row (docs/format/policy.md, table 17).

use std::time::Duration;

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::token::DEFAULT_LONGEST_TTL;

const REGISTERED: u8 = 1;
const ENROLLED: u8 = 2;
/// How long an emergency may wait for its review, unless a vault says otherwise: three days.
const DEFAULT_REVIEW_WITHIN: Duration = Duration::from_secs(3 * 86_400);
/// No limit, in seconds.
const NONE: u32 = u32::MAX;

/// What holds for all tokens of a vault, beside what each says. A new vault has the defaults: tokens live for a year at
/// most, sessions are not limited, and emergencies have to be reviewed within three days.
///
/// ```
/// use std::time::Duration;
/// use chartvault::AccessRules;
/// let rules = AccessRules::new().idle(Duration::from_secs(15 * 60)).sessions_at_once(3).registered_grants_only(true);
/// assert_eq!(rules.longest_validity_of_tokens(), Duration::from_secs(366 * 86_400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct AccessRules {
    registered: bool,
    enrolled: bool,
    longest_validity: u32,
    sessions_at_once: u16,
    idle: u32,
    longest: u32,
    review_within: u32,
}

impl Default for AccessRules {
    fn default() -> Self {
        Self {
            registered: false,
            enrolled: false,
            longest_validity: seconds(DEFAULT_LONGEST_TTL),
            sessions_at_once: 0,
            idle: NONE,
            longest: NONE,
            review_within: seconds(DEFAULT_REVIEW_WITHIN),
        }
    }
}

/// Whole seconds, one at least.
fn seconds(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(NONE).max(1)
}

const fn limit(seconds: u32) -> Option<Duration> {
    // A cast that cannot lose anything.
    if seconds == NONE { None } else { Some(Duration::from_secs(widened(seconds))) }
}

const fn widened(seconds: u32) -> u64 {
    let [a, b, c, d] = seconds.to_be_bytes();
    u64::from_be_bytes([0, 0, 0, 0, a, b, c, d])
}

impl AccessRules {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether only grants that were registered ([`Grants::register`](crate::Grants::register)) open sessions.
    pub const fn registered_grants_only(mut self, only: bool) -> Self {
        self.registered = only;
        self
    }

    /// Whether only those open sessions who were enrolled ([`Principals::enrol`](crate::Principals::enrol)).
    pub const fn enrolled_principals_only(mut self, only: bool) -> Self {
        self.enrolled = only;
        self
    }

    /// How long a token may be valid, from when it was issued: whole seconds.
    pub fn longest_validity(mut self, length: Duration) -> Self {
        self.longest_validity = seconds(length);
        self
    }

    /// How many sessions one principal may have open; 0 is no limit. Those opened by breaking the glass do not count.
    pub const fn sessions_at_once(mut self, most: u16) -> Self {
        self.sessions_at_once = most;
        self
    }

    /// Ends sessions that were not used for this long, whole seconds, whatever the token says; where both say, the
    /// shorter counts.
    pub fn idle(mut self, length: Duration) -> Self {
        self.idle = seconds(length);
        self
    }

    /// Ends sessions this long after they were opened, whole seconds.
    pub fn longest(mut self, length: Duration) -> Self {
        self.longest = seconds(length);
        self
    }

    /// How long the review of an emergency may take before it is overdue: whole seconds.
    pub fn review_within(mut self, length: Duration) -> Self {
        self.review_within = seconds(length);
        self
    }

    /// Whether only registered grants open sessions.
    #[must_use]
    pub const fn wants_registered_grants(&self) -> bool {
        self.registered
    }

    /// Whether only enrolled principals open sessions.
    #[must_use]
    pub const fn wants_enrolled_principals(&self) -> bool {
        self.enrolled
    }

    /// How long a token may be valid.
    #[must_use]
    pub const fn longest_validity_of_tokens(&self) -> Duration {
        Duration::from_secs(widened(self.longest_validity))
    }

    /// How many sessions one principal may have open; `None` is no limit.
    #[must_use]
    pub const fn most_sessions_at_once(&self) -> Option<u16> {
        if self.sessions_at_once == 0 { None } else { Some(self.sessions_at_once) }
    }

    /// How long a session may lie idle; `None` is no limit.
    #[must_use]
    pub const fn idle_limit(&self) -> Option<Duration> {
        limit(self.idle)
    }

    /// How long a session may last; `None` is no limit.
    #[must_use]
    pub const fn longest_session(&self) -> Option<Duration> {
        limit(self.longest)
    }

    /// How long the review of an emergency may take.
    #[must_use]
    pub const fn time_for_review(&self) -> Duration {
        Duration::from_secs(widened(self.review_within))
    }

    /// What differs from other rules, for the log.
    pub(crate) fn told(&self) -> String {
        let Self { registered, enrolled, longest_validity, sessions_at_once, idle, longest, review_within } = self;
        let or_none = |seconds: &u32| if *seconds == NONE { "none".to_owned() } else { format!("{seconds} s") };
        format!(
            "registered only {registered}, enrolled only {enrolled}, validity {longest_validity} s, sessions at once \
             {sessions_at_once}, idle {}, longest {}, review within {review_within} s",
            or_none(idle),
            or_none(longest)
        )
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.put_u8(flag(self.registered, REGISTERED) | flag(self.enrolled, ENROLLED));
        out.put_u32(self.longest_validity);
        out.put_u16(self.sessions_at_once);
        out.put_u32(self.idle);
        out.put_u32(self.longest);
        out.put_u32(self.review_within);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let flags = reader.u8()?;
        let rules = Self {
            registered: flags & REGISTERED != 0,
            enrolled: flags & ENROLLED != 0,
            longest_validity: reader.u32()?,
            sessions_at_once: reader.u16()?,
            idle: reader.u32()?,
            longest: reader.u32()?,
            review_within: reader.u32()?,
        };
        reader.finish()?;
        let zero = [rules.longest_validity, rules.idle, rules.longest, rules.review_within].contains(&0);
        if flags & !(REGISTERED | ENROLLED) != 0 || zero { Err(BadRow) } else { Ok(rules) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let rules = AccessRules::new().idle(minutes(15)).sessions_at_once(3).registered_grants_only(true);
        let row = PolicyRow::Rules(rules);
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(include_str!("../../docs/format/policy.md"), "rules_row"));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }

    #[test]
    fn lengths_are_whole_seconds_and_never_none_by_accident() {
        let rules = AccessRules::new().idle(Duration::ZERO).longest(Duration::from_millis(1_999));
        assert_eq!(rules.idle_limit(), Some(Duration::from_secs(1)));
        assert_eq!(rules.longest_session(), Some(Duration::from_secs(1)));
        assert_eq!(AccessRules::new().idle_limit(), None);
    }

    proptest! {
        #[test]
        fn rules_come_back(flags in 0u8..4, numbers in proptest::array::uniform4(1u32..), at_once: u16) {
            let [longest_validity, idle, longest, review_within] = numbers;
            let (registered, enrolled) = (flags & 1 != 0, flags & 2 != 0);
            let sessions_at_once = at_once;
            let rules =
                AccessRules { registered, enrolled, longest_validity, sessions_at_once, idle, longest, review_within };
            let row = PolicyRow::Rules(rules);
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
