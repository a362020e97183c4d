//! What the vault demands of record types before anything of them is stored.

use crate::support;

use chartvault::*;
use serde::{Deserialize, Serialize};
use support::{House, note};

/// Claims to be a note, and cannot be read back: what it writes has a byte less than what it reads.
mod hasty {
    use super::*;

    #[derive(Record)]
    #[record(kind = "note", version = 2)]
    pub struct Note(#[allow(dead_code)] pub u16);

    impl Serialize for Note {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u8(1)
        }
    }

    impl<'de> Deserialize<'de> for Note {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u16::deserialize(deserializer).map(Self)
        }
    }
}

#[test]
fn every_type_of_a_kind_must_come_back_and_not_only_the_first() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("proves the first type of the kind")).unwrap();
    let refused = session.put(patient, &hasty::Note(1));
    assert!(matches!(refused, Err(Error::Encode(EncodeError::NotReadBack { kind: "note", .. }))), "{refused:?}");
}

/// A version of a kind has one shape, or nobody could say what its stored bytes mean.
mod other {
    use super::*;

    #[derive(Record, Serialize, Deserialize)]
    #[record(kind = "note", version = 1)]
    pub struct Note {
        pub body: String,
    }
}

#[test]
fn two_types_of_one_kind_and_version_have_one_shape() {
    let (house, vault) = House::create();
    vault.register(&note("first")).unwrap();
    vault.register(&note("again")).unwrap();
    let other = other::Note { body: "second".into() };
    let refused = vault.register(&other).unwrap_err();
    assert!(matches!(refused, Error::Encode(EncodeError::DeclaredTwice { kind: "note", version: 1, .. })));
    let told = refused.to_string();
    assert!(told.contains("support::Note") && told.contains("other::Note"), "{told}");

    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    assert!(matches!(session.put(patient, &other), Err(Error::Encode(EncodeError::DeclaredTwice { .. }))));
    session.put(patient, &note("the first one still may")).unwrap();
}
