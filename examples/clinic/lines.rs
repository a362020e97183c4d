//! A file of lines, packed or not, read a few at a time: one FHIR resource a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use indicatif::ProgressBar;

/// Records and bytes that one commit takes together.
const RECORDS: usize = 200;
const BYTES: usize = 512 << 10;

pub struct Lines {
    file: Box<dyn BufRead + Send>,
    next: usize,
}

/// Lines that follow each other, each exactly as it stands in the file, without its end of line.
pub struct Chunk {
    /// Number of the first of them, from 0; empty lines are not counted.
    pub first: usize,
    pub lines: Vec<Vec<u8>>,
}

impl Lines {
    pub fn open(path: &Path, bar: &ProgressBar) -> io::Result<Self> {
        let file = File::open(path)?;
        bar.set_length(file.metadata()?.len());
        let file = BufReader::new(bar.wrap_read(file));
        let packed = path.extension().is_some_and(|extension| extension == "zst");
        let file: Box<dyn BufRead + Send> = match packed {
            true => Box::new(BufReader::with_capacity(1 << 20, zstd::Decoder::with_buffer(file)?)),
            false => Box::new(file),
        };
        Ok(Self { file, next: 0 })
    }

    /// The next lines; `None` at the end.
    pub fn chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk { first: self.next, lines: Vec::with_capacity(RECORDS) };
        let mut bytes = 0;
        while chunk.lines.len() < RECORDS && bytes < BYTES {
            let mut line = Vec::new();
            if self.file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            line.pop_if(|last| *last == b'\n');
            line.pop_if(|last| *last == b'\r');
            if !line.is_empty() {
                bytes += line.len();
                chunk.lines.push(line);
            }
        }
        self.next += chunk.lines.len();
        Ok(Some(chunk).filter(|chunk| !chunk.lines.is_empty()))
    }
}
