//! `chartvault-verify BUNDLE --key VKEY…`: says what a bundle of a chartvault log proves.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable
    )
)]

use std::fs::{self, File};
use std::io::BufReader;
use std::process::ExitCode;

use chartvault_verify::bundle::{BundleCheck, Report, Trust};
use chartvault_verify::note::VerifierKey;

const USAGE: &str = "usage: chartvault-verify BUNDLE --key VKEY [--key VKEY]… [--checkpoint FILE] [--threads N]

Checks a bundle that was exported from the audit log of a chartvault vault, without the vault and without its keys.

  --key VKEY         a verifier key (name+hash+key): the log's, pinned when the vault was set up (one only, the oldest),
                     and those of witnesses
  --checkpoint FILE  a checkpoint that was kept outside the vault: is the log not older, and the same up to there?
  --threads N        threads that check, 1 to 16; as many as there are processors if not given

exit code: 0 nothing speaks against it, 1 error, 2 usage, 20 tampering found, 21 something cannot be said";

struct Asked {
    bundle: String,
    trust: Trust,
    threads: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let asked = match asked(&words) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match check(&asked) {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(code(&report))
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn asked(words: &[String]) -> Result<Asked, String> {
    let (mut bundle, mut keys, mut checkpoint) = (None, Vec::new(), None);
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--key" => keys.push(value()?.parse::<VerifierKey>().map_err(|error| format!("--key: {error}"))?),
            "--threads" => {
                let number = value()?.parse().ok().filter(|threads| (1..=16).contains(threads));
                threads = number.ok_or("--threads needs a number from 1 to 16")?;
            }
            "--checkpoint" => checkpoint = Some(value()?.clone()),
            unknown if unknown.starts_with('-') => return Err(format!("{unknown} is unknown")),
            path if bundle.is_none() => bundle = Some(path.to_owned()),
            more => return Err(format!("one bundle at a time, and there is {more} as well")),
        }
    }
    let bundle = bundle.ok_or("no bundle is named")?;
    if keys.is_empty() {
        return Err("without a key that was pinned nothing is proved: give one with --key".to_owned());
    }
    let mut trust = Trust::keys(keys);
    if let Some(path) = checkpoint {
        let note = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        trust = trust.and_checkpoint(note);
    }
    Ok(Asked { bundle, trust, threads })
}

fn check(asked: &Asked) -> Result<Report, String> {
    let file = File::open(&asked.bundle).map_err(|error| format!("{}: {error}", asked.bundle))?;
    let check = BundleCheck::new(&asked.trust).threads(asked.threads);
    check.run(BufReader::with_capacity(1 << 18, file)).map_err(|error| format!("{}: {error}", asked.bundle))
}

fn code(report: &Report) -> u8 {
    let asked_of_freshness = !matches!(&report.freshness, chartvault_verify::bundle::Verdict::Unknown(why)
        if why.contains(&chartvault_verify::bundle::BundleFault::NothingKnown));
    let sound = report.integrity.is_sound() && report.completeness.is_sound();
    match (report.is_unsound(), sound && (report.freshness.is_sound() || !asked_of_freshness)) {
        (true, _) => 20,
        (false, true) => 0,
        (false, false) => 21,
    }
}
