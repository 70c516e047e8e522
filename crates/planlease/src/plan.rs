//! Plans as a whole: importing, reading, listing and deleting them.
//!
//! A plan is there exactly if its `spec` key is. So an import of any size is atomic to every reader: the task
//! records and the parts of a large definition are written first, under the mark of the importer, and the
//! `spec` key last.

use std::collections::BTreeMap;

use planlease_core::{
    LeaseId, PlanName, Revision, TaskId, WallTime,
    change::Entry,
    codec::{self, CodecError, FormatVersion},
    definition,
    keys::{Key, KeyRange, PlanKey},
    record::{Claim, FindingsRecord, Guard, ImportRecord, Role, TaskRecord, Writer},
    spec::{IMPORT_ID, IMPORTED_AT, PlanSpec, TaskSpec},
    term::Candidate,
    transition::TaskStatus,
    unreadable::{self, Unreadable},
    view::{Parts, PlanView, TaskView},
};
use uuid::Uuid;

use crate::{
    coordinator::{Coordinator, line_of},
    error::Error,
    etcd::{Admission, Branch, Compare, MAX_BYTES, Op, PAGE, Transaction},
    list::List,
    session::{Identity, Session},
};

/// The most keys that one transaction of an import writes.
const CHUNK_OPS: usize = 100;

/// The most bytes that one transaction of an import holds.
const CHUNK_BYTES: usize = MAX_BYTES * 3 / 4;

impl ImportedState {
    /// The tasks whose boxes are ticked in the plan file, as completed; those that are marked as dropped, as
    /// skipped. `reasons`: where each is ticked.
    #[must_use]
    pub fn of_ticked(spec: &PlanSpec, reasons: &BTreeMap<TaskId, String>) -> Self {
        let writer = Writer { who: importer(), role: Role::Operator, term: None, guard: Guard::Import };
        let record = |task: &TaskSpec| TaskRecord {
            status: if task.is_dropped() { TaskStatus::Skipped } else { TaskStatus::Completed },
            notes: Some(reasons.get(&task.id).map_or(TICKED, String::as_str).to_owned()),
            ..TaskRecord::new(writer.clone(), Uuid::nil())
        };
        let records = spec.ticked().map(|task| (task.id.clone(), record(task))).collect();
        Self { records, findings: BTreeMap::new() }
    }
}

/// Why a task whose box was ticked counts as done.
pub(crate) const TICKED: &str = "ticked in the plan file";

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The plan is there now, since this revision.
    Created(Revision),
    /// It was there already, imported from a source of the same digest; nothing was changed.
    Unchanged,
}

/// The imported state of a plan: work that was done elsewhere before.
#[derive(Clone, Debug, Default)]
pub struct ImportedState {
    /// The records of tasks that have a past. The import replaces their writer and operation id, and the
    /// claim of a task in progress by one without a live claimant, which the plan's first owner recovers.
    pub records: BTreeMap<TaskId, TaskRecord>,
    /// The outputs of tasks, and others that are kept under a name of their own.
    pub findings: BTreeMap<TaskId, FindingsRecord>,
}

impl Coordinator {
    /// Makes a plan. However many do it at once, and wherever one of them dies, the plan appears once and
    /// whole, or not at all. A plan of up to about 100 tasks takes one transaction, and a lease around it;
    /// `progress` is called with how many tasks of a larger one are written.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{PlanName, PlanSpec, TaskId, TaskSpec};
    ///
    /// let spec = PlanSpec {
    ///     tasks: vec![TaskSpec::new(TaskId::new("1")?, "Write the changelog")],
    ///     ..PlanSpec::default()
    /// };
    /// coordinator.import(&PlanName::new("notes")?, &spec, |written| println!("{written} tasks")).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsound`] with everything that is wrong, [`Error::PlanExists`], [`Error::ImportUnderWay`],
    /// and as for any request.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no plan, or the whole plan; what was written of half a plan is invisible,
    /// and is cleared away by the next import of that name.
    pub async fn import(
        &self,
        plan: &PlanName,
        spec: &PlanSpec,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        self.import_with(plan, spec, &ImportedState::default(), progress).await
    }

