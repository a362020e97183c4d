//! Key files and shares, as far as the system has a say in them: permissions, random bytes.

use chartvault::test_util::{Resource, without};
use chartvault::*;

#[test]
fn without_random_bytes_no_key_file_is_made_and_no_key_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clinic.key");
    let dry = without(Resource::RandomBytes);
    let refused = KeyFile::create(&path, VaultId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(KeyFileError::Random(_))), "{refused:?}");
    assert!(!path.exists());
    let refused = SharedKey::split(3, 5);
    assert!(matches!(refused, Err(ShareError::Random(_))), "{refused:?}");
    drop(dry);
    SharedKey::split(3, 5).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_open_is_refused_unless_that_is_asked_for() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clinic.key");
    KeyFile::create(&path, VaultId::from_bytes([7; 16])).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = KeyFile::read(&path);
        assert!(matches!(refused, Err(KeyFileError::TooOpen { mode: found, .. }) if found == mode), "{refused:?}");
        KeyFile::read_shared(&path).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    KeyFile::read(&path).unwrap();
}
