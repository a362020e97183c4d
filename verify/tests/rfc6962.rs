//! The public vectors of transparency-dev/merkle, where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use chartvault_verify::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use data_encoding::BASE64;
use serde_json::Value;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/vectors/rfc6962");

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn number(case: &Value, name: &str) -> u64 {
    case[name].as_u64().unwrap_or_else(|| panic!("{name} in {case}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap_or_default().as_bytes()).unwrap()
}

/// Some have a few words in the place of a hash, where it is only to be compared: those become hashes, as different ones as
/// they are different words.
fn hash(value: &Value) -> Hash {
    let bytes = bytes(value);
    bytes.as_slice().try_into().unwrap_or_else(|_| leaf_hash(&bytes))
}

fn proof(case: &Value) -> Vec<Hash> {
    case["proof"].as_array().map_or(Vec::new(), |hashes| hashes.iter().map(hash).collect())
}

/// Runs each file of a folder; gives how many were to hold and how many not.
fn each(folder: &str, holds: impl Fn(&Value) -> bool) -> (usize, usize) {
    let dir = Path::new(VECTORS).join(folder);
    if !dir.is_dir() {
        println!("{} is not there: skipped", dir.display());
        return (0, 0);
    }
    let mut found = Vec::new();
    files(&dir, &mut found);
    assert!(found.len() > 20, "{found:?}");
    let (mut good, mut bad) = (0, 0);
    for path in found {
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let wanted = !case["wantErr"].as_bool().unwrap();
        assert_eq!(holds(&case), wanted, "{}: {}", path.display(), case["desc"]);
        *(if wanted { &mut good } else { &mut bad }) += 1;
    }
    (good, bad)
}

#[test]
fn inclusion() {
    let counted = each("inclusion", |case| {
        let (index, size) = (number(case, "leafIdx"), number(case, "treeSize"));
        // Of another length than a hash, neither can even be said.
        let (leaf, root) = (bytes(&case["leafHash"]), bytes(&case["root"]));
        let (Ok(leaf), Ok(root)) = (leaf.try_into(), root.try_into()) else { return false };
        verify_inclusion(&leaf, index, size, &proof(case), &root).is_ok()
    });
    println!("{counted:?}");
}

#[test]
fn consistency() {
    let counted = each("consistency", |case| {
        let (old, new) = (number(case, "size1"), number(case, "size2"));
        let (old_root, new_root) = (hash(&case["root1"]), hash(&case["root2"]));
        verify_consistency((old, &old_root), (new, &new_root), &proof(case)).is_ok()
    });
    println!("{counted:?}");
}

/// A subtree that stands where it may is a tree of its own, and an inclusion in it one there.
#[test]
fn inclusion_in_subtrees() {
    let counted = each("subtreeinclusion", |case| {
        let (index, start, end) = (number(case, "leafIdx"), number(case, "start"), number(case, "end"));
        let (leaf, root) = (bytes(&case["leafHash"]), bytes(&case["root"]));
        let (Ok(leaf), Ok(root)) = (leaf.try_into(), root.try_into()) else { return false };
        let (Some(size), Some(index)) = (end.checked_sub(start), index.checked_sub(start)) else { return false };
        let power = size.checked_next_power_of_two();
        let stands = size > 0 && power.is_some_and(|power| start.is_multiple_of(power));
        stands && verify_inclusion(&leaf, index, size, &proof(case), &root).is_ok()
    });
    println!("{counted:?}");
}