    /// Makes a plan that is under way already. As [`Coordinator::import`] otherwise.
    ///
    /// # Errors
    /// As [`Coordinator::import`].
    ///
    /// # Cancel safety
    /// As [`Coordinator::import`].
    #[tracing::instrument(name = "import", level = "debug", skip_all, fields(%plan))]
    pub async fn import_with(
        &self,
        plan: &PlanName,
        spec: &PlanSpec,
        past: &ImportedState,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        plan.check_new()?;
        spec.tasks.iter().try_for_each(|task| task.id.check_new())?;
        let problems = spec.problems();
        if !problems.is_empty() {
            return Err(Error::Unsound(problems));
        }
        let import = Import::new(self, plan, spec, past)?;
        // All that an import writes first hangs on a session: a request that arrives after the import is over
        // finds no lease, and is refused, whatever has become of the plan since.
        let session = self.open_unregistered_session(Identity::of_process()).await?;
        let imported = if import.puts.len() < CHUNK_OPS - 1 && import.bytes() < CHUNK_BYTES {
            import.at_once(&session).await
        } else {
            import.in_chunks(&session, progress).await
        };
        if let Err(error) = session.close().await {
            tracing::debug!(%error, "the import's session expires by itself");
        }
        imported
    }

    /// Reads a plan, at one revision. One transaction for up to 500 tasks, then pages of up to 2,000. What of
    /// it cannot be read is left out ([`PlanView::unreadable`]), unless it is the definition.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// let view = coordinator.plan(&plan).await?;
    /// let ready: Vec<&str> = view.ready().map(|task| task.as_str()).collect();
    /// assert_eq!(ready, ["1", "2"]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::Unreadable`] if its definition cannot be read, and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn plan(&self, plan: &PlanName) -> Result<PlanView, Error> {
        let layout = self.layout();
        let tasks = layout.tasks(plan);
        let txn = Transaction::default().then([
            Op::Range(layout.spec(plan), 0),
            Op::Range(layout.queue(plan), 0),
            Op::Get(layout.of(plan, &PlanKey::Term)),
            Op::Range(layout.halts(plan), 0),
            Op::Range(tasks.clone(), PAGE),
        ]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        let revision = reply.revision;
        let (definition, _) = reply.rows();
        let (queue, _) = reply.rows();
        let term = reply.row().map(|entry| (PlanKey::Term, entry));
        let (halts, _) = reply.rows();
        let (mut rows, more) = reply.rows();
        if more && !definition.is_empty() {
            let mut pages = self.etcd().pages_behind(&rows, tasks, revision);
            while let Some(page) = pages.next().await? {
                rows.extend(page.rows);
            }
        }
        let rows = [definition, queue, halts, rows].into_iter().flatten();
        let parts = rows.filter_map(|(key, entry)| match layout.parse(&key) {
            Some(Key::Plan(_, part)) => Some((part, entry)),
            _ => None,
        });
        let (_, view) = view(plan, revision, parts.chain(term).collect());
        let view = view.ok_or_else(|| Error::PlanNotFound(plan.clone()))??;
        self.remember_line(plan, view.line());
        Ok(view)
    }

    /// Reads all plans, at one revision. A plan whose definition cannot be read is left out; what cannot be
    /// read of the others is listed here too.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// for view in coordinator.plans().await?.items {
    ///     println!("{}: {:?}", view.name(), view.summary());
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn plans(&self) -> Result<List<PlanView>, Error> {
        let page = self.etcd().scan(&self.layout().plans(), None).await?;
        let mut plans = List::default();
        let mut parts: BTreeMap<PlanName, Vec<(PlanKey, Entry)>> = BTreeMap::new();
        for (key, entry) in page.rows {
            match self.layout().parse(&key) {
                Some(Key::Plan(plan, part)) => parts.entry(plan).or_default().push((part, entry)),
                Some(other) => plans.unreadable.push(Unreadable::new(other, &CodecError::UnknownKey)),
                None => {}
            }
        }
        for (name, rows) in parts {
            let (of_parts, view) = view(&name, page.revision, rows);
            match view {
                Some(Ok(view)) => plans.items.push(view),
                Some(Err(unreadable)) => plans.unreadable.push(unreadable),
                None => {} // Not there, or not yet.
            }
            plans.unreadable.extend(of_parts);
        }
        Ok(plans)
    }

