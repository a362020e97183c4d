//! Manifests: what a backup consists of, as a signed text (docs/format/backup.md). Each names the one before by its hash.

use std::fmt::Write as _;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};

use super::fault::BackupFault;
use super::object::ObjectId;
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::crypto::sign::SigningSeed;
use crate::ids::VaultId;
use crate::storage::copy::{JournalFile, Part};

mod signed;

pub use signed::BackupKey;
pub(crate) use signed::{SignedManifest, origin, sign as sign_text, signed_text, vault_of};

/// The newest format that this version writes and reads.
pub(crate) const FORMAT: u64 = 1;
/// Objects that one manifest may name, so that it stays below the 64 KiB of a signed note.
pub(crate) const MAX_OBJECTS: usize = 128;
/// Bytes of a manifest, at most.
pub(crate) const MAX_LEN: usize = 64 << 10;

/// An object of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Under which it is kept.
    pub(crate) name: ObjectId,
    /// Bytes of it as it is kept, sealed or not.
    pub(crate) stored: u64,
    /// SHA-256 of these.
    pub(crate) sha256: [u8; 32],
    /// What it holds.
    pub(crate) part: Part,
}

/// A key pack, and what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackRef {
    pub(crate) number: u64,
    /// Of the header in it.
    pub(crate) header_generation: u64,
    /// In the ledger in it.
    pub(crate) erasures: u64,
}

/// Where copied bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) file: JournalFile,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// The first byte of it that was not copied.
    pub(crate) at: u64,
}

/// The last frame of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) frame: u64,
    pub(crate) hash: [u8; 32],
    /// Audit entries through it.
    pub(crate) entries: u64,
    /// Number of the oldest that is kept.
    pub(crate) first_entry: u64,
    /// Root of the log's tree over them; a log of which no tree could be built has none.
    pub(crate) root: Option<[u8; 32]>,
}

/// One manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) vault: VaultId,
    /// 1, 2, 3 …
    pub(crate) number: u64,
    pub(crate) made: Timestamp,
    /// SHA-256 of the manifest before, signatures included; nothing in the first.
    pub(crate) previous: Option<[u8; 32]>,
    /// The manifest with which the copy that this one goes on with begins, and bytes of the journal in it so far.
    pub(crate) chain: (u64, u64),
    /// Whether the objects are sealed with age.
    pub(crate) sealed: bool,
    /// Of the header in force.
    pub(crate) header_generation: u64,
    /// The oldest and newest data epoch of which the vault had the key.
    pub(crate) data_epochs: (u32, u32),
    /// Erasures in the ledger.
    pub(crate) erasures: u64,
    /// The key pack without which nothing is restored, if one was made.
    pub(crate) pack: Option<PackRef>,
    /// Where the bytes of all manifests of the chain end.
    pub(crate) end: End,
    /// Whether they reach to the tip; else the copy goes on in the next manifest.
    pub(crate) whole: bool,
    /// Where the journal ended when it was made.
    pub(crate) tip: Tip,
    pub(crate) pieces: Vec<Piece>,
}

impl Manifest {
    /// `manifests/0000000012`
    pub(crate) fn name_of(number: u64) -> String {
        format!("manifests/{number:010}")
    }

    /// The number in a name of a manifest.
    pub(crate) fn number_in(name: &str) -> Option<u64> {
        let number = name.strip_prefix("manifests/")?.parse().ok()?;
        (Self::name_of(number) == name).then_some(number)
    }

    /// The text that is signed.
    pub(crate) fn text(&self) -> String {
        let hex = |hash: &[u8; 32]| HEXLOWER.encode(hash);
        let mut out = String::new();
        let previous = self.previous.as_ref().map_or_else(|| "none".to_owned(), hex);
        let (oldest, newest) = self.data_epochs;
        let End { file, size, at } = self.end;
        let Tip { frame, hash, entries, first_entry, root } = &self.tip;
        let root = root.as_ref().map_or_else(|| "none".to_owned(), |root| BASE64.encode(root));
        let pack = self.pack.map_or_else(
            || "none".to_owned(),
            |PackRef { number, header_generation, erasures }| format!("{number} {header_generation} {erasures}"),
        );
        let (chain, bytes) = self.chain;
        let lines = [
            origin(self.vault),
            format!("format {FORMAT}"),
            format!("number {}", self.number),
            format!("made {}", self.made.as_micros()),
            format!("previous {previous}"),
            format!("chain {chain} {bytes}"),
            format!("sealed {}", if self.sealed { "age" } else { "no" }),
            format!("header {}", self.header_generation),
            format!("data-keys {oldest} {newest}"),
            format!("erasures {}", self.erasures),
            format!("pack {pack}"),
            format!("tip {frame} {}", hex(hash)),
            format!("log {first_entry} {entries} {root}"),
            format!("end {file} {size} {at} {}", if self.whole { "whole" } else { "part" }),
        ];
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
        for Piece { name, stored, sha256, part: Part { file, size, offset, len } } in &self.pieces {
            let _ = writeln!(out, "object {name} {stored} {} {file} {size} {offset} {len}", hex(sha256));
        }
        out
    }

    /// Reads the text again; every text has one form only.
    pub(crate) fn parse(text: &str) -> Result<Self, BackupFault> {
        let read = Lines { lines: text.lines().peekable() }.manifest()?;
        if read.text() == text {
            Ok(read)
        } else {
            Err(malformed("a line that is written otherwise than it has to be"))
        }
    }

