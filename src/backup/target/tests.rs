use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

fn all(target: &dyn BackupTarget, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    target.list(prefix, &mut |object| found.push((object.name, object.len))).unwrap();
    found
}

fn names(target: &dyn BackupTarget, prefix: &str) -> Vec<String> {
    all(target, prefix).into_iter().map(|(name, _)| name).collect()
}

fn created() -> (tempfile::TempDir, FolderTarget) {
    let dir = tempfile::tempdir().unwrap();
    let target = FolderTarget::create(dir.path().join("target")).unwrap();
    (dir, target)
}

#[test]
fn what_is_put_is_got_and_listed_and_removed() {
    let (dir, target) = created();
    assert_eq!(all(&target, ""), []);
    target.put_new("objects/00ff", b"sealed").unwrap();
    target.put_new("packs/0000000003/0001", b"").unwrap();
    let large = vec![7; 3 << 20];
    target.put_new("manifests/0000000012", &large).unwrap();
    drop(target);

    let target = FolderTarget::open(dir.path().join("target")).unwrap();
    assert_eq!(target.get("objects/00ff", 6).unwrap(), b"sealed");
    assert_eq!(target.get("packs/0000000003/0001", 0).unwrap(), b"");
    assert_eq!(target.get("manifests/0000000012", 20 << 20).unwrap(), large);
    let expected = [("manifests/0000000012", 3 << 20), ("objects/00ff", 6), ("packs/0000000003/0001", 0)];
    assert_eq!(all(&target, ""), expected.map(|(name, len)| (name.to_owned(), len)));
    target.delete("objects/00ff").unwrap();
    assert!(matches!(target.get("objects/00ff", 6), Err(TargetError::Absent { name }) if name == "objects/00ff"));
    assert!(matches!(target.delete("objects/00ff"), Err(TargetError::Absent { .. })));
    assert!(matches!(target.get("nowhere/0", 6), Err(TargetError::Absent { .. })));
    assert!(matches!(target.delete("nowhere/0"), Err(TargetError::Absent { .. })));
    target.put_new("objects/00ff", b"again").unwrap();
}

#[test]
fn what_is_there_is_never_replaced() {
    let (_dir, target) = created();
    target.put_new("objects/0", b"first").unwrap();
    for bytes in [&b"first"[..], b"second", b""] {
        assert!(matches!(target.put_new("objects/0", bytes), Err(TargetError::Exists { name }) if name == "objects/0"));
    }
    assert_eq!(target.get("objects/0", 10).unwrap(), b"first");
    // A folder of objects is no place for one.
    assert!(matches!(target.put_new("objects", b"x"), Err(TargetError::Exists { .. })));
    assert!(matches!(target.put_new("objects/0/1", b"x"), Err(TargetError::Refused { .. })));
}

#[test]
fn of_many_who_put_one_name_one_succeeds() {
    let (_dir, target) = created();
    for round in 0..20 {
        let name = format!("objects/{round}");
        let done = std::thread::scope(|scope| {
            let put = |by: u8| {
                let (target, name) = (&target, &name);
                scope.spawn(move || target.put_new(name, &vec![by; 5000]).map(|()| by))
            };
            [0, 1, 2, 3].map(put).map(|thread| thread.join().unwrap())
        });
        let won: Vec<u8> = done.iter().filter_map(|done| done.as_ref().ok().copied()).collect();
        assert_eq!(won.len(), 1, "{done:?}");
        let lost = done.iter().filter(|done| matches!(done, Err(TargetError::Exists { .. }))).count();
        assert_eq!(lost, 3, "{done:?}");
        assert_eq!(target.get(&name, 5000).unwrap(), vec![won[0]; 5000]);
    }
    assert_eq!(fs::read_dir(target_path(&target).join(".unfinished")).unwrap().count(), 0);
}

fn target_path(target: &FolderTarget) -> &Path {
    Path::new(target.name())
}

