//! The house stands on floors: a module imports only from floors below its own, and sled has one door.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module to floor. A change here is a change of the architecture and wants an argument in `docs/design.md`.
const FLOORS: &[(&str, u8)] = &[
    ("bytes", 0),
    ("clock", 0),
    ("columns", 0),
    ("csv", 0),
    ("html", 0),
    ("ids", 0),
    ("json", 0),
    ("observe", 0),
    ("platform", 0),
    ("progress", 0),
    ("read_audit", 0),
    ("secret", 0),
    ("terms", 0),
    ("crypto", 1),
    ("format", 2),
    ("record", 2),
    ("storage", 3),
    ("token", 3),
    ("audit", 3),
    ("consent", 3),
    ("keyring", 4),
    ("anchor", 4),
    ("backup", 4),
    ("sink", 4),
    ("monitor", 4),
    ("error", 5),
    ("log_export", 5),
    ("policy", 6),
    ("committer", 6),
    ("unlocked", 7),
    ("summary", 7),
    ("session", 8),
    ("vault", 9),
    ("nonblocking", 10),
    ("fuzzing", 10),
    ("test_util", 10),
    ("lib", 11),
    // The command line tool uses the public API alone.
    ("bin", 12),
];

/// Pairs on one floor where the first may use the second, because the second is a vocabulary of the first's floor.
const SAME_FLOOR: &[(&str, &str)] = &[("clock", "ids"), ("crypto", "crypto")];

const LARGEST: usize = 600;
const LARGEST_MEDIAN: usize = 200;

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The top-level modules that a source names as `crate::module`, with `use crate::{a, b}` taken apart.
fn imports(source: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let after = &code[at + "crate::".len()..];
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(word(item.trim()));
                        item.clear();
                    }
                    c => item.push(c),
                }
            }
            found.insert(word(item.trim()));
        } else {
            found.insert(word(after));
        }
    }
    found.remove("");
    found
}

#[test]
fn imports_point_strictly_down() {
    let mut wrong = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        let Some(floor) = floor_of(&module) else {
            panic!("{module} has no floor: {}", path.display());
        };
        let source = std::fs::read_to_string(&path).unwrap();
        for import in imports(&source) {
            let Some(below) = floor_of(&import) else { continue };
            let allowed = import == module || below < floor || SAME_FLOOR.contains(&(module.as_str(), import.as_str()));
            if !allowed {
                wrong.push(format!("{} (floor {floor}) imports {import} (floor {below})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_reader_reads_imports() {
    let source = "use crate::ids::{A, B};\nuse crate::{bytes::Put, crypto::{hash, kdf}, terms};\n// crate::vault\nfn f() { crate::clock::now() }";
    let expected = ["bytes", "clock", "crypto", "ids", "terms"];
    assert_eq!(imports(source).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn sled_has_one_door() {
    let doors: Vec<_> = sources()
        .into_iter()
        .filter(|path| {
            let source = std::fs::read_to_string(path).unwrap();
            source.lines().any(|line| line.split("//").next().unwrap_or("").contains("sled::"))
        })
        .collect();
    assert_eq!(doors.len(), 1, "{doors:?}");
    assert!(doors[0].ends_with("storage/trees.rs"), "{doors:?}");
}

#[test]
fn what_differs_between_platforms_has_one_room() {
    let names =
        ["std::os::", "cfg(unix", "cfg(not(unix", "cfg!(unix", "cfg(windows", "cfg!(windows", "target_os", "libc::"];
    for path in sources() {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        let test = path.ends_with("tests.rs") || inside.components().any(|part| part.as_os_str() == "tests");
        // The tool cannot use the library's room, which is not public, and has a small one of its own.
        if test || inside.starts_with("platform") || inside.ends_with("bin/chartvault/platform.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let found = names.iter().find(|name| source.contains(**name));
        assert_eq!(found, None, "{} is not the same on every platform", inside.display());
    }
}

#[test]
fn rooms_are_small() {
    let mut sizes: Vec<_> =
        sources().into_iter().map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path)).collect();
    sizes.sort();
    let (largest, path) = sizes.last().unwrap();
    assert!(*largest <= LARGEST, "{} has {largest} lines", path.display());
    assert!(sizes[sizes.len() / 2].0 <= LARGEST_MEDIAN, "the median file is too long");
}

#[test]
fn labels_stand_on_one_page() {
    for path in sources() {
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let labelled = code.clone().any(|line| line.contains("chartvault/v1/"));
        // Tests of the documented labels spell one out, so that they do not test the code against itself.
        let test = path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        assert!(!labelled || test || path.ends_with("crypto/kdf.rs"), "{} holds a label", path.display());
    }
}
