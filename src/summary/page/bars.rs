//! Accesses by person, as bars: those within opening hours and those outside apart.

use super::super::Summary;
use super::{axis, grouped, part};
use crate::html::Html;

/// People that have a bar.
const PEOPLE: usize = 15;
const LEFT: u64 = 190;
const PLOT: u64 = 430;
const ROW: u64 = 24;
const TOP: u64 = 34;
/// Characters of a name that fit.
const NAME: usize = 24;

pub(super) fn chart(out: &mut Html, summary: &Summary) {
    let people: Vec<_> = summary.actors.iter().filter(|known| known.accesses > 0).take(PEOPLE).collect();
    let Some(first) = people.first() else {
        out.element("p", &[("class", "none")], "Nobody was in a chart.");
        return;
    };
    let says = format!("{} people; most accesses, {}, by {}.", people.len(), first.accesses, summary.name(first.actor));
    let (end, step) = axis(first.accesses);
    let rows = u64::try_from(people.len()).unwrap_or(0);
    let bottom = TOP + rows * ROW;
    let size = (LEFT + PLOT + 60, bottom + 24);
    out.chart(size, ("people", "Accesses by person", &says), |out| {
        legend(out, summary.hours.is_some());
        for tick in (0..=end / step.max(1)).map(|tick| tick * step) {
            let x = LEFT + part(tick, end, PLOT);
            out.line("grid", (x, TOP), (x, bottom));
            out.label("axis middle", (x, bottom + 16), &grouped(tick));
        }
        for (row, known) in (0..).zip(&people) {
            let y = TOP + row * ROW + 4;
            let name = summary.name(known.actor);
            let short: String = name.chars().take(NAME).collect();
            let short = if short.len() < name.len() { format!("{short}…") } else { short };
            out.label("name end", (LEFT - 10, y + 12), &short);
            let within = known.accesses.saturating_sub(known.after_hours);
            let (long, whole) = (part(within, end, PLOT), part(known.accesses, end, PLOT));
            let says = format!(
                "{name}: {} accesses, {} patients, {} after hours",
                known.accesses, known.patients, known.after_hours
            );
            if within > 0 {
                out.bar("within", (LEFT, y), (long.max(1), ROW - 8), &says);
            }
            if known.after_hours > 0 {
                out.bar("after", (LEFT + long, y), (whole.saturating_sub(long).max(1), ROW - 8), &says);
            }
            out.label("value", (LEFT + whole + 6, y + 12), &grouped(known.accesses));
        }
        out.line("base", (LEFT, TOP), (LEFT, bottom));
    });
}

fn legend(out: &mut Html, hours: bool) {
    if !hours {
        return;
    }
    out.bar("within", (LEFT, 6), (12, 12), "within opening hours");
    out.label("axis", (LEFT + 18, 16), "within opening hours");
    out.bar("after", (LEFT + 160, 6), (12, 12), "after hours");
    out.label("axis", (LEFT + 178, 16), "after hours");
}