    /// Reads one task; `None` if the plan has no such task, or is not there.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn task(&self, plan: &PlanName, task: &TaskId) -> Result<Option<TaskView>, Error> {
        let entry = self.task_entry(plan, task).await?;
        Ok(entry.map(|entry| TaskView::read(plan, task.clone(), &entry)).transpose()?)
    }

    /// Deletes a plan with everything that belongs to it, in one transaction; but for its term, so that the
    /// tokens of a later plan of that name are greater still. One read before it: the deletion is of the plan
    /// that is there now, not of one that is imported under its name while the request is under way.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`]; [`Error::PlanOwned`] if it is owned or waited for; and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the plan is deleted or it is not.
    #[tracing::instrument(level = "debug", skip_all, fields(%plan))]
    pub async fn delete_plan(&self, plan: &PlanName) -> Result<(), Error> {
        let layout = self.layout();
        let spec = layout.of(plan, &PlanKey::Spec);
        let queue = layout.queue(plan);
        let mut seen = self
            .etcd()
            .execute(&Transaction::default().then([Op::Find(spec.clone())]), Admission::TURN)
            .await?;
        let seen = seen.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?.created;
        let delete = [
            layout.spec(plan),
            layout.tasks(plan),
            layout.findings(plan),
            layout.late(plan),
            layout.past_terms(plan),
            layout.halts(plan),
            layout.locks(plan),
        ];
        let when = [Compare::Created(spec.clone(), Some(seen)), Compare::Empty(queue.clone())];
        let txn = Transaction::when(when)
            .then(delete.map(Op::DeleteRange))
            .then([Op::Delete(layout.of(plan, &PlanKey::Import))])
            .otherwise([Op::Range(queue, 0), Op::Get(layout.of(plan, &PlanKey::Term)), Op::Find(spec)]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(());
        }
        let (queue, _) = reply.rows();
        let line = line_of(layout, plan, queue, reply.row());
        if reply.row().is_none_or(|entry| entry.created != seen) {
            // It is gone: by an earlier attempt whose answer was lost, or by another process.
            return if reply.uncertain { Ok(()) } else { Err(Error::PlanNotFound(plan.clone())) };
        }
        match (line.candidates().first(), line.unreadable.first()) {
            (None, Some(unreadable)) => Err(unreadable.clone().into()),
            (first, _) => {
                let by = first.map_or_else(|| "another process".to_owned(), Candidate::name);
                Err(Error::PlanOwned { plan: plan.clone(), by })
            }
        }
    }

    /// Reads the output of a task, if there is any.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn findings(&self, plan: &PlanName, task: &TaskId) -> Result<Option<FindingsRecord>, Error> {
        self.record(&Key::Plan(plan.clone(), PlanKey::Findings(task.clone()))).await
    }

    /// Reads the outputs of all tasks of a plan, and those that are kept under a name of their own, at one
    /// revision.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn all_findings(&self, plan: &PlanName) -> Result<List<(TaskId, FindingsRecord)>, Error> {
        let layout = self.layout();
        let spec = Transaction::default().then([Op::Find(layout.of(plan, &PlanKey::Spec))]);
        let mut reply = self.etcd().execute(&spec, Admission::TURN).await?;
        reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        let found = self.snapshot_at(&layout.findings(plan), reply.revision).await?;
        let read = found.entries.into_iter().map(|(key, entry)| {
            let record = unreadable::read(&key, &entry.value)?;
            match key {
                Key::Plan(_, PlanKey::Findings(name)) => Ok((name, record)),
                other => Err(Unreadable::new(other, &CodecError::UnknownKey)),
            }
        });
        Ok(read.collect())
    }

    pub(crate) async fn task_entry(&self, plan: &PlanName, task: &TaskId) -> Result<Option<Entry>, Error> {
        let key = self.layout().of(plan, &PlanKey::Task(task.clone()));
        let mut reply =
            self.etcd().execute(&Transaction::default().then([Op::Get(key)]), Admission::TURN).await?;
        Ok(reply.row())
    }

    pub(crate) async fn task_entry_at(
        &self,
        plan: &PlanName,
        task: &TaskId,
        at: Revision,
    ) -> Result<Option<Entry>, Error> {
        let start = self.layout().of(plan, &PlanKey::Task(task.clone()));
        let mut end = start.clone();
        end.push(0);
        let page = self.etcd().page(&KeyRange { start, end }, 1, Some(at)).await?;
        Ok(page.rows.into_iter().next().map(|(_, entry)| entry))
    }
}

