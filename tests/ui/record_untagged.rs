use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
#[serde(untagged)]
enum Note {
    Short(u8),
    Long(String),
}

fn main() {}
