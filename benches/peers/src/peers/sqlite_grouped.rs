//! SQLCipher as a vendor who knows about group commit would use it: one connection, and whoever finds nobody writing
//! takes all calls that wait into one transaction.

use std::path::Path;
use std::sync::{Condvar, Mutex};

use rusqlite::Connection;

use super::sqlite;
use crate::clinic::{Clinic, Desk, Name, Peer, ReadLog, patient_id};
use crate::entry::{Action, Draft};
use crate::window::Window;

/// The harder one to beat with many callers.
pub const SQLCIPHER: Peer = Peer {
    name: "grouped",
    label: "SQLCipher, calls grouped",
    settings: "as SQLCipher, but one connection for all callers: whoever finds nobody writing takes all calls that wait \
               into one transaction",
    create: |path, patients| {
        (sqlite::SQLCIPHER.create)(path, patients).close();
        open(path)
    },
    open,
};

/// A call that waits: the work, which leaves its answer where the caller looks for it.
type Call = Box<dyn FnOnce(&Connection) -> Draft + Send>;

#[derive(Default)]
struct Queue {
    calls: Vec<(u64, Call)>,
    next: u64,
    /// Calls below this number are done.
    done: u64,
    leading: bool,
}

struct Grouped {
    window: Window,
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

fn open(path: &Path) -> Box<dyn Clinic> {
    let window = sqlite::window(sqlite::connect(path, true));
    let connection = Mutex::new(sqlite::connect(path, true));
    Box::new(Grouped { window, connection, queue: Mutex::default(), changed: Condvar::new() })
}

impl Grouped {
    fn logged<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> (T, Draft) + Send + 'static) -> T {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let call: Call = Box::new(move |connection| {
            let (value, draft) = work(connection);
            answer.send(value).unwrap();
            draft
        });
        let mut queue = self.queue.lock().unwrap();
        let number = queue.next;
        queue.next += 1;
        queue.calls.push((number, call));
        while queue.done <= number {
            if queue.leading {
                queue = self.changed.wait(queue).unwrap();
                continue;
            }
            queue.leading = true;
            let calls = std::mem::take(&mut queue.calls);
            drop(queue);
            let last = self.commit(calls);
            queue = self.queue.lock().unwrap();
            queue.leading = false;
            queue.done = last + 1;
            self.changed.notify_all();
        }
        drop(queue);
        answered.recv().unwrap()
    }

    /// One transaction; the number of the last call.
    fn commit(&self, calls: Vec<(u64, Call)>) -> u64 {
        let mut connection = self.connection.lock().unwrap();
        let transaction = sqlite::begin(&mut connection);
        let mut chain = sqlite::end_of_log(&transaction);
        let mut last = 0;
        for (number, call) in calls {
            let draft = call(&transaction);
            sqlite::log(&transaction, &chain.append(draft));
            last = number;
        }
        transaction.commit().unwrap();
        last
    }
}

impl Clinic for Grouped {
    fn desk(&self) -> Box<dyn Desk + '_> {
        Box::new(self)
    }

    fn choose(&self, log: ReadLog) {
        self.window.choose(log);
    }

    fn close(self: Box<Self>) {}
}

impl Desk for &Grouped {
    fn put(&mut self, patient: usize, value: &[u8]) {
        let value = value.to_vec();
        self.logged(move |connection| {
            let record = sqlite::insert(connection, patient, &value);
            ((), Draft::new(Action::Put, vec![patient_id(patient)], vec![record]))
        });
    }

    fn import(&mut self, records: &[(usize, &[u8])]) -> Vec<Name> {
        let records: Vec<_> = records.iter().map(|(patient, value)| (*patient, value.to_vec())).collect();
        self.logged(move |connection| {
            let insert = |(patient, value): &(usize, Vec<u8>)| sqlite::insert(connection, *patient, value);
            let numbers: Vec<_> = records.iter().map(insert).collect();
            let mut patients: Vec<_> = records.iter().map(|(patient, _)| *patient).collect();
            let names =
                patients.iter().zip(&numbers).map(|(patient, number)| Name::Number(*patient, *number)).collect();
            patients.dedup();
            (names, Draft::new(Action::Put, patients.into_iter().map(patient_id).collect(), numbers))
        })
    }

    fn read(&mut self, name: &Name) -> Vec<u8> {
        let Name::Number(patient, record) = *name else { unreachable!("the name of another peer's record") };
        let draft = move || Draft::new(Action::Read, vec![patient_id(patient)], vec![record]);
        if self.window.is_on() {
            let value = sqlite::value(&self.connection.lock().unwrap(), record);
            self.window.push(draft());
            return value;
        }
        self.logged(move |connection| (sqlite::value(connection, record), draft()))
    }

    fn chart(&mut self, patient: usize) -> usize {
        self.logged(move |connection| {
            let numbers = sqlite::newest(connection, patient);
            (numbers.len(), Draft::new(Action::Chart, vec![patient_id(patient)], numbers))
        })
    }
}
