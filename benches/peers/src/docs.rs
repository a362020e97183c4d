//! Puts the figures where readers look for them.

use std::fs;
use std::path::Path;

use crate::figures::Figures;
use crate::{report, svg};

const BEGIN: &str = "<!-- benches/peers --docs writes from here … -->\n";
const END: &str = "<!-- … to here -->\n";

/// Between the marks: chart and tables in docs/performance.md, the chart in the README. The chart itself is docs/peers.svg.
pub fn write(figures: &Figures) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(svg) = svg::svg(figures) else {
        eprintln!("nothing to draw: the pages stay as they are; --docs wants SQLCipher, chartvault and a rate");
        return;
    };
    fs::write(root.join("docs/peers.svg"), svg).unwrap();
    let replace = |page: &str, text: &str| {
        let page = root.join(page);
        let old = fs::read_to_string(&page).unwrap();
        fs::write(&page, between(&old, text).unwrap_or_else(|| panic!("{} has lost its marks", page.display())))
            .unwrap();
    };
    let image = |place: &str| format!("![Rates of chartvault as multiples of those of SQLCipher]({place})");
    replace("docs/performance.md", &format!("{}\n\n{}", image("peers.svg"), report::markdown(figures)));
    replace("README.md", &image("docs/peers.svg"));
}

/// The page with other text between the marks; nothing if it has none.
fn between(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let written = between(&page, "new\n").unwrap();
        assert_eq!(written, format!("before\n{BEGIN}\nnew\n\n{END}after\n"));
        assert_eq!(between(&written, "new\n").as_ref(), Some(&written));
        assert_eq!(between("no marks", "new"), None);
    }
}
