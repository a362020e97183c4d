//! The calls as futures: under any runtime, never blocking the thread that polls, done even when nobody waits any more.
#![cfg(feature = "async")]

use crate::support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chartvault::*;
use support::{House, Note, note, small, verify, whole_log};

/// Fails a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// A clock that answers nobody while it is shut.
#[derive(Default)]
struct Sluice {
    state: Mutex<Sluiced>,
    changed: Condvar,
}

#[derive(Default)]
struct Sluiced {
    shut: bool,
    held: usize,
    gave_up: bool,
}

impl Sluice {
    fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    /// How many calls stand before it.
    fn held(&self) -> usize {
        let state = self.state.lock().unwrap();
        assert!(!state.gave_up, "a call that hung was never let go: whoever should have was blocked");
        state.held
    }

    fn wait_for_one(&self) {
        let state = self.state.lock().unwrap();
        let (state, over) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.held == 0).unwrap();
        assert!(!over.timed_out() && !state.gave_up, "nobody came");
    }
}

impl Clock for Sluice {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap();
        state.held += 1;
        self.changed.notify_all();
        let (mut state, over) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.shut).unwrap();
        state.held -= 1;
        state.gave_up |= over.timed_out();
        SystemClock.now()
    }
}

struct Ward {
    house: House,
    workers: Workers,
    vault: AsyncVault,
    session: AsyncSession,
    patient: PatientId,
    clock: Arc<Sluice>,
}

/// A vault on workers, with a session and a patient.
fn ward(threads: usize, queue: usize) -> Ward {
    let (house, vault) = House::create();
    vault.close().unwrap();
    let clock = Arc::new(Sluice::default());
    let workers = Workers::with_limits(threads, queue).unwrap();
    let vault = Vault::open_with(house.path(), small().clock(clock.clone())).unwrap().unlock(&house.key).unwrap();
    let grant = support::everything().sign(&house.issuer, vault.id()).unwrap();
    let session = vault.session(&grant, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let session = AsyncSession::over(&workers, session);
    let vault = AsyncVault::over(&workers, vault);
    Ward { house, workers, vault, session, patient, clock }
}

/// Polls a call once: from then on it is under way.
fn begin<R: Send + 'static>(call: &mut Call<R>) {
    assert!(pin!(call).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

async fn everyday() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clinic.vault");
    let workers = Workers::start().unwrap();
    let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
    let same = || RawKey::from_bytes(*key.expose_bytes());
    let (own, at) = (same(), path.clone());
    let make = move || Vault::create(at).raw_key(&own).options(small()).finish();
    let (vault, recovery) = AsyncVault::create(&workers, make).await.unwrap();
    vault.trust_issuer(issuer.public(), same()).await.unwrap();
    vault.trust_attester(AttesterKey::generate().unwrap().public(), same()).await.unwrap();
    vault.set_read_audit(ReadAudit::Durable, same()).await.unwrap();
    vault.register(note("a sample")).await.unwrap();
    let vault_id = vault.vault().id();
    let token = move || support::everything().sign(&issuer, vault_id);
    let session = vault.session(token().unwrap(), Purpose::Treatment).await.unwrap();

    let mrn = Identifier::new("urn:mrn:a", "12345").unwrap();
    let patient = session.register_patient([mrn.clone()]).await.unwrap();
    session.add_identifier(patient, Identifier::new("urn:mrn:b", "1").unwrap()).await.unwrap();
    assert_eq!(session.find_patient(mrn).await.unwrap(), Some(patient));
    let id = session.put(patient, note("one")).await.unwrap();
    let other = session.put_with(patient, note("two"), PutOptions::new()).await.unwrap();
    let first = session.get(id).await.unwrap();
    assert_eq!(first.value, note("one"));
    let second = session.amend(id, first.version, note("one, corrected")).await.unwrap();
    let late = session.amend(id, first.version, note("late")).await;
    assert!(matches!(late, Err(Error::Conflict { found, .. }) if found == second), "{late:?}");
    assert_eq!(session.get_version(id, first.version).await.unwrap().value, note("one"));
    assert_eq!(session.history(id).await.unwrap().len(), 2);
    assert_eq!(session.get_many(vec![id, other]).await.unwrap().len(), 2);
    let third = session.amend_with(other, Version::FIRST, note("2"), PutOptions::new()).await.unwrap();
    session.void(other, third, "wrong patient").await.unwrap();

    let kind = Kind::new("Observation").unwrap();
    let verbatim = session.put_verbatim(patient, kind.clone(), b"{}".to_vec(), PutOptions::new()).await.unwrap();
    let amended = session.amend_verbatim(verbatim, Version::FIRST, b"[]".to_vec()).await.unwrap();
    assert_eq!(session.get_verbatim(verbatim).await.unwrap().value, b"[]");
    assert_eq!(session.get_verbatim_version(verbatim, Version::FIRST).await.unwrap().value, b"{}");
    assert_eq!(session.history_verbatim(verbatim).await.unwrap()[0].version, amended);
    assert_eq!(session.get_many_verbatim(vec![verbatim]).await.unwrap().len(), 1);
    let records = session.batch(move |batch| batch.put(patient, &note("three"), PutOptions::new())).await.unwrap();
    assert_eq!(records.len(), 1);

    assert_eq!(session.list::<Note>(patient, None).await.unwrap().entries.len(), 2);
    let page = session.call(move |session| session.list::<Note>(patient).limit(1).page()).await.unwrap();
    let rest = session.list::<Note>(patient, page.next).await.unwrap();
    assert_eq!((page.entries.len(), rest.entries.len()), (1, 1));
    assert_eq!(session.list_verbatim(patient, kind, None).await.unwrap().entries.len(), 1);
    let chart = session.chart(patient, None).await.unwrap();
    assert_eq!((chart.entries.len(), chart.next), (3, None));
    assert_eq!(session.kinds(patient).await.unwrap().len(), 2);
    let log = session.audit_page(AuditFilter::new(), None).await.unwrap();
    let newest = log.entries[0].seq;
    let before = session.audit_page(AuditFilter::new(), Some(newest)).await.unwrap();
    assert_eq!(before.entries[0].seq, newest - 1);
    assert!(session.verify_audit(Scope::All).await.unwrap().entries > newest);
    vault.checkpoint().await.unwrap();
    session.close().await.unwrap();
    assert!(matches!(session.get(id).await, Err(Error::SessionEnded { .. })));
    vault.reset_clock(same()).await.unwrap();
    vault.close().await.unwrap();
    assert!(matches!(vault.checkpoint().await, Err(Error::Sealed)));

    let locked = AsyncVault::open_with(&workers, &path, small()).await.unwrap();
    assert_eq!(locked.id().await.unwrap(), vault.vault().id());
    assert!(matches!(locked.unlock(RawKey::generate().unwrap()).await, Err(Error::Unlock(_))));
    let vault = locked.unlock(recovery).await.unwrap();
    let bound = move |vault: &Vault| vault.session_with(&token().unwrap(), Purpose::Treatment).open();
    let session = vault.session_with(bound).await.unwrap();
    let exported = session.call(|session| session.export().start().unwrap().filter(Result::is_ok).count()).await;
    assert_eq!(exported, 3);
    assert_eq!(session.get(id).await.unwrap().value, note("one, corrected"));
    vault.close().await.unwrap();
}

#[test]
fn a_day_goes_the_same_way_under_every_runtime() {
    pollster::block_on(everyday());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(everyday());
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    several.block_on(async { tokio::spawn(everyday()).await.unwrap() });
}

#[test]
fn the_only_thread_of_a_runtime_goes_on_while_a_put_hangs() {
    let ward = ward(2, 8);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        ward.clock.shut();
        let put = tokio::spawn(ward.session.put(ward.patient, note("hangs")));
        while ward.clock.held() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            assert_eq!(ward.clock.held(), 1);
        }
        assert!(!put.is_finished());
        ward.clock.open();
        let id = put.await.unwrap().unwrap();
        assert_eq!(ward.session.get(id).await.unwrap().value, note("hangs"));
    });
}

