//! A clinic on top of a plain key-value store: values and entries sealed by hand with the AEAD that chartvault uses by
//! default, one key, random nonces. No tokens, no keys of their own for values and patients, no padding, nothing that
//! notices a row put back or left out: less than chartvault does.

use std::sync::{Arc, Mutex};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use crate::clinic::{CHART, Clinic, Desk, Name, ReadLog, patient_id};
use crate::entry::{Action, Chain, Draft};
use crate::together::SharedSync;
use crate::window::Window;

/// What the stores have in common. Keys of records are patient and number, so that a chart is one range.
pub trait Store: Send + Sync + 'static {
    /// Writes rows all at once; durable on return, or after [`Store::sync`]. One caller at a time.
    fn write(&self, records: Vec<(Vec<u8>, Vec<u8>)>, entries: Vec<([u8; 8], Vec<u8>)>);

    /// Makes durable what was written before the call.
    fn sync(&self);

    fn record(&self, key: &[u8]) -> Vec<u8>;

    /// The last records whose keys start so, backwards.
    fn last(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// The last entry's key and value.
    fn last_entry(&self) -> Option<([u8; 8], Vec<u8>)>;
}

struct Shared<S> {
    store: S,
    cipher: ChaCha20Poly1305,
    /// The end of the log and the next number of a record. Who holds it writes.
    end: Mutex<(Chain, u64)>,
    sync: SharedSync,
}

struct Sealed<S: Store> {
    // First, so that it is dropped before the store is.
    window: Window,
    shared: Arc<Shared<S>>,
}

/// Makes a clinic of a store. One that was opened again goes on behind its last entry; that the next number of a record
/// is not looked for (an entry stands for at most 500) makes opening no slower.
pub fn clinic<S: Store>(store: S) -> Box<dyn Clinic> {
    let cipher = ChaCha20Poly1305::new(&[7; 32].into());
    let mut chain = Chain::default();
    if let Some((seq, sealed)) = store.last_entry() {
        let entry = open(&cipher, &seq, &sealed);
        chain.next = u64::from_be_bytes(seq) + 1;
        chain.last.copy_from_slice(&entry[entry.len() - 32..]);
    }
    let number = chain.next * 1_000;
    let shared = Arc::new(Shared { store, cipher, end: Mutex::new((chain, number)), sync: SharedSync::default() });
    let theirs = Arc::clone(&shared);
    let window = Window::new(move |drafts| {
        theirs.commit(|end| (Vec::new(), drafts.into_iter().map(|draft| theirs.entry(end, draft)).collect()));
    });
    Box::new(Sealed { window, shared })
}

fn seal(cipher: &ChaCha20Poly1305, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).unwrap();
    let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg: value, aad: key }).unwrap();
    [&nonce[..], &sealed].concat()
}

fn open(cipher: &ChaCha20Poly1305, key: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (nonce, sealed) = sealed.split_first_chunk::<12>().unwrap();
    cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: key }).unwrap()
}

fn key(patient: usize, number: u64) -> Vec<u8> {
    [&patient_id(patient)[..], &number.to_be_bytes()].concat()
}

fn number(key: &[u8]) -> u64 {
    u64::from_be_bytes(key[16..].try_into().unwrap())
}

type Rows = (Vec<(Vec<u8>, Vec<u8>)>, Vec<([u8; 8], Vec<u8>)>);

impl<S: Store> Shared<S> {
    fn entry(&self, chain: &mut Chain, draft: Draft) -> ([u8; 8], Vec<u8>) {
        let entry = chain.append(draft);
        let key = entry.seq.to_be_bytes();
        (key, seal(&self.cipher, &key, &entry.to_bytes()))
    }

    fn commit(&self, rows: impl FnOnce(&mut Chain) -> Rows) {
        let mut end = self.end.lock().unwrap();
        let (records, entries) = rows(&mut end.0);
        self.store.write(records, entries);
        drop(end);
        self.sync.sync(|| self.store.sync());
    }

    fn put(&self, records: &[(usize, &[u8])]) -> Vec<Name> {
        let first = {
            let mut end = self.end.lock().unwrap();
            end.1 += records.len() as u64;
            end.1 - records.len() as u64
        };
        let numbers: Vec<_> = (first..).take(records.len()).collect();
        // Sealed before anybody is kept waiting.
        let rows = records.iter().zip(&numbers).map(|((patient, value), number)| {
            let key = key(*patient, *number);
            let sealed = seal(&self.cipher, &key, value);
            (key, sealed)
        });
        let rows = rows.collect();
        let mut patients: Vec<_> = records.iter().map(|(patient, _)| *patient).collect();
        patients.dedup();
        let patients = patients.into_iter().map(patient_id).collect();
        let names =
            records.iter().zip(&numbers).map(|((patient, _), number)| Name::Number(*patient, *number)).collect();
        self.commit(|end| (rows, vec![self.entry(end, Draft::new(Action::Put, patients, numbers))]));
        names
    }

    fn log(&self, draft: Draft) {
        self.commit(|end| (Vec::new(), vec![self.entry(end, draft)]));
    }
}

impl<S: Store> Clinic for Sealed<S> {
    fn desk(&self) -> Box<dyn Desk + '_> {
        Box::new(SealedDesk { shared: &self.shared, window: &self.window })
    }

    fn choose(&self, log: ReadLog) {
        self.window.choose(log);
    }

    fn close(self: Box<Self>) {}
}

struct SealedDesk<'c, S> {
    shared: &'c Shared<S>,
    window: &'c Window,
}

impl<S: Store> Desk for SealedDesk<'_, S> {
    fn put(&mut self, patient: usize, value: &[u8]) {
        self.shared.put(&[(patient, value)]);
    }

    fn import(&mut self, records: &[(usize, &[u8])]) -> Vec<Name> {
        self.shared.put(records)
    }

    fn read(&mut self, name: &Name) -> Vec<u8> {
        let Name::Number(patient, number) = *name else { unreachable!("the name of another peer's record") };
        let key = key(patient, number);
        let value = open(&self.shared.cipher, &key, &self.shared.store.record(&key));
        let draft = Draft::new(Action::Read, vec![patient_id(patient)], vec![number]);
        if self.window.is_on() {
            self.window.push(draft)
        } else {
            self.shared.log(draft)
        }
        value
    }

    fn chart(&mut self, patient: usize) -> usize {
        let id = patient_id(patient);
        let rows = self.shared.store.last(&id, CHART);
        let values: Vec<_> = rows.iter().map(|(key, sealed)| open(&self.shared.cipher, key, sealed)).collect();
        std::hint::black_box(&values);
        self.shared.log(Draft::new(Action::Chart, vec![id], rows.iter().map(|(key, _)| number(key)).collect()));
        values.len()
    }
}
