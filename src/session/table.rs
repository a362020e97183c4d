//! Lists written out for others: as CSV (RFC 4180) or JSON (RFC 8259), row by row, so that no list is ever held whole.
//! Both are a few rules about text; a crate for either would be larger than they are.

use std::io::{self, Write};

use crate::audit::json::put_text;
use crate::csv;

/// The form of a list that is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableFormat {
    /// RFC 4180, UTF-8, with a first line of names, every value in quotes. Where a spreadsheet would take a value for a
    /// formula, an apostrophe stands before it. Several values in one are joined by `; `.
    Csv,
    /// RFC 8259: one array with an object a row. Values that are not there are `null`, several are an array of strings.
    Json,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    None,
    Text(String),
    Number(u64),
    Several(Vec<String>),
}

impl Cell {
    pub(super) fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    pub(super) fn maybe(value: Option<impl ToString>) -> Self {
        value.map_or(Self::None, Self::text)
    }

    pub(super) fn several(values: impl IntoIterator<Item = impl ToString>) -> Self {
        Self::Several(values.into_iter().map(|value| value.to_string()).collect())
    }
}

/// A list that is being written.
pub(super) struct Table<'w> {
    out: &'w mut dyn Write,
    format: TableFormat,
    columns: &'static [&'static str],
    rows: u64,
}

impl<'w> Table<'w> {
    pub(super) fn begin(
        out: &'w mut dyn Write,
        format: TableFormat,
        columns: &'static [&'static str],
    ) -> io::Result<Self> {
        let mut table = Self { out, format, columns, rows: 0 };
        match format {
            TableFormat::Csv => table.line(columns.iter().map(Cell::text))?,
            TableFormat::Json => table.out.write_all(b"[")?,
        }
        Ok(table)
    }

    /// One value for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        match self.format {
            TableFormat::Csv => self.line(cells)?,
            TableFormat::Json => {
                self.out.write_all(if self.rows == 0 { b"\n" } else { b",\n" })?;
                let mut object = String::from("{");
                for (at, (name, cell)) in self.columns.iter().zip(cells).enumerate() {
                    object.push_str(if at == 0 { "" } else { "," });
                    put_text(&mut object, name);
                    object.push(':');
                    put_json(&mut object, &cell);
                }
                object.push('}');
                self.out.write_all(object.as_bytes())?;
            }
        }
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// Gives how many rows were written.
    pub(super) fn end(self) -> io::Result<u64> {
        if self.format == TableFormat::Json {
            self.out.write_all(b"\n]\n")?;
        }
        self.out.flush()?;
        Ok(self.rows)
    }

    fn line(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        let mut line = String::new();
        for (at, cell) in cells.into_iter().enumerate() {
            line.push_str(if at == 0 { "" } else { "," });
            let text = match cell {
                Cell::None => continue,
                Cell::Text(text) => text,
                Cell::Number(number) => number.to_string(),
                Cell::Several(several) => several.join("; "),
            };
            csv::put_value(&mut line, &text);
        }
        line.push_str("\r\n");
        self.out.write_all(line.as_bytes())
    }
}

fn put_json(out: &mut String, cell: &Cell) {
    match cell {
        Cell::None => out.push_str("null"),
        Cell::Text(text) => put_text(out, text),
        Cell::Number(number) => out.push_str(&number.to_string()),
        Cell::Several(several) => {
            out.push('[');
            for (at, text) in several.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                put_text(out, text);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[&str] = &["a", "b"];

    fn written(format: TableFormat, rows: &[[Cell; 2]]) -> String {
        let mut out = Vec::new();
        let mut table = Table::begin(&mut out, format, COLUMNS).unwrap();
        rows.iter().for_each(|row| table.row(row.clone()).unwrap());
        assert_eq!(table.end().unwrap(), rows.len() as u64);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_stands_behind_an_apostrophe() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\u{feff}=1", "＝1", "\rx", "\nx"] {
            let rows = csv::read(&written(TableFormat::Csv, &[[Cell::text(formula), Cell::None]]));
            assert_eq!(rows[1], [format!("'{formula}"), String::new()], "{formula:?}");
        }
        for plain in ["a=1", "1-1", "rid-00", ""] {
            let rows = csv::read(&written(TableFormat::Csv, &[[Cell::None, Cell::text(plain)]]));
            assert_eq!(rows[1], ["", plain], "{plain:?}");
        }
        let several = Cell::several(["=1", "b"]);
        assert_eq!(csv::read(&written(TableFormat::Csv, &[[several, Cell::None]]))[1][0], "'=1; b");
    }

    #[test]
    fn a_list_of_nothing_is_whole_in_either_form() {
        assert_eq!(written(TableFormat::Csv, &[]), "\"a\",\"b\"\r\n");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written(TableFormat::Json, &[])).unwrap(),
            serde_json::json!([])
        );
    }

    #[test]
    fn whatever_cannot_be_written_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let refused = Table::begin(&mut Full, TableFormat::Json, COLUMNS).map(drop);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_either_form(
            rows in proptest::collection::vec((any::<String>(), any::<Vec<String>>(), any::<u64>()), 0..8),
        ) {
            let cells: Vec<[Cell; 2]> = rows.iter().flat_map(|(text, several, number)| {
                [[Cell::text(text), Cell::several(several)], [Cell::Number(*number), Cell::None]]
            }).collect();
            let json: serde_json::Value = serde_json::from_str(&written(TableFormat::Json, &cells)).unwrap();
            let csv = csv::read(&written(TableFormat::Csv, &cells));
            prop_assert_eq!(csv.len(), cells.len() + 1);
            for (at, (text, several, number)) in rows.iter().enumerate() {
                prop_assert_eq!(&json[at * 2], &serde_json::json!({ "a": text, "b": several }));
                prop_assert_eq!(&json[at * 2 + 1], &serde_json::json!({ "a": number, "b": null }));
                prop_assert_eq!(csv[at * 2 + 1][0].strip_prefix(if csv::is_formula(text) { "'" } else { "" }), Some(&**text));
            }
        }
    }
}
