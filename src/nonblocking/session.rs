//! A session whose calls are futures.

use super::{Call, Workers};
use crate::audit::AuditFilter;
use crate::error::Error;
use crate::ids::PatientId;
use crate::record::{Entry, Kind, Record, RecordId, RecordRef, VerbatimEntry, Version};
use crate::session::{
    AuditPage, Batch, ChartCursor, ChartPage, Identifier, KindCount, ListCursor, Page, PutOptions, Scope, Session,
    VerifiedLog,
};
use crate::token::AuthProof;

/// A [`Session`] whose calls are futures; see [`Call`] for what dropping one means. Cheap to clone; clones are the same
/// session. Values move in. Each method answers, and fails, as the one of [`Session`] that it names; whatever has no
/// method here goes through [`AsyncSession::call`]. An example stands at [`AsyncVault`](crate::AsyncVault).
#[derive(Clone, Debug)]
pub struct AsyncSession {
    workers: Workers,
    session: Session,
}

type Answer<T> = Call<Result<T, Error>>;

impl AsyncSession {
    /// The calls of an open session as futures on these workers.
    #[must_use]
    pub fn over(workers: &Workers, session: Session) -> Self {
        Self { workers: workers.clone(), session }
    }

    /// The session itself, for what does not block: its id, principal, purpose and expiry.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Any work in the session as a future.
    pub fn call<R: Send + 'static>(&self, work: impl FnOnce(&Session) -> R + Send + 'static) -> Call<R> {
        let session = self.session.clone();
        self.workers.call(move || work(&session))
    }

    /// [`Session::register_patient`].
    pub fn register_patient(&self, identifiers: impl IntoIterator<Item = Identifier>) -> Answer<PatientId> {
        let identifiers: Vec<_> = identifiers.into_iter().collect();
        self.call(move |session| session.register_patient(identifiers))
    }

    /// [`Session::register_patients`].
    pub fn register_patients<I>(&self, patients: impl IntoIterator<Item = I>) -> Answer<Vec<PatientId>>
    where
        I: IntoIterator<Item = Identifier>,
    {
        let patients: Vec<Vec<_>> = patients.into_iter().map(|identifiers| identifiers.into_iter().collect()).collect();
        self.call(move |session| session.register_patients(patients))
    }

    /// [`Session::add_identifier`].
    pub fn add_identifier(&self, patient: PatientId, identifier: Identifier) -> Answer<()> {
        self.call(move |session| session.add_identifier(patient, identifier))
    }

    /// [`Session::find_patient`].
    pub fn find_patient(&self, identifier: Identifier) -> Answer<Option<PatientId>> {
        self.call(move |session| session.find_patient(&identifier))
    }

    /// [`Session::put`].
    pub fn put<T: Record + Send + 'static>(&self, patient: PatientId, value: T) -> Answer<RecordId<T>> {
        self.call(move |session| session.put(patient, &value))
    }

    /// [`Session::put_with`].
    pub fn put_with<T: Record + Send + 'static>(
        &self,
        patient: PatientId,
        value: T,
        options: PutOptions,
    ) -> Answer<RecordId<T>> {
        self.call(move |session| session.put_with(patient, &value, options))
    }

    /// [`Session::put_verbatim`].
    pub fn put_verbatim(
        &self,
        patient: PatientId,
        kind: Kind,
        bytes: Vec<u8>,
        options: PutOptions,
    ) -> Answer<RecordRef> {
        self.call(move |session| session.put_verbatim(patient, &kind, &bytes, options))
    }

    /// [`Session::batch`], filled by `fill` and committed: all of it or nothing. If `fill` fails nothing is written.
    pub fn batch(
        &self,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Answer<Vec<RecordRef>> {
        self.call(move |session| {
            let mut batch = session.batch();
            fill(&mut batch)?;
            batch.commit()
        })
    }

    /// [`Session::get`].
    pub fn get<T: Record + Send + 'static>(&self, id: RecordId<T>) -> Answer<Entry<T>> {
        self.call(move |session| session.get(id))
    }

    /// [`Session::get_verbatim`].
    pub fn get_verbatim(&self, record: RecordRef) -> Answer<VerbatimEntry> {
        self.call(move |session| session.get_verbatim(record))
    }

    /// [`Session::get_many`].
    pub fn get_many<T: Record + Send + 'static>(&self, ids: Vec<RecordId<T>>) -> Answer<Vec<Entry<T>>> {
        self.call(move |session| session.get_many(&ids))
    }

    /// [`Session::get_many_verbatim`].
    pub fn get_many_verbatim(&self, records: Vec<RecordRef>) -> Answer<Vec<VerbatimEntry>> {
        self.call(move |session| session.get_many_verbatim(&records))
    }

    /// [`Session::get_version`].
    pub fn get_version<T: Record + Send + 'static>(&self, id: RecordId<T>, version: Version) -> Answer<Entry<T>> {
        self.call(move |session| session.get_version(id, version))
    }

    /// [`Session::get_verbatim_version`].
    pub fn get_verbatim_version(&self, record: RecordRef, version: Version) -> Answer<VerbatimEntry> {
        self.call(move |session| session.get_verbatim_version(record, version))
    }

    /// [`Session::history`].
    pub fn history<T: Record + Send + 'static>(&self, id: RecordId<T>) -> Answer<Vec<Entry<T>>> {
        self.call(move |session| session.history(id))
    }

    /// [`Session::history_verbatim`].
    pub fn history_verbatim(&self, record: RecordRef) -> Answer<Vec<VerbatimEntry>> {
        self.call(move |session| session.history_verbatim(record))
    }

    /// A page of [`Session::list`] with its defaults, from the newest record on or where an earlier page ended. For
    /// limits and voided records go through [`AsyncSession::call`].
    pub fn list<T: Record + Send + 'static>(
        &self,
        patient: PatientId,
        after: Option<ListCursor>,
    ) -> Answer<Page<Entry<T>>> {
        self.call(move |session| {
            let query = session.list::<T>(patient);
            match after {
                Some(cursor) => query.after(cursor).page(),
                None => query.page(),
            }
        })
    }

    /// A page of [`Session::list_verbatim`] with its defaults, as [`AsyncSession::list`].
    pub fn list_verbatim(
        &self,
        patient: PatientId,
        kind: Kind,
        after: Option<ListCursor>,
    ) -> Answer<Page<VerbatimEntry>> {
        self.call(move |session| {
            let query = session.list_verbatim(patient, &kind);
            match after {
                Some(cursor) => query.after(cursor).page(),
                None => query.page(),
            }
        })
    }

    /// A page of [`Session::chart`] with its defaults, from the newest record on or where an earlier page ended. For
    /// limits, times and voided records go through [`AsyncSession::call`].
    pub fn chart(&self, patient: PatientId, after: Option<ChartCursor>) -> Answer<ChartPage> {
        self.call(move |session| {
            let query = session.chart(patient);
            match after {
                Some(cursor) => query.after(cursor).page(),
                None => query.page(),
            }
        })
    }

    /// [`Session::kinds`].
    pub fn kinds(&self, patient: PatientId) -> Answer<Vec<KindCount>> {
        self.call(move |session| session.kinds(patient))
    }

    /// [`Session::amend`].
    pub fn amend<T: Record + Send + 'static>(&self, id: RecordId<T>, expected: Version, value: T) -> Answer<Version> {
        self.call(move |session| session.amend(id, expected, &value))
    }

    /// [`Session::amend_with`].
    pub fn amend_with<T: Record + Send + 'static>(
        &self,
        id: RecordId<T>,
        expected: Version,
        value: T,
        options: PutOptions,
    ) -> Answer<Version> {
        self.call(move |session| session.amend_with(id, expected, &value, options))
    }

    /// [`Session::amend_verbatim`].
    pub fn amend_verbatim(&self, record: RecordRef, expected: Version, bytes: Vec<u8>) -> Answer<Version> {
        self.call(move |session| session.amend_verbatim(record, expected, &bytes))
    }

    /// [`Session::void`].
    pub fn void(&self, record: impl Into<RecordRef>, expected: Version, reason: impl Into<String>) -> Answer<Version> {
        let (record, reason): (RecordRef, String) = (record.into(), reason.into());
        self.call(move |session| session.void(record, expected, &reason))
    }

    /// A page of the audit log with its defaults ([`AuditView::query`](crate::AuditView::query)), newest entries first,
    /// or only those before an entry.
    pub fn audit_page(&self, filter: AuditFilter, before: Option<u64>) -> Answer<AuditPage> {
        self.call(move |session| {
            let query = session.audit()?.query(filter);
            match before {
                Some(seq) => query.before(seq).page(),
                None => query.page(),
            }
        })
    }

    /// [`AuditView::verify`](crate::AuditView::verify).
    pub fn verify_audit(&self, scope: Scope) -> Answer<VerifiedLog> {
        self.call(move |session| session.audit()?.verify(scope).run())
    }

    /// [`Session::step_up`].
    pub fn step_up(&self, proof: AuthProof) -> Answer<()> {
        self.call(move |session| session.step_up(proof))
    }

    /// [`Session::close`].
    pub fn close(&self) -> Answer<()> {
        self.call(Session::close)
    }
}
