use chartvault::{Record, RecordId};
use serde::{Deserialize, Serialize};

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "allergy", version = 1)]
struct Allergy {
    substance: String,
}

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note {
    text: String,
}

fn read(_: RecordId<Allergy>) {}

fn misuse(note: RecordId<Note>) {
    read(note);
}

fn main() {}
