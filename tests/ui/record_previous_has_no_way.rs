use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 1)]
struct AllergyV1 {
    substance: String,
}

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 2, previous = AllergyV1)]
struct Allergy {
    substance: String,
}

fn main() {}
