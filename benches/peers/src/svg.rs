//! The ratios as a picture: bars that go right from 1 where chartvault is faster, and left where it is slower, each step
//! twice the one before; the goals as marks. One file without scripts, for light and dark pages.

use std::fmt::Write;

use crate::figures::{Figures, Row};
use crate::peers::OURS;

const WIDTH: f64 = 860.0;
/// Where the bars begin and end.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 720.0;
const TOP: f64 = 112.0;
const ROW: f64 = 44.0;
const BAR: f64 = 13.0;

const STYLE: &str = "
    svg { --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --ours: #0969da; --aes: #80b3ff; --missed: #bc4c00;
          --page: #ffffff; --other: #8250df; --plain: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #f0f6fc; --soft: #9198a1; --line: #3d444d; --ours: #4493f8; --aes: #2a5fae; --missed: #f0883e;
            --page: #0d1117; --other: #bc8cff; --plain: #3fb950 }
    }
    text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--ink) }
    .head { font-size: 16px; font-weight: 600 } .soft { fill: var(--soft); font-size: 12px }
    .value { font-weight: 600 }
    .missed { fill: var(--missed) }
    .page { fill: var(--page) } .ours { fill: var(--ours) } .aes { fill: var(--aes) }
    .grid { stroke: var(--line) } .one { stroke: var(--soft); stroke-width: 1.5 }
    .spread { stroke: var(--ink); stroke-width: 1.2 } .goal { stroke: var(--missed); stroke-width: 2.5 }
    .other { fill: var(--other) } .plain { fill: var(--plain) }
";

/// The whole file; nothing without SQLCipher and chartvault among the peers, or without a rate.
pub fn svg(figures: &Figures) -> Option<String> {
    let ours = figures.at(OURS)?;
    let rows: Vec<_> = figures.rows.iter().filter(|row| row.ratio(figures, ours).is_some()).collect();
    let scale = Scale::over(rows.iter().flat_map(|row| shown(figures, row)));
    let height = TOP + ROW * rows.len() as f64 + 34.0;
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">
  <title id="title">Rates of chartvault as multiples of SQLCipher's with an audit table</title>
  <style>{STYLE}  </style>
  <rect class="page" width="{WIDTH}" height="{height}" rx="6"/>
  <text class="head" x="20" y="30">chartvault against SQLCipher with an audit table (= 1)</text>"#
    );
    legend(figures.place.is_look(), &mut out);
    scale.draw(&mut out, height);
    for (at, row) in rows.iter().enumerate() {
        draw(figures, row, &scale, TOP + ROW * at as f64, &mut out);
    }
    out.push_str("</svg>\n");
    (!rows.is_empty()).then_some(out)
}

/// All numbers of a row that the picture shows.
fn shown(figures: &Figures, row: &Row) -> Vec<f64> {
    let peers = ["aes", "grouped", "sqlite"].iter().filter_map(|name| figures.at(name));
    let ratios = peers.filter_map(|at| row.ratio(figures, at)).map(|ratio| ratio.middle);
    let ours = figures.at(OURS).and_then(|at| row.ratio(figures, at));
    ratios.chain(ours.into_iter().flat_map(|ours| [ours.least, ours.most])).chain([row.work.goal]).collect()
}

/// From ratios to places, in powers of two.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn over(ratios: impl Iterator<Item = f64>) -> Self {
        let start = Self { least: -1.0, most: 1.0 };
        ratios.filter(|ratio| ratio.is_normal()).map(f64::log2).fold(start, |scale, power| Self {
            least: scale.least.min(power.floor()),
            most: scale.most.max(power.ceil()),
        })
    }

    fn x(&self, ratio: f64) -> f64 {
        let power = ratio.log2().clamp(self.least, self.most);
        LEFT + (RIGHT - LEFT) * (power - self.least) / (self.most - self.least)
    }

    fn draw(&self, out: &mut String, height: f64) {
        for power in self.least as i32..=self.most as i32 {
            let (x, bottom) = (self.x(2_f64.powi(power)), height - 30.0);
            let class = if power == 0 { "one" } else { "grid" };
            let _ = writeln!(out, r#"  <line class="{class}" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#);
            let (y, label) = (height - 14.0, if power < 0 { "1/" } else { "" });
            let number = 2_u32.pow(power.unsigned_abs());
            let _ = writeln!(
                out,
                r#"  <text class="soft" x="{x:.1}" y="{y}" text-anchor="middle">{label}{number}×</text>"#
            );
        }
    }
}

