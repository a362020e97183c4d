//! Opening one entry with the key that was given out for it (docs/format/audit.md, "Keys" and "Payload").

use std::fmt;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entry::{Entry, padme};
use crate::pruned::Pruned;

/// `L("audit-open")`: the label behind its length.
const OPEN: &[u8] = b"\x18chartvault/v1/audit-open";

/// An entry that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disclosed {
    /// Its number.
    pub seq: u64,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Its fields by tag, ascending. What it says about patients (field `0100`) stays sealed.
    pub fields: Vec<(u16, Vec<u8>)>,
}

/// Opens an entry with its key; nothing if it is not its key. What is derived from the key is wiped, and compared in constant
/// time; the key itself is the caller's to wipe.
#[must_use]
pub fn disclose(entry: &Entry<'_>, key: &[u8; 32]) -> Option<Disclosed> {
    // HKDF-Expand (RFC 5869) to 64 bytes: the key of the seal, and the commitment to it.
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    let aead_key: Zeroizing<[u8; 32]> =
        Zeroizing::new(mac.clone().chain_update(OPEN).chain_update([1]).finalize().into_bytes().into());
    let commitment = mac.chain_update(&aead_key[..]).chain_update(OPEN).chain_update([2]);
    commitment.verify_slice(entry.commitment()).ok()?;
    let (nonce, sealed) = ([0; 12].into(), entry.sealed());
    let padded = match entry.suite {
        1 => ChaCha20Poly1305::new_from_slice(&aead_key[..]).ok()?.decrypt(&nonce, sealed),
        _ => Aes256Gcm::new_from_slice(&aead_key[..]).ok()?.decrypt(&nonce, sealed),
    };
    let padded = Zeroizing::new(padded.ok()?);
    let fields = fields(body(&padded)?)?;
    Some(Disclosed { seq: entry.seq, time: entry.time, fields })
}

/// What stands in `len u32 ‖ body ‖ zeros`.
fn body(padded: &[u8]) -> Option<&[u8]> {
    let (len, rest) = padded.split_first_chunk::<4>()?;
    let (body, zeros) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    let shortest = padme((body.len() + 4).max(64));
    (padded.len() == shortest && zeros.iter().all(|byte| *byte == 0)).then_some(body)
}

fn fields(mut payload: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut fields: Vec<(u16, Vec<u8>)> = Vec::new();
    while let Some(([a, b, c, d], rest)) = payload.split_first_chunk::<4>() {
        let (tag, len) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let (value, rest) = rest.split_at_checked(len.into())?;
        if fields.last().is_some_and(|(before, _)| *before >= tag) {
            return None;
        }
        fields.push((tag, value.to_vec()));
        payload = rest;
    }
    payload.is_empty().then_some(fields)
}

impl Disclosed {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, tag: u16) -> Option<&[u8]> {
        self.fields.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.as_slice())
    }

    /// The number of its event.
    #[must_use]
    pub fn event(&self) -> Option<u16> {
        self.field(1)?.try_into().ok().map(u16::from_be_bytes)
    }
}

impl fmt::Display for Disclosed {
    /// One line: the fields by the names of the format's page, unknown ones by their tags.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}, {} us", self.seq, self.time)?;
        for (tag, value) in &self.fields {
            let text = || String::from_utf8_lossy(value).escape_debug().to_string();
            match tag {
                1 => write!(f, ", event {}", self.event().unwrap_or_default())?,
                2 => f.write_str(match value.as_slice() {
                    [1] => ", allowed",
                    [2] => ", denied",
                    [3] => ", failed",
                    _ => ", unknown outcome",
                })?,
                3 => write!(f, ", actor {}", HEXLOWER.encode(value))?,
                0xA => write!(f, ", ticket {}", HEXLOWER.encode(value))?,
                0x100 => f.write_str(", about patients whom it does not name")?,
                0x8001 => write!(f, ", \"{}\"", text())?,
                0x8002 => write!(f, ", request {}", text())?,
                0x8003 => write!(f, ", host {}", text())?,
                0x8004 => write!(f, ", device {}", text())?,
                0x800A => match self.pruned() {
                    Some(Pruned { first, end, .. }) => write!(f, ", pruned entries {first} up to {end}")?,
                    None => f.write_str(", pruned what it does not say")?,
                },
                tag => write!(f, ", {tag:04x}={}", HEXLOWER.encode(value))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/format/audit.md");

    fn example(name: &str) -> Vec<u8> {
        let rest = PAGE.split_once(&format!("Example bytes: {name}\n```text\n")).unwrap().1;
        let hex: String = rest.split_once("```").unwrap().0.split_whitespace().collect();
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    /// `Expand(K, L("audit-entry") ‖ H(bytes 0..94), 32)`, as the vault does it that has K.
    fn key_of(entry: &[u8]) -> [u8; 32] {
        use sha2::Digest;
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&[0xA1; 32]).unwrap();
        let label = b"\x19chartvault/v1/audit-entry";
        mac.chain_update(label)
            .chain_update(Sha256::digest(&entry[..94]))
            .chain_update([1])
            .finalize()
            .into_bytes()
            .into()
    }

    #[test]
    fn a_key_opens_its_entry_and_no_other() {
        let (genesis, second) = (example("genesis entry"), example("entry"));
        let entry = Entry::parse(&second).unwrap();
        let opened = disclose(&entry, &key_of(&second)).unwrap();
        assert_eq!(
            (opened.event(), opened.field(2), opened.field(0x8003)),
            (Some(41), Some(&[1][..]), Some(&b"ward-3"[..]))
        );
        assert!(opened.to_string().contains("event 41, allowed, actor ffa52d68"), "{opened}");
        assert_eq!(disclose(&entry, &key_of(&genesis)), None);
        assert_eq!(disclose(&Entry::parse(&genesis).unwrap(), &key_of(&genesis)).unwrap().event(), Some(1));
        let mut changed = second.clone();
        changed[140] ^= 1;
        assert_eq!(disclose(&Entry::parse(&changed).unwrap(), &key_of(&second)), None);
    }
}