#[test]
fn a_put_whose_future_was_dropped_is_durable_and_in_the_log() {
    let Ward { house, vault, session, patient, clock, .. } = ward(1, 8);
    clock.shut();
    let mut put = session.put(patient, note("nobody waits for me"));
    begin(&mut put);
    clock.wait_for_one();
    drop(put);
    // One that is queued when its future is dropped is no different.
    let mut queued = session.put(patient, note("nor for me"));
    begin(&mut queued);
    drop(queued);
    clock.open();
    pollster::block_on(vault.close()).unwrap();
    let vault = Vault::open_with(house.path(), small()).unwrap().unlock(&house.key).unwrap();
    let token = support::everything().sign(&house.issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let mut texts: Vec<_> =
        session.list::<Note>(patient).page().unwrap().entries.into_iter().map(|e| e.value.text).collect();
    texts.sort();
    assert_eq!(texts, ["nobody waits for me", "nor for me"]);
    let puts = whole_log(&session).into_iter().filter(|entry| entry.event == AuditEvent::RecordPut);
    assert_eq!(puts.filter(|entry| entry.outcome == Outcome::Allowed).count(), 2);
    verify(&session);
}

#[test]
fn a_call_that_was_never_taken_in_is_withdrawn_and_no_more_than_the_queue_holds_are_taken_in() {
    let workers = Workers::with_limits(1, 2).unwrap();
    let (release, hang) = mpsc::channel::<()>();
    let (begun, is_begun) = mpsc::channel();
    let done = Arc::new(AtomicUsize::new(0));
    let mut hanging = workers.call(move || {
        begun.send(()).unwrap();
        hang.recv_timeout(PATIENCE).unwrap();
    });
    begin(&mut hanging);
    is_begun.recv_timeout(PATIENCE).unwrap();
    let mut calls: Vec<_> = (0..100)
        .map(|_| {
            let done = Arc::clone(&done);
            workers.call(move || done.fetch_add(1, Ordering::SeqCst))
        })
        .collect();
    calls.iter_mut().for_each(begin);
    assert!(format!("{workers:?}").contains("queued: 100"), "{workers:?}");
    // The first two were taken in and are done all the same; of the others, these twenty are not.
    drop(calls.drain(..22));
    assert!(format!("{workers:?}").contains("queued: 80"), "{workers:?}");
    release.send(()).unwrap();
    pollster::block_on(hanging);
    let mut order: Vec<_> = calls.into_iter().map(pollster::block_on).collect();
    assert_eq!(done.load(Ordering::SeqCst), 80);
    assert!(order.is_sorted(), "calls are begun in the order in which they were polled");
    order.dedup();
    assert_eq!((order.len(), order[0]), (78, 2));
}

#[test]
fn a_call_that_is_never_polled_touches_nothing() {
    let ward = ward(1, 1);
    drop(ward.session.put(ward.patient, note("never")));
    let chart = pollster::block_on(ward.session.chart(ward.patient, None)).unwrap();
    assert!(chart.entries.is_empty());
}

#[test]
fn calls_queued_behind_closing_find_the_vault_sealed() {
    let ward = ward(1, 8);
    let (release, hang) = mpsc::channel::<()>();
    let mut hanging = ward.workers.call(move || hang.recv_timeout(PATIENCE).unwrap());
    begin(&mut hanging);
    let mut before = ward.session.put(ward.patient, note("just in time"));
    let mut close = ward.vault.close();
    let mut after: Vec<_> = (0..4).map(|_| ward.session.put(ward.patient, note("too late"))).collect();
    begin(&mut before);
    begin(&mut close);
    after.iter_mut().for_each(begin);
    release.send(()).unwrap();
    pollster::block_on(before).unwrap();
    pollster::block_on(close).unwrap();
    for put in after {
        let put = pollster::block_on(put);
        assert!(matches!(put, Err(Error::Sealed)), "{put:?}");
    }
}

#[test]
fn many_calls_at_once_all_find_their_own_answer() {
    const TASKS: usize = 8;
    const PUTS: usize = 25;
    let ward = ward(8, 4);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks = (0..TASKS).map(|task| {
            let (session, patient) = (ward.session.clone(), ward.patient);
            tokio::spawn(async move {
                for number in 0..PUTS {
                    let text = format!("{task}-{number}");
                    let id = session.put(patient, note(&text)).await.unwrap();
                    assert_eq!(session.get(id).await.unwrap().value.text, text);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let all = ward.session.call({
            let patient = ward.patient;
            move |session| session.list::<Note>(patient).limit(1_000).page()
        });
        assert_eq!(all.await.unwrap().entries.len(), TASKS * PUTS);
        ward.session.verify_audit(Scope::All).await.unwrap();
    });
}

#[test]
fn a_panic_in_the_work_is_resumed_where_it_is_awaited_and_the_thread_goes_on() {
    let workers = Workers::with_limits(1, 1).unwrap();
    for _ in 0..3 {
        let call = workers.call(|| panic!("the work panicked"));
        let panicked = catch_unwind(AssertUnwindSafe(|| pollster::block_on(call))).unwrap_err();
        assert_eq!(panicked.downcast_ref::<&str>(), Some(&"the work panicked"));
    }
    // Nor does it end with an answer that nobody takes and that panics when it is thrown away.
    struct Panics(mpsc::Sender<()>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            panic!("thrown away");
        }
    }
    let (sender, dropped) = mpsc::channel();
    let mut call = workers.call(move || Panics(sender));
    begin(&mut call);
    drop(call);
    dropped.recv_timeout(PATIENCE).unwrap();
    assert_eq!(pollster::block_on(workers.call(|| 7)), 7);
}

#[test]
fn what_was_taken_in_is_done_after_the_last_handle_is_gone() {
    let workers = Workers::with_limits(1, 8).unwrap();
    let (release, hang) = mpsc::channel::<()>();
    let (done, are_done) = mpsc::channel();
    let mut hanging = workers.call(move || hang.recv_timeout(PATIENCE).unwrap());
    begin(&mut hanging);
    for number in 0..4 {
        let done = done.clone();
        begin(&mut workers.call(move || done.send(number).unwrap()));
    }
    drop((hanging, workers, done));
    release.send(()).unwrap();
    assert_eq!(are_done.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_call_moves_to_another_task_half_way_and_wakes_that_one() {
    let workers = Workers::with_limits(1, 1).unwrap();
    let (release, hang) = mpsc::channel::<()>();
    let mut call = workers.call(move || hang.recv_timeout(PATIENCE).unwrap());
    begin(&mut call);
    let waiting = std::thread::spawn(move || pollster::block_on(call));
    release.send(()).unwrap();
    waiting.join().unwrap();
    let mut over = pin!(workers.call(|| ()));
    pollster::block_on(over.as_mut());
    let again = over.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(again, Poll::Pending));
}
