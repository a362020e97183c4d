//! Accesses by weekday and hour, as a map.

use super::super::Summary;
use super::super::text::WEEKDAYS;
use super::{grouped, part};
use crate::html::Html;

const LEFT: u64 = 52;
const TOP: u64 = 24;
const CELL: (u64, u64) = (27, 24);
/// Between two cells.
const GAP: u64 = 2;
const WIDTH: u64 = LEFT + 24 * CELL.0 + 8;
/// Shades of a cell that has something.
const SHADES: u64 = 6;

pub(super) fn chart(out: &mut Html, summary: &Summary) {
    let most = summary.by_hour.iter().flatten().copied().max().unwrap_or(0);
    let busiest = summary
        .by_hour
        .iter()
        .zip(WEEKDAYS)
        .flat_map(|(hours, day)| (0_u64..).zip(hours).map(move |(hour, n)| (*n, day, hour)));
    let busiest = busiest.max_by_key(|(n, ..)| *n).filter(|(n, ..)| *n > 0);
    let says = busiest.map_or_else(
        || "No accesses.".to_owned(),
        |(n, day, hour)| {
            let after = format!("{} of {} lie outside opening hours.", summary.after_hours, summary.accesses);
            let after = if summary.hours.is_some() { after } else { String::new() };
            format!("Most accesses, {n}, on {day} from {hour} to {} o'clock. {after}", hour + 1)
        },
    );
    let height = TOP + 7 * CELL.1 + 40;
    out.chart((WIDTH, height), ("heat", "Accesses by weekday and hour", &says), |out| {
        for hour in (0..=24).step_by(3) {
            out.label("axis middle", (LEFT + hour * CELL.0, TOP - 8), &format!("{hour:02}"));
        }
        for ((row, hours), day) in (0..).zip(&summary.by_hour).zip(WEEKDAYS) {
            let y = TOP + row * CELL.1;
            out.label("axis end", (LEFT - 8, y + 16), day.get(..3).unwrap_or(day));
            for (hour, n) in (0..).zip(hours) {
                let (x, shade) = (LEFT + hour * CELL.0, shade(*n, most));
                let says = format!("{day} {hour:02} to {:02}: {}", hour + 1, grouped(*n));
                out.bar(&format!("heat s{shade}"), (x + 1, y + 1), (CELL.0 - GAP, CELL.1 - GAP), &says);
            }
        }
        frames(out, summary);
        legend(out, most, TOP + 7 * CELL.1 + 14);
    });
}

/// What a shade goes up to: in steps that grow, so that quiet hours differ as well.
fn up_to(shade: u64, most: u64) -> u64 {
    part(shade * shade, SHADES * SHADES, most)
}

/// 0 for nothing, and then the first that holds it.
fn shade(n: u64, most: u64) -> u64 {
    if n == 0 { 0 } else { (1..SHADES).find(|shade| n <= up_to(*shade, most)).unwrap_or(SHADES) }
}

/// Opening hours; days that follow each other with the same ones share a frame.
fn frames(out: &mut Html, summary: &Summary) {
    let of_day = |day| summary.hours.as_ref().and_then(|hours| hours.of_day(day));
    let days: Vec<_> = (0..7).map(of_day).collect();
    let mut row = 0;
    for same in days.chunk_by(|a, b| a == b) {
        let (first, rows) = (row, u64::try_from(same.len()).unwrap_or(0));
        row += rows;
        let Some(Some((from, until))) = same.first().copied() else { continue };
        let at = |minute: u16| part(minute.into(), 24 * 60, 24 * CELL.0);
        let (x, width) = (LEFT + at(from), at(until).saturating_sub(at(from)));
        let [x, y, width, height] = [x, TOP + first * CELL.1, width, rows * CELL.1].map(|n| n.to_string());
        let place = [("x", x.as_str()), ("y", &y), ("width", &width), ("height", &height), ("class", "frame")];
        out.empty("rect", &place);
    }
}

fn legend(out: &mut Html, most: u64, y: u64) {
    out.label("axis end", (LEFT + 40, y + 11), "none");
    for shade in 0..=SHADES {
        let says = if shade == 0 { "none".to_owned() } else { format!("up to {}", grouped(up_to(shade, most))) };
        out.bar(&format!("heat s{shade}"), (LEFT + 48 + shade * 24, y), (22, 14), &says);
    }
    out.label("axis", (LEFT + 52 + (SHADES + 1) * 24, y + 11), &format!("{} in an hour", grouped(most)));
}
