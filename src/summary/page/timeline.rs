//! Accesses, denials and emergencies by day.

use super::super::Summary;
use super::{axis, grouped, part};
use crate::html::Html;

/// Bars that fit; of more days several share one.
const BARS: usize = 92;
const LEFT: u64 = 52;
const PLOT: u64 = 620;
const TOP: u64 = 22;
const HIGH: u64 = 150;
/// Between the two parts.
const BETWEEN: u64 = 46;
const LOW: u64 = 46;

/// Some days that share a bar.
struct Bar {
    /// The first of them.
    date: String,
    until: String,
    accesses: u64,
    denials: u64,
    emergencies: u64,
}

pub(super) fn chart(out: &mut Html, summary: &Summary) {
    let each = summary.days.len().div_ceil(BARS).max(1);
    let bars: Vec<Bar> = summary.days.chunks(each).filter_map(bar).collect();
    let Some(busiest) = bars.iter().max_by_key(|bar| bar.accesses) else {
        out.element("p", &[("class", "none")], "Nothing happened.");
        return;
    };
    let says = format!(
        "{} days; most accesses, {}, on {}. {} denials and {} emergencies in all.",
        summary.days.len(),
        busiest.accesses,
        busiest.date,
        summary.all_denials(),
        summary.emergencies.len()
    );
    let refused = bars.iter().map(|bar| bar.denials).max().unwrap_or(0);
    let lower = TOP + HIGH + BETWEEN;
    let size = (LEFT + PLOT + 8, lower + LOW + 26);
    out.chart(size, ("days", "Accesses and denials by day", &says), |out| {
        out.label("axis", (LEFT, 12), "Accesses");
        panel(out, &bars, (TOP, HIGH), busiest.accesses, "within", |bar| bar.accesses);
        out.label("axis", (LEFT, lower - 8), "Denials");
        panel(out, &bars, (lower, LOW), refused, "denied", |bar| bar.denials);
        emergencies(out, &bars);
        dates(out, &bars, lower + LOW + 18);
    });
}

fn bar(days: &[super::super::DaySummary]) -> Option<Bar> {
    let sum = |of: fn(&super::super::DaySummary) -> u64| days.iter().map(of).sum();
    Some(Bar {
        date: days.first()?.date.clone(),
        until: days.last()?.date.clone(),
        accesses: sum(|day| day.accesses),
        denials: sum(|day| day.denials),
        emergencies: sum(|day| day.emergencies),
    })
}

impl Bar {
    fn when(&self) -> String {
        if self.date == self.until { self.date.clone() } else { format!("{} to {}", self.date, self.until) }
    }
}

/// Where a bar begins, and how wide it is.
fn place(at: usize, bars: usize) -> (u64, u64) {
    let edge = |n: usize| LEFT + part(u64::try_from(n).unwrap_or(0), u64::try_from(bars).unwrap_or(1), PLOT);
    let (from, until) = (edge(at), edge(at + 1));
    // A narrow bar of one day alone looks like a bar.
    let wide = until.saturating_sub(from);
    let thick = wide.saturating_sub(if wide > 5 { 3 } else { 1 }).clamp(1, 56);
    (from + wide.saturating_sub(thick) / 2, thick)
}

fn panel(out: &mut Html, bars: &[Bar], (top, high): (u64, u64), most: u64, class: &str, of: fn(&Bar) -> u64) {
    let (end, step) = if high < 100 { (most.max(1), most.max(1)) } else { axis(most) };
    for tick in (0..=end / step.max(1)).map(|tick| tick * step) {
        let y = top + high - part(tick, end, high);
        out.line(if tick == 0 { "base" } else { "grid" }, (LEFT, y), (LEFT + PLOT, y));
        out.label("axis end", (LEFT - 6, y + 4), &grouped(tick));
    }
    for (at, bar) in bars.iter().enumerate().filter(|(_, bar)| of(bar) > 0) {
        let ((x, wide), tall) = (place(at, bars.len()), part(of(bar), end, high).max(1));
        let says = format!("{}: {} accesses, {} denials", bar.when(), bar.accesses, bar.denials);
        out.bar(class, (x, top + high - tall), (wide, tall), &says);
    }
}

/// A mark under the day on which the glass was broken.
fn emergencies(out: &mut Html, bars: &[Bar]) {
    let y = TOP + HIGH + 6;
    for (at, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.emergencies > 0) {
        let (x, wide) = place(at, bars.len());
        let middle = x + wide / 2;
        let points = format!("{},{} {},{} {middle},{y}", middle.saturating_sub(5), y + 9, middle + 5, y + 9);
        out.open("polygon", &[("points", &points), ("class", "glass")]);
        out.element("title", &[], &format!("{}: {} emergencies", bar.when(), bar.emergencies));
        out.close("polygon");
    }
    if bars.iter().any(|bar| bar.emergencies > 0) {
        let (x, points) =
            (LEFT + PLOT - 92, format!("{0},12 {1},12 {2},3", LEFT + PLOT - 108, LEFT + PLOT - 98, LEFT + PLOT - 103));
        out.empty("polygon", &[("points", &points), ("class", "glass")]);
        out.label("axis", (x, 12), "glass broken");
    }
}

/// Some seven dates, the first of them under the first bar.
fn dates(out: &mut Html, bars: &[Bar], y: u64) {
    let each = bars.len().div_ceil(7).max(1);
    for (at, bar) in bars.iter().enumerate().step_by(each) {
        let (x, wide) = place(at, bars.len());
        out.label("axis middle", (x + wide / 2, y), bar.date.get(5..).unwrap_or(&bar.date));
    }
}
