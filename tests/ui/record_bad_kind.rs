use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "clinic note", version = 1)]
struct Note {
    text: String,
}

fn main() {}
