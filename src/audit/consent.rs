//! What the host's consent decided, as it stands in an entry: how often it answered what.

use super::defect::EntryDefect;
use super::payload::tag;
use crate::bytes::{Put, Reader, TooLong};

/// Different answers in one entry. Later ones count without their code.
const MAX_ANSWERS: usize = 16;
/// With those that have lost their code, one of each sort.
pub(super) const MAX_LISTED: usize = MAX_ANSWERS + 2;
/// Bytes of a code.
const MAX_CODE: usize = 128;

/// An answer of the host's [`Consent`](crate::Consent) to what an access asked it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditConsent {
    /// Whether it was a yes.
    pub permitted: bool,
    /// Why; empty where an access had more than 16 different answers before this one.
    pub code: String,
    /// How often it was given: for so many records and charts.
    pub count: u32,
}

/// Counts an answer, in the order in which different ones came.
pub(crate) fn note(answers: &mut Vec<AuditConsent>, permitted: bool, code: &str) {
    let same = |held: &&mut AuditConsent, code: &str| held.permitted == permitted && held.code == code;
    if let Some(held) = answers.iter_mut().find(|held| same(held, code)) {
        held.count = held.count.saturating_add(1);
        return;
    }
    let code = if answers.len() < MAX_ANSWERS { code } else { "" };
    match answers.iter_mut().find(|held| same(held, code)) {
        Some(held) => held.count = held.count.saturating_add(1),
        None => answers.push(AuditConsent { permitted, code: code.to_owned(), count: 1 }),
    }
}

/// `n × (permitted u8 ‖ count u32 ‖ len u8 ‖ code)`; none is no field.
pub(super) fn put(answers: &[AuditConsent], out: &mut impl Put) -> Result<(), TooLong> {
    if answers.is_empty() {
        return Ok(());
    }
    let mut value = Vec::new();
    for AuditConsent { permitted, code, count } in answers {
        value.put_u8(u8::from(*permitted));
        value.put_u32(*count);
        value.put_u8(u8::try_from(code.len()).map_err(|_| TooLong)?);
        value.put(code.as_bytes());
    }
    out.put_u16(tag::CONSENT);
    out.put_len16(&value)
}

pub(super) fn parse(value: &[u8]) -> Result<Vec<AuditConsent>, EntryDefect> {
    let wrong = EntryDefect::FieldValue(tag::CONSENT);
    let (mut reader, mut answers) = (Reader::new(value), Vec::<AuditConsent>::new());
    while !reader.rest().is_empty() {
        let permitted = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(wrong),
        };
        let (count, len) = (reader.u32()?, usize::from(reader.u8()?));
        let code = str::from_utf8(reader.take(len)?).map_err(|_| wrong)?.to_owned();
        let again = answers.iter().any(|held| held.permitted == permitted && held.code == code);
        if count == 0 || len > MAX_CODE || again || answers.len() >= MAX_LISTED {
            return Err(wrong);
        }
        answers.push(AuditConsent { permitted, code, count });
    }
    if answers.is_empty() { Err(wrong) } else { Ok(answers) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(answers: &[AuditConsent]) -> Vec<u8> {
        let mut out = Vec::new();
        put(answers, &mut out).unwrap();
        out
    }

    #[test]
    fn answers_are_counted_and_beyond_sixteen_lose_their_code() {
        let mut answers = Vec::new();
        for round in 0..2 {
            for n in 0..20 {
                note(&mut answers, n % 2 == 0, &format!("rule {n}"));
            }
            assert_eq!(answers.len(), 18, "round {round}");
        }
        assert!(answers[..16].iter().all(|answer| answer.count == 2 && !answer.code.is_empty()));
        assert!(answers[16..].iter().all(|answer| answer.count == 4 && answer.code.is_empty()));
        assert_eq!(answers.iter().map(|answer| answer.count).sum::<u32>(), 40);
        assert_eq!(parse(&field(&answers)[4..]), Ok(answers));
    }

    proptest! {
        #[test]
        fn answers_come_back(said in proptest::collection::vec((any::<bool>(), "[a-zé]{0,40}"), 1..30)) {
            let mut answers = Vec::new();
            said.iter().for_each(|(permitted, code)| note(&mut answers, *permitted, code));
            prop_assert!(answers.len() <= MAX_LISTED);
            prop_assert_eq!(parse(&field(&answers)[4..]), Ok(answers));
        }

        #[test]
        fn what_parses_is_what_would_be_written(value in proptest::collection::vec(0u8..3, 0..60)) {
            if let Ok(answers) = parse(&value) {
                prop_assert_eq!(&field(&answers)[4..], &value[..]);
            }
        }
    }

    #[test]
    fn whatever_was_cut_or_flipped_is_refused_or_another_answer() {
        let mut answers = Vec::new();
        note(&mut answers, true, "treatment");
        note(&mut answers, false, "no directive");
        let value = field(&answers)[4..].to_vec();
        for len in 0..value.len() {
            assert_ne!(parse(&value[..len]).as_ref(), Ok(&answers), "{len}");
        }
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(parse(&bad).as_ref(), Ok(&answers), "bit {bit}");
        }
    }
}
