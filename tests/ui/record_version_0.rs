use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "note", version = 0)]
struct Note {
    text: String,
}

fn main() {}
