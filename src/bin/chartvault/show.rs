//! How answers go out: aligned text for people, JSON for programs. Each is said once and shown either way.

use std::io::{self, IsTerminal, Write};

use serde_json::{Map, Value};

use crate::args::{Common, ProgressWhen};
use crate::failure::Outcome;

/// Where and how to answer.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// JSON instead of text.
    pub json: bool,
    /// Whether progress is shown.
    pub progress: bool,
}

impl Show {
    pub fn new(common: &Common) -> Self {
        let progress = match common.progress {
            ProgressWhen::Auto => io::stderr().is_terminal(),
            ProgressWhen::Always => true,
            ProgressWhen::Never => false,
        };
        Self { json: common.json, progress }
    }

    /// Something with a value each under a name.
    pub fn facts(self, facts: &Facts) -> Outcome<()> {
        if self.json { self.line(&Value::Object(facts.object())) } else { self.text(&facts.text()) }
    }

    /// A list, whose JSON is an array under its name, beside what `about` says of it.
    pub fn table(self, name: &str, table: &Table, about: Facts) -> Outcome<()> {
        if self.json {
            let mut object = about.object();
            object.insert(name.to_owned(), Value::Array(table.objects()));
            return self.line(&Value::Object(object));
        }
        self.text(&table.text())?;
        self.text(&about.text())
    }

    /// A paragraph for people, which programs do without.
    pub fn note(self, text: &str) -> Outcome<()> {
        if self.json { Ok(()) } else { self.text(&format!("{text}\n")) }
    }

    /// One value of JSON on a line.
    pub fn line(self, value: &Value) -> Outcome<()> {
        self.text(&format!("{value}\n"))
    }

    /// Text as it is.
    pub fn text(self, text: &str) -> Outcome<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// Something to look at that does not end the verb, on standard error.
pub fn warn(show: Show, message: &str) {
    let text = match show.json {
        true => format!("{}\n", serde_json::json!({ "warning": message })),
        false => format!("warning: {}\n", printable(message)),
    };
    // Where nobody reads standard error there is nobody to tell.
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Values under names: an object, or aligned lines. Names are those of the JSON; people see spaces for underscores.
#[derive(Clone, Debug, Default)]
pub struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// What shows as text.
    pub fn text_of(self, name: &'static str, value: impl ToString) -> Self {
        self.with(name, value.to_string())
    }

    /// Text, or `null`, which people do not see.
    pub fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.with(name, value.map(|value| value.to_string()))
    }

    fn object(&self) -> Map<String, Value> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn text(&self) -> String {
        let shown: Vec<_> = self.0.iter().filter(|(_, value)| !value.is_null()).collect();
        let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let line = |(name, value): &&(&str, Value)| format!("{:<width$}  {}\n", name.replace('_', " "), plain(value));
        shown.iter().map(line).collect()
    }
}

/// Rows under names.
#[derive(Clone, Debug)]
pub struct Table {
    names: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub const fn new(names: &'static [&'static str]) -> Self {
        Self { names, rows: Vec::new() }
    }

    /// A row, with a value for each name.
    pub fn row(&mut self, values: impl IntoIterator<Item = Value>) {
        self.rows.push(values.into_iter().collect());
    }

    pub fn objects(&self) -> Vec<Value> {
        let object = |row: &Vec<Value>| {
            let members = self.names.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(members.collect())
        };
        self.rows.iter().map(object).collect()
    }

    fn text(&self) -> String {
        let head: Vec<String> = self.names.iter().map(|name| name.replace('_', " ")).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(plain).collect()).collect();
        let mut widths = vec![0; head.len()];
        for row in rows.iter().chain([&head]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        [&head].into_iter().chain(&rows).map(line).collect()
    }
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(several) if several.is_empty() => "-".to_owned(),
        Value::Array(several) => several.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Text without what would move a terminal's cursor or change its colours: what people typed into a vault is shown, not obeyed.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Lines of text, each without what a terminal would obey.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_aligned_for_people_and_an_object_for_programs() {
        let facts = Facts::new().with("log_entries", 3).text_of("vault", "v").maybe("label", None::<&str>);
        assert_eq!(facts.text(), "log entries  3\nvault        v\n");
        assert_eq!(Value::Object(facts.object()), json!({ "log_entries": 3, "vault": "v", "label": null }));
    }

    #[test]
    fn tables_are_aligned_by_characters() {
        let mut table = Table::new(&["name", "last_used"]);
        table.row([json!("Ödön"), Value::Null]);
        table.row([json!("a much longer one"), json!(true)]);
        assert_eq!(table.text(), "name               last used\nÖdön               -\na much longer one  yes\n");
        assert_eq!(table.objects()[0], json!({ "name": "Ödön", "last_used": null }));
    }

    #[test]
    fn what_is_shown_moves_no_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{9b}");
    }
}
