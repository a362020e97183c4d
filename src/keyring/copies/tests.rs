use std::fs;

use super::*;
use crate::crypto::aead::Suite;
use crate::crypto::hash::HmacKey;
use crate::format::header::HeaderContent;
use crate::format::slot::{Slot, SlotParams};

fn header_of(vault: u8, generation: u64, keyring: &[u8]) -> Vec<u8> {
    let sealed_root = [&[1][..], &[5; 144]].concat();
    let created = crate::clock::Timestamp::from_micros(0);
    let slot = Slot { number: 0, created, label: String::new(), params: SlotParams::RawKey, sealed_root };
    HeaderContent {
        vault: VaultId::from_bytes([vault; 16]),
        generation,
        suites: vec![Suite::ChaCha20Poly1305],
        slots: vec![slot],
        sealed_keyring: keyring.to_vec(),
    }
    .encode(&HmacKey::new(&[9; 32]))
    .unwrap()
}

fn header(generation: u64) -> Vec<u8> {
    header_of(1, generation, &[3; 300])
}

fn parsed(bytes: &[u8]) -> UnverifiedHeader {
    UnverifiedHeader::parse(bytes).unwrap()
}

struct Vault(tempfile::TempDir);

impl Vault {
    fn new(header: &[u8]) -> Self {
        let vault = Self(tempfile::tempdir().unwrap());
        create(vault.dir(), header).unwrap();
        vault
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn a(&self) -> PathBuf {
        self.dir().join(NAME_A)
    }

    fn b(&self) -> PathBuf {
        self.dir().join(NAME_B)
    }
}

#[test]
fn what_was_created_and_changed_is_read_back() {
    let vault = Vault::new(&header(1));
    for generation in 1..6 {
        let copies = read(vault.dir()).unwrap();
        assert_eq!((copies.chosen, copies.other), (parsed(&header(generation)), OtherCopy::Same));
        write(vault.dir(), &header(generation + 1)).unwrap();
    }
    assert_eq!(fs::metadata(vault.a()).unwrap().len(), 4096);
}

#[test]
fn an_existing_vault_is_not_overwritten_and_a_missing_one_is_named() {
    let vault = Vault::new(&header(1));
    let refused = create(vault.dir(), &header(7));
    assert!(matches!(refused, Err(HeaderFileError::AlreadyExists { path }) if path == vault.a()));
    assert_eq!(read(vault.dir()).unwrap().chosen.generation(), 1);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(read(empty.path()), Err(HeaderFileError::NotAVault { dir }) if dir == empty.path()));
}

/// What a medium leaves that was unmounted between reading and writing, or the wrong one in its place.
#[test]
fn a_changed_header_is_written_over_copies_of_its_own_and_nowhere_else() {
    let empty = tempfile::tempdir().unwrap();
    let refused = write(empty.path(), &header(2));
    assert!(matches!(&refused, Err(HeaderFileError::NotAVault { dir }) if dir == empty.path()), "{refused:?}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    let gone = empty.path().join("stick");
    assert!(matches!(write(&gone, &header(2)), Err(HeaderFileError::NotAVault { .. })));
    assert!(!gone.exists());
    let theirs = Vault::new(&header_of(2, 1, &[]));
    let refused = write(theirs.dir(), &header(2));
    let (found, vault) = (VaultId::from_bytes([2; 16]), VaultId::from_bytes([1; 16]));
    assert!(
        matches!(&refused, Err(HeaderFileError::HeaderOfAnotherVault { found: f, vault: v }) if (*f, *v) == (found, vault)),
        "{refused:?}"
    );
    assert_eq!(read(theirs.dir()).unwrap().chosen, parsed(&header_of(2, 1, &[])));
}

#[test]
fn only_headers_are_written() {
    let vault = Vault::new(&header(1));
    let mut damaged = header(2);
    damaged[40] ^= 1;
    assert!(matches!(write(vault.dir(), &damaged), Err(HeaderFileError::Header(HeaderError::Corrupt))));
    assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Same);
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(create(other.path(), &damaged), Err(HeaderFileError::Header(HeaderError::Corrupt))));
    assert!(matches!(read(other.path()), Err(HeaderFileError::NotAVault { .. })));
}

/// A change torn anywhere in the copy that is written first: the other still stands, and a repair heals both.
#[test]
fn a_change_torn_in_its_first_copy_leaves_the_old_header() {
    let (old, new) = (header(1), header(2));
    for cut in (1..old.len()).step_by(37) {
        let vault = Vault::new(&old);
        let [first, _] = in_writing_order(vault.dir());
        fs::write(&first, [&new[..cut], &old[cut..]].concat()).unwrap();
        let copies = read(vault.dir()).unwrap();
        assert_eq!(copies.chosen, parsed(&old), "cut {cut}");
        // A cut before the first difference leaves the old copy whole.
        let fault = OtherCopy::Unusable(CopyFault::Header(HeaderError::Corrupt));
        assert!(copies.other == fault || (cut < 38 && copies.other == OtherCopy::Same), "cut {cut}");
        write(vault.dir(), &old).unwrap();
        assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Same);
    }
}

