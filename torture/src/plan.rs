//! What a tortured process is to do, as words on its command line.

use std::path::PathBuf;

/// One run of the workload.
#[derive(Clone, Debug)]
pub struct Plan {
    pub dir: PathBuf,
    pub seed: u64,
    /// Lines of earlier runs on the same vault.
    pub ledger: Option<PathBuf>,
    /// Creates the vault first.
    pub create: bool,
    /// AES-256-GCM rather than ChaCha20-Poly1305.
    pub aes: bool,
    /// Times that the vault is opened, worked with and closed.
    pub rounds: usize,
    /// Operations of each writer in each round.
    pub steps: usize,
    pub writers: usize,
    pub readers: usize,
    /// Bytes of the largest value.
    pub largest: usize,
    /// Bytes of a value that the first writer puts before anything else; 0 for none.
    pub first: usize,
    /// A checkpoint after so many steps; 0 for none but those at random.
    pub checkpoint: usize,
    /// A compaction after so many steps, and one after another by a thread of its own where several work; 0 for none.
    pub compact: usize,
    /// A rotation after so many steps, and one after another by a thread of its own where several work; 0 for none.
    pub rotate: usize,
    /// Which rotation is the first, in the order in which they take turns.
    pub turn: usize,
    /// Reads are answered before their entries are durable, at most so many; 0: none.
    pub window: usize,
    /// Leaves the vault open at the end of the last round.
    pub leave: bool,
    /// The disk may fail: errors are heard, and the vault is opened again after them.
    pub faults: bool,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self {
            dir: PathBuf::new(),
            seed,
            ledger: None,
            create: false,
            aes: false,
            rounds: 1,
            steps: 0,
            writers: 1,
            readers: 0,
            largest: 20_000,
            first: 0,
            checkpoint: 0,
            compact: 0,
            rotate: 0,
            turn: 0,
            window: 0,
            leave: false,
            faults: false,
        }
    }

    /// As arguments for `torture work`.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![
            format!("dir={}", self.dir.display()),
            format!("seed={}", self.seed),
            format!("rounds={}", self.rounds),
            format!("steps={}", self.steps),
            format!("writers={}", self.writers),
            format!("readers={}", self.readers),
            format!("largest={}", self.largest),
            format!("first={}", self.first),
            format!("checkpoint={}", self.checkpoint),
            format!("compact={}", self.compact),
            format!("rotate={}", self.rotate),
            format!("turn={}", self.turn),
            format!("window={}", self.window),
        ];
        words.extend(self.ledger.as_ref().map(|ledger| format!("ledger={}", ledger.display())));
        let flags = [("create", self.create), ("aes", self.aes), ("leave", self.leave), ("faults", self.faults)];
        words.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()));
        words
    }

    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut plan = Self::new(0);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<usize>().map_err(|_| format!("{word}: not a number"));
            match name {
                "dir" => plan.dir = value.into(),
                "ledger" => plan.ledger = Some(value.into()),
                "seed" => plan.seed = value.parse().map_err(|_| format!("{word}: not a number"))?,
                "rounds" => plan.rounds = number()?,
                "steps" => plan.steps = number()?,
                "writers" => plan.writers = number()?.max(1),
                "readers" => plan.readers = number()?,
                "largest" => plan.largest = number()?,
                "first" => plan.first = number()?,
                "checkpoint" => plan.checkpoint = number()?,
                "compact" => plan.compact = number()?,
                "rotate" => plan.rotate = number()?,
                "turn" => plan.turn = number()?,
                "window" => plan.window = number()?,
                "create" => plan.create = true,
                "aes" => plan.aes = true,
                "leave" => plan.leave = true,
                "faults" => plan.faults = true,
                _ => return Err(format!("{word}: unknown")),
            }
        }
        Ok(plan)
    }
}
