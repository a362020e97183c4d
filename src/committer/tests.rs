use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::audit::{AuditEvent, EntryKind, Outcome as Answer};
use crate::clock::SystemClock;
use crate::ids::VaultId;
use crate::secret::{Key, Secret};
use crate::storage::memory::MemoryStore;
use crate::storage::{self, Batch, CommitError, Pending, PreparedWrite};

/// Storage of nothing but counts, which does as it is told when work arrives.
struct Puppet {
    frames: AtomicU64,
    /// Entries that were committed.
    entries: AtomicU64,
    notice: Arc<Mutex<Option<&'static str>>>,
    at_commit: Box<dyn Fn(u64) + Send + Sync>,
    at_settle: Box<dyn Fn(u64) + Send + Sync>,
}

impl Storage for Puppet {
    fn head(&self) -> storage::Head {
        let seq = self.frames.load(Ordering::SeqCst);
        storage::Head { seq, entries: self.entries.load(Ordering::SeqCst) }
    }
    fn prepare(&self, tree: Tree, key: Bytes, _: Option<Bytes>, _: Option<&[u8]>) -> PreparedWrite {
        PreparedWrite { tree, key, new: None, old_leaf: None }
    }
    fn get(&self, _: Tree, _: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }
    fn scan(&self, _: Tree, _: Scan<'_>) -> Result<Vec<(Vec<u8>, Bytes)>, StorageError> {
        Ok(Vec::new())
    }
    fn scan_keys(&self, _: Tree, _: Scan<'_>) -> Result<Vec<Vec<u8>>, StorageError> {
        Ok(Vec::new())
    }
    fn commit(&self, _: storage::Head, batch: Batch) -> Result<Pending, CommitError> {
        self.entries.fetch_add(batch.entries.len() as u64, Ordering::SeqCst);
        let seq = self.frames.fetch_add(1, Ordering::SeqCst) + 1;
        (self.at_commit)(seq);
        Ok(Pending { seq })
    }
    fn settle(&self, pending: Pending) -> Result<(), StorageError> {
        (self.at_settle)(pending.seq);
        Ok(())
    }
    fn tally(&self, _: &[u8; 16]) -> u64 {
        0
    }
    fn entries(&self, _: u64, _: usize) -> Result<Vec<(u64, Bytes)>, StorageError> {
        Ok(Vec::new())
    }
    fn first_entry(&self) -> u64 {
        0
    }
    fn last_entry(&self) -> Option<Bytes> {
        None
    }
    fn take_notice(&self) -> Option<&'static str> {
        self.notice.lock().unwrap().take()
    }
    fn checkpoint(&self) -> Result<(), StorageError> {
        Ok(())
    }
    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

type Hook = Box<dyn Fn(u64) + Send + Sync>;

/// A committer after its first entry, which is frame 1.
fn committer(at_commit: Hook, at_settle: Hook) -> Arc<Committer> {
    with_notice(at_commit, at_settle, Arc::default())
}

fn with_notice(at_commit: Hook, at_settle: Hook, notice: Arc<Mutex<Option<&'static str>>>) -> Arc<Committer> {
    let (frames, entries) = (AtomicU64::new(0), AtomicU64::new(0));
    let puppet = Arc::new(Puppet { frames, entries, notice, at_commit, at_settle });
    let keys = Arc::new(AuditKeys::new(1, Key::new(Secret::take(&mut [7; 32]))));
    let chain = Chain::new(VaultId::from_bytes([1; 16]), None);
    let committer = Committer::new(puppet, Suite::ChaCha20Poly1305, Arc::new(SystemClock), 1, chain, keys);
    let mut genesis = Draft::new(AuditEvent::VaultCreated, Answer::Allowed);
    genesis.kind = EntryKind::Genesis;
    committer.commit(Vec::new(), vec![genesis]).unwrap();
    Arc::new(committer)
}

fn draft() -> Vec<Draft> {
    vec![Draft::new(AuditEvent::VaultOpened, Answer::Allowed)]
}

