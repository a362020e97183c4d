//! The erasure ledger: who was erased, when and on what ground, without saying who it was (docs/format/policy.md, table 33).

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

/// Bytes of a reason, and of a legal ground.
pub(crate) const MAX_GROUND: usize = 256;
/// Entries of a ledger that is taken in.
const MAX_LEDGER: u32 = 1 << 20;

const FINISHED: u8 = 1;
const IDENTITY: u8 = 2;
const BY_SOMEBODY: u8 = 4;

/// An entry of the erasure ledger; see [`Vault::erasures`](crate::Vault::erasures). It names the patient by a keyed hash
/// alone: whoever has the patient's id and the vault can tell that this is the one, and nobody can tell the id from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// Stands for the patient, as it does in the log.
    pub patient_tag: [u8; 16],
    /// When the patient's secret was destroyed: since then nobody gets anything of the chart from this vault.
    pub begun: Timestamp,
    /// When everything was done that belongs to it. `None`: it was interrupted, and old copies of the secret may still open
    /// with the vault's keys; the next unlock goes on with it, and so does
    /// [`Vault::finish_erasures`](crate::Vault::finish_erasures).
    pub finished: Option<Timestamp>,
    /// Who asked for it.
    pub by: Option<PrincipalId>,
    /// Why, 1 to 256 bytes.
    pub reason: String,
    /// On what ground, such as an article of a law, 1 to 256 bytes.
    pub legal_ground: String,
    /// Whether the sealed bytes were to be removed as well: see [`ErasureOrder::identity`](crate::ErasureOrder::identity).
    pub identity: bool,
    /// Entries of the log about the patient when the erasure was begun, its own included; reads beside it may add some.
    pub log_entries: u64,
}

impl Erasure {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.finished.is_some(), FINISHED) | flag(self.identity, IDENTITY);
        out.put(&self.patient_tag);
        out.put_u8(flags | flag(self.by.is_some(), BY_SOMEBODY));
        out.put_i64(self.begun.as_micros());
        if let Some(finished) = self.finished {
            out.put_i64(finished.as_micros());
        }
        if let Some(by) = &self.by {
            out.put(by.as_bytes());
        }
        out.put_u64(self.log_entries);
        for text in [&self.reason, &self.legal_ground] {
            // Never more than MAX_GROUND, which fits.
            out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
            out.put(text.as_bytes());
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (patient_tag, flags) = (reader.array()?, reader.u8()?);
        if flags & !(FINISHED | IDENTITY | BY_SOMEBODY) != 0 {
            return Err(BadRow);
        }
        let begun = Timestamp::from_micros(reader.i64()?);
        let finished = if flags & FINISHED != 0 { Some(Timestamp::from_micros(reader.i64()?)) } else { None };
        let by = if flags & BY_SOMEBODY != 0 { Some(PrincipalId::from_bytes(reader.array()?)) } else { None };
        let log_entries = reader.u64()?;
        let mut text = || {
            let text = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?;
            if (1..=MAX_GROUND).contains(&text.len()) { Ok(text.to_owned()) } else { Err(BadRow) }
        };
        let (reason, legal_ground) = (text()?, text()?);
        reader.finish()?;
        let identity = flags & IDENTITY != 0;
        Ok(Self { patient_tag, begun, finished, by, reason, legal_ground, identity, log_entries })
    }
}

/// The plaintext of a ledger: `n u32 ‖ n × (len16 ‖ entry)`, tags ascending.
pub(crate) fn encode_ledger<'e>(entries: impl ExactSizeIterator<Item = &'e Erasure>) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for entry in entries {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        // At most 573 bytes.
        out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        out.put(&bytes);
    }
    out
}

