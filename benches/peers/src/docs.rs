//! Puts the figures where readers look for them.

use std::fs;
use std::path::Path;

use crate::figures::Figures;
use crate::{report, svg};

const BEGIN: &str = "<!-- benches/peers --docs writes from here … -->\n";
const END: &str = "<!-- … to here -->\n";

/// The tables between the marks in docs/performance.md, the chart as docs/peers.svg.
pub fn write(figures: &Figures) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, between(&text, &report::markdown(figures))).unwrap();
    if let Some(svg) = svg::svg(figures) {
        fs::write(docs.join("peers.svg"), svg).unwrap();
    }
}

/// The page with other text between the marks.
fn between(page: &str, text: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("docs/performance.md has lost the mark for the peers' tables");
    let (_, after) = rest.split_once(END).expect("docs/performance.md has lost the mark behind the peers' tables");
    format!("{before}{BEGIN}\n{}\n\n{END}{after}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let written = between(&page, "new\n");
        assert_eq!(written, format!("before\n{BEGIN}\nnew\n\n{END}after\n"));
        assert_eq!(between(&written, "new\n"), written);
    }
}