/// A hook that says that frame `at` has come, and goes on when told.
fn stop_at(at: u64, then: impl Fn() + Send + Sync + 'static) -> (Hook, Receiver<()>, SyncSender<()>) {
    let ((came, has_come), (go, may_go)) = (sync_channel(1), sync_channel(1));
    let may_go = Mutex::new(may_go);
    let hook = move |seq| {
        if seq == at {
            came.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            then();
        }
    };
    (Box::new(hook), has_come, go)
}

#[test]
fn an_entry_that_is_durable_and_not_settled_is_read_all_the_same() {
    let (hook, has_come, go) = stop_at(2, || ());
    let committer = committer(Box::new(|_| ()), hook);
    let second = thread::spawn({
        let committer = Arc::clone(&committer);
        move || committer.commit(Vec::new(), draft())
    });
    has_come.recv().unwrap();
    assert_eq!(committer.newest_entry().unwrap().seq, 1);
    go.send(()).unwrap();
    second.join().unwrap().unwrap();
}

#[test]
fn callers_are_answered_before_their_group_is_settled_and_readers_see_its_rows() {
    let (hook, has_come, go) = stop_at(2, || ());
    let committer = committer(Box::new(|_| ()), hook);
    committer.attend(true);
    let key = b"key".to_vec();
    committer.commit(vec![Row::new(Tree::Records, key.clone(), b"value".to_vec())], draft()).unwrap();
    thread::scope(|scope| {
        let settler = scope.spawn(|| {
            assert!(committer.settle_bell().wait());
            committer.settle();
        });
        has_come.recv().unwrap();
        // This storage holds no rows: what is read waits.
        assert_eq!(committer.get(Tree::Records, &key).unwrap().as_deref(), Some(&b"value"[..]));
        go.send(()).unwrap();
        settler.join().unwrap();
    });
    assert!(committer.nothing_waits());
}

#[test]
fn whoever_commits_settles_what_is_too_much_to_wait() {
    let committer = committer(Box::new(|_| ()), Box::new(|_| ()));
    committer.attend(true);
    let row = |number: u8| vec![Row::new(Tree::Records, vec![number], vec![number; 600 << 10])];
    for number in 0..3 {
        committer.commit(row(number), draft()).unwrap();
        assert!(!committer.nothing_waits(), "nobody settles");
    }
    committer.commit(row(3), draft()).unwrap();
    // As much as is too much: this storage holds no rows, so what is still read waits.
    let waits = |number: u8| committer.get(Tree::Records, &[number]).unwrap().is_some();
    assert_eq!([0, 1, 2, 3].map(waits), [false, true, true, true]);
}

/// Commits when it is dropped.
struct LastWords<'c>(&'c Committer);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        self.0.commit(Vec::new(), draft()).unwrap();
    }
}

#[test]
fn what_a_thread_commits_while_it_unwinds_stops_nobody() {
    let committer = committer(Box::new(|_| ()), Box::new(|_| ()));
    let host = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = LastWords(&committer);
        panic!("a host's own mistake");
    }));
    assert!(host.is_err());
    committer.commit(Vec::new(), draft()).unwrap();
    assert_eq!(committer.newest_entry().unwrap().seq, 2);
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting() {
    let (hook, has_come, go) = stop_at(2, || panic!("on purpose"));
    let committer = committer(hook, Box::new(|_| ()));
    let leader = thread::spawn({
        let committer = Arc::clone(&committer);
        move || committer.commit(Vec::new(), draft())
    });
    has_come.recv().unwrap();
    let (answers, answered) = sync_channel(3);
    for _ in 0..3 {
        let queued = committer.queue(Vec::new(), draft()).unwrap();
        let (committer, answers) = (Arc::clone(&committer), answers.clone());
        thread::spawn(move || answers.send(committer.wait(queued)).unwrap());
    }
    go.send(()).unwrap();
    for _ in 0..3 {
        let answer = answered.recv_timeout(Duration::from_secs(20)).expect("it still waits");
        assert!(matches!(answer, Err(CommitFailed::Stopped(_))), "{answer:?}");
    }
    assert!(leader.join().is_err());
    assert!(matches!(committer.commit(Vec::new(), draft()), Err(CommitFailed::Stopped(_))));
}

