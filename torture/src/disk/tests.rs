use super::*;

const FATES: [Fate; 5] =
    [Fate::AllLost, Fate::AllKept, Fate::ContentsLost, Fate::NamesLost, Fate::Torn { sector: 512, kept: 50 }];

fn disk(model: Model) -> Disk {
    Disk::load(model, Path::new("/top"), Path::new("/nonexistent")).unwrap()
}

fn call(disk: &mut Disk, number: u64, what: &What) {
    disk.enter(number, what);
    disk.leave(number, 0);
}

fn create(disk: &mut Disk, number: u64, path: &str) {
    call(disk, number, &What::Create { path: path.into(), existed: false, empties: false });
}

fn write(disk: &mut Disk, number: u64, path: &str, offset: u64, data: &[u8]) {
    let (len, data) = (data.len(), data.to_vec());
    call(disk, number, &What::Write { path: path.into(), offset, len, data });
}

fn contents(disk: &Disk, fate: Fate, path: &str) -> Option<Vec<u8>> {
    let image = disk.image(fate, &mut Rng::of(1, &[]));
    image.into_iter().find(|(name, _)| name == Path::new(path)).and_then(|(_, bytes)| bytes).map(|bytes| bytes.to_vec())
}

#[test]
fn what_was_synced_is_in_every_image() {
    for model in MODELS {
        let mut disk = disk(model);
        create(&mut disk, 1, "/top/file");
        write(&mut disk, 2, "/top/file", 0, b"synced");
        call(&mut disk, 3, &What::Sync { path: "/top/file".into() });
        call(&mut disk, 4, &What::Sync { path: "/top".into() });
        write(&mut disk, 5, "/top/file", 0, b"loose!");
        for fate in FATES {
            let found = contents(&disk, fate, "file").unwrap();
            assert!(found == b"synced" || (found == b"loose!" && fate != Fate::AllLost), "{fate:?}");
        }
        assert_eq!(contents(&disk, Fate::AllLost, "file").unwrap(), b"synced");
        assert_eq!(contents(&disk, Fate::AllKept, "file").unwrap(), b"loose!");
    }
}

#[test]
fn a_name_that_its_directory_did_not_sync_can_be_lost_with_its_contents_safe() {
    let mut disk = disk(Model::Range);
    create(&mut disk, 1, "/top/next.tmp");
    write(&mut disk, 2, "/top/next.tmp", 0, b"frame");
    call(&mut disk, 3, &What::Sync { path: "/top/next.tmp".into() });
    call(&mut disk, 4, &What::Sync { path: "/top".into() });
    call(&mut disk, 5, &What::Rename { from: "/top/next.tmp".into(), to: "/top/1.cvj".into() });
    assert_eq!(contents(&disk, Fate::AllLost, "1.cvj"), None);
    assert_eq!(contents(&disk, Fate::AllLost, "next.tmp").unwrap(), b"frame");
    assert_eq!(contents(&disk, Fate::AllKept, "1.cvj").unwrap(), b"frame");
    call(&mut disk, 6, &What::Sync { path: "/top".into() });
    assert_eq!(contents(&disk, Fate::AllLost, "1.cvj").unwrap(), b"frame");
}

#[test]
fn the_models_differ_in_what_a_range_sync_is_worth() {
    let kept = MODELS.map(|model| {
        let mut disk = disk(model);
        create(&mut disk, 1, "/top/db");
        write(&mut disk, 2, "/top/db", 0, b"....");
        call(&mut disk, 3, &What::Sync { path: "/top/db".into() });
        call(&mut disk, 4, &What::Sync { path: "/top".into() });
        write(&mut disk, 5, "/top/db", 0, b"in");
        write(&mut disk, 6, "/top/db", 4, b"on");
        call(&mut disk, 7, &What::Range { path: "/top/db".into() });
        String::from_utf8(contents(&disk, Fate::AllLost, "db").unwrap()).unwrap()
    });
    assert_eq!(kept, ["in..on", "in..", "...."]);
}

#[test]
fn a_call_that_failed_or_did_not_come_back_is_not_durable_after_a_sync() {
    let mut disk = disk(Model::Range);
    create(&mut disk, 1, "/top/file");
    call(&mut disk, 2, &What::Sync { path: "/top".into() });
    let late = What::Write { path: "/top/file".into(), offset: 0, len: 4, data: b"late".to_vec() };
    disk.enter(3, &late);
    call(&mut disk, 4, &What::Sync { path: "/top/file".into() });
    assert_eq!(contents(&disk, Fate::AllLost, "file").unwrap(), b"");
    disk.leave(3, -5);
    assert_eq!(contents(&disk, Fate::AllKept, "file").unwrap(), b"");
}