fn legend(is_look: bool, out: &mut String) {
    let source = if is_look { "a look on a busy machine, no measurement" } else { "medians of interleaved runs" };
    let _ = writeln!(
        out,
        r#"  <text class="soft" x="20" y="50">Calls or records a second; {source}. Right of 1× chartvault is faster.</text>
  <rect class="ours" x="20" y="63" width="14" height="10"/><text class="soft" x="40" y="72">chartvault, ChaCha20; line: least to most of all rounds</text>
  <rect class="aes" x="400" y="63" width="14" height="10"/><text class="soft" x="420" y="72">chartvault, AES</text>
  <line class="goal" x1="557" y1="61" x2="557" y2="75"/><text class="soft" x="566" y="72">goal</text>
  <circle class="other" cx="27" cy="90" r="4.5"/><text class="soft" x="40" y="94">SQLCipher, calls grouped by hand</text>
  <rect class="plain" x="403" y="86" width="8" height="8" transform="rotate(45 407 90)"/><text class="soft" x="420" y="94">SQLite, nothing encrypted</text>"#
    );
}

fn draw(figures: &Figures, row: &Row, scale: &Scale, top: f64, out: &mut String) {
    let ratio = |name: &str| figures.at(name).and_then(|at| row.ratio(figures, at));
    let bar = |out: &mut String, class: &str, y: f64, height: f64, ratio: f64| {
        let (one, end) = (scale.x(1.0), scale.x(ratio));
        let (from, width) = (one.min(end), (end - one).abs());
        let _ =
            writeln!(out, r#"  <rect class="{class}" x="{from:.1}" y="{y}" width="{width:.1}" height="{height}"/>"#);
    };
    let middle = top + 6.0 + BAR / 2.0;
    let _ =
        writeln!(out, r#"  <text x="{}" y="{}" text-anchor="end">{}</text>"#, LEFT - 12.0, top + 21.0, row.work.name);
    if let Some(aes) = ratio("aes") {
        bar(out, "aes", top + 6.0 + BAR, 7.0, aes.middle);
    }
    if let Some(ours) = ratio(OURS) {
        bar(out, "ours", top + 6.0, BAR, ours.middle);
        let (from, to) = (scale.x(ours.least), scale.x(ours.most));
        let _ = writeln!(out, r#"  <line class="spread" x1="{from:.1}" y1="{middle}" x2="{to:.1}" y2="{middle}"/>"#);
        let missed = if ours.middle < row.work.goal { " missed" } else { "" };
        let x = RIGHT + 16.0;
        let y = top + 21.0;
        let _ = writeln!(
            out,
            r#"  <text class="value{missed}" x="{x:.1}" y="{y}">{:.2}× of {:.1}</text>"#,
            ours.middle, row.work.goal
        );
    }
    let y = top + 6.0 + BAR + 3.5;
    if let Some(plain) = ratio("sqlite") {
        let (x, corner) = (scale.x(plain.middle), scale.x(plain.middle) - 4.0);
        let up = y - 4.0;
        let _ = writeln!(
            out,
            r#"  <rect class="plain" x="{corner:.1}" y="{up}" width="8" height="8" transform="rotate(45 {x:.1} {y})"/>"#
        );
    }
    if let Some(grouped) = ratio("grouped") {
        let x = scale.x(grouped.middle);
        let _ = writeln!(out, r#"  <circle class="other" cx="{x:.1}" cy="{y}" r="4.5"/>"#);
    }
    let (x, from, to) = (scale.x(row.work.goal), top + 2.0, top + 30.0);
    let _ = writeln!(out, r#"  <line class="goal" x1="{x:.1}" y1="{from}" x2="{x:.1}" y2="{to}"/>"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_always_on_the_scale_and_each_step_is_twice_the_one_before() {
        let scale = Scale::over([3.0, f64::NAN, 0.0].into_iter());
        assert_eq!((scale.least, scale.most), (-1.0, 2.0));
        let steps = [0.5, 1.0, 2.0, 4.0].map(|ratio| scale.x(ratio));
        assert_eq!((steps[0], steps[3]), (LEFT, RIGHT));
        assert!(steps.windows(2).all(|pair| (pair[1] - pair[0] - (RIGHT - LEFT) / 3.0).abs() < 1e-6));
        // Beyond the scale is at its edge.
        assert_eq!(scale.x(99.0), RIGHT);
    }
}