#[test]
fn what_is_durable_is_acknowledged_even_if_settling_panics() {
    let (settling, has_come, go) = stop_at(2, || panic!("on purpose"));
    // The group of the second and third job waits behind the frame that the first one makes.
    let (first_frame, first_came, first_go) = stop_at(2, || ());
    let committer = committer(first_frame, settling);
    let spawn = |queued| {
        let committer = Arc::clone(&committer);
        thread::spawn(move || committer.wait(queued))
    };
    let queue = || committer.queue(Vec::new(), draft()).unwrap();
    // Both are in one frame: queued before anybody leads.
    let (one, two) = (queue(), queue());
    let leader = spawn(one);
    first_came.recv().unwrap();
    let other = spawn(two);
    first_go.send(()).unwrap();
    has_come.recv().unwrap();
    go.send(()).unwrap();
    assert!(leader.join().is_err());
    assert!(matches!(other.join().unwrap(), Ok(())));
    assert!(matches!(committer.commit(Vec::new(), draft()), Err(CommitFailed::Stopped(_))));
}

#[test]
fn a_commit_that_writes_a_row_twice_is_refused() {
    let committer = committer(Box::new(|_| ()), Box::new(|_| ()));
    let row = || Row::new(Tree::Lookup, b"key".to_vec(), b"value".to_vec());
    let other = Row::new(Tree::Policy, b"key".to_vec(), b"value".to_vec());
    assert!(matches!(committer.commit(vec![row(), row()], draft()), Err(CommitFailed::NotCommitted(_))));
    committer.commit(vec![row(), other], draft()).unwrap();
}

fn read() -> Draft {
    Draft::new(AuditEvent::RecordRead, Answer::Allowed)
}

const WINDOW: ReadAudit = ReadAudit::Windowed { delay: Duration::from_secs(60), entries: 100 };

fn spawn_wait(committer: &Arc<Committer>, queued: Queued) -> thread::JoinHandle<Outcome> {
    let committer = Arc::clone(committer);
    thread::spawn(move || committer.wait(queued))
}

fn is_answered(queued: &Queued) -> bool {
    queued.0.is_none()
}

#[test]
fn a_read_beside_a_write_under_way_waits_with_it() {
    let (hook, has_come, go) = stop_at(2, || ());
    let committer = committer(hook, Box::new(|_| ()));
    committer.choose(WINDOW);
    assert!(is_answered(&committer.queue_read(read()).unwrap()));
    let row = Row::new(Tree::Lookup, b"key".to_vec(), b"value".to_vec());
    let write = committer.queue(vec![row], draft()).unwrap();
    let beside_queued = committer.queue_read(read()).unwrap();
    assert!(!is_answered(&beside_queued));
    let writer = spawn_wait(&committer, write);
    has_come.recv().unwrap();
    let beside_written = committer.queue_read(read()).unwrap();
    assert!(!is_answered(&beside_written));
    go.send(()).unwrap();
    writer.join().unwrap().unwrap();
    committer.wait(beside_queued).unwrap();
    committer.wait(beside_written).unwrap();
    assert!(is_answered(&committer.queue_read(read()).unwrap()));
}

#[test]
fn a_flush_waits_for_a_frame_under_way_and_makes_none_of_its_own() {
    let (hook, has_come, go) = stop_at(2, || ());
    let committer = committer(Box::new(|_| ()), hook);
    committer.choose(WINDOW);
    committer.wait(committer.queue_read(read()).unwrap()).unwrap();
    let spawn = || {
        let committer = Arc::clone(&committer);
        thread::spawn(move || committer.flush().map(|()| committer.newest_entry().unwrap().seq))
    };
    let first = spawn();
    has_come.recv().unwrap();
    let second = spawn();
    go.send(()).unwrap();
    // The second may find the frame still being settled, and then settles it, too.
    go.send(()).unwrap();
    assert!(matches!((first.join().unwrap(), second.join().unwrap()), (Ok(1), Ok(1))));
    assert_eq!(committer.storage.head().seq, 2);
    committer.flush().unwrap();
    assert_eq!(committer.storage.head().seq, 2);
}

