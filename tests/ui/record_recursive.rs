use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note {
    text: String,
    replies: Vec<Note>,
}

fn main() {}