#[test]
fn no_more_is_read_than_was_asked_for() {
    let (_dir, target) = created();
    target.put_new("objects/0", &[1; 1000]).unwrap();
    assert_eq!(target.get("objects/0", 1000).unwrap(), [1; 1000]);
    assert!(matches!(
        target.get("objects/0", 999),
        Err(TargetError::TooLarge { name, len: 1000, limit: 999 }) if name == "objects/0"
    ));
    // A file that claims to be huge is not read, and no memory is asked for it.
    File::options().write(true).open(target_path(&target).join("objects/0")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(target.get("objects/0", 20 << 20), Err(TargetError::TooLarge { len, .. }) if len == 1 << 40));
}

#[test]
fn a_list_is_in_the_order_of_names_and_takes_a_beginning() {
    let (_dir, target) = created();
    let mut put: Vec<String> =
        (0..30).map(|n: u32| format!("objects/{:04x}", n.wrapping_mul(40_503) & 0xffff)).collect();
    put.extend(
        ["a/b/c", "a0", "a/b0", "objects0/1", "manifests/0000000001", "manifests/0000000010"].map(str::to_owned),
    );
    for name in &put {
        target.put_new(name, b"x").unwrap();
    }
    put.sort();
    assert_eq!(names(&target, ""), put, "of bytes of the names, over several readings of a folder");
    for prefix in
        ["objects/", "objects", "o", "objects/0", "objects/00", "manifests/000000001", "a/", "a/b/", "z", "z/", "a0/"]
    {
        let expected: Vec<_> = put.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
        assert_eq!(names(&target, prefix), expected, "{prefix}");
    }
    assert!(matches!(target.list("../", &mut drop), Err(TargetError::BadName { .. })));
}

#[test]
fn one_may_call_the_target_while_it_lists() {
    let (_dir, target) = created();
    for n in 0..20 {
        target.put_new(&format!("objects/{n}"), b"x").unwrap();
    }
    target.list("objects/", &mut |object| target.delete(&object.name).unwrap()).unwrap();
    assert_eq!(names(&target, ""), [""; 0]);
}

#[test]
fn bad_names_reach_no_file() {
    let (dir, target) = created();
    fs::write(dir.path().join("secret"), b"x").unwrap();
    for name in ["../secret", "/etc/passwd", "", "objects/../../secret", ".unfinished/0", "chartvault-backups.txt"] {
        assert!(matches!(target.get(name, 10), Err(TargetError::BadName { .. })), "{name}");
        assert!(matches!(target.put_new(name, b"x"), Err(TargetError::BadName { .. })), "{name}");
        assert!(matches!(target.delete(name), Err(TargetError::BadName { .. })), "{name}");
    }
}

#[test]
fn what_a_kill_leaves_is_no_object_and_goes_after_a_day() {
    let (dir, target) = created();
    target.put_new("objects/0", b"x").unwrap();
    let unfinished = target_path(&target).join(".unfinished");
    let (old, young) = (unfinished.join("00000001-00000000"), unfinished.join("00000002-00000000"));
    for path in [&old, &young] {
        fs::write(path, b"half of it").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(names(&target, ""), ["objects/0"]);
    let target = FolderTarget::open(dir.path().join("target")).unwrap();
    assert!(!old.exists() && young.exists(), "another process may still write the young one");
    assert_eq!(names(&target, ""), ["objects/0"]);
    target.put_new("objects/1", b"y").unwrap();
}

#[test]
fn a_folder_without_the_mark_is_no_target() {
    let dir = tempfile::tempdir().unwrap();
    let is_none = |opened: Result<FolderTarget, TargetError>| matches!(opened, Err(TargetError::NoTarget { .. }));
    assert!(is_none(FolderTarget::open(dir.path())), "an empty mount point");
    assert!(is_none(FolderTarget::open(dir.path().join("absent"))));
    assert!(is_none(FolderTarget::create(dir.path().join("absent/two"))));
    fs::write(dir.path().join("file"), b"").unwrap();
    assert!(is_none(FolderTarget::open(dir.path().join("file"))));
    FolderTarget::create(dir.path().join("file")).unwrap_err();
    // One that somebody made for it will do.
    fs::create_dir(dir.path().join("made")).unwrap();
    let target = FolderTarget::create(dir.path().join("made")).unwrap().named("second disk");
    assert_eq!(target.name(), "second disk");
    assert!(matches!(FolderTarget::create(dir.path().join("made")), Err(TargetError::Exists { .. })));
}

#[test]
fn a_file_in_the_place_of_the_folder_is_an_error_and_nothing_worse() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backups");
    let target = FolderTarget::create(&path).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, b"a file").unwrap();
    for name in ["manifests/0000000001", "objects/00"] {
        assert!(target.put_new(name, b"bytes").is_err());
        assert!(target.get(name, 10).is_err());
    }
    let folder = path.join("objects");
    assert!(matches!(target.make_folder(&folder, "objects/00"), Err(TargetError::Io { .. })));
}