#[test]
fn a_leader_hands_on_past_entries_that_nobody_waits_for() {
    let (hook, has_come, go) = stop_at(2, || ());
    let committer = committer(hook, Box::new(|_| ()));
    committer.choose(WINDOW);
    let first = spawn_wait(&committer, committer.queue(Vec::new(), draft()).unwrap());
    has_come.recv().unwrap();
    committer.wait(committer.queue_read(read()).unwrap()).unwrap();
    let behind = spawn_wait(&committer, committer.queue(Vec::new(), draft()).unwrap());
    go.send(()).unwrap();
    first.join().unwrap().unwrap();
    behind.join().unwrap().unwrap();
    assert_eq!(committer.newest_entry().unwrap().seq, 3);
    committer.wait(committer.queue_read(read()).unwrap()).unwrap();
    committer.flush().unwrap();
    assert_eq!(committer.newest_entry().unwrap().seq, 4);
}

#[test]
fn what_the_storage_mended_stands_in_the_log_with_the_next_commit() {
    let notice = Arc::new(Mutex::new(None));
    let committer = with_notice(Box::new(|_| ()), Box::new(|_| ()), Arc::clone(&notice));
    let entries = || committer.storage().head().entries;
    *notice.lock().unwrap() = Some("mended");
    committer.commit(Vec::new(), draft()).unwrap();
    assert_eq!((entries(), committer.newest_entry().unwrap().seq), (3, 2));
    committer.commit(Vec::new(), draft()).unwrap();
    assert_eq!(entries(), 4);
}

#[test]
fn who_catches_up_finds_the_entry_of_whatever_could_be_seen() {
    let committer = committer(Box::new(|_| ()), Box::new(|_| ()));
    let newest = || committer.newest_entry().map(|head| head.seq);
    let seen = committer.queue(Vec::new(), draft()).unwrap();
    assert_eq!(newest(), Some(0));
    committer.flush().unwrap();
    assert_eq!(newest(), Some(0), "nothing was answered for");
    committer.catch_up().unwrap();
    assert_eq!(newest(), Some(1));
    committer.wait(seen).unwrap();
    assert_eq!(committer.storage().head().entries, 2);
}

#[test]
fn a_cut_goes_with_its_entry_and_stops_nobody_whether_it_is_refused_or_late() {
    let storage = Arc::new(MemoryStore::new().create_storage(VaultId::from_bytes([1; 16])).unwrap());
    let keys = Arc::new(AuditKeys::new(1, Key::new(Secret::take(&mut [7; 32]))));
    let chain = Chain::new(VaultId::from_bytes([1; 16]), None);
    let committer =
        Committer::new(Arc::clone(&storage) as _, Suite::ChaCha20Poly1305, Arc::new(SystemClock), 1, chain, keys);
    let mut genesis = Draft::new(AuditEvent::VaultCreated, Answer::Allowed);
    genesis.kind = EntryKind::Genesis;
    committer.commit(Vec::new(), vec![genesis]).unwrap();
    for _ in 0..9 {
        committer.commit(Vec::new(), draft()).unwrap();
    }
    let one = || Draft::new(AuditEvent::LogPruned, Answer::Allowed);
    let row = vec![Row::new(Tree::Policy, b"key".to_vec(), b"value".to_vec())];
    let cut = |rows, first| committer.wait(committer.queue_cut(rows, one(), first)?);
    cut(row, 4).unwrap();
    assert_eq!((storage.first_entry(), storage.head().entries), (4, 11));
    assert_eq!(committer.get(Tree::Policy, b"key").unwrap().as_deref(), Some(&b"value"[..]));
    for first in [3, 12] {
        let refused = cut(Vec::new(), first);
        assert!(
            matches!(&refused, Err(CommitFailed::NotCommitted(why)) if matches!(**why, StorageError::Refused { .. })),
            "{refused:?}"
        );
    }
    // Two that are queued together, the later one for less: the log keeps what both leave, and both entries.
    let queued = [9, 6].map(|first| committer.queue_cut(Vec::new(), one(), first).unwrap());
    queued.into_iter().for_each(|queued| committer.wait(queued).unwrap());
    assert_eq!((storage.first_entry(), storage.head().entries), (9, 13));
    cut(Vec::new(), 13).unwrap();
    assert_eq!((storage.first_entry(), storage.entries(13, 9).unwrap().len()), (13, 1));
    committer.commit(Vec::new(), draft()).unwrap();
    assert_eq!(committer.newest_entry().unwrap().seq, 14);
}
