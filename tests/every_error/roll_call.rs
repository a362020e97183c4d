//! Reads the sources: which errors there are, and which of them a test produces.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(below: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below), &mut found);
    found.sort();
    found
}

/// Without comments, so that a variant which is only talked about does not count.
fn code(path: &Path) -> String {
    let source = fs::read_to_string(path).unwrap();
    source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The public enums of a source that are errors, with their variants.
fn errors_in(source: &str) -> Vec<(String, Vec<String>)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, start) in source.match_indices("\npub enum ") {
        let name = word(&source[at + start.len()..]);
        let attributes = source[..=at].rsplit("\n\n").next().unwrap();
        if !attributes.contains("thiserror::Error") && name != "DenyReason" {
            continue;
        }
        let body = source[at..].split("\n}").next().unwrap();
        let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
        let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())).map(word).collect();
        found.push((name, variants));
    }
    found
}

fn public_errors() -> BTreeMap<String, Vec<String>> {
    sources("src").iter().flat_map(|path| errors_in(&code(path))).collect()
}

/// The test module at the end of a source, if it has one.
fn tests_in(code: &str) -> &str {
    let mut found = code.match_indices("#[cfg(test)]\n").map(|(at, marker)| &code[at + marker.len()..]);
    let is_module = |rest: &&str| rest.lines().next().is_some_and(|line| line.contains("mod tests {"));
    found.find(is_module).unwrap_or("")
}

/// `text` as a whole path: `Error::Io` is not in `StorageError::Io` or `Error::Iota`.
fn names(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        !code[..at].ends_with(inside) && !code[at + text.len()..].starts_with(inside)
    })
}

/// Whether an assertion expects this variant of `Error` from a call, and its message is looked at next.
fn produces(code: &str, variant: &str) -> bool {
    code.split("assert!(matches!(").skip(1).any(|assertion| {
        let (asserted, next) = assertion.split_once(";\n").unwrap_or((assertion, ""));
        names(asserted, &format!("Err(Error::{variant}")) && next.trim_start().starts_with("advises(")
    })
}

#[test]
fn every_variant_of_the_error_is_produced_here_and_says_what_to_do() {
    let own: String = sources("tests/every_error").iter().map(|path| code(path)).collect();
    let variants = &public_errors()["Error"];
    assert!(variants.len() > 35, "{variants:?}");
    let absent: Vec<_> = variants.iter().filter(|variant| !produces(&own, variant)).collect();
    assert!(absent.is_empty(), "no test produces {absent:?}");
}

#[test]
fn every_variant_of_every_error_inside_is_expected_by_some_test() {
    let mut tests: String = sources("tests").iter().map(|path| code(path)).collect();
    for path in sources("src") {
        let code = code(&path);
        let is_test = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_name().is_some_and(|name| name.to_str().unwrap().ends_with("tests.rs"));
        tests.push_str(if is_test { &code } else { tests_in(&code) });
    }
    let errors = public_errors();
    for known in ["StorageError", "UnlockError", "TokenError", "FaultKind", "DenyReason", "TestVaultError"] {
        assert!(errors.get(known).is_some_and(|variants| variants.len() > 1), "{known} was not read");
    }
    let mut absent = Vec::new();
    for (name, variants) in errors.iter().filter(|(name, _)| *name != "Error") {
        let paths = variants.iter().map(|variant| format!("{name}::{variant}"));
        absent.extend(paths.filter(|path| !names(&tests, path)));
    }
    assert!(absent.is_empty(), "no test names {absent:#?}");
}

#[test]
fn the_reader_of_sources_tells_what_is_produced_from_what_is_mentioned() {
    let source = "x\n\n#[derive(Debug, thiserror::Error)]\npub enum E {\n    #[error(\"a\")]\n    One {\n        Two: u8,\n    },\n    Three(u8),\n}\n\npub enum F {\n    Four,\n}\n";
    assert_eq!(errors_in(source), [("E".to_owned(), vec!["One".to_owned(), "Three".to_owned()])]);
    assert!(names("Err(Error::Io)", "Error::Io") && !names("Err(StorageError::Io)", "Error::Io"));
    assert!(!names("Error::IoBroken", "Error::Io"));
    let shown = "assert!(matches!(x, Err(Error::Io { .. })), \"{x:?}\");\n    advises(x, \"look\");\n";
    assert!(produces(shown, "Io") && !produces(shown, "I"));
    assert!(!produces("assert!(matches!(x, Err(Error::Io { .. })));\n    other();\n", "Io"));
    assert!(!produces("assert!(x.is_err(), \"Err(Error::Io)\");\n advises(x, \"look\");\n", "Io"));
}
