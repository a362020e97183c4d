//! What the entries of a stretch of the log are about, as two rows (docs/format/audit.md, "Index"): who is named in which
//! entries, and what else a query asks for, a column each. They say nothing that the entries' own payloads do not say under the
//! log's keys, and can be made anew from them.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::entry::EntryRef;
use super::filter::Terms;
use super::keys::AuditKeys;
use super::payload::Payload;
use super::view::OpenEntryError;
use crate::bytes::{Put, Reader, Truncated};
use crate::secret::SecretBytes;

/// Entries of a stretch.
pub(crate) const STRETCH: u64 = 4_096;
/// The table of the index: the first byte of its rows' keys.
const INDEX: u8 = 2;
/// An entry that names more patients than this counts as one that could name anybody.
const MOST_NAMED: usize = 64;
/// No actor.
const NOBODY: u16 = u16::MAX;
/// Bytes of a patient in the first row: tag, and where its entries end.
const NAMED_LEN: usize = 16 + 4;
/// Bytes of an entry in the second row.
const COLUMNS_LEN: usize = 2 + 1 + 1 + 1 + 2;

/// Which of the two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// Which entries name whom.
    Named,
    /// Event, outcome, action, purpose and actor of each entry.
    Columns,
}

impl Part {
    pub(crate) const ALL: [Self; 2] = [Self::Named, Self::Columns];

    /// `02 ‖ part u8 ‖ stretch u64`.
    pub(crate) fn key(self, stretch: u64) -> Vec<u8> {
        let part = match self {
            Self::Named => 1,
            Self::Columns => 2,
        };
        let mut key = vec![INDEX, part];
        key.put_u64(stretch);
        key
    }
}

/// What an entry says that a query can ask for, beside its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    event: u16,
    outcome: u8,
    action: u8,
    purpose: u8,
    actor: Option<[u8; 16]>,
    /// Whether it could name any patient: one was asked for who is not there, or it names very many.
    anybody: bool,
    named: Vec<[u8; 16]>,
}

impl Said {
    /// What an entry says, opened under its key; what it says of patients stays closed.
    pub(crate) fn of(entry: &EntryRef<'_>, keys: &AuditKeys) -> Result<Self, OpenEntryError> {
        let (epoch, key_id) = (entry.front.epoch, entry.front.key_id);
        if !entry.is_under(keys) {
            return Err(OpenEntryError::OtherKey { epoch, key_id });
        }
        let payload = entry.open(keys).map_err(|_| OpenEntryError::Sealed)?;
        let Payload { fields, subjects, .. } = Payload::decode(&payload)?;
        let many = subjects.len() > MOST_NAMED;
        Ok(Self {
            event: fields.event.code(),
            outcome: fields.outcome.code(),
            action: fields.action.map_or(0, |action| one_of(action.bit())),
            purpose: fields.purpose.map_or(0, |purpose| one_of(purpose.bit())),
            actor: fields.actor.map(|actor| *actor.as_bytes()),
            anybody: many || fields.requested.is_some(),
            named: subjects.iter().map(|subject| subject.patient_tag).take(if many { 0 } else { MOST_NAMED }).collect(),
        })
    }
}

/// A bit as its place, from 1.
pub(super) fn one_of(bit: u32) -> u8 {
    u8::try_from(bit.trailing_zeros()).map_or(0, |place| place.saturating_add(1))
}

/// Which entries of a stretch name whom: `anybody n u16 ‖ n × place u16 ‖ patients u32 ‖ patients × (tag[16] ‖ end u32) ‖ places
/// u16`. A place counts from the stretch's first number. The tags ascend, and so do the places of each patient, which end
/// where it says and begin where those of the one before end.
#[derive(Debug)]
pub(crate) struct Named(SecretBytes);

impl Named {
    /// Of entries at these places, ascending.
    pub(crate) fn encode(said: &[(u16, Said)]) -> SecretBytes {
        let (mut anybody, mut named) = (Vec::new(), BTreeMap::<[u8; 16], Vec<u16>>::new());
        for (place, said) in said {
            if said.anybody {
                anybody.push(*place);
            }
            for tag in &said.named {
                let places = named.entry(*tag).or_default();
                if places.last() != Some(place) {
                    places.push(*place);
                }
            }
        }
        let mut out = Zeroizing::new(Vec::new());
        out.put_u16(u16::try_from(anybody.len()).unwrap_or(u16::MAX));
        anybody.iter().for_each(|place| out.put_u16(*place));
        out.put_u32(u32::try_from(named.len()).unwrap_or(u32::MAX));
        let mut end = 0_usize;
        for (tag, places) in &named {
            end = end.saturating_add(places.len());
            out.put(tag);
            out.put_u32(u32::try_from(end).unwrap_or(u32::MAX));
        }
        named.values().flatten().for_each(|place| out.put_u16(*place));
        out
    }

