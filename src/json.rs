//! Objects of JSON (RFC 8259) on one line.

use std::fmt::Write;

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Those from 7f to 9f as well: some receivers take them for ends of lines.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A JSON object on its way.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A value that is JSON already.
    pub(crate) fn member(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.member(name, &value.to_string());
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.member(name, &quoted(value));
    }

    /// A value that is not there is no member.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.text(name, &value);
        }
    }

    /// Values that are JSON already; none is no member.
    pub(crate) fn list(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            self.member(name, &format!("[{}]", values.join(",")));
        }
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
