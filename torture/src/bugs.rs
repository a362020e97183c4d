//! `bugs`: puts known bugs into a copy of the library, one at a time, and demands that `quick` finds each.

use std::fs;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::bench::{clear, files_in};

/// What is copied of the repository.
const PARTS: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "README.md", "src", "derive", "torture", "benches", "examples", "docs"];

/// Applies, builds and tortures each bug, or those named. `check` only applies them.
pub(crate) fn run(names: &[String], seed: u64, check: bool) -> io::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| Error::other("no repository"))?.to_owned();
    let work = root.join("target").join("torture-bugs");
    let tree = work.join("tree");
    let mut patches: Vec<PathBuf> = files_in(&root.join("torture/bugs"))?;
    patches.retain(|patch| {
        names.is_empty()
            || names.iter().any(|name| Some(name.as_str()) == patch.file_stem().and_then(|stem| stem.to_str()))
    });
    if patches.is_empty() {
        return Err(Error::other("there is no such bug in torture/bugs"));
    }
    let (mut missed, mut table) =
        (Vec::new(), String::from("\n| bug | found by | after cases | seconds |\n|---|---|---:|---:|\n"));
    for patch in patches {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let patch = fs::read(root.join("torture/bugs").join(&patch))?;
        copy_tree(&root, &tree)?;
        if !apply(&tree, &patch)? {
            println!("{name}: the patch does not apply to the present tree any more; make it anew");
            missed.push(name);
            continue;
        }
        if check {
            println!("{name}: applies");
            continue;
        }
        let started = Instant::now();
        let built = Command::new("cargo")
            .args(["build", "--release", "--quiet", "-p", "torture"])
            .current_dir(&tree)
            .env("CARGO_TARGET_DIR", work.join("target"))
            // One bug changes one file.
            .env("CARGO_INCREMENTAL", "1")
            .status()?;
        if !built.success() {
            return Err(Error::other(format!("{name} does not build")));
        }
        let program = work.join("target/release/torture");
        let expected = way_of(&patch);
        let mut output = torture(&program, expected.as_deref(), seed)?;
        if output.status.success() && expected.is_some() {
            println!("{name}: {} did not find it; now all ways", expected.unwrap_or_default());
            output = torture(&program, None, seed)?;
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let seconds = started.elapsed().as_secs();
        if output.status.success() {
            println!("{name}: NOT FOUND in {seconds} s");
            missed.push(name);
            continue;
        }
        if output.status.code() != Some(1) && !said.contains("undisturbed") {
            return Err(Error::other(format!("{name}: the torture itself failed: {said}")));
        }
        let (way, cases) = found_by(&said);
        println!("{name}: found by {way} after {cases} cases, {seconds} s with building");
        println!("    {}", said.lines().find(|line| line.contains("BAD ")).unwrap_or(said.trim()).trim());
        table.push_str(&format!("| {name} | {way} | {cases} | {seconds} |\n"));
    }
    if check {
        println!(
            "{}",
            if missed.is_empty() { "all apply".to_owned() } else { format!("to be made anew: {}", missed.join(", ")) }
        );
        return Ok(missed.is_empty());
    }
    println!("{table}");
    println!("{}", if missed.is_empty() { "all found".to_owned() } else { format!("MISSED: {}", missed.join(", ")) });
    Ok(missed.is_empty())
}

/// The way that is expected to find a bug, by a line of its patch: it is tried first, and alone.
fn way_of(patch: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(patch);
    text.lines().find_map(|line| line.strip_prefix("Way: ")).map(str::to_owned)
}

fn torture(program: &Path, way: Option<&str>, seed: u64) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.arg("quick").args(way).args(["--first", "--seed", &seed.to_string()]).stdin(Stdio::null()).output()
}

/// The last way that ran, and its number of cases. A vault that cannot even be prepared counts as found by that.
fn found_by(said: &str) -> (String, String) {
    let mut summary = said.lines().filter_map(|line| {
        let (way, rest) = line.split_once(": ")?;
        Some((way.to_owned(), rest.split_once(" cases, ")?.0.to_owned()))
    });
    summary.next_back().unwrap_or_else(|| ("the workload itself".into(), "0".into()))
}

fn copy_tree(root: &Path, tree: &Path) -> io::Result<()> {
    clear(tree)?;
    for part in PARTS {
        let (from, to) = (root.join(part), tree.join(part));
        if from.is_file() {
            fs::copy(&from, &to)?;
            continue;
        }
        for file in files_in(&from)? {
            let target = to.join(&file);
            fs::create_dir_all(target.parent().unwrap_or(&to))?;
            fs::copy(from.join(&file), target)?;
        }
    }
    Ok(())
}

fn apply(tree: &Path, patch: &[u8]) -> io::Result<bool> {
    let file = tree.join("bug.patch");
    fs::write(&file, patch)?;
    // With directories above that may be a repository of their own, `git apply` would look there.
    let mut command = Command::new("patch");
    command.args(["-p1", "--fuzz=0", "--no-backup-if-mismatch", "--silent", "-i", "bug.patch"]).current_dir(tree);
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}
