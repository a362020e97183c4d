//! Values of a CSV file (RFC 4180). A few rules about text; a crate for them would be larger than they are.

/// Puts a value in quotes. Where a spreadsheet would take it for a formula, an apostrophe stands before it.
pub(crate) fn put_value(line: &mut String, text: &str) {
    line.push('"');
    line.push_str(if is_formula(text) { "'" } else { "" });
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}

/// Whether a spreadsheet might calculate it: some drop blanks and controls first, and some read full-width signs as well.
pub(crate) fn is_formula(text: &str) -> bool {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let leads = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    text.starts_with(['\t', '\r', '\n']) || text.trim_start_matches(leads).starts_with(SIGNS)
}

/// Reads RFC 4180 by its grammar.
#[cfg(test)]
pub(crate) fn read(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => cell.push(chars.next().unwrap()),
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(std::mem::take(&mut cell)),
            (false, '\r') => {
                assert_eq!(chars.next(), Some('\n'));
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (_, c) => cell.push(c),
        }
    }
    assert!(!quoted && row.is_empty() && cell.is_empty());
    rows
}
