//! Emergencies that were invoked, and how they were reviewed: one row each (docs/format/policy.md, table 34).

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{CaseId, PrincipalId, RevocationId, SessionId};

/// Bytes of the longest text with which the glass is broken, and of a reviewer's note.
pub(crate) const MAX_CASE_TEXT: usize = 512;

const ASSIGNED: u8 = 1;
const CLOSED: u8 = 2;
const ESCALATED: u8 = 4;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$item),*];

            const fn code(self) -> u8 {
                match self { $(Self::$item => $code,)* }
            }

            const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$item),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$item => $word,)* })
            }
        }
    };
}

coded! {
    /// Why the glass is broken.
    EmergencyReason {
        /// The patient's life or health is in danger.
        PatientInDanger = 1, "patient in danger";
        /// The patient cannot be asked and nobody who may be is there.
        NobodyElseThere = 2, "nobody else there";
        /// The usual rights should have allowed it: they are wrong or late.
        RightsMissing = 3, "rights missing";
        /// Others are in danger, as in an outbreak.
        OthersInDanger = 4, "others in danger";
        /// The text says.
        Other = 255, "other";
    }
}

coded! {
    /// What came of a review.
    Verdict {
        /// It was right to break the glass.
        Justified = 1, "justified";
        /// It was not.
        NotJustified = 2, "not justified";
        /// It was not, and somebody else goes on with it.
        Referred = 3, "referred";
    }
}

/// An emergency that was invoked: a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaseRow {
    pub(crate) id: CaseId,
    pub(crate) patient_tag: [u8; 16],
    pub(crate) actor: PrincipalId,
    /// The session that was opened.
    pub(crate) session: SessionId,
    /// The token's last block.
    pub(crate) token: RevocationId,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) reason: EmergencyReason,
    pub(crate) text: String,
    pub(crate) assigned: Option<(PrincipalId, Timestamp)>,
    pub(crate) review: Option<Review>,
    /// When the log was told that it is overdue.
    pub(crate) escalated: Option<Timestamp>,
}

/// How an emergency was reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Review {
    /// By whom.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub verdict: Verdict,
    /// What the reviewer said, up to 512 bytes.
    pub note: String,
}

impl CaseRow {
    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.put(self.id.as_bytes());
        out.put(&self.patient_tag);
        out.put_u8(
            flag(self.assigned.is_some(), ASSIGNED)
                | flag(self.review.is_some(), CLOSED)
                | flag(self.escalated.is_some(), ESCALATED),
        );
        out.put(self.actor.as_bytes());
        out.put(self.session.as_bytes());
        out.put(self.token.as_bytes());
        out.put_i64(self.at.as_micros());
        out.put_i64(self.until.as_micros());
        out.put_u8(self.reason.code());
        put_text(out, &self.text);
        if let Some((principal, at)) = self.assigned {
            out.put(principal.as_bytes());
            out.put_i64(at.as_micros());
        }
        if let Some(review) = &self.review {
            out.put(review.by.as_bytes());
            out.put_i64(review.at.as_micros());
            out.put_u8(review.verdict.code());
            put_text(out, &review.note);
        }
        if let Some(at) = self.escalated {
            out.put_i64(at.as_micros());
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (id, patient_tag, flags) = (CaseId::from_bytes(reader.array()?), reader.array()?, reader.u8()?);
        let actor = PrincipalId::from_bytes(reader.array()?);
        let (session, token) = (SessionId::from_bytes(reader.array()?), RevocationId::from_bytes(reader.array()?));
        let (at, until) = (time(&mut reader)?, time(&mut reader)?);
        let reason = EmergencyReason::from_code(reader.u8()?).ok_or(BadRow)?;
        let text = text(&mut reader)?;
        let mut row = Self {
            id,
            patient_tag,
            actor,
            session,
            token,
            at,
            until,
            reason,
            text,
            assigned: None,
            review: None,
            escalated: None,
        };
        if flags & ASSIGNED != 0 {
            row.assigned = Some((PrincipalId::from_bytes(reader.array()?), time(&mut reader)?));
        }
        if flags & CLOSED != 0 {
            let (by, at) = (PrincipalId::from_bytes(reader.array()?), time(&mut reader)?);
            let verdict = Verdict::from_code(reader.u8()?).ok_or(BadRow)?;
            row.review = Some(Review { by, at, verdict, note: self::text(&mut reader)? });
        }
        if flags & ESCALATED != 0 {
            row.escalated = Some(time(&mut reader)?);
        }
        reader.finish()?;
        if flags & !(ASSIGNED | CLOSED | ESCALATED) != 0 { Err(BadRow) } else { Ok(row) }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Never more than MAX_CASE_TEXT, which fits.
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put(text.as_bytes());
}

fn time(reader: &mut Reader<'_>) -> Result<Timestamp, BadRow> {
    Ok(Timestamp::from_micros(reader.i64()?))
}

fn text(reader: &mut Reader<'_>) -> Result<String, BadRow> {
    let text = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?;
    if text.len() > MAX_CASE_TEXT || text.trim().is_empty() { Err(BadRow) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::crypto::kdf::principal_id;
    use crate::format::worked;
    use proptest::prelude::*;

    fn documented() -> CaseRow {
        let at: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
        CaseRow {
            id: CaseId::from_bytes([0xCA; 16]),
            patient_tag: [0xD4; 16],
            actor: principal_id("dr.osei"),
            session: SessionId::from_bytes([0x5E; 16]),
            token: RevocationId::from_bytes([0x71; 16]),
            at,
            until: at.saturating_add(std::time::Duration::from_secs(900)),
            reason: EmergencyReason::PatientInDanger,
            text: "found unconscious".into(),
            assigned: None,
            review: Some(Review {
                by: principal_id("a.lund"),
                at: at.saturating_add(std::time::Duration::from_secs(3_600)),
                verdict: Verdict::Justified,
                note: "seen with the ward".into(),
            }),
            escalated: None,
        }
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let row = PolicyRow::Case(documented());
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(include_str!("../../docs/format/policy.md"), "case_row"));
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

    proptest! {
        #[test]
        fn cases_come_back(
            (id, tag, actor, session) in any::<([u8; 16], [u8; 16], [u8; 16], [u8; 16])>(),
            (at, until) in any::<(i64, i64)>(),
            text in "[a-zé ]{0,200}x",
            assigned in proptest::option::of(any::<([u8; 16], i64)>()),
            note in proptest::option::of("[a-zé ]{0,200}x"),
            escalated in proptest::option::of(any::<i64>()),
        ) {
            let by = PrincipalId::from_bytes(actor);
            let row = PolicyRow::Case(CaseRow {
                id: CaseId::from_bytes(id),
                patient_tag: tag,
                actor: by,
                session: SessionId::from_bytes(session),
                token: RevocationId::from_bytes(session),
                at: Timestamp::from_micros(at),
                until: Timestamp::from_micros(until),
                reason: EmergencyReason::Other,
                text,
                assigned: assigned.map(|(to, at)| (PrincipalId::from_bytes(to), Timestamp::from_micros(at))),
                review: note.map(|note| Review { by, at: Timestamp::from_micros(at), verdict: Verdict::Referred, note }),
                escalated: escalated.map(Timestamp::from_micros),
            });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