    /// Takes bytes that say what they should, and nothing more.
    pub(crate) fn parse(bytes: SecretBytes) -> Option<Self> {
        let sound = || {
            let (anybody, patients, places) = Self::parts(&bytes).ok()?;
            let mut last = (None, 0);
            for (tag, end) in patients.iter().map(patient) {
                if last.0.is_some_and(|before| before >= tag) || end < last.1 {
                    return None;
                }
                last = (Some(tag), end);
            }
            let far = |place: &[u8; 2]| u64::from(u16::from_be_bytes(*place)) >= STRETCH;
            (last.1 == places.len() && !anybody.iter().chain(places).any(far)).then_some(())
        };
        sound()?;
        Some(Self(bytes))
    }

    #[allow(clippy::type_complexity)] // three slices, named where they are taken
    fn parts(bytes: &[u8]) -> Result<(&[[u8; 2]], &[[u8; NAMED_LEN]], &[[u8; 2]]), Truncated> {
        let mut reader = Reader::new(bytes);
        let anybody = usize::from(reader.u16()?);
        let (anybody, _) = reader.take(anybody.checked_mul(2).ok_or(Truncated)?)?.as_chunks();
        let patients = usize::try_from(reader.u32()?).map_err(|_| Truncated)?;
        let (patients, _) = reader.take(patients.checked_mul(NAMED_LEN).ok_or(Truncated)?)?.as_chunks();
        let (places, rest) = reader.rest().as_chunks();
        if rest.is_empty() { Ok((anybody, patients, places)) } else { Err(Truncated) }
    }

