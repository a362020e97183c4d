//! Names of objects: `objects/` and 16 random bytes in hex.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// The name of a piece of the journal at a target. Whatever else stands there is none: neither a manifest nor a key pack is
/// fetched, or removed, because something names it as an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId([u8; 16]);

impl ObjectId {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// It is no name of an object.
#[derive(Debug)]
pub(crate) struct NoObject;

impl FromStr for ObjectId {
    type Err = NoObject;

    fn from_str(name: &str) -> Result<Self, NoObject> {
        let digits = name.strip_prefix("objects/").ok_or(NoObject)?;
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| NoObject)?;
        bytes.try_into().map(Self).map_err(|_| NoObject)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects/{}", HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_none() {
        let id = ObjectId::from_bytes([0xAB; 16]);
        let name = id.to_string();
        assert_eq!(name.parse::<ObjectId>().unwrap(), id);
        for bad in [
            &name[1..],
            &name[..39],
            &name.to_uppercase(),
            &name.replace('a', "`"),
            "objects/",
            "packs/0000000001/0000",
        ] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad}");
        }
    }
}
