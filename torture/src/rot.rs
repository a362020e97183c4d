//! `rot`: bits flip, files are cut, lost, zeroed in places, or put back from an earlier day, in vaults of both suites.

use std::io;
use std::path::Path;
use std::time::Duration;

use chartvault::test_util::StateReader;

use crate::bench::{self, Allow, Case, Settings};
use crate::checked::Wound;
use crate::court::Question;
use crate::exhibit::{CHUNK, Damage, Exhibit, Flips, Target};
use crate::judge::Care;
use crate::keys;
use crate::plan::Plan;
use crate::report::{Outcome, Tally};
use crate::scene::{Base, Scenes, run_whole};

/// Numbers of the cases of one exhibit start at a multiple of this.
const EXHIBIT: u64 = 1_000_000_000;
/// A value that lives in the journal alone: longer than a row of the trees may be.
const KEPT: usize = 4_400;

/// The plan of a small vault, with all sorts of rows and few bytes.
fn first(settings: &Settings, dir: &Path, aes: bool) -> Plan {
    Plan { create: true, aes, steps: 5, largest: 300, dir: dir.to_owned(), ..Plan::new(settings.seed) }
}

/// More work on it.
fn second(settings: &Settings, base: &Base, first: usize) -> io::Result<Plan> {
    let ledger = base.dir.with_extension("said");
    std::fs::write(&ledger, &base.said)?;
    let plan = Plan { ledger: Some(ledger), dir: base.dir.clone(), ..Plan::new(settings.seed) };
    Ok(Plan { steps: 5, largest: 300, checkpoint: 4, first, ..plan })
}

/// A small vault of one suite that was closed twice.
fn small(settings: &Settings, name: &'static str, aes: bool) -> io::Result<Exhibit> {
    let root = settings.scratch.join(format!("rot-{name}"));
    bench::clear(&root)?;
    let (now, earlier) = (root.join("now"), root.join("earlier"));
    let base = Base::new(now.clone(), run_whole(&first(settings, &now, aes))?);
    bench::copy_dir(&now, &earlier)?;
    let said = base.said.clone() + &run_whole(&second(settings, &base, KEPT)?)?;
    Exhibit::of(name, (&now, Some(&earlier)), said, Exhibit::everywhere)
}

/// One whose journal was compacted: a long value closed the first segment, and the base holds what was before.
fn compacted(settings: &Settings) -> io::Result<Exhibit> {
    let root = settings.scratch.join("rot-compacted");
    bench::clear(&root)?;
    let now = root.join("now");
    let base = Base::new(now.clone(), run_whole(&first(settings, &now, false))?);
    let plan = Plan { steps: 4, checkpoint: 0, compact: 3, ..second(settings, &base, 60_000)? };
    let said = base.said.clone() + &run_whole(&plan)?;
    Exhibit::of("compacted", (&now, None), said, |path| match path.starts_with("journal") {
        true if path.to_string_lossy().contains("base-") => Some(Flips::EveryBit),
        true => Some(Flips::OneIn(16)),
        false => Some(Flips::OneIn(61)),
    })
}

/// A vault that was not closed.
fn unclean(settings: &Settings, scenes: &Scenes) -> io::Result<Exhibit> {
    let root = settings.scratch.join("rot-unclean");
    bench::clear(&root)?;
    let (now, before) = (root.join("now"), root.join("before"));
    let base = Base::new(now.clone(), run_whole(&first(settings, &now, false))?);
    bench::copy_dir(&now, &before)?;
    let plan = Plan { steps: 60, checkpoint: 0, ..second(settings, &base, 700)? };
    let said = scenes.kill_at_answer(&Base { dir: before.clone(), ..base }, &now, plan, 8)?;
    let journal = |path: &Path| path.extension().filter(|end| *end == "cvj").map(|_| Flips::EveryBit);
    Ok(Exhibit::of("not closed", (&now, None), said, journal)?.only_newer_than(&before))
}

/// A vault whose trees fill several of sled's segments: what rots in an old one is dropped there without a word, and
/// newer ones look well.
fn grown(settings: &Settings) -> io::Result<Exhibit> {
    let dir = settings.scratch.join("rot-grown");
    bench::clear(&dir)?;
    let now = dir.join("now");
    let plan = Plan { steps: 260, largest: 4_096, checkpoint: 40, ..first(settings, &now, false) };
    let said = run_whole(&plan)?;
    let trees = |path: &Path| path.starts_with("sled-1").then_some(Flips::OneIn(64));
    let mut grown = Exhibit::of("grown", (&now, None), said, trees)?;
    grown.one_in = 2;
    Ok(grown)
}

