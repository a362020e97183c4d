//! The log as lines in files.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{AuditSink, Delivered, LineFormat, SinkError, SinkForm};
use crate::platform;

/// Bytes of a file until the next one begins.
const MOST: u64 = 64 << 20;

/// Writes the log as lines into files of a directory, each synced before the vault counts its entries as taken.
///
/// A file is named after the day (UTC) and the number of its first entry, `audit-2026-01-05-00000000000000000042.jsonl`, and
/// ends with that day or once it has 64 MiB. No file is ever written over or continued by another process: where the name is
/// taken, `-2` and so on follow. After a crash the first lines of a new file can be the last ones of the file before: lines of
/// equal `seq` are equal.
///
/// A file that was removed, replaced or cut while it was written is an error ([`SinkError::Tampered`]) for as long as it is so;
/// then somebody has to attach a new sink. A line that a full disk cut is taken out again.
///
/// ```
/// use chartvault::{FileSink, LineFormat, Options, SinkForm, SinkPolicy};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path();
/// let files = FileSink::new(path).format(LineFormat::Json).form(SinkForm::Pseudonymous);
/// let options = Options::new().sink("files", Box::new(files), SinkPolicy::BestEffort)?;
/// # Ok::<(), chartvault::Error>(())
/// ```
pub struct FileSink {
    dir: PathBuf,
    format: LineFormat,
    form: SinkForm,
    host: String,
    most: u64,
    current: Option<Current>,
    /// What was found wrong with a file.
    tampered: Option<PathBuf>,
}

struct Current {
    file: File,
    path: PathBuf,
    day: String,
    /// Bytes of whole lines.
    len: u64,
}

