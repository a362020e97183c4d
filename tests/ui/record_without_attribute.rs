use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn main() {}
