//! Records that this floor's tests share; `Allergy` is also the worked example of docs/format/record.md.

use serde::{Deserialize, Serialize};

use crate::{Record, Shape};

#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "allergy", version = 1)]
pub(crate) struct Allergy {
    pub(crate) substance: String,
    pub(crate) severity: Severity,
}

#[derive(Shape, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum Severity {
    Mild,
    Severe { since: Option<u16> },
}

#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "note", version = 1)]
pub(crate) struct Note {
    pub(crate) text: String,
}

pub(crate) fn allergy() -> Allergy {
    Allergy { substance: "penicillin".into(), severity: Severity::Severe { since: Some(2019) } }
}

/// The bytes of a worked example: lines of hexadecimal digits, each with a note behind `;`.
pub(crate) fn documented(example: &str) -> Vec<u8> {
    let page = include_str!("../../docs/format/record.md");
    let (_, block) = page.split_once(&format!("```hex {example}\n")).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let digits = block.lines().flat_map(|line| line.split(';').next().unwrap().split_whitespace()).collect::<String>();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}