/// Whether the library's reader of state files refuses each of these bits; it sees the file and nothing else.
fn unreadable(reader: &StateReader, bytes: &[u8], from: usize) -> Outcome {
    let mut bytes = bytes.to_vec();
    if !reader.accepts(&bytes) {
        return Outcome::Bad("the state file itself is refused".into());
    }
    let end = (from + CHUNK).min(bytes.len());
    for byte in from..end {
        for bit in 0..8 {
            bytes[byte] ^= 1 << bit;
            if reader.accepts(&bytes) {
                return Outcome::Bad(format!("bit {bit} of byte {byte} is not noticed"));
            }
            bytes[byte] ^= 1 << bit;
        }
    }
    Outcome::Good(format!("every bit of {CHUNK} bytes of a state file, refused by its reader"))
}

/// What is asked of a case: the many flips are mostly looked at at a glance.
fn question(exhibit: &Exhibit, target: &Target, damage: Damage, number: u64) -> Question {
    let journal = target.path.starts_with("journal");
    let truth = journal || ["header", "state"].iter().any(|name| target.path.to_string_lossy().starts_with(name));
    let find = |while_open| Question::Find(Wound { path: target.path.clone(), while_open });
    match (number % 16, damage) {
        (0, _) => Question::Judge(Care::Thorough),
        // An open vault mends neither header nor journal by itself.
        (4, Damage::Flip { byte, bit }) if truth && byte < target.used => find(Some((byte as u64, bit as u8))),
        // What was damaged before is mended by opening, except for the journal.
        (4 | 12, _) if journal && exhibit.loses(target, damage) => find(None),
        (4 | 12, _) => Question::Judge(Care::Checked),
        (_, Damage::Flip { .. }) if !number.is_multiple_of(8) => Question::Judge(Care::Glance),
        _ => Question::Judge(Care::Whole),
    }
}

/// Whether a vault that was refused is salvaged, too.
const fn is_salvaged(number: u64) -> bool {
    number % 4 == 1
}

/// Only the journal is the truth; all else is mended from it, or has a second copy.
fn allowed(target: &Target, damage: Damage) -> Allow {
    match (target.read_from, damage) {
        (Some(from), Damage::Flip { byte, .. }) if byte >= from && byte < target.used => Allow::OnlyNamedDamage,
        _ if target.path.starts_with("journal") => Allow::NamedDamage,
        _ => Allow::WrongTrees,
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let exhibits = [
        small(settings, "ChaCha20", false)?,
        small(settings, "AES", true)?,
        unclean(settings, scenes)?,
        grown(settings)?,
        compacted(settings)?,
    ];
    let orders: Vec<Vec<usize>> = exhibits.iter().map(|exhibit| exhibit.order(settings.quick)).collect();
    for exhibit in &exhibits {
        println!("  {}: {} cases, {}", exhibit.name, exhibit.cases(), exhibit.bytes());
    }
    let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
    let alternating = (0..longest).flat_map(|at| {
        (0..orders.len()).filter_map({
            let orders = &orders;
            move |which| orders[which].get(at).map(|case| (which, *case))
        })
    });
    let exhibits = &exhibits;
    let cases = alternating.filter_map(|(which, case)| {
        let (target, damage) = exhibits[which].case(case)?;
        let number = (which as u64 + 1) * EXHIBIT + case as u64;
        let name = exhibits[which].name;
        Some(Case {
            number,
            label: format!("{name}, {}: {damage:?}", target.path.display()),
            what: (which, target, damage),
        })
    });
    let readers = exhibits
        .iter()
        .map(|exhibit| {
            let place = settings.scratch.join("rot-readers");
            bench::clear(&place)?;
            exhibit.lay_out(&place, &exhibit.targets[0], Damage::Cut(usize::MAX))?;
            StateReader::unlock(&place, &keys::raw_key(settings.seed)).map_err(io::Error::other)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let limit = Duration::from_secs(settings.scale(45, 864_000) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (which, target, damage) = case.what;
        let exhibit = &exhibits[which];
        if let Damage::Unreadable { from } = damage {
            return Ok(unreadable(&readers[which], exhibit.contents(target), from));
        }
        let question = question(exhibit, target, damage, case.number);
        let (number, seed, said) = (case.number, settings.seed, &exhibit.said);
        let rots_later = matches!(&question, Question::Find(wound) if wound.while_open.is_some());
        let (damage, allow) = match rots_later {
            true => (Damage::Cut(usize::MAX), Allow::Nothing),
            false => (damage, allowed(target, damage)),
        };
        let lay_out = |place: &Path| exhibit.lay_out(place, target, damage);
        lay_out(&bench.vault())?;
        let judged = bench.judge_with(number, seed, said, allow, &question, lay_out)?;
        match judged {
            Outcome::Good(class) if class.starts_with("refused") && is_salvaged(number) => {
                bench::clear(&bench.vault())?;
                lay_out(&bench.vault())?;
                let salvaged = bench.judge_with(number, seed, said, Allow::NamedDamage, &Question::Salvage, lay_out)?;
                Ok(match salvaged {
                    Outcome::Good(then) => Outcome::Good(format!("{class}; {then}")),
                    bad => bad,
                })
            }
            judged => Ok(judged),
        }
    })
}
