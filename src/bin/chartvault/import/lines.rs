//! A file of lines, packed or not, read one at a time and never more than fits.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::unreadable;
use crate::failure::{Failure, Outcome};

/// The longest line: a Bundle holds a whole chart.
pub const MOST: usize = 64 << 20;

pub struct Lines {
    path: PathBuf,
    from: Box<dyn BufRead>,
    /// The file is one document, whatever line ends are in it.
    whole: bool,
    number: u64,
    done: Arc<AtomicU64>,
    size: Option<u64>,
}

/// A line, by its number from 1, or a word of one that is too long.
pub enum Line {
    Text(u64, Vec<u8>),
    TooLong(u64),
}

impl Lines {
    pub fn open(path: &Path) -> Outcome<Self> {
        let done = Arc::new(AtomicU64::new(0));
        let failed = |error: io::Error| Failure::file("opening", path, &error);
        let (from, size): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(failed)?;
            let about = file.metadata().map_err(failed)?;
            if about.is_dir() {
                return Err(
                    Failure::usage(format_args!("{} is a directory", path.display())).hint("name the files in it")
                );
            }
            (Box::new(file), Some(about.len()))
        };
        let counted = BufReader::with_capacity(256 << 10, Counted { from, done: Arc::clone(&done) });
        let name = path.to_string_lossy();
        let unpacked = name.strip_suffix(".zst");
        let from: Box<dyn BufRead> = match unpacked {
            Some(_) => {
                let mut decoder = zstd::Decoder::with_buffer(counted).map_err(failed)?;
                // 128 MiB of window at most, whatever the file asks for.
                decoder.window_log_max(27).map_err(failed)?;
                Box::new(BufReader::with_capacity(256 << 10, decoder))
            }
            None => Box::new(counted),
        };
        let whole = unpacked.unwrap_or(&name).ends_with(".json");
        Ok(Self { path: path.to_owned(), from, whole, number: 0, done, size })
    }

    /// The next line that is not empty, without its end; `None` at the end.
    pub fn next(&mut self) -> Outcome<Option<Line>> {
        loop {
            let Some(line) = self.read().map_err(|error| unreadable(&self.path, &error))? else { return Ok(None) };
            if !matches!(&line, Line::Text(_, bytes) if bytes.iter().all(u8::is_ascii_whitespace)) {
                return Ok(Some(line));
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let most = u64::try_from(MOST).unwrap_or(u64::MAX).saturating_add(2);
        let mut limited = (&mut self.from).take(most);
        let read = if self.whole { limited.read_to_end(&mut bytes)? } else { limited.read_until(b'\n', &mut bytes)? };
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        if !self.whole {
            let ended = bytes.pop_if(|last| *last == b'\n').is_some();
            bytes.pop_if(|last| *last == b'\r');
            if bytes.len() > MOST && !ended {
                skip_line(&mut self.from)?;
            }
        }
        Ok(Some(if bytes.len() > MOST { Line::TooLong(self.number) } else { Line::Text(self.number, bytes) }))
    }

    /// Bytes of the file read so far, packed ones if it is packed.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes of the file, where that is known.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at.saturating_add(1));
        if buffer.is_empty() {
            return Ok(());
        }
        from.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

struct Counted {
    from: Box<dyn Read>,
    done: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.done.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, name: &str) -> Vec<(u64, Vec<u8>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            match line {
                Line::Text(number, bytes) => all.push((number, bytes)),
                Line::TooLong(_) => panic!("too long"),
            }
        }
        all
    }

    #[test]
    fn lines_are_counted_from_one_and_empty_ones_passed_over() {
        let text = lines("a\r\n\n  \nb\nc", "f.ndjson");
        assert_eq!(text, [(1, b"a".to_vec()), (4, b"b".to_vec()), (5, b"c".to_vec())]);
        assert_eq!(lines("{\n}\n", "f.json"), [(1, b"{\n}\n".to_vec())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut from: &[u8] = b"too long\nnext";
        skip_line(&mut from).unwrap();
        assert_eq!(from, b"next");
    }
}
