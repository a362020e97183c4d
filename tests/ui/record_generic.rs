use serde::{Deserialize, Serialize};

#[derive(chartvault::Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note<T> {
    text: T,
}

fn main() {}
