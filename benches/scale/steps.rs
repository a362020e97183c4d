//! What a child process does. Each step is a process of its own, so that its peak memory is its own and it can be killed.
//! It prints its figures, one `name value` a line.

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chartvault::{
    Action, CheckScope, Grant, Identifier, IssuerKey, Kind, Options, PatientId, Purpose, PutOptions, RawKey, ReadAudit,
    RecordRef, Scope, Session, Token, Vault,
};

use crate::{median, percentile};

/// Bytes of a value.
const VALUE: usize = 512;
/// Records of one chart.
pub(crate) const CHART: usize = 100;
const BATCH: usize = 500;
const WRITERS: usize = 2;

/// A directory with a vault, and what a later process needs to work in it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn vault(&self) -> PathBuf {
        self.0.join("scale.vault")
    }

    fn key(&self) -> RawKey {
        RawKey::from_bytes(fs::read(self.0.join("key")).unwrap().try_into().unwrap())
    }

    /// One record of each chart, in the order of writing.
    fn charts(&self) -> Vec<RecordRef> {
        fs::read_to_string(self.0.join("charts")).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    fn open(&self) -> (Vault, Session) {
        let start = Instant::now();
        let vault = Vault::open_with(self.vault(), Options::new()).unwrap().unlock(&self.key()).unwrap();
        say("open ms", start.elapsed().as_secs_f64() * 1e3);
        say("open replayed frames", vault.opening().replayed_frames as f64);
        say("open memory MiB", memory("VmRSS"));
        let token: Token = fs::read_to_string(self.0.join("token")).unwrap().parse().unwrap();
        let session = vault.session(&token, Purpose::Treatment).unwrap();
        (vault, session)
    }
}

pub(crate) fn say(name: &str, value: f64) {
    println!("{name}\t{value}");
}

/// MiB of this process, by its name in `/proc/self/status`; not a number where there is none.
fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Bytes of all files below a directory, as they take room on the disk.
fn on_disk(dir: &Path) -> u64 {
    fs::read_dir(dir).map_or(0, |entries| {
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| if path.is_dir() { on_disk(&path) } else { fs::metadata(path).unwrap().len() }).sum()
    })
}

/// Rows written so far by all steps; single puts are not counted.
pub(crate) fn rows(place: &Place) -> usize {
    let noted = fs::read_to_string(place.0.join("rows")).unwrap_or_default();
    noted.lines().map(|line| line.parse::<usize>().unwrap()).sum()
}

fn note_rows(place: &Place, rows: usize) {
    let mut file = fs::File::options().append(true).create(true).open(place.0.join("rows")).unwrap();
    writeln!(file, "{rows}").unwrap();
}

fn kind() -> Kind {
    Kind::new("Observation").unwrap()
}

/// Charts of [`CHART`] records each, in batches of [`BATCH`], by [`WRITERS`] threads. Gives a record of each chart.
fn bulk(place: &Place, session: &Session, charts: &[PatientId]) -> Vec<RecordRef> {
    note_rows(place, charts.len() * (CHART + 1));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; charts.len()]));
    let (kind, value) = (kind(), vec![b'x'; VALUE]);
    let per_batch = BATCH / CHART;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(per_batch, Ordering::Relaxed);
                    let Some(mine) = charts.get(at..charts.len().min(at + per_batch)).filter(|mine| !mine.is_empty())
                    else {
                        break;
                    };
                    let mut batch = session.batch();
                    for record in 0..mine.len() * CHART {
                        batch.put_verbatim(mine[record / CHART], &kind, &value, PutOptions::new()).unwrap();
                    }
                    let written = batch.commit().unwrap();
                    let mut found = found.lock().unwrap();
                    written.chunks(CHART).enumerate().for_each(|(chart, written)| found[at + chart] = Some(written[0]));
                }
            });
        }
    });
    found.into_inner().unwrap().into_iter().flatten().collect()
}

fn register(session: &Session, patients: usize) -> Vec<PatientId> {
    let all: Vec<[Identifier; 0]> = vec![[]; patients];
    all.chunks(1_000).flat_map(|some| session.register_patients(some.iter().cloned()).unwrap()).collect()
}

