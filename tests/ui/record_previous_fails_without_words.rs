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

impl TryFrom<AllergyV1> for Allergy {
    type Error = ();

    fn try_from(AllergyV1 { substance }: AllergyV1) -> Result<Self, ()> {
        Ok(Self { substance })
    }
}

fn main() {}