/// The entries of a ledger's plaintext.
pub(crate) fn decode_ledger(bytes: &[u8]) -> Result<Vec<Erasure>, BadRow> {
    let mut reader = Reader::new(bytes);
    let count = reader.u32()?;
    let mut entries: Vec<Erasure> = Vec::new();
    if count > MAX_LEDGER {
        return Err(BadRow);
    }
    for _ in 0..count {
        let entry = Erasure::decode(Reader::new(reader.len16()?))?;
        if entries.last().is_some_and(|before| before.patient_tag >= entry.patient_tag) {
            return Err(BadRow);
        }
        entries.push(entry);
    }
    reader.finish()?;
    Ok(entries)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    /// The one of docs/format/policy.md.
    pub(crate) fn documented() -> Erasure {
        Erasure {
            patient_tag: [0xD4; 16],
            begun: "2026-01-05T12:00:00Z".parse().unwrap(),
            finished: Some("2026-01-05T12:00:30Z".parse().unwrap()),
            by: Some(crate::crypto::kdf::principal_id("dr.osei")),
            reason: "the patient asked".into(),
            legal_ground: "GDPR 17(1)(b)".into(),
            identity: true,
            log_entries: 12,
        }
    }

    /// The plaintext of the ledger of docs/format/policy.md.
    pub(crate) fn ledger_of_the_page() -> Vec<u8> {
        encode_ledger([&documented()].into_iter())
    }

    fn any_erasure() -> impl Strategy<Value = Erasure> {
        let times = (any::<i64>(), proptest::option::of(any::<i64>()));
        let texts = ("[a-zé ]{1,40}", "[a-zé ]{1,40}");
        (any::<[u8; 16]>(), times, proptest::option::of(any::<[u8; 16]>()), texts, any::<bool>(), any::<u64>())
            .prop_map(|(patient_tag, (begun, finished), by, (reason, legal_ground), identity, log_entries)| Erasure {
                patient_tag,
                begun: Timestamp::from_micros(begun),
                finished: finished.map(Timestamp::from_micros),
                by: by.map(PrincipalId::from_bytes),
                reason,
                legal_ground,
                identity,
                log_entries,
            })
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let row = PolicyRow::Erasure(documented());
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "erasure_row"));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }

    #[test]
    fn the_sealed_ledger_of_the_page_holds() {
        use crate::crypto::aead::Suite;
        use crate::crypto::kdf;
        use crate::crypto::seal::{FLOOR_VALUE, Sealer};
        use crate::secret::{Key, Secret};
        const HEADER: &str = include_str!("../../docs/format/header.md");
        let policy = Key::new(Secret::take(&mut worked::array(HEADER, "K_policy")));
        let vault = crate::ids::VaultId::from_bytes(worked::array(HEADER, "vault_id"));
        let sealer = Sealer::new(kdf::policy_prk(&policy), kdf::SEAL_LEDGER, FLOOR_VALUE);
        let suite = Suite::ChaCha20Poly1305;
        let (mut bytes, plaintext) = (crate::format::ledger::head(suite, vault), ledger_of_the_page());
        let random = worked::array(PAGE, "ledger_random");
        let sealed = sealer.seal_with(suite, &bytes, &plaintext, &random).unwrap();
        bytes.extend_from_slice(&sealed);
        assert_eq!(bytes, worked::bytes(PAGE, "erasure_ledger"));
    }

    #[test]
    fn a_ledger_that_was_cut_or_prolonged_or_whose_tags_do_not_ascend_is_refused() {
        let mut second = documented();
        (second.patient_tag, second.finished, second.by) = ([0xD5; 16], None, None);
        let entries = [documented(), second];
        let bytes = encode_ledger(entries.iter());
        assert_eq!(decode_ledger(&bytes).as_deref(), Ok(&entries[..]));
        assert_eq!(decode_ledger(&encode_ledger([].iter())), Ok(Vec::new()));
        for len in 0..bytes.len() {
            assert_eq!(decode_ledger(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(decode_ledger(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for wrong in [[&entries[1], &entries[0]], [&entries[0], &entries[0]]] {
            assert_eq!(decode_ledger(&encode_ledger(wrong.into_iter())), Err(BadRow));
        }
        assert_eq!(decode_ledger(&[0xFF; 4]), Err(BadRow));
    }

    proptest! {
        #[test]
        fn erasures_come_back(erasure in any_erasure()) {
            let row = PolicyRow::Erasure(erasure.clone());
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
            prop_assert_eq!(decode_ledger(&encode_ledger([&erasure].into_iter())), Ok(vec![erasure]));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..80)) {
            let bytes = [&[33][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
            if let Ok(entries) = decode_ledger(&rest) {
                prop_assert_eq!(encode_ledger(entries.iter()), rest);
            }
        }
    }
}
