//! The figures as tables in Markdown.

use std::fmt::Write;

use crate::figures::{Figures, Row, median};
use crate::peers::{BASE, OURS};
use crate::works::{FLOOR_GOAL, OPEN_GOAL, SIZE_GOAL};

/// All tables.
pub fn markdown(figures: &Figures) -> String {
    let mut out = String::new();
    let place = &figures.place;
    let _ = writeln!(
        out,
        "{}{} cores, {}, load {} beforehand; medians of {} interleaved runs of {} ms; imports of {} records.\n",
        if place.is_look() { "**A look, no measurement:** " } else { "" },
        place.cores,
        place.file_system,
        place.load,
        place.rounds,
        place.millis,
        place.import
    );
    rates(figures, &mut out);
    stores(figures, &mut out);
    floors(figures, &mut out);
    out
}

/// Against SQLCipher: what was to be reached and what was; then the others.
fn rates(figures: &Figures, out: &mut String) {
    let (Some(base), false) = (figures.at(BASE), figures.rows.is_empty()) else { return };
    let others: Vec<_> = (0..figures.peers.len()).filter(|at| *at != base).collect();
    let labels: Vec<_> = others.iter().map(|at| figures.peers[*at].label).collect();
    let _ = writeln!(out, "| a second, and as multiples of SQLCipher | SQLCipher | {} | goal | |", labels.join(" | "));
    let _ = writeln!(out, "|---|---|{}---|---|", "---|".repeat(others.len()));
    for row in &figures.rows {
        let _ = write!(out, "| {} ({}) | {:.0} |", row.work.name, row.work.unit(), median(&row.rates[base]));
        for at in &others {
            let Some(ratio) = row.ratio(figures, *at) else { continue };
            if figures.peers[*at].name == OURS {
                let rate = median(&row.rates[*at]);
                let _ = write!(out, " {rate:.0}, **{:.2}** ({:.2}–{:.2}) |", ratio.middle, ratio.least, ratio.most);
            } else {
                let _ = write!(out, " {:.2} |", ratio.middle);
            }
        }
        let _ = writeln!(out, " {:.1} | {} |", row.work.goal, verdict(figures, row));
    }
    let _ = writeln!(out);
}

/// Whether the goal was reached, and whether SQLCipher is faster all the same.
pub fn verdict(figures: &Figures, row: &Row) -> &'static str {
    let ratio = figures.at(OURS).and_then(|at| row.ratio(figures, at)).map(|ratio| ratio.middle);
    match ratio {
        None => "",
        Some(ratio) if ratio >= row.work.goal && ratio >= 1.0 => "reached",
        Some(ratio) if ratio >= row.work.goal => "reached; SQLCipher is faster",
        Some(ratio) if ratio >= 1.0 => "**missed**",
        Some(_) => "**missed; SQLCipher is faster**",
    }
}

fn stores(figures: &Figures, out: &mut String) {
    if figures.stored.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "| {} records | bytes on disk / bytes of values | of that, room made beforehand | open, 1st | 2nd \
         | then a chart, 1st | 2nd |",
        figures.place.records
    );
    let _ = writeln!(out, "|---|---|---|---|---|---|---|");
    for stored in &figures.stored {
        let [first, second] = stored
            .opens
            .each_ref()
            .map(|opened| [opened.open, opened.chart].map(|time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0)));
        let label = stored.peer.label;
        let [open1, chart1] = first;
        let [open2, chart2] = second;
        let (size, room) = (stored.size, stored.room);
        let _ = writeln!(out, "| {label} | {size:.2} | {room:.2} | {open1} | {open2} | {chart1} | {chart2} |");
    }
    let _ = writeln!(
        out,
        "\nRoom made beforehand: blocks behind the last byte of a file that is not zero.\n\nGoals: at most {SIZE_GOAL} \
         times the values; a million records open within {OPEN_GOAL} s from the second time on."
    );
    if let Some(ours) = figures.stored.iter().find(|stored| stored.peer.name == OURS) {
        let reached = |reached| if reached { "reached" } else { "**missed**" };
        let (size, second) = (reached(ours.size <= SIZE_GOAL), ours.opens[1].open.as_secs_f64());
        // Fewer records say nothing about a million.
        let open = if figures.place.records >= 1_000_000 { reached(second < OPEN_GOAL) } else { "not measured" };
        let used = ours.size - ours.room;
        let _ = writeln!(out, "chartvault: size {size} ({used:.2} without the room made beforehand), opening {open}.");
    }
    let _ = writeln!(out);
}

fn floors(figures: &Figures, out: &mut String) {
    let (operation, goal) = FLOOR_GOAL;
    if let Some((bytes, rates)) = &figures.floor {
        let base =
            figures.ratio_to_floor(BASE).map(|ratio| format!(", {:.2} times SQLCipher's puts", 1.0 / ratio.middle));
        let _ = writeln!(
            out,
            "Append and `fdatasync` of the {bytes} bytes that one put of chartvault writes: {:.0} a second{}.",
            median(rates),
            base.unwrap_or_default()
        );
        let shares = [OURS, "chacha20"].iter().filter_map(|name| {
            let (label, ratio) = (figures.peers[figures.at(name)?].label, figures.ratio_to_floor(name)?);
            let verdict = if ratio.middle >= goal { "reached" } else { "**missed**" };
            Some(format!("{label} **{:.2}** ({:.2}–{:.2}), {verdict}", ratio.middle, ratio.least, ratio.most))
        });
        let shares: Vec<_> = shares.collect();
        if !shares.is_empty() {
            let _ = writeln!(out, "Goal: {operation} at {goal} of that, round by round: {}.\n", shares.join("; "));
        }
    }
    for cipher in &figures.ciphers {
        let _ =
            writeln!(out, "{} alone, 512 bytes: seal {:.0} ns, open {:.0} ns.", cipher.name, cipher.seal, cipher.open);
    }
}