    /// The places of entries that could name one of these patients, ascending and each once.
    pub(crate) fn places(&self, tags: &[[u8; 16]]) -> Vec<u16> {
        let Ok((anybody, patients, places)) = Self::parts(&self.0) else { return Vec::new() };
        let mut found: Vec<u16> = anybody.iter().map(|place| u16::from_be_bytes(*place)).collect();
        for tag in tags {
            if let Ok(at) = patients.binary_search_by_key(tag, |row| patient(row).0) {
                let start = at.checked_sub(1).and_then(|before| patients.get(before)).map_or(0, |row| patient(row).1);
                let end = patients.get(at).map_or(0, |row| patient(row).1);
                found.extend(places.get(start..end).unwrap_or_default().iter().map(|place| u16::from_be_bytes(*place)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn patient(row: &[u8; NAMED_LEN]) -> ([u8; 16], usize) {
    let [tag @ .., a, b, c, d] = *row;
    (tag, usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX))
}

/// What else the entries of a stretch say: `first place u16 ‖ actors u16 ‖ actors × id[16] ‖ entries × (event u16 ‖ outcome u8 ‖
/// action u8 ‖ purpose u8 ‖ actor u16)`. Actions and purposes are the places of their bits, from 1; an actor is the place
/// in the list, 65,535 for none.
#[derive(Debug)]
pub(crate) struct Columns {
    bytes: SecretBytes,
    first: u16,
    actors: usize,
}

impl Columns {
    /// Of entries at these places, ascending and without a gap.
    pub(crate) fn encode(said: &[(u16, Said)]) -> SecretBytes {
        let mut actors = BTreeMap::<[u8; 16], u16>::new();
        for actor in said.iter().filter_map(|(_, said)| said.actor) {
            // No more than entries, which are fewer than places.
            let next = u16::try_from(actors.len()).unwrap_or(NOBODY);
            actors.entry(actor).or_insert(next);
        }
        let mut listed: Vec<_> = actors.iter().map(|(actor, at)| (*at, *actor)).collect();
        listed.sort_unstable();
        let mut out = Zeroizing::new(Vec::with_capacity(4 + listed.len() * 16 + said.len() * COLUMNS_LEN));
        out.put_u16(said.first().map_or(0, |(place, _)| *place));
        out.put_u16(u16::try_from(listed.len()).unwrap_or(NOBODY));
        listed.iter().for_each(|(_, actor)| out.put(actor));
        for (_, said) in said {
            out.put_u16(said.event);
            [said.outcome, said.action, said.purpose].iter().for_each(|code| out.put_u8(*code));
            out.put_u16(said.actor.and_then(|actor| actors.get(&actor).copied()).unwrap_or(NOBODY));
        }
        out
    }

    /// Takes bytes that say what they should, and nothing more.
    pub(crate) fn parse(bytes: SecretBytes) -> Option<Self> {
        let mut reader = Reader::new(&bytes);
        let (first, actors) = (reader.u16().ok()?, usize::from(reader.u16().ok()?));
        reader.take(actors.checked_mul(16)?).ok()?;
        let (rows, rest) = reader.rest().as_chunks::<COLUMNS_LEN>();
        let fits = u64::try_from(rows.len()).ok()?.checked_add(first.into())? <= STRETCH;
        let known = |row: &[u8; COLUMNS_LEN]| {
            let actor = u16::from_be_bytes([row[5], row[6]]);
            actor == NOBODY || usize::from(actor) < actors
        };
        (fits && rest.is_empty() && rows.iter().all(known)).then_some(())?;
        Some(Self { bytes, first, actors })
    }

    fn parts(&self) -> (&[[u8; 16]], &[[u8; COLUMNS_LEN]]) {
        let rest = self.bytes.get(4..).unwrap_or_default();
        let (actors, rows) = rest.split_at_checked(self.actors.saturating_mul(16)).unwrap_or_default();
        (actors.as_chunks().0, rows.as_chunks().0)
    }

    /// Those of these places, or of all without any, whose entries could be wanted, ascending.
    pub(crate) fn places(&self, among: Option<&[u16]>, terms: &Terms) -> Vec<u16> {
        let (actors, rows) = self.parts();
        let wanted: Vec<u16> =
            (0_u16..).zip(actors).filter(|(_, id)| terms.actors.contains(id)).map(|(at, _)| at).collect();
        let wants = |place: u16| {
            let row = rows.get(usize::from(place.checked_sub(self.first)?))?;
            let [e, v, outcome, action, purpose, a, c] = *row;
            let any = |list: &[u8], code: u8| list.is_empty() || list.contains(&code);
            let so = (terms.events.is_empty() || terms.events.contains(&u16::from_be_bytes([e, v])))
                && any(&terms.outcomes, outcome)
                && any(&terms.actions, action)
                && any(&terms.purposes, purpose)
                && (terms.actors.is_empty() || wanted.contains(&u16::from_be_bytes([a, c])));
            so.then_some(place)
        };
        match among {
            Some(among) => among.iter().filter_map(|place| wants(*place)).collect(),
            None => (self.first..).take(rows.len()).filter_map(wants).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The rows of the page's example.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let [first, second] = tests::of_the_page();
    let entries = [(0, first), (1, second)];
    vec![Named::encode(&entries).to_vec(), Columns::encode(&entries).to_vec()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said() -> impl Strategy<Value = Said> {
        let few = |n: u8| (0..n).prop_map(|byte| [byte; 16]);
        (
            0..5_u16,
            1..4_u8,
            0..3_u8,
            0..3_u8,
            proptest::option::of(few(4)),
            any::<bool>(),
            proptest::collection::vec(few(6), 0..4),
        )
            .prop_map(|(event, outcome, action, purpose, actor, anybody, named)| Said {
                event,
                outcome,
                action,
                purpose,
                actor,
                anybody,
                named,
            })
    }

    fn entries() -> impl Strategy<Value = Vec<(u16, Said)>> {
        let said = proptest::collection::vec(said(), 0..60);
        (said, 0..4_000_u16).prop_map(|(said, first)| (first..).zip(said).collect())
    }

    proptest! {
        #[test]
        fn the_places_are_those_of_the_entries(entries in entries(), tags in proptest::collection::vec(0..8_u8, 1..3)) {
            let tags: Vec<[u8; 16]> = tags.iter().map(|byte| [*byte; 16]).collect();
            let named = Named::parse(Named::encode(&entries)).unwrap();
            let could = |said: &Said| said.anybody || said.named.iter().any(|tag| tags.contains(tag));
            let right: Vec<u16> = entries.iter().filter(|(_, said)| could(said)).map(|(place, _)| *place).collect();
            prop_assert_eq!(named.places(&tags), right);
        }

        #[test]
        fn columns_let_through_what_the_terms_do(
            entries in entries(),
            events in proptest::collection::vec(0..6_u16, 0..3),
            actors in proptest::collection::vec(0..6_u8, 0..3),
            codes in proptest::collection::vec(0..4_u8, 0..3),
        ) {
            let actors: Vec<[u8; 16]> = actors.iter().map(|byte| [*byte; 16]).collect();
            let terms = Terms { events, actors, outcomes: codes.clone(), actions: codes.clone(), purposes: codes };
            let columns = Columns::parse(Columns::encode(&entries)).unwrap();
            let wants = |said: &Said| {
                let any = |list: &[u8], code| list.is_empty() || list.contains(&code);
                (terms.events.is_empty() || terms.events.contains(&said.event))
                    && (terms.actors.is_empty() || said.actor.is_some_and(|actor| terms.actors.contains(&actor)))
                    && any(&terms.outcomes, said.outcome) && any(&terms.actions, said.action) && any(&terms.purposes, said.purpose)
            };
            let right: Vec<u16> = entries.iter().filter(|(_, said)| wants(said)).map(|(place, _)| *place).collect();
            prop_assert_eq!(&columns.places(None, &terms), &right);
            let every: Vec<u16> = (0..4_096).collect();
            prop_assert_eq!(columns.places(Some(&every), &terms), right);
        }

        #[test]
        fn any_bytes_are_taken_or_not_and_asked_without_a_panic(bytes: Vec<u8>, tag: [u8; 16]) {
            if let Some(named) = Named::parse(Zeroizing::new(bytes.clone())) {
                prop_assert!(named.places(&[tag]).iter().all(|place| u64::from(*place) < STRETCH));
            }
            if let Some(columns) = Columns::parse(Zeroizing::new(bytes)) {
                prop_assert!(columns.places(None, &Terms::default()).len() <= 4_096);
            }
        }
    }

    #[test]
    fn rows_that_are_cut_or_say_too_much_are_not_taken() {
        let said = |event| Said {
            event,
            outcome: 1,
            action: 1,
            purpose: 1,
            actor: Some([1; 16]),
            anybody: false,
            named: vec![[2; 16], [3; 16]],
        };
        let entries = [(0, said(1)), (1, said(2))];
        let (named, columns) = (Named::encode(&entries), Columns::encode(&entries));
        for end in 0..named.len() {
            assert!(Named::parse(Zeroizing::new(named[..end].to_vec())).is_none(), "{end}");
        }
        for end in 0..columns.len() {
            // At whole entries it is that of fewer.
            let whole = end >= 20 && (end - 20) % COLUMNS_LEN == 0;
            assert_eq!(Columns::parse(Zeroizing::new(columns[..end].to_vec())).is_some(), whole, "{end}");
        }
        let mut other = columns.clone();
        let at = other.len() - 1;
        other[at] = 1;
        assert!(Columns::parse(other).is_none(), "an actor who is not listed");
        let mut swapped = named.to_vec();
        swapped[6..22].copy_from_slice(&[9; 16]);
        assert!(Named::parse(Zeroizing::new(swapped)).is_none(), "tags ascend");
        let mut far = named.to_vec();
        let at = far.len() - 2;
        far[at..].copy_from_slice(&4_096_u16.to_be_bytes());
        assert!(Named::parse(Zeroizing::new(far)).is_none(), "a place behind the stretch");
    }

    pub(super) fn of_the_page() -> [Said; 2] {
        let first = Said {
            event: 41,
            outcome: 1,
            action: one_of(1),
            purpose: one_of(1),
            actor: Some([0x0A; 16]),
            anybody: false,
            named: vec![[0xEE; 16]],
        };
        let second = Said { event: 3, action: 0, purpose: 0, actor: None, named: Vec::new(), ..first.clone() };
        [first, second]
    }

    #[test]
    fn the_worked_example_of_the_page_is_recomputed() {
        let named = [&[0, 0, 0, 0, 0, 1][..], &[0xEE; 16], &[0, 0, 0, 1], &[0, 0]].concat();
        let rows = [[0, 0x29, 1, 1, 1, 0, 0], [0, 3, 1, 0, 0, 0xFF, 0xFF]].concat();
        let columns = [&[0, 0, 0, 1][..], &[0x0A; 16], &rows].concat();
        assert_eq!(seeds(), [named, columns]);
        assert_eq!(Part::Columns.key(1), [2, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
