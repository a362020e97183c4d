//! The plaintext of a record's envelope (docs/format.md, "Record body").

use std::fmt;

use zeroize::Zeroizing;

use super::codec::{Coding, DecodeError, EncodeError, check_not_newer, check_reason_len, check_value_len, decode};
use super::labels::{Labels, MAX_LABELS};
use super::{MAX_REASON, MAX_VALUE, Record};
use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{KindId, PrincipalId};
use crate::secret::SecretBytes;
use crate::terms::Confidentiality;

const CODEC_BINCODE: u8 = 1;
const CODEC_VERBATIM: u8 = 2;

/// From the kind to the length of the reason.
const FIXED_LEN: usize = 64;

/// Whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// It counts.
    Active,
    /// It was entered in error and counts no longer; its history stays.
    Voided,
}

impl Status {
    const fn code(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Voided => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Active),
            2 => Some(Self::Voided),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Voided => "voided",
        })
    }
}

/// One version of a record as it is sealed. There is exactly one byte string for each body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) kind: KindId,
    pub(crate) coding: Coding,
    pub(crate) author: PrincipalId,
    pub(crate) recorded_at: Timestamp,
    pub(crate) clinical_time: Option<Timestamp>,
    pub(crate) status: Status,
    pub(crate) confidentiality: Confidentiality,
    /// Why it was amended or voided; empty where nobody said.
    pub(crate) reason: &'a str,
    pub(crate) labels: Labels,
    /// The value in the bytes of its codec. A void repeats the value that it voids.
    pub(crate) value: &'a [u8],
}

/// Authentic bytes that are no record body of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseBodyError {
    #[error("the record body ends too early")]
    Truncated,
    #[error("the record body names codec {0}, which this program does not know")]
    Codec(u8),
    #[error("the record body names a version or shape that does not go with its codec")]
    Coding,
    #[error("the record body has an impossible clinical time")]
    ClinicalTime,
    #[error("the record body has status {0}, which this program does not know")]
    Status(u8),
    #[error("the record body has confidentiality {0}, which this program does not know")]
    Confidentiality(u8),
    #[error("the record body's reason is longer than {MAX_REASON} bytes or not UTF-8")]
    Reason,
    #[error("the record body's labels are not at most {MAX_LABELS} UTF-8 texts in ascending order")]
    Labels,
    #[error("the record body's value is longer than {MAX_VALUE} bytes")]
    Value,
}

