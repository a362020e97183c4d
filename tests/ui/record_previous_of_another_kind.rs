use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 1)]
struct AllergyV1 {
    substance: String,
}

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "intolerance", version = 2, previous = AllergyV1)]
struct Allergy {
    substance: String,
}

impl From<AllergyV1> for Allergy {
    fn from(AllergyV1 { substance }: AllergyV1) -> Self {
        Self { substance }
    }
}

fn main() {}
