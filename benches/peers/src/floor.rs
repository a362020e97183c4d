//! What nothing can be faster than: the bytes that one put of chartvault writes, appended and synced; and the ciphers.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use chacha20poly1305::aead::{Aead, KeyInit};

use crate::clinic::{Peer, VALUE, values};

/// Bytes of the zero-filled file.
const FILE: usize = 64 << 20;

/// Bytes that one put adds to the journal of a new vault.
pub fn bytes_of_a_put(ours: &Peer, dir: &Path) -> usize {
    const SAMPLE: usize = 200;
    let own = tempfile::tempdir_in(dir).unwrap();
    let clinic = (ours.create)(own.path(), 1);
    let mut desk = clinic.desk();
    let value = &values()[0];
    // The kind, too, is written with its first record.
    desk.put(0, value);
    let before = written(&own.path().join("vault/journal"));
    (0..SAMPLE).for_each(|_| desk.put(0, value));
    let after = written(&own.path().join("vault/journal"));
    drop(desk);
    clinic.close();
    (after - before) / SAMPLE
}

/// Bytes of files up to the last that is not zero: segments are filled with zeros beforehand.
fn written(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.map(|bytes| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)).sum()
}

/// Appends of so many bytes into a file that was filled with zeros, each synced: a second.
pub fn append_and_sync(dir: &Path, len: usize, time: Duration) -> f64 {
    let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..FILE >> 20).for_each(|_| file.write_all(&zeros).unwrap());
    file.as_file().sync_all().unwrap();
    let mut file = File::options().write(true).open(file.path()).unwrap();
    let bytes = vec![0xA5; len];
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < time && done < FILE / len {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// One cipher's times for a value, in nanoseconds, with a key that was expanded before.
pub struct Cipher {
    pub name: &'static str,
    pub seal: f64,
    pub open: f64,
}

pub fn ciphers(time: Duration) -> [Cipher; 2] {
    [
        cipher("ChaCha20-Poly1305", &chacha20poly1305::ChaCha20Poly1305::new(&[7; 32].into()), time),
        cipher("AES-256-GCM", &aes_gcm::Aes256Gcm::new(&[7; 32].into()), time),
    ]
}

fn cipher(name: &'static str, aead: &impl Aead, time: Duration) -> Cipher {
    let (value, nonce) = (vec![0xA5_u8; VALUE], Default::default());
    let sealed = aead.encrypt(&nonce, value.as_slice()).unwrap();
    let seal = nanos(time, || drop(black_box(aead.encrypt(&nonce, black_box(value.as_slice())).unwrap())));
    let open = nanos(time, || drop(black_box(aead.decrypt(&nonce, black_box(sealed.as_slice())).unwrap())));
    Cipher { name, seal, open }
}

fn nanos(time: Duration, work: impl Fn()) -> f64 {
    let (start, mut turns) = (Instant::now(), 0);
    while start.elapsed() < time {
        (0..1_000).for_each(|_| work());
        turns += 1_000;
    }
    start.elapsed().as_nanos() as f64 / f64::from(turns)
}
