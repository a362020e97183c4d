//! Random days in a clinic, each step compared with a plain in-memory picture: whatever is put, amended, voided, closed,
//! dropped, reopened or copied while open, whichever keys are rotated, the vault answers what the picture says, and its log verifies.
//!
//! `PROPTEST_CASES` raises the number of days.

use crate::support;

use proptest::prelude::*;
use support::machine::{IDENTIFIERS, KINDS, Machine, Turn, Value};

#[derive(Clone, Debug)]
enum Step {
    Register(u8),
    AddIdentifier(usize, u8),
    Find(u8),
    Put(usize, usize, Value, Option<u32>),
    Batch(Vec<(usize, usize, Value)>),
    /// Amends, or voids where there is no value.
    Change(usize, usize, Option<Value>),
    Read(usize),
    List(usize, usize, usize, bool),
    Chart(usize, usize, bool),
    Kinds(usize),
    GetMany(usize),
    CloseAndOpen,
    DropAndOpen,
    LiveCopy,
    Rotate(Turn),
}

/// From nothing to 1 MiB: mostly short, often around the size from which a value stays in the journal, seldom large.
fn value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![
        12 => 0..200_usize,
        4 => 3_900..4_300_usize,
        2 => 4_300..40_000_usize,
        1 => prop_oneof![Just(300_000), Just((1 << 20) - 8)].boxed(),
    ];
    (any::<u8>(), len).prop_map(|(seed, len)| Value { seed, len })
}

fn step() -> impl Strategy<Value = Step> {
    let patient = || 0..3_usize;
    let kind = || 0..KINDS.len();
    let which = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let member = (patient(), kind(), value());
    prop_oneof![
        2 => (0..IDENTIFIERS).prop_map(Step::Register),
        2 => (patient(), 0..IDENTIFIERS).prop_map(|(patient, identifier)| Step::AddIdentifier(patient, identifier)),
        1 => (0..IDENTIFIERS).prop_map(Step::Find),
        10 => (patient(), kind(), value(), prop::option::of(0..5_000_000_u32))
            .prop_map(|(patient, kind, value, back)| Step::Put(patient, kind, value, back)),
        3 => prop::collection::vec(member, 0..6).prop_map(Step::Batch),
        6 => (which(), prop_oneof![4 => Just(0), 1 => 1..3_usize], value())
            .prop_map(|(which, behind, value)| Step::Change(which, behind, Some(value))),
        2 => (which(), prop_oneof![4 => Just(0), 1 => 1..3_usize])
            .prop_map(|(which, behind)| Step::Change(which, behind, None)),
        2 => which().prop_map(Step::Read),
        2 => (patient(), kind(), 1..5_usize, any::<bool>())
            .prop_map(|(patient, kind, limit, voided)| Step::List(patient, kind, limit, voided)),
        2 => (patient(), 1..5_usize, any::<bool>())
            .prop_map(|(patient, limit, voided)| Step::Chart(patient, limit, voided)),
        1 => patient().prop_map(Step::Kinds),
        1 => patient().prop_map(Step::GetMany),
        1 => Just(Step::CloseAndOpen),
        1 => Just(Step::DropAndOpen),
        1 => Just(Step::LiveCopy),
        2 => prop::sample::select(&Turn::ALL[..]).prop_map(Step::Rotate),
    ]
}

impl Step {
    fn run(&self, machine: &mut Machine) {
        match self {
            Self::Register(identifier) => machine.register(*identifier),
            Self::AddIdentifier(patient, identifier) => machine.add_identifier(*patient, *identifier),
            Self::Find(identifier) => machine.find(*identifier),
            Self::Put(patient, kind, value, back) => machine.put(*patient, *kind, *value, *back),
            Self::Batch(members) => machine.batch(members),
            Self::Change(which, behind, value) => machine.change(*which, *behind, *value),
            Self::Read(which) => machine.read(*which),
            Self::List(patient, kind, limit, voided) => machine.list(*patient, *kind, *limit, *voided),
            Self::Chart(patient, limit, voided) => machine.chart(*patient, *limit, *voided),
            Self::Kinds(patient) => machine.kinds(*patient),
            Self::GetMany(patient) => machine.get_many(*patient),
            Self::CloseAndOpen => machine.close_and_open(),
            Self::DropAndOpen => machine.drop_and_open(),
            Self::LiveCopy => machine.check_live_copy(),
            Self::Rotate(turn) => machine.rotate(*turn),
        }
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_vault_answers_what_a_plain_picture_says(
        steps in prop::collection::vec(step(), 1..40),
        // Nothing of what was opened is kept, some records of a chart, or all.
        record_cache in prop_oneof![Just(0), 4_000..60_000_u64, Just(32 << 20)],
    ) {
        let mut machine = Machine::new(record_cache);
        for step in &steps {
            step.run(&mut machine);
        }
        machine.check_everything();
        machine.close_and_open();
    }
}
