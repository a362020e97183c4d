//! What must hold of this floor's decoders whatever the bytes. Each function answers whether the bytes were taken.

use super::Record;
use super::body::Body;
use super::codec::{Coding, decode, encode};
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
