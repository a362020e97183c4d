//! Floor 0: pages that need nothing else. Writes HTML that is well-formed XML as well: whatever is put in is escaped, and what
//! is opened is closed.

mod style;

use std::fmt::Write;

/// A page in the making.
pub(crate) struct Html(String);

/// Attributes of an element.
pub(crate) type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Html {
    pub(crate) fn begin(title: &str) -> Self {
        let mut html = Self(String::with_capacity(64 << 10));
        html.0.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
        html.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        html.empty("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        // Whatever came in by mistake could still load nothing and run nothing.
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        html.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", policy)]);
        html.empty("meta", &[("name", "robots"), ("content", "noindex")]);
        html.element("title", &[], title);
        // Written by us, and without any of the characters that would have to be escaped.
        html.0.push_str("<style>\n");
        html.0.push_str(style::CSS);
        html.0.push_str("</style>\n</head>\n<body>\n<main>\n");
        html
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push_str("</main>\n</body>\n</html>\n");
        self.0
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push(' ');
            self.0.push_str(key);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }

    pub(crate) fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        self.tag(name, attributes);
        self.0.push_str(">\n");
    }

    pub(crate) fn close(&mut self, name: &str) {
        let _ = writeln!(self.0, "</{name}>");
    }

    pub(crate) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.tag(name, attributes);
        self.0.push_str("/>\n");
    }

    /// An element with nothing but text in it.
    pub(crate) fn element(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.tag(name, attributes);
        self.0.push('>');
        self.text(text);
        self.close(name);
    }

    /// Text, with whatever has a meaning escaped. Controls, which XML does not allow, and what turns the direction of
    /// writing become a question mark in a lozenge.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c if c.is_control() => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    /// A section with a heading and a sentence of what it shows.
    pub(crate) fn section(&mut self, heading: &str, lead: &str, inside: impl FnOnce(&mut Self)) {
        self.open("section", &[]);
        self.element("h2", &[], heading);
        if !lead.is_empty() {
            self.element("p", &[("class", "quiet")], lead);
        }
        inside(self);
        self.close("section");
    }

    /// A chart of this size, named for those who cannot see it.
    pub(crate) fn chart(
        &mut self,
        (width, height): (u64, u64),
        (id, title, describes): (&str, &str, &str),
        inside: impl FnOnce(&mut Self),
    ) {
        let (title_id, text_id) = (format!("{id}-title"), format!("{id}-desc"));
        let (view, named) = (format!("0 0 {width} {height}"), format!("{title_id} {text_id}"));
        self.open("div", &[("class", "chart")]);
        let attributes = [
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("viewBox", view.as_str()),
            ("role", "img"),
            ("aria-labelledby", named.as_str()),
        ];
        self.open("svg", &attributes);
        self.element("title", &[("id", &title_id)], title);
        self.element("desc", &[("id", &text_id)], describes);
        inside(self);
        self.close("svg");
        self.close("div");
    }

    /// A rectangle with what it says when it is pointed at.
    pub(crate) fn bar(&mut self, class: &str, (x, y): (u64, u64), (width, height): (u64, u64), says: &str) {
        let [x, y, width, height] = [x, y, width, height].map(|n| n.to_string());
        let place = [("x", x.as_str()), ("y", &y), ("width", &width), ("height", &height), ("class", class)];
        self.open("rect", &place);
        self.element("title", &[], says);
        self.close("rect");
    }

    /// Text in a chart.
    pub(crate) fn label(&mut self, class: &str, (x, y): (u64, u64), text: &str) {
        let (x, y) = (x.to_string(), y.to_string());
        self.element("text", &[("x", &x), ("y", &y), ("class", class)], text);
    }

    /// A line in a chart.
    pub(crate) fn line(&mut self, class: &str, (x1, y1): (u64, u64), (x2, y2): (u64, u64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(|n| n.to_string());
        self.empty("line", &[("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2), ("class", class)]);
    }

    /// A table; the first column is text that names its row, and the others are figures unless `texts` are theirs.
    pub(crate) fn table(&mut self, caption: &str, head: &[&str], texts: &[usize], rows: &[Vec<String>]) {
        if rows.is_empty() {
            self.element("p", &[("class", "none")], "None.");
            return;
        }
        let class = |column: usize| if column == 0 || texts.contains(&column) { "t" } else { "n" };
        self.open("div", &[("class", "scroll")]);
        self.open("table", &[]);
        self.element("caption", &[], caption);
        self.open("thead", &[]);
        self.open("tr", &[]);
        for (column, name) in head.iter().enumerate() {
            self.element("th", &[("scope", "col"), ("class", class(column))], name);
        }
        self.close("tr");
        self.close("thead");
        self.open("tbody", &[]);
        for row in rows {
            self.open("tr", &[]);
            for (column, cell) in row.iter().enumerate() {
                if column == 0 {
                    self.element("th", &[("scope", "row"), ("class", "t")], cell);
                } else {
                    self.element("td", &[("class", class(column))], cell);
                }
            }
            self.close("tr");
        }
        self.close("tbody");
        self.close("table");
        self.close("div");
    }
}
