//! What must hold of this floor's decoders whatever the bytes. Each function answers whether the bytes were taken.

use super::Record;
use super::body::Body;
use super::codec::{Coding, DecodeError, decode, encode};
use super::labels::MAX_LABELS;
use super::{MAX_REASON, MAX_VALUE};

pub(crate) fn body(bytes: &[u8]) -> bool {
    let Ok(body) = Body::parse(bytes) else { return false };
    assert_eq!(&body.encode().unwrap()[..], bytes);
    assert!(body.value.len() <= MAX_VALUE && body.reason.len() <= MAX_REASON && body.labels.iter().len() <= MAX_LABELS);
    true
}

/// A value of a derived type, whose bytes carry the right version and shape.
pub(crate) fn value<T: Record>(bytes: &[u8]) -> Option<T> {
    let value: T = decode(Coding::of::<T>(), bytes).ok()?;
    assert!(bytes.len() <= MAX_VALUE);
    let again = encode(&value).unwrap();
    let twice = encode(&decode::<T>(Coding::of::<T>(), &again).unwrap()).unwrap();
    assert_eq!(again, twice, "a value that was read and written is written again to the same bytes");
    Some(value)
}

/// A value that was stored as `Old` and is asked for as `New`, of which `Old` is an earlier version.
pub(crate) fn value_of<Old: Record, New: Record>(bytes: &[u8]) -> Option<New> {
    let (coding, old) = (Coding::of::<Old>(), decode::<Old>(Coding::of::<Old>(), bytes));
    assert!(Old::KIND == New::KIND && Old::VERSION < New::VERSION);
    match (old, decode::<New>(coding, bytes)) {
        (Ok(old), Ok(new)) => {
            let again = encode(&old).unwrap();
            let (again, new_bytes) = (decode::<New>(coding, &again).unwrap(), encode(&new).unwrap());
            assert_eq!(encode(&again).unwrap(), new_bytes, "the same value becomes the same");
            value::<New>(&new_bytes)
        }
        (Ok(_), Err(DecodeError::Upgrade { stored, from, to, .. })) => {
            assert!(stored == Old::VERSION && stored <= from && from < to && to <= New::VERSION);
            None
        }
        (Err(DecodeError::Malformed { .. }), Err(DecodeError::Malformed { .. }))
        | (Err(DecodeError::TooLarge { .. }), Err(DecodeError::TooLarge { .. })) => None,
        (old, new) => panic!("as it was stored: {:?}; as it is asked for: {:?}", old.err(), new.err()),
    }
}

/// A value whose bytes carry any version and any shape.
pub(crate) fn value_as<T: Record>(version: u16, shape: [u8; 8], bytes: &[u8]) -> Option<T> {
    let read = decode::<T>(Coding::Typed { version, shape }, bytes);
    let newer = matches!(read, Err(DecodeError::NewerRecord { .. }));
    assert_eq!(newer, version > T::VERSION);
    read.ok()
}