#[test]
fn a_change_interrupted_between_the_copies_is_seen() {
    let vault = Vault::new(&header(1));
    for newer in [vault.a(), vault.b()] {
        write(vault.dir(), &header(1)).unwrap();
        fs::write(newer, header(2)).unwrap();
        let copies = read(vault.dir()).unwrap();
        assert_eq!(copies.chosen, parsed(&header(2)));
        assert_eq!(copies.other, OtherCopy::Older(parsed(&header(1))));
    }
}

#[test]
fn the_copy_that_matters_less_is_written_first() {
    let vault = Vault::new(&header(5));
    fs::write(vault.a(), header(6)).unwrap();
    assert_eq!(in_writing_order(vault.dir()), [vault.b(), vault.a()]);
    fs::write(vault.b(), header(7)).unwrap();
    assert_eq!(in_writing_order(vault.dir()), [vault.a(), vault.b()]);
    fs::write(vault.b(), b"damaged").unwrap();
    assert_eq!(in_writing_order(vault.dir()), [vault.b(), vault.a()]);
    fs::remove_file(vault.a()).unwrap();
    fs::write(vault.b(), header(7)).unwrap();
    assert_eq!(in_writing_order(vault.dir()), [vault.a(), vault.b()]);
}

/// The older copy still holds a slot that was removed; a flipped bit makes the newer one unusable. What is chosen says
/// its generation and that the other is damaged, so that the journal's generation can be asked.
#[test]
fn one_bit_flipped_in_the_newer_header_does_not_hide_that_it_was_there() {
    let vault = Vault::new(&header(1));
    fs::write(vault.a(), header(2)).unwrap();
    for bit in (0..header(2).len() * 8).step_by(13) {
        let mut flipped = header(2);
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(vault.a(), flipped).unwrap();
        let copies = read(vault.dir()).unwrap();
        assert_eq!(copies.chosen.generation(), 1, "bit {bit}");
        assert_eq!(copies.other, OtherCopy::Unusable(CopyFault::Header(HeaderError::Corrupt)), "bit {bit}");
    }
}

#[test]
fn both_damaged_or_of_two_vaults_is_an_error_that_names_each() {
    let vault = Vault::new(&header(1));
    fs::remove_file(vault.b()).unwrap();
    assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Unusable(CopyFault::Missing));
    fs::write(vault.a(), b"").unwrap();
    let error = read(vault.dir()).unwrap_err();
    let corrupt = CopyFault::Header(HeaderError::Corrupt);
    assert!(
        matches!(&error, HeaderFileError::BothUnusable { a, b: CopyFault::Missing, .. } if *a == corrupt),
        "{error}"
    );
    fs::write(vault.a(), header_of(1, 4, &[])).unwrap();
    fs::write(vault.b(), header_of(2, 9, &[])).unwrap();
    assert!(matches!(read(vault.dir()), Err(HeaderFileError::DifferentVaults { a, b, .. })
        if a == VaultId::from_bytes([1; 16]) && b == VaultId::from_bytes([2; 16])));
}

#[test]
fn the_same_generation_with_other_content_is_seen() {
    let vault = Vault::new(&header(3));
    let other = header_of(1, 3, &[4; 10]);
    fs::write(vault.b(), &other).unwrap();
    let copies = read(vault.dir()).unwrap();
    assert_eq!((copies.chosen, copies.other), (parsed(&header(3)), OtherCopy::Differs(parsed(&other))));
}

/// A removed slot must not survive behind the end of a header that has become shorter.
#[test]
fn nothing_of_a_longer_header_stays_behind() {
    let canary = b"an old slot or keyring";
    let vault = Vault::new(&header_of(1, 1, &canary.repeat(500)));
    write(vault.dir(), &header(2)).unwrap();
    for path in [vault.a(), vault.b()] {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len() % 4096, 0);
        assert!(bytes.len() > 8192 && !bytes.windows(canary.len()).any(|window| window == canary));
    }
    assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Same);
}

#[test]
fn the_largest_header_fits_and_a_longer_file_is_damage() {
    let fixed = header_of(1, 1, &[]).len();
    let largest = header_of(1, 1, &vec![6; MAX_HEADER - fixed]);
    let vault = Vault::new(&largest);
    assert_eq!(read(vault.dir()).unwrap().chosen, parsed(&largest));
    fs::write(vault.b(), [&largest[..], &[0]].concat()).unwrap();
    assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Unusable(CopyFault::Header(HeaderError::Corrupt)));
    write(vault.dir(), &header(2)).unwrap();
    assert_eq!(read(vault.dir()).unwrap().other, OtherCopy::Same);
    assert_eq!(fs::metadata(vault.b()).unwrap().len(), 65_536);
}

#[test]
fn a_directory_in_place_of_a_copy_is_an_error_that_names_it() {
    let vault = Vault::new(&header(1));
    fs::remove_file(vault.b()).unwrap();
    fs::create_dir(vault.b()).unwrap();
    assert!(matches!(read(vault.dir()).unwrap().other, OtherCopy::Unusable(CopyFault::Unreadable(_))));
    let error = write(vault.dir(), &header(2)).unwrap_err();
    assert!(matches!(&error, HeaderFileError::Io { doing: "opening", path, .. } if *path == vault.b()), "{error}");
    assert_eq!(read(vault.dir()).unwrap().chosen.generation(), 1);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_copies() {
    let vault = Vault::new(&header(1));
    for path in [vault.a(), vault.b()] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
