use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "note")]
struct Note {
    text: String,
}

fn main() {}
