//! What was asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "cargo run --release -- [options]

  --quick        a look: 1 round, short runs, 20,000 records
  --only NAME    operations whose name contains this; `size` and `open` are names as well
  --peer NAME    this peer and SQLCipher (several times: all of them); default: all
  --records N    records of the store whose size and opening are measured; default: 100,000
  --rounds N     interleaved runs of each operation; default: 5
  --dir DIR      where the stores are; default: the directory for temporary files
  --json FILE    the figures for other programs
  --docs         writes tables and chart into docs/performance.md, docs/peers.svg and README.md
  --list         the peers and how they are set";

/// All of it.
pub struct Options {
    pub only: String,
    pub peers: Vec<String>,
    pub records: usize,
    pub rounds: usize,
    /// Of one run of an operation.
    pub time: Duration,
    /// Records of one run of an import.
    pub import: usize,
    pub dir: PathBuf,
    pub json: Option<PathBuf>,
    pub docs: bool,
    pub list: bool,
}

impl Options {
    /// Reads the command line; says what is wrong with it.
    pub fn from_command_line() -> Result<Self, String> {
        let mut options = Self {
            only: String::new(),
            peers: Vec::new(),
            records: 100_000,
            rounds: 5,
            time: Duration::from_millis(1_000),
            import: 50_000,
            dir: std::env::temp_dir(),
            json: None,
            docs: false,
            list: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value\n\n{USAGE}"));
            let number = |text: String| text.parse().map_err(|_| format!("{text} is no number\n\n{USAGE}"));
            match argument.as_str() {
                "--quick" => {
                    (options.rounds, options.time) = (1, Duration::from_millis(300));
                    (options.import, options.records) = (10_000, 20_000);
                }
                "--only" => options.only = value()?,
                "--peer" => options.peers.push(value()?),
                "--records" => options.records = number(value()?)?,
                "--rounds" => options.rounds = number(value()?)?.max(1),
                "--dir" => options.dir = value()?.into(),
                "--json" => options.json = Some(value()?.into()),
                "--docs" => options.docs = true,
                "--list" => options.list = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}
