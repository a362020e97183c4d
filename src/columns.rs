//! Floor 0: tables of plain text.

use std::fmt;

/// A title, and columns as wide as they have to be; numbers to the right.
pub(crate) fn table(f: &mut fmt::Formatter<'_>, title: &str, head: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    if rows.is_empty() {
        return writeln!(f, "  none");
    }
    let wide = |column: usize, name: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([name.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = head.iter().enumerate().map(|(column, name)| wide(column, name)).collect();
    let names = head.iter().map(|name| (*name).to_owned()).collect();
    for row in [&names].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let number = cell.bytes().all(|byte| byte.is_ascii_digit()) && !cell.is_empty();
            line.push_str("  ");
            line.push_str(&if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
