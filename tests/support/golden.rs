//! The vault of format version 1 that is kept in the repository; tests/formats/golden.rs says how it was made.

use std::fs;
use std::path::{Path, PathBuf};

pub const PASSPHRASE: &str = "golden correct horse battery staple";

/// Takes so many bytes off the front.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(len);
    *rest = behind;
    taken
}

/// Puts its files into a directory.
pub fn unpack(path: &Path) {
    unpack_from(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/vault.zst"), path);
}

/// Packs a vault's files, as they are told, into one.
pub fn pack(path: &Path, files: &[PathBuf], into: &Path) {
    let mut archive = Vec::new();
    for file in files.iter().filter(|file| file.as_os_str() != "lock") {
        let (name, content) = (file.to_str().unwrap(), fs::read(path.join(file)).unwrap());
        archive.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        archive.extend(name.as_bytes());
        archive.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        archive.extend(content);
    }
    fs::write(into, zstd::encode_all(&archive[..], 19).unwrap()).unwrap();
}

/// Puts the files of a packed vault into a directory.
pub fn unpack_from(packed: &Path, path: &Path) {
    let packed = fs::read(packed).unwrap();
    let archive = zstd::decode_all(&packed[..]).unwrap();
    let mut rest = &archive[..];
    while !rest.is_empty() {
        let len = u16::from_le_bytes(take(&mut rest, 2).try_into().unwrap());
        let file = path.join(std::str::from_utf8(take(&mut rest, usize::from(len))).unwrap());
        let len = u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, take(&mut rest, usize::try_from(len).unwrap())).unwrap();
    }
    fs::create_dir_all(path.join("sled-1/blobs")).unwrap();
}
