use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 1, shape = 0xbaf4e7651e31b1fb)]
struct Allergy {
    substance: String,
    severity: Severity,
}

#[derive(chartvault::Shape, Serialize, Deserialize)]
enum Severity {
    Mild,
    Severe,
}

fn main() {}
