use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 1)]
struct AllergyV1 {
    substance: String,
}

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 2, previous = String)]
struct Allergy {
    substance: String,
}

impl From<String> for Allergy {
    fn from(substance: String) -> Self {
        Self { substance }
    }
}

fn main() {}