/// Reads a plan from what its keys hold: what of it cannot be read, and the plan; `None` if it is not there
/// (parts alone do not make one). Outputs, past terms, late results and locks are not looked at.
fn view(
    name: &PlanName,
    revision: Revision,
    rows: Vec<(PlanKey, Entry)>,
) -> (Vec<Unreadable>, Option<Result<PlanView, Unreadable>>) {
    let mut head = None;
    let parts = Parts::of(
        name,
        rows.into_iter().filter_map(|(key, entry)| match key {
            PlanKey::Spec => {
                head = Some(entry);
                None
            }
            PlanKey::Import
            | PlanKey::PastTerm(_)
            | PlanKey::Findings(_)
            | PlanKey::Late(_)
            | PlanKey::Lock(..) => None,
            key => Some((key, entry)),
        }),
    );
    let unreadable = parts.unreadable(name).collect();
    let view = head.map(|head| match parts.define(&head) {
        Ok(definition) => Ok(PlanView::new(name.clone(), revision, definition, parts)),
        Err(error) => Err(Unreadable::new(Key::Plan(name.clone(), PlanKey::Spec), &error)),
    });
    (unreadable, view)
}

/// Takes a record that is read beside a plan. One that cannot be read counts as absent, and is listed with
/// the plan.
///
/// # Errors
/// All but [`Error::Unreadable`].
pub fn read_beside<T>(view: &mut PlanView, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Unreadable(unreadable)) => {
            view.note_unreadable(unreadable);
            Ok(None)
        }
        read => read,
    }
}

/// An import, ready to be written.
struct Import<'a> {
    coordinator: &'a Coordinator,
    plan: &'a PlanName,
    spec: &'a PlanSpec,
    /// The value of the key that makes the plan appear. An id identifies this import.
    head: Vec<u8>,
    /// Everything else.
    puts: Vec<Op>,
}

/// A record with work behind it, as an import writes it: a claim in it has no live claimant, so that it can
/// be recovered.
pub(crate) fn with_past(past: &TaskRecord, fresh: TaskRecord, now: WallTime) -> TaskRecord {
    let mut record = TaskRecord { writer: fresh.writer, op_id: fresh.op_id, ..past.clone() };
    let in_progress = record.status == TaskStatus::InProgress;
    let since = record.started_at.unwrap_or(now);
    let claim = record.claim.take().filter(|_| in_progress);
    record.claim = in_progress.then(|| {
        let by = claim.map_or_else(|| "nobody".to_owned(), |claim| claim.by);
        Claim::new(by, Some(Guard::Import), None, since)
    });
    record
}