#[test]
fn a_disk_that_goes_away_is_not_taken_for_an_empty_one() {
    let (dir, target) = created();
    target.put_new("objects/0", b"x").unwrap();
    let path = dir.path().join("target");
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    let gone = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Unreachable { retry: false, .. }));
    for round in 0..2 {
        assert!(gone(target.list("", &mut drop)), "{round}");
        assert!(gone(target.put_new("objects/1", b"x")), "{round}");
        assert!(gone(target.get("objects/0", 1).map(drop)), "{round}");
        assert!(gone(target.delete("objects/0")), "{round}");
        // The mount point without its disk.
        let _ = fs::create_dir(&path);
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing was written there");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (dir, target) = created();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("0"), b"not a backup").unwrap();
    let inside = target_path(&target).to_owned();
    fs::create_dir(inside.join("objects")).unwrap();
    symlink(outside.join("0"), inside.join("objects/0")).unwrap();
    symlink(&outside, inside.join("packs")).unwrap();
    let refused = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Refused { .. }));
    assert!(refused(target.get("objects/0", 100).map(drop)));
    assert!(refused(target.get("packs/0", 100).map(drop)));
    assert!(refused(target.put_new("packs/1", b"x")));
    assert!(refused(target.delete("packs/0")));
    assert!(refused(target.list("packs/", &mut drop)));
    assert!(matches!(target.put_new("objects/0", b"x"), Err(TargetError::Exists { .. })));
    assert_eq!(names(&target, ""), [""; 0]);
    symlink(&outside, inside.join(".unfinished")).unwrap();
    assert!(refused(target.put_new("objects/1", b"x")));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read(outside.join("0")).unwrap(), b"not a backup");

    // The folder itself may be a link: that is whoever opens it to say.
    symlink(&inside, dir.path().join("link")).unwrap();
    FolderTarget::open(dir.path().join("link")).unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_waits_for_a_pipe_in_the_place_of_an_object() {
    let (_dir, target) = created();
    target.put_new("objects/0", b"x").unwrap();
    let pipe = target_path(&target).join("objects/1");
    if !std::process::Command::new("mkfifo").arg(pipe).status().is_ok_and(|done| done.success()) {
        println!("no mkfifo here: skipped");
        return;
    }
    assert!(matches!(target.get("objects/1", 10), Err(TargetError::Refused { .. })));
    assert_eq!(names(&target, ""), ["objects/0"]);
}

