//! Reads the worked examples of docs/format, so that the pages are held against the code: lines `name = value`, a value in
//! hexadecimal going on over the lines below it.

use data_encoding::HEXLOWER;

/// The text behind `name =`.
pub(crate) fn text(page: &str, name: &str) -> String {
    let is_start = |line: &&str| line.split_once('=').is_some_and(|(found, _)| found.trim_end() == name);
    let lines = page.lines().skip_while(|line| !is_start(line));
    let mut value = String::new();
    for (index, line) in lines.take_while(|line| !line.starts_with("```")).enumerate() {
        match line.split_once('=') {
            Some((_, first)) if index == 0 => value.push_str(first.trim()),
            Some(_) => break,
            None => value.push_str(line.trim()),
        }
    }
    assert!(!value.is_empty(), "the page has no `{name}`");
    value
}

/// The bytes behind `name =`.
pub(crate) fn bytes(page: &str, name: &str) -> Vec<u8> {
    HEXLOWER.decode(text(page, name).as_bytes()).unwrap_or_else(|error| panic!("`{name}`: {error}"))
}

/// The bytes behind `name =`, which are `N`.
pub(crate) fn array<const N: usize>(page: &str, name: &str) -> [u8; N] {
    let bytes = bytes(page, name);
    <[u8; N]>::try_from(bytes.as_slice()).unwrap_or_else(|_| panic!("`{name}` has {} bytes", bytes.len()))
}

#[test]
fn names_are_matched_whole_and_values_may_be_long() {
    let page = "text\n```hex\nab  = 01\nb   = 02\n      03\n```\nb = 04\n";
    assert_eq!((bytes(page, "ab"), bytes(page, "b")), (vec![1], vec![2, 3]));
}