impl<'a> Import<'a> {
    fn new(
        coordinator: &'a Coordinator,
        plan: &'a PlanName,
        spec: &'a PlanSpec,
        past: &ImportedState,
    ) -> Result<Self, Error> {
        let layout = coordinator.layout();
        let random = coordinator.etcd().random();
        let mut marked = spec.clone();
        marked.extra.insert(IMPORT_ID.to_owned(), random.uuid().to_string().into());
        let now = coordinator.clock().wall();
        marked.extra.insert(IMPORTED_AT.to_owned(), now.0.into());
        let (head, parts) = definition::encode_spec(&marked)?;
        let mut puts = Vec::with_capacity(parts.len() + spec.tasks.len() + past.findings.len());
        let writer = Writer { who: importer(), role: Role::Operator, term: None, guard: Guard::Import };
        // The tasks first: whatever a dead import leaves behind, a task is among it, by which the next one
        // knows.
        for task in &spec.tasks {
            let fresh = TaskRecord::new(writer.clone(), random.uuid());
            let record = match past.records.get(&task.id) {
                Some(record) => with_past(record, fresh, now),
                None => fresh,
            };
            puts.push(Op::Put(layout.of(plan, &PlanKey::Task(task.id.clone())), codec::encode(&record)?));
        }
        for (n, part) in (1u32..).zip(parts) {
            puts.push(Op::Put(layout.of(plan, &PlanKey::SpecPart(n)), part));
        }
        for (name, findings) in &past.findings {
            let value = codec::encode_within(findings, codec::MAX_FINDINGS_VALUE)?;
            puts.push(Op::Put(layout.of(plan, &PlanKey::Findings(name.clone())), value));
        }
        Ok(Self { coordinator, plan, spec, head, puts })
    }

    fn bytes(&self) -> usize {
        self.head.len() + self.puts.iter().map(Op::bytes).sum::<usize>()
    }

    fn key(&self, key: &PlanKey) -> Vec<u8> {
        self.coordinator.layout().of(self.plan, key)
    }

