use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::super::test_types::{Allergy, Note, Severity, documented};
use super::*;
use crate::{PatientId, Record, RecordId, RecordRef, Shaped};

/// A module a type, so that all can have the same name.
macro_rules! shapes {
    ($($name:ident { $($item:tt)* })*) => {
        [$({
            #[allow(non_snake_case)]
            mod $name {
                #[allow(unused_imports)]
                use super::*;
                #[derive(crate::Shape)]
                #[allow(dead_code)]
                pub(super) $($item)*
            }
            <$name::T as Shaped>::SHAPE
        }),*]
    };
}

#[test]
fn whatever_changes_the_bytes_or_their_meaning_changes_the_shape() {
    let shapes = shapes! {
        base { struct T { a: u8, b: u8 } }
        renamed { struct T { a: u8, c: u8 } }
        reordered { struct T { b: u8, a: u8 } }
        widened { struct T { a: u8, b: u16 } }
        signed { struct T { a: u8, b: i8 } }
        optional { struct T { a: u8, b: Option<u8> } }
        longer { struct T { a: u8, b: u8, c: u8 } }
        shorter { struct T { a: u8 } }
        slid { struct T { ab: u8 } }
        unnamed { struct T(u8, u8); }
        nested { struct T((u8, u8)); }
        array { struct T([u8; 2]); }
        longer_array { struct T([u8; 3]); }
        list { struct T(Vec<u8>); }
        set { struct T(BTreeSet<u8>); }
        map { struct T(BTreeMap<u8, u8>); }
        text { struct T(String); }
        unit { struct T; }
        no_names { struct T {} }
        no_items { struct T(); }
        variant { enum T { A, B } }
        other_variant { enum T { A, C } }
        swapped_variants { enum T { B, A } }
        more_variants { enum T { A, B, C } }
        filled_variant { enum T { A, B(u8) } }
        named_variant { enum T { A, B { a: u8 } } }
        to_allergy { struct T(RecordId<Allergy>); }
        to_note { struct T(RecordId<Note>); }
        to_any { struct T(RecordRef); }
        patient { struct T(PatientId); }
    };
    let distinct: HashSet<_> = shapes.iter().map(|shape| shape.to_bytes()).collect();
    assert_eq!(distinct.len(), shapes.len());
}

#[test]
fn whatever_changes_neither_leaves_the_shape() {
    let shapes = shapes! {
        base { struct T { r#type: u8 } }
        boxed { struct T { r#type: Box<u8> } }
        alias { struct T { r#type: std::primitive::u8 } }
    };
    #[derive(crate::Shape, Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename = "kind")]
        r#type: u8,
    }
    assert!(shapes.iter().all(|shape| *shape == Renamed::SHAPE));
}

#[test]
fn the_fewest_bytes_are_right() {
    assert_eq!(Severity::SHAPE.least(), 4);
    assert_eq!(Allergy::SHAPE.least(), 8 + 4);
    assert_eq!(<Option<u64>>::SHAPE.least(), 1);
    assert_eq!(<[u16; 3]>::SHAPE.least(), 6);
    assert_eq!(<([(); 9], ())>::SHAPE.least(), 0);
    assert_eq!(<Vec<Option<()>>>::SHAPE.least(), 8);
}

/// What stops the build in a constant can be called like any function.
#[test]
fn collections_of_items_without_bytes_are_refused() {
    let nothing = <(((), [u8; 0]), [(); 3])>::SHAPE;
    let something = u8::SHAPE;
    let refused =
        |make: fn(Shape, Shape) -> Shape, of: (Shape, Shape)| std::panic::catch_unwind(|| make(of.0, of.1)).is_err();
    assert!(refused(|item, _| sequence(item), (nothing, nothing)));
    assert!(refused(|item, _| set(item), (nothing, nothing)));
    assert!(refused(map, (nothing, nothing)));
    assert!(!refused(map, (nothing, something)) && !refused(map, (something, nothing)));
    assert!(!refused(|item, _| option(item), (nothing, nothing)));
    assert!(!refused(|item, _| sequence(option(item)), (nothing, nothing)));
}

#[test]
fn a_record_may_refer_to_another_of_its_kind() {
    #[derive(crate::Record, Serialize, Deserialize)]
    #[record(kind = "letter", version = 3)]
    struct Letter {
        answers: Option<RecordId<Letter>>,
    }
    assert_eq!((Letter::KIND, Letter::VERSION, Letter::SHAPE.least()), ("letter", 3, 1));
}

/// The published vectors of FNV-1a with 64 bits.
#[test]
fn the_hash_is_fnv_1a() {
    let start = Description(0xCBF2_9CE4_8422_2325);
    assert_eq!(start.bytes(b"a").0, 0xAF63_DC4C_8601_EC8C);
    assert_eq!(start.bytes(b"foobar").0, 0x8594_4171_F739_67E8);
}

#[test]
fn the_worked_example_of_the_format_page_holds() {
    let hash = |example| Description(0xCBF2_9CE4_8422_2325).bytes(&documented(example)).0.to_be_bytes();
    assert_eq!(hash("string-description"), String::SHAPE.to_bytes());
    assert_eq!(hash("severity-description"), Severity::SHAPE.to_bytes());
    assert_eq!(hash("allergy-description"), Allergy::SHAPE.to_bytes());
    assert_eq!(documented("allergy-shape"), Allergy::SHAPE.to_bytes());
}