/// A file system of its own, where this process may mount one.
#[cfg(target_os = "linux")]
struct Mounted(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Mounted {
    fn of(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Self::mount(&["-t", "tmpfs", "-o", options, "tmpfs"], dir.path());
        if !mounted {
            println!("this process may mount nothing: skipped");
        }
        mounted.then_some(Self(dir))
    }

    fn mount(arguments: &[&str], on: &Path) -> bool {
        let mut command = std::process::Command::new("mount");
        command.args(arguments).arg(on).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|done| done.success())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_full_and_keeps_nothing_of_what_did_not_fit() {
    let Some(disk) = Mounted::of("size=256k") else { return };
    let target = FolderTarget::create(disk.0.path().join("target")).unwrap();
    target.put_new("objects/0", &[1; 50_000]).unwrap();
    for _ in 0..3 {
        assert!(matches!(target.put_new("objects/1", &[2; 300_000]), Err(TargetError::Full)));
    }
    assert_eq!(all(&target, ""), [("objects/0".to_owned(), 50_000)]);
    target.put_new("objects/1", &[2; 100_000]).unwrap();
    assert_eq!(target.get("objects/1", 100_000).unwrap(), [2; 100_000]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_disk_is_read_and_refuses_the_rest() {
    let Some(disk) = Mounted::of("size=256k") else { return };
    let path = disk.0.path().join("target");
    FolderTarget::create(&path).unwrap().put_new("objects/0", b"sealed").unwrap();
    assert!(Mounted::mount(&["-o", "remount,ro"], disk.0.path()));
    let target = FolderTarget::open(&path).unwrap();
    assert_eq!(target.get("objects/0", 6).unwrap(), b"sealed");
    assert_eq!(names(&target, ""), ["objects/0"]);
    let refused = |done: Result<(), TargetError>| matches!(done, Err(TargetError::Refused { why, .. }) if why.contains("read-only"));
    assert!(refused(target.put_new("objects/1", b"x")));
    assert!(refused(target.delete("objects/0")));
    assert!(refused(FolderTarget::create(disk.0.path().join("other")).map(drop)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_was_unmounted_is_not_there() {
    let Some(disk) = Mounted::of("size=256k") else { return };
    let target = FolderTarget::create(disk.0.path()).unwrap();
    target.put_new("objects/0", b"sealed").unwrap();
    assert!(std::process::Command::new("umount").arg(disk.0.path()).status().unwrap().success());
    assert!(matches!(target.list("", &mut drop), Err(TargetError::Unreachable { retry: false, .. })));
    assert!(matches!(target.put_new("objects/1", b"x"), Err(TargetError::Unreachable { .. })));
    assert!(matches!(FolderTarget::open(disk.0.path()), Err(TargetError::NoTarget { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn another_error_of_the_disk_is_told_with_its_file() {
    let Some(disk) = Mounted::of("size=256k") else { return };
    let target = FolderTarget::create(disk.0.path().join("target")).unwrap();
    // Nothing can be renamed to another disk.
    let inner = disk.0.path().join("target/objects");
    fs::create_dir(&inner).unwrap();
    assert!(Mounted::mount(&["-t", "tmpfs", "tmpfs"], &inner));
    let error = target.put_new("objects/0", b"x").unwrap_err();
    assert!(std::process::Command::new("umount").arg(&inner).status().unwrap().success());
    let TargetError::Io { what, source } = error else { panic!("{error}") };
    assert!(what.contains("objects/0"), "{what}");
    assert_eq!(source.kind(), ErrorKind::CrossesDevices);
    assert_eq!(fs::read_dir(disk.0.path().join("target/.unfinished")).unwrap().count(), 0);
}

#[test]
fn names_may_be_long_and_deep() {
    let (_dir, target) = created();
    let (long, deep) = ("a".repeat(200), format!("{}a", "a/".repeat(99)));
    target.put_new(&deep, b"x").unwrap();
    target.put_new(&format!("b{}", &long[1..]), b"x").unwrap();
    assert_eq!(names(&target, "").len(), 2);
    assert_eq!(names(&target, "a"), [deep]);
}

#[test]
fn every_error_says_what_to_do() {
    let name = || "objects/0".to_owned();
    let errors = [
        (TargetError::Exists { name: name() }, "never replaced"),
        (TargetError::Absent { name: name() }, "is not there"),
        (TargetError::TooLarge { name: name(), len: 10, limit: 9 }, "more than the 9"),
        (TargetError::Refused { name: name(), why: "locked".to_owned() }, "locked"),
        (TargetError::Full, "make room"),
        (TargetError::Unreachable { why: "no route".to_owned(), retry: true }, "(no route); try again later"),
        (TargetError::Unreachable { why: "no route".to_owned(), retry: false }, "(no route)"),
        (TargetError::BadName { name: "..".to_owned() }, "is no name"),
        (TargetError::NoTarget { path: "/mnt".into() }, "mount its disk"),
        (TargetError::Settings { why: "no bucket".to_owned() }, "no bucket"),
        (
            TargetError::Io { what: "reading /mnt/x".to_owned(), source: io::Error::from(ErrorKind::Other) },
            "reading /mnt/x",
        ),
    ];
    for (error, says) in errors {
        assert!(error.to_string().contains(says), "{error}");
    }
}