    /// A small plan: one transaction.
    async fn at_once(self, session: &Session) -> Result<Imported, Error> {
        let (spec, mark) = (self.key(&PlanKey::Spec), self.key(&PlanKey::Import));
        // Leftovers of a larger import that died would become tasks of this plan, so they have to be absent.
        let tasks = Compare::Empty(self.coordinator.layout().tasks(self.plan));
        let txn = Transaction::when([
            Compare::Created(spec.clone(), None),
            Compare::Created(mark.clone(), None),
            tasks,
        ])
        .then(self.puts.iter().cloned())
        .then([Op::Put(spec.clone(), self.head.clone())])
        .then([Op::PutLeased(mark.clone(), self.mark_record()?, session.lease())])
        .otherwise([Op::Get(spec), Op::Get(mark)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(Imported::Created(reply.revision));
        }
        let (spec, mark) = (reply.row(), reply.row());
        if spec.is_none() && mark.is_none() {
            return self.in_chunks(session, |_| {}).await;
        }
        self.refused(spec, mark, reply.uncertain)
    }

    /// A large plan: the mark, then the tasks, then the key that makes it appear.
    async fn in_chunks(self, session: &Session, mut progress: impl FnMut(usize)) -> Result<Imported, Error> {
        let mark = match self.mark(session.lease()).await? {
            Marked::Ours(mark) => mark,
            Marked::Done(imported) => return Ok(imported),
        };
        let marked = || Compare::Created(self.key(&PlanKey::Import), Some(mark));
        let mut written = 0;
        while written < self.puts.len() {
            let chunk = chunk(&self.puts[written..]);
            let txn = Transaction::when([marked()]).then(chunk.iter().cloned());
            if self.coordinator.etcd().execute(&txn, Admission::TURN).await?.branch == Branch::Otherwise {
                return Err(Error::session_lost(session.lost().await));
            }
            written += chunk.len();
            progress(written.min(self.spec.tasks.len()));
        }
        let spec = self.key(&PlanKey::Spec);
        let txn = Transaction::when([marked(), Compare::Created(spec.clone(), None)])
            .then([Op::Put(spec.clone(), self.head.clone()), Op::Delete(self.key(&PlanKey::Import))])
            .otherwise([Op::Get(spec), Op::Get(self.key(&PlanKey::Import))]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        match reply.branch {
            Branch::Then => Ok(Imported::Created(reply.revision)),
            Branch::Otherwise => {
                let (spec, mark) = (reply.row(), reply.row());
                self.refused(spec, mark, reply.uncertain)
            }
        }
    }

    /// Puts the mark of this import, which lives on the session, and clears away what a dead one left behind.
    async fn mark(&self, lease: LeaseId) -> Result<Marked, Error> {
        let layout = self.coordinator.layout();
        let (spec, mark) = (self.key(&PlanKey::Spec), self.key(&PlanKey::Import));
        let txn =
            Transaction::when([Compare::Created(spec.clone(), None), Compare::Created(mark.clone(), None)])
                .then([
                    Op::DeleteRange(layout.spec(self.plan)),
                    Op::DeleteRange(layout.tasks(self.plan)),
                    Op::DeleteRange(layout.findings(self.plan)),
                    Op::DeleteRange(layout.late(self.plan)),
                    Op::PutLeased(mark.clone(), self.mark_record()?, lease),
                ])
                .otherwise([Op::Get(spec), Op::Get(mark)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(Marked::Ours(reply.revision));
        }
        let (spec, mark) = (reply.row(), reply.row());
        match &mark {
            Some(entry) if entry.lease == Some(lease) => Ok(Marked::Ours(entry.created)), // The answer got lost.
            // An earlier try may have put a mark and lost it again. Nothing hangs on it.
            _ => self.refused(spec, mark, false).map(Marked::Done),
        }
    }

    fn mark_record(&self) -> Result<Vec<u8>, Error> {
        let since = self.coordinator.clock().wall();
        Ok(codec::encode(&ImportRecord { v: FormatVersion::default(), by: importer(), since })?)
    }

    /// What is in the way. `uncertain`: an earlier try of ours may have made the plan before whatever is
    /// there now.
    fn refused(&self, spec: Option<Entry>, mark: Option<Entry>, uncertain: bool) -> Result<Imported, Error> {
        let ours = spec.as_ref().filter(|entry| entry.value == self.head);
        if let Some(entry) = ours {
            return Ok(Imported::Created(entry.created)); // The answer got lost.
        }
        if uncertain {
            return Err(Error::outcome_unknown(
                "the plan may have been created, and deleted since by another process",
            ));
        }
        if let Some(entry) = spec {
            let present: PlanSpec =
                unreadable::read(&Key::Plan(self.plan.clone(), PlanKey::Spec), &entry.value)?;
            let digest = |spec: &PlanSpec| spec.source.as_ref().map(|source| source.sha256.clone());
            let same = digest(&present).is_some() && digest(&present) == digest(self.spec);
            return if same { Ok(Imported::Unchanged) } else { Err(Error::PlanExists(self.plan.clone())) };
        }
        let by = mark.and_then(|entry| codec::decode::<ImportRecord>(&entry.value).ok()).map(|mark| mark.by);
        Err(Error::ImportUnderWay {
            plan: self.plan.clone(),
            by: by.unwrap_or_else(|| "another process".to_owned()),
        })
    }
}

/// What putting the mark of an import came to.
enum Marked {
    /// It is there; its create revision is what every further write compares.
    Ours(Revision),
    /// There is nothing to do: another process has imported the same.
    Done(Imported),
}

/// As many writes from the front as fit into one transaction.
fn chunk(puts: &[Op]) -> &[Op] {
    let mut bytes = 0;
    let fitting = puts.iter().take(CHUNK_OPS).take_while(|op| {
        bytes += op.bytes();
        bytes <= CHUNK_BYTES
    });
    &puts[..fitting.count().max(1)]
}

/// The name of the importing process, for people.
pub(crate) fn importer() -> String {
    let identity = Identity::of_process();
    format!("{} (process {})", identity.host, identity.pid)
}