    /// Signs.
    pub(crate) fn sign(&self, seed: &SigningSeed) -> String {
        signed::sign(&self.text(), self.vault, seed)
    }
}

/// SHA-256 of a manifest as it is kept.
pub(crate) fn hash_of(note: &str) -> [u8; 32] {
    hash::sha256(&[note.as_bytes()])
}

fn malformed(what: &'static str) -> BackupFault {
    BackupFault::Manifest { what }
}

struct Lines<'t> {
    lines: std::iter::Peekable<std::str::Lines<'t>>,
}

impl<'t> Lines<'t> {
    fn manifest(mut self) -> Result<Manifest, BackupFault> {
        let vault = self.vault()?;
        if self.number::<u64>("format")? != FORMAT {
            return Err(malformed("a format that this version does not know: a newer one may have made it"));
        }
        let number = self.number("number")?;
        let made = Timestamp::from_micros(self.number("made")?);
        let previous = match self.line("previous")? {
            "none" => None,
            hex => Some(hash_from(hex)?),
        };
        let [chain, bytes] = self.words("chain")?;
        let chain = (parsed(chain)?, parsed(bytes)?);
        let sealed = match self.line("sealed")? {
            "age" => true,
            "no" => false,
            _ => return Err(malformed("a way of sealing that this version does not know")),
        };
        let header_generation = self.number("header")?;
        let [oldest, newest] = self.words("data-keys")?;
        let data_epochs = (parsed(oldest)?, parsed(newest)?);
        let erasures = self.number("erasures")?;
        let pack = match self.line("pack")? {
            "none" => None,
            pack => {
                let [number, header_generation, erasures] = words_of(pack)?;
                let (header_generation, erasures) = (parsed(header_generation)?, parsed(erasures)?);
                Some(PackRef { number: parsed(number)?, header_generation, erasures })
            }
        };
        let tip = self.tip()?;
        let [file, size, at, whole] = self.words("end")?;
        let file = file.parse().map_err(|_| malformed("a file that no journal has"))?;
        let end = End { file, size: parsed(size)?, at: parsed(at)? };
        let whole = match whole {
            "whole" => true,
            "part" => false,
            _ => return Err(malformed("an end that is neither whole nor part")),
        };
        let mut pieces = Vec::new();
        while self.lines.peek().is_some() {
            if pieces.len() >= MAX_OBJECTS {
                return Err(malformed("more objects than a manifest may name"));
            }
            let [name, stored, sha256, file, size, offset, len] = self.words("object")?;
            let part = part_of([file, size, offset, len])?;
            let name = name.parse().map_err(|_| malformed("a name that no object has"))?;
            pieces.push(Piece { name, stored: parsed(stored)?, sha256: hash_from(sha256)?, part });
        }
        Ok(Manifest {
            vault,
            number,
            made,
            previous,
            chain,
            sealed,
            header_generation,
            data_epochs,
            erasures,
            pack,
            end,
            whole,
            tip,
            pieces,
        })
    }

    fn vault(&mut self) -> Result<VaultId, BackupFault> {
        let line = self.lines.next().unwrap_or_default();
        signed::vault_of(line).ok_or_else(|| malformed("no first line that names a vault"))
    }

    fn tip(&mut self) -> Result<Tip, BackupFault> {
        let [frame, hash] = self.words("tip")?;
        let [first_entry, entries, root] = self.words("log")?;
        let root = match root {
            "none" => None,
            root => {
                let bytes = BASE64.decode(root.as_bytes()).map_err(|_| malformed("a root that is no base64"))?;
                Some(bytes.try_into().map_err(|_| malformed("a root of another length"))?)
            }
        };
        Ok(Tip {
            frame: parsed(frame)?,
            hash: hash_from(hash)?,
            entries: parsed(entries)?,
            first_entry: parsed(first_entry)?,
            root,
        })
    }

    fn line(&mut self, word: &'static str) -> Result<&'t str, BackupFault> {
        let line = self.lines.next().and_then(|line| line.strip_prefix(word)).and_then(|rest| rest.strip_prefix(' '));
        line.ok_or_else(|| malformed(word))
    }

    fn words<const N: usize>(&mut self, word: &'static str) -> Result<[&'t str; N], BackupFault> {
        words_of(self.line(word)?)
    }

    fn number<T: FromStr>(&mut self, word: &'static str) -> Result<T, BackupFault> {
        parsed(self.line(word)?)
    }
}

fn words_of<const N: usize>(line: &str) -> Result<[&str; N], BackupFault> {
    let words: Vec<&str> = line.split(' ').collect();
    words.try_into().map_err(|_| malformed("a line with more or fewer words than it has to have"))
}

fn part_of([file, size, offset, len]: [&str; 4]) -> Result<Part, BackupFault> {
    let file: JournalFile = file.parse().map_err(|_| malformed("a file that no journal has"))?;
    let part = Part { file, size: parsed(size)?, offset: parsed(offset)?, len: parsed(len)? };
    if part.offset.checked_add(part.len).is_none_or(|end| end > part.size) {
        return Err(malformed("bytes behind the end of their file"));
    }
    Ok(part)
}

fn parsed<T: FromStr>(word: &str) -> Result<T, BackupFault> {
    word.parse().map_err(|_| malformed("a number that is none, or is too large"))
}

fn hash_from(hex: &str) -> Result<[u8; 32], BackupFault> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| malformed("a hash that is no hexadecimal number"))?;
    bytes.try_into().map_err(|_| malformed("a hash of another length"))
}

#[cfg(test)]
pub(crate) mod tests;