impl From<Truncated> for ParseBodyError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl<'a> Body<'a> {
    /// Its bytes, in a buffer which never moved.
    pub(crate) fn encode(&self) -> Result<SecretBytes, EncodeError> {
        let (value, reason) = (self.value.len(), self.reason.len());
        check_value_len(value).map_err(|limit| EncodeError::TooLarge { len: value, limit })?;
        let too_long = |limit| EncodeError::ReasonTooLong { len: reason, limit };
        check_reason_len(reason).map_err(too_long)?;

        let labels: usize = self.labels.iter().map(|label| label.len() + 1).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(FIXED_LEN + reason + 1 + labels + value));
        bytes.put(self.kind.as_bytes());
        let (version, shape, codec) = match self.coding {
            Coding::Typed { version, shape } => (version, shape, CODEC_BINCODE),
            Coding::Verbatim => (0, [0; 8], CODEC_VERBATIM),
        };
        bytes.put_u16(version);
        bytes.put(&shape);
        bytes.put_u8(codec);
        bytes.put(self.author.as_bytes());
        bytes.put_i64(self.recorded_at.as_micros());
        bytes.put_u8(u8::from(self.clinical_time.is_some()));
        bytes.put_i64(self.clinical_time.map_or(0, Timestamp::as_micros));
        bytes.put_u8(self.status.code());
        bytes.put_u8(self.confidentiality.code());
        bytes.put_len16(self.reason.as_bytes()).map_err(|_| too_long(MAX_REASON))?;
        put_labels(&mut bytes, &self.labels);
        bytes.put(self.value);
        Ok(bytes)
    }

    /// Reads authentic bytes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ParseBodyError> {
        let mut reader = Reader::new(bytes);
        let body = Self {
            kind: KindId::from_bytes(reader.array()?),
            coding: read_coding(&mut reader)?,
            author: PrincipalId::from_bytes(reader.array()?),
            recorded_at: Timestamp::from_micros(reader.i64()?),
            clinical_time: read_clinical_time(&mut reader)?,
            status: {
                let code = reader.u8()?;
                Status::from_code(code).ok_or(ParseBodyError::Status(code))?
            },
            confidentiality: {
                let code = reader.u8()?;
                Confidentiality::from_code(code).ok_or(ParseBodyError::Confidentiality(code))?
            },
            reason: read_reason(&mut reader)?,
            labels: read_labels(&mut reader)?,
            value: reader.rest(),
        };
        check_value_len(body.value.len()).map_err(|_| ParseBodyError::Value)?;
        Ok(body)
    }

    /// The value, if it is one of `T` or of one of its earlier versions. The one way from stored bytes to typed values.
    pub(crate) fn decode<T: Record>(&self) -> Result<T, DecodeError> {
        self.check_kind(kdf::kind_id(T::KIND))?;
        decode(self.coding, self.value)
    }

    /// Refuses a body whose value is of a newer version than `T`.
    pub(crate) fn check_not_newer<T: Record>(&self) -> Result<(), DecodeError> {
        check_not_newer::<T>(self.coding)
    }

    /// The version of the type that wrote the value; none where the bytes were kept as they came.
    pub(crate) const fn schema(&self) -> Option<u16> {
        match self.coding {
            Coding::Typed { version, .. } => Some(version),
            Coding::Verbatim => None,
        }
    }

    /// The value, if it was stored verbatim under this kind.
    pub(crate) fn verbatim(&self, kind: KindId) -> Result<&'a [u8], DecodeError> {
        self.check_kind(kind)?;
        match self.coding {
            Coding::Verbatim => Ok(self.value),
            Coding::Typed { .. } => Err(DecodeError::NotVerbatim { kind }),
        }
    }

    fn check_kind(&self, wanted: KindId) -> Result<(), DecodeError> {
        if self.kind == wanted { Ok(()) } else { Err(DecodeError::OtherKind { found: self.kind, wanted }) }
    }
}

fn read_coding(reader: &mut Reader<'_>) -> Result<Coding, ParseBodyError> {
    let (version, shape) = (reader.u16()?, reader.array()?);
    match (reader.u8()?, version, shape) {
        (CODEC_BINCODE, 0, _) => Err(ParseBodyError::Coding),
        (CODEC_BINCODE, ..) => Ok(Coding::Typed { version, shape }),
        (CODEC_VERBATIM, 0, [0, 0, 0, 0, 0, 0, 0, 0]) => Ok(Coding::Verbatim),
        (CODEC_VERBATIM, ..) => Err(ParseBodyError::Coding),
        (codec, ..) => Err(ParseBodyError::Codec(codec)),
    }
}

fn read_clinical_time(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, ParseBodyError> {
    match (reader.u8()?, reader.i64()?) {
        (0, 0) => Ok(None),
        (1, micros) => Ok(Some(Timestamp::from_micros(micros))),
        _ => Err(ParseBodyError::ClinicalTime),
    }
}

fn read_reason<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ParseBodyError> {
    let reason = reader.len16()?;
    check_reason_len(reason.len()).map_err(|_| ParseBodyError::Reason)?;
    str::from_utf8(reason).map_err(|_| ParseBodyError::Reason)
}

/// `u8 n ‖ n × (u8 len ‖ text)`. [`Labels`] holds no more and no longer ones than the two bytes can say.
fn put_labels(bytes: &mut Vec<u8>, labels: &Labels) {
    bytes.put_u8(u8::try_from(labels.iter().len()).unwrap_or(u8::MAX));
    for label in labels.iter() {
        bytes.put_u8(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.put(label.as_bytes());
    }
}

fn read_labels(reader: &mut Reader<'_>) -> Result<Labels, ParseBodyError> {
    let count = usize::from(reader.u8()?);
    if count > MAX_LABELS {
        return Err(ParseBodyError::Labels);
    }
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let len = reader.u8()?;
        texts.push(str::from_utf8(reader.take(usize::from(len))?).map_err(|_| ParseBodyError::Labels)?);
    }
    let labels = Labels::stored(texts.iter().copied()).map_err(|_| ParseBodyError::Labels)?;
    // One byte string a body: other orders and repeated labels are refused.
    if labels.iter().eq(texts) { Ok(labels) } else { Err(ParseBodyError::Labels) }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
