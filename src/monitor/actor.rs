//! What is remembered of one actor, no longer than a rule needs it.

use std::collections::VecDeque;

use super::rules::MonitoringRules;

/// Days that have to be known before something is unusual.
const DAYS: u16 = 5;
/// The mean is kept in parts of a patient.
const PARTS: u32 = 256;
/// A new day changes the mean by this part of how far it is off.
const WEIGHT: i64 = 8;

/// A patient in whose chart the actor was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) patient: [u8; 8],
    pub(super) at: i64,
    pub(super) seq: u64,
}

/// Something that counts for `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: i64,
    pub(super) seq: u64,
    pub(super) n: u32,
}

/// Marks of one sort, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Burst(pub(super) VecDeque<Mark>);

impl Burst {
    /// Adds one; gives the sum within the stretch, and whose entries they are.
    pub(super) fn add(&mut self, mark: Mark, seconds: u32, most: usize) -> (u64, Vec<u64>) {
        self.sweep(mark.at, seconds);
        self.0.push_back(mark);
        while self.0.len() > most {
            self.0.pop_front();
        }
        (self.0.iter().map(|mark| u64::from(mark.n)).sum(), self.0.iter().map(|mark| mark.seq).collect())
    }
}

impl Burst {
    /// Forgets what is no longer within the stretch.
    fn sweep(&mut self, now: i64, seconds: u32) {
        while self.0.front().is_some_and(|first| first.at <= before(now, seconds)) {
            self.0.pop_front();
        }
    }
}

/// The end of what a stretch that ends now no longer holds.
fn before(now: i64, seconds: u32) -> i64 {
    now.saturating_sub(i64::from(seconds).saturating_mul(1_000_000))
}

/// What is remembered of one actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Actor {
    /// When it was last heard of.
    pub(super) last: i64,
    /// The last patients, each once, in the order of the last access; no more than the rule counts.
    pub(super) seen: VecDeque<Seen>,
    pub(super) denials: Burst,
    pub(super) exports: Burst,
    pub(super) sign_ins: Burst,
    /// The day that is being counted, and its patients.
    pub(super) day: i32,
    pub(super) today: u32,
    /// Days counted before, and patients of a usual one in 256ths.
    pub(super) days: u16,
    pub(super) mean: u32,
}

impl Actor {
    /// How many things are remembered.
    pub(super) fn items(&self) -> usize {
        self.seen.len() + self.denials.0.len() + self.exports.0.len() + self.sign_ins.0.len()
    }

    /// The actor was in a chart. A patient whom the window has let go counts again.
    pub(super) fn saw(&mut self, (most, seconds): (u16, u32), seen: Seen, day: i32) {
        self.sweep_seen(seen.at, seconds);
        let before = self.seen.iter().position(|other| other.patient == seen.patient);
        let known = before.and_then(|at| self.seen.remove(at));
        self.seen.push_back(seen);
        while self.seen.len() > usize::from(most) {
            self.seen.pop_front();
        }
        if day != self.day {
            self.close_day();
            self.day = day;
            self.today = 1;
        } else if known.is_none() {
            self.today = self.today.saturating_add(1);
        }
    }

    fn sweep_seen(&mut self, now: i64, seconds: u32) {
        while self.seen.front().is_some_and(|first| first.at <= before(now, seconds)) {
            self.seen.pop_front();
        }
    }

    /// Forgets what no rule needs any more.
    pub(super) fn sweep(&mut self, rules: &MonitoringRules, now: i64) {
        self.sweep_seen(now, rules.volume.1);
        self.denials.sweep(now, rules.denials.1);
        self.exports.sweep(now, rules.exports.1);
        self.sign_ins.sweep(now, rules.sign_ins.1);
    }

    fn close_day(&mut self) {
        if self.today == 0 {
            return;
        }
        let (counted, mean) = (i64::from(self.today.saturating_mul(PARTS)), i64::from(self.mean));
        let mean = if self.days == 0 { counted } else { mean.saturating_add((counted - mean) / WEIGHT) };
        self.mean = u32::try_from(mean).unwrap_or(u32::MAX);
        self.days = self.days.saturating_add(1);
    }

    /// How many patients a usual day has, in whole ones, once enough days are known and today has many more.
    pub(super) fn is_unusual(&self, (times, least): (u8, u16)) -> Option<u32> {
        let usual = self.mean / PARTS;
        let bound = u64::from(self.mean).saturating_mul(times.into()) / u64::from(PARTS);
        let many = u64::from(self.today) >= bound.max(least.into());
        (self.days >= DAYS && many).then_some(usual)
    }
}