/// Makes the vault, and closes it.
pub(crate) fn import(place: &Place, records: usize) {
    let key = RawKey::generate().unwrap();
    fs::write(place.0.join("key"), *key.expose_bytes()).unwrap();
    let (vault, _) = Vault::create(place.vault()).raw_key(&key).options(Options::new()).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(86_400));
    let token = grant.sign(&issuer, vault.id()).unwrap();
    fs::write(place.0.join("token"), token.expose_text().as_bytes()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();

    let patients = records.div_ceil(CHART);
    let start = Instant::now();
    let charts = register(&session, patients);
    say("register patients/s", patients as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    let charts = bulk(place, &session, &charts);
    say("import records/s", (patients * CHART) as f64 / start.elapsed().as_secs_f64());
    let lines: String = charts.iter().map(|record| format!("{record}\n")).collect();
    fs::write(place.0.join("charts"), lines).unwrap();
    let start = Instant::now();
    drop(session);
    vault.close().unwrap();
    say("close ms", start.elapsed().as_secs_f64() * 1e3);
    say("import peak MiB", memory("VmHWM"));
    let trees = fs::read_dir(place.vault()).unwrap().map(|entry| entry.unwrap().path());
    let trees: u64 = trees.filter(|path| path.is_dir() && !path.ends_with("journal")).map(|path| on_disk(&path)).sum();
    say("disk, journal MiB", on_disk(&place.vault().join("journal")) as f64 / 1024.0 / 1024.0);
    say("disk, trees MiB", trees as f64 / 1024.0 / 1024.0);
    say("disk, state MiB", fs::metadata(place.vault().join("state.a")).unwrap().len() as f64 / 1024.0 / 1024.0);
}

/// Opens, and measures the first touch of some charts against the second, then lists and verifies.
pub(crate) fn read(place: &Place, touches: usize, whole: bool) {
    let (vault, session) = place.open();
    let charts = place.charts();
    let step = (charts.len() / touches.max(1)).max(1);
    let chosen: Vec<RecordRef> = charts.iter().copied().step_by(step).take(touches).collect();
    let mut get = |record: &RecordRef| {
        let start = Instant::now();
        session.get_verbatim(*record).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    // So that no sync of an entry is in the figures.
    let window = ReadAudit::Windowed { delay: Duration::from_secs(1), entries: 1_000 };
    vault.set_read_audit(window, &place.key()).unwrap();
    let first: Vec<f64> = chosen.iter().map(&mut get).collect();
    let second: Vec<f64> = chosen.iter().map(&mut get).collect();
    vault.set_read_audit(ReadAudit::Durable, &place.key()).unwrap();
    say("first touch ms", median(first.clone()));
    say("first touch, 99 % ms", percentile(first.clone(), 99));
    say("first touch, worst ms", percentile(first, 100));
    say("second touch ms", median(second));
    if whole {
        let (start, mut records) = (Instant::now(), 0);
        for record in &charts {
            records += session.list_verbatim(record.patient(), &kind()).limit(CHART).page().unwrap().entries.len();
        }
        say("list, every chart once, records/s", records as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let entries = session.audit().unwrap().verify(Scope::All).run().unwrap().entries;
        say("verify entries/s", entries as f64 / start.elapsed().as_secs_f64());
    }
    say("read peak MiB", memory("VmHWM"));
    drop(session);
    vault.close().unwrap();
}

/// Checks of all sorts, in rows of all trees a second and in those a second of processor time.
pub(crate) fn check(place: &Place) {
    let (vault, session) = place.open();
    let scopes = [("trees", CheckScope::Trees), ("journal", CheckScope::Journal), ("records", CheckScope::Records)];
    for (name, scope) in scopes {
        let (start, before) = (Instant::now(), processor());
        let report = vault.check(scope, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report}");
        let (took, busy) = (start.elapsed().as_secs_f64(), processor() - before);
        say(&format!("check of {name}, rows/s"), rows(place) as f64 / took);
        say(&format!("check of {name}, rows a second of processor time"), rows(place) as f64 / busy);
    }
    say("check peak MiB", memory("VmHWM"));
    drop(session);
    vault.close().unwrap();
}

/// Seconds that this process has had of a processor; not a number where the system does not tell.
fn processor() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / TICKS } else { f64::NAN }
}

/// Opens, writes `records` more, waits `idle`, says so and waits to be killed.
pub(crate) fn tail(place: &Place, records: usize, idle: Duration) {
    let (_vault, session) = place.open();
    let charts = register(&session, records / CHART);
    bulk(place, &session, &charts);
    std::thread::sleep(idle);
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().lock().lines().for_each(drop);
}

/// Single puts beside an import that journals enough for `checkpoints` checkpoints, and how long the worst took.
pub(crate) fn stall(place: &Place, records: usize) {
    let (vault, session) = place.open();
    let patients = register(&session, records.div_ceil(CHART) + 1);
    let (mine, others) = patients.split_first().unwrap();
    let (value, kind, stop) = (vec![b'x'; VALUE], kind(), AtomicBool::new(false));
    let mut took = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                session.put_verbatim(*mine, &kind, &value, PutOptions::new()).unwrap();
                took.push(start.elapsed().as_secs_f64() * 1e3);
            }
            took
        });
        bulk(place, &session, others);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    took.sort_by(f64::total_cmp);
    say("put beside imports ms", median(took.clone()));
    say("put beside imports, 99 % ms", percentile(took.clone(), 99));
    say("put beside imports, worst ms", percentile(took, 100));
    drop(session);
    vault.close().unwrap();
}