impl FileSink {
    /// Into this directory, which has to be there: JSON lines, opened, 64 MiB a file.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        let (format, form) = (LineFormat::default(), SinkForm::default());
        let (dir, host) = (dir.as_ref().to_owned(), String::new());
        Self { dir, format, form, host, most: MOST, current: None, tampered: None }
    }

    /// How lines look.
    #[must_use]
    pub const fn format(mut self, format: LineFormat) -> Self {
        self.format = format;
        self
    }

    /// In which form entries leave the vault.
    #[must_use]
    pub const fn form(mut self, form: SinkForm) -> Self {
        self.form = form;
        self
    }

    /// What lines of RFC 5424 say as their host; `-` if not called.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Bytes of a file until the next one begins; 64 MiB if not called. A file has as many lines as are delivered at once at
    /// least, so it can be longer.
    #[must_use]
    pub const fn file_bytes(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    fn file_for(&mut self, first: &Delivered) -> Result<&mut Current, SinkError> {
        let day: String = first.time.to_string().chars().take(10).collect();
        if self.current.as_ref().is_some_and(|current| current.day != day || current.len >= self.most) {
            self.current = None;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => self.begin(day, first.seq)?,
        };
        Ok(self.current.insert(current))
    }

    fn begin(&self, day: String, seq: u64) -> Result<Current, SinkError> {
        let extension = self.format.extension();
        for copy in 1_u32.. {
            let copy = if copy == 1 { String::new() } else { format!("-{copy}") };
            let path = self.dir.join(format!("audit-{day}-{seq:020}{copy}.{extension}"));
            match platform::private(OpenOptions::new().append(true).create_new(true)).open(&path) {
                Ok(file) => {
                    // Or the file could be gone after a power cut, with lines that count as taken.
                    platform::sync_dir(&self.dir)
                        .map_err(SinkError::io("syncing the directory of the sink's files"))?;
                    return Ok(Current { file, path, day, len: 0 });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(SinkError::Io { doing: "beginning a file of the sink", source }),
            }
        }
        Err(SinkError::Other("no name is left for a file of the sink".to_owned()))
    }

    fn check(&mut self) -> Result<(), SinkError> {
        if let Some(current) = &self.current
            && !current.is_whole()
        {
            self.tampered = Some(current.path.clone());
            self.current = None;
        }
        match &self.tampered {
            Some(path) => Err(SinkError::Tampered { path: path.clone() }),
            None => Ok(()),
        }
    }
}

impl Current {
    /// Whether the name still leads to the file that is written, as long as it was left.
    fn is_whole(&self) -> bool {
        let (Ok(held), Ok(found)) = (self.file.metadata(), fs::metadata(&self.path)) else { return false };
        platform::same_file(&held, &found) && found.len() == self.len
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // Not half a line: what is behind it would be read as a part of it.
            self.file.set_len(self.len)?;
            return Err(error);
        }
        self.len = self.len.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl AuditSink for FileSink {
    fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError> {
        let Some(first) = entries.first() else { return Ok(()) };
        self.check()?;
        let mut lines = String::new();
        for entry in entries {
            lines.push_str(&self.format.line(entry, &self.host));
            lines.push('\n');
        }
        let current = self.file_for(first)?;
        let written = current.append(lines.as_bytes());
        written.map_err(SinkError::io("writing a file of the sink"))?;
        let synced = current.file.sync_data();
        if synced.is_err() {
            // What a failed sync left of it nobody knows: the next try is in another file.
            self.current = None;
        }
        synced.map_err(SinkError::io("syncing a file of the sink"))?;
        // Who removed it while it was written removed what was just taken.
        self.check()
    }

    fn form(&self) -> SinkForm {
        self.form
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dir, format, form, most, .. } = self;
        f.debug_struct("FileSink")
            .field("dir", dir)
            .field("format", format)
            .field("form", form)
            .field("most", most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn entry(seq: u64, time: &str) -> Delivered {
        Delivered::new((seq, time.parse::<Timestamp>().unwrap(), [0; 32]), None)
    }

    fn files(dir: &Path) -> Vec<(String, String)> {
        let read = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = read
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_file_ends_with_its_day_or_size_and_none_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(dir.path()).file_bytes(300);
        for seq in 0..4 {
            sink.deliver(&[entry(seq, "2026-01-05T23:00:00Z")]).unwrap();
        }
        sink.deliver(&[entry(4, "2026-01-06T00:00:00Z")]).unwrap();
        // Another process, which is told of the last one again.
        FileSink::new(dir.path()).deliver(&[entry(4, "2026-01-06T00:00:00Z")]).unwrap();
        let files = files(dir.path());
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "audit-2026-01-05-00000000000000000000.jsonl",
                "audit-2026-01-05-00000000000000000003.jsonl",
                "audit-2026-01-06-00000000000000000004-2.jsonl",
                "audit-2026-01-06-00000000000000000004.jsonl",
            ]
        );
        assert_eq!(files.iter().map(|(_, text)| text.lines().count()).sum::<usize>(), 6);
    }

    #[test]
    fn a_file_that_was_removed_cut_or_replaced_is_noticed_and_stays_so() {
        type Attack = fn(&Path);
        let attacks: [Attack; 3] = [
            |path| fs::remove_file(path).unwrap(),
            |path| OpenOptions::new().write(true).open(path).unwrap().set_len(5).unwrap(),
            |path| {
                let text = fs::read(path).unwrap();
                fs::remove_file(path).unwrap();
                fs::write(path, text).unwrap();
            },
        ];
        for attack in attacks {
            let dir = tempfile::tempdir().unwrap();
            let mut sink = FileSink::new(dir.path());
            sink.deliver(&[entry(0, "2026-01-05T23:00:00Z")]).unwrap();
            attack(&dir.path().join("audit-2026-01-05-00000000000000000000.jsonl"));
            for _ in 0..2 {
                let refused = sink.deliver(&[entry(1, "2026-01-05T23:00:00Z")]);
                assert!(matches!(refused, Err(SinkError::Tampered { .. })), "{refused:?}");
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_and_no_loss() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("logs");
        let mut sink = FileSink::new(&inside);
        let refused = sink.deliver(&[entry(0, "2026-01-05T23:00:00Z")]);
        assert!(matches!(refused, Err(SinkError::Io { .. })), "{refused:?}");
        fs::create_dir(&inside).unwrap();
        sink.deliver(&[entry(0, "2026-01-05T23:00:00Z")]).unwrap();
        assert_eq!(files(&inside).len(), 1);
    }
}
