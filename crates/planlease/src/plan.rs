//! Plans as a whole: importing, reading, listing and deleting them.
//!
//! A plan is there exactly if its `spec` key is. So an import of any size is atomic to every reader: the task
//! records and the parts of a large definition are written first, under the mark of the importer, and the
//! `spec` key last.

use std::{collections::BTreeMap, sync::Arc};

use planlease_core::{
    LeaseId, PlanName, Revision, Summary, TaskId, WallTime,
    change::Entry,
    codec::{self, CodecError, FormatVersion},
    graph::Graph,
    keys::{Key, KeyRange, Layout, PlanKey},
    order::Wait,
    record::{Claim, FindingsRecord, Guard, Halt, HaltRecord, ImportRecord, Role, TaskRecord, Writer},
    spec::{IMPORT_ID, IMPORTED_AT, PlanSpec, Policies},
    standing::{Outlook, standing},
    term::{Candidate, Line},
    transition::TaskStatus,
    unreadable::{self, Unreadable},
};
use uuid::Uuid;

use crate::{
    authority::TaskView,
    coordinator::{Coordinator, line_of},
    error::Error,
    etcd::{Admission, Branch, Compare, MAX_BYTES, Op, PAGE, Row, Transaction},
    list::List,
    session::{Identity, Session},
};

/// The most keys that one transaction of an import writes.
const CHUNK_OPS: usize = 100;

/// The most bytes that one transaction of an import holds.
const CHUNK_BYTES: usize = MAX_BYTES * 3 / 4;

/// A plan as it was at one revision.
#[derive(Clone, Debug)]
pub struct PlanView {
    /// Its name.
    pub name: PlanName,
    /// The store's revision.
    pub revision: Revision,
    /// The revision that wrote its definition.
    pub defined: Revision,
    /// Its definition.
    pub spec: Arc<PlanSpec>,
    /// Its dependencies.
    pub graph: Arc<Graph>,
    /// Its tasks, number by number.
    pub tasks: BTreeMap<TaskId, TaskView>,
    /// The owner and the queue.
    pub line: Line,
    /// Why nothing is started, if it is paused; and since which revision.
    pub paused: Option<(Revision, HaltRecord)>,
    /// Why it cannot be owned, if it is cancelled or archived.
    pub closed: Option<(Revision, HaltRecord)>,
    /// What of it cannot be read, and is missing here: tasks, its term. A halt that cannot be read still
    /// halts it.
    pub unreadable: Vec<Unreadable>,
}

impl PlanView {
    /// The counts, of these very tasks.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let tasks = self.unreadable.iter().filter(|one| matches!(one.key, Key::Plan(_, PlanKey::Task(_))));
        Summary::of(self.tasks.values().map(|task| &task.record)).with_unreadable(tasks.count())
    }

    /// Fails if this record of the plan cannot be read: for what needs it.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn require(&self, key: PlanKey) -> Result<(), Error> {
        let key = Key::Plan(self.name.clone(), key);
        self.unreadable.iter().find(|one| one.key == key).map_or(Ok(()), |one| Err(one.clone().into()))
    }

    /// One task.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if its record cannot be read; [`Error::TaskNotFound`].
    pub fn task(&self, task: &TaskId) -> Result<&TaskView, Error> {
        if let Some(view) = self.tasks.get(task) {
            return Ok(view);
        }
        self.require(PlanKey::Task(task.clone()))?;
        Err(Error::TaskNotFound { plan: self.name.clone(), task: task.clone() })
    }

    /// Takes a further record of the plan, as it was read. One that cannot be read counts as absent, and is
    /// listed.
    ///
    /// # Errors
    /// All but [`Error::Unreadable`].
    pub fn take_beside<T>(&mut self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        match read {
            Err(Error::Unreadable(unreadable)) => {
                self.unreadable.push(unreadable);
                Ok(None)
            }
            read => read,
        }
    }

    /// Where a task stands; `None` if there is no such task.
    #[must_use]
    pub fn status(&self, task: &TaskId) -> Option<TaskStatus> {
        self.tasks.get(task).map(|task| task.record.status)
    }

    /// The tasks that may start now, in the order in which they are handed out.
    pub fn ready(&self) -> impl Iterator<Item = &TaskId> {
        self.graph.ready(|task| self.status(task))
    }

    /// Whether an owner would find something to do: a task in progress, one that is ready, or one that may be
    /// tried again.
    #[must_use]
    pub fn has_work(&self) -> bool {
        matches!(self.outlook(), Outlook::Retries | Outlook::Open)
    }

    /// What keeps its tasks from being started, if anything does.
    #[must_use]
    pub fn halt(&self) -> Option<&HaltRecord> {
        self.closed.as_ref().or(self.paused.as_ref()).map(|(_, record)| record)
    }

    /// What may still come of it without a person's decision.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let policies = Policies::of(&self.spec);
        Outlook::of(self.tasks.values().map(|task| {
            let policy = policies.of_task(&task.id);
            standing(&task.id, &task.record, policy, &self.graph, |id| self.status(id))
        }))
    }

    /// The tasks that failed, with the decision that is asked for, or the error.
    pub fn failed(&self) -> impl Iterator<Item = (&TaskId, &str)> {
        self.tasks.values().filter(|task| task.record.status == TaskStatus::Failed).map(|task| {
            let why = task.record.parked.as_deref().or(task.record.error.as_deref());
            (&task.id, why.unwrap_or("no reason given"))
        })
    }

    /// Whether as many tasks are in progress as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let most = usize::try_from(self.spec.policy.max_in_progress).unwrap_or(usize::MAX);
        most > 0 && self.summary().in_progress >= most
    }

    /// Applies a newer record of a task, from a write's answer or a watch; an older one changes nothing.
    pub fn take_in(&mut self, task: TaskView) {
        if self.tasks.get(&task.id).is_none_or(|known| known.revision < task.revision) {
            self.revision = self.revision.max(task.revision);
            self.readable_again(&task.id);
            self.tasks.insert(task.id.clone(), task);
        }
    }

    /// Takes in a newer record of a task as it is stored, which may be one that cannot be read.
    pub fn take_in_entry(&mut self, task: TaskId, entry: &Entry) {
        if entry.modified <= self.revision
            && self.tasks.get(&task).is_none_or(|t| t.revision >= entry.modified)
        {
            return;
        }
        match TaskView::read(&self.name, task.clone(), entry) {
            Ok(view) => self.take_in(view),
            Err(unreadable) => {
                self.readable_again(&task);
                self.tasks.remove(&task);
                self.unreadable.push(unreadable);
            }
        }
    }

    fn readable_again(&mut self, task: &TaskId) {
        let is_its = |key: &Key| matches!(key, Key::Plan(_, PlanKey::Task(of)) if of == task);
        self.unreadable.retain(|one| !is_its(&one.key));
    }

    /// What a task still waits for.
    pub fn blockers(&self, task: &TaskId) -> impl Iterator<Item = &Wait> {
        self.graph.blockers(task, |task| self.status(task))
    }

    /// The revisions of all that a task depends on, as seen.
    pub(crate) fn dependency_revisions(&self, task: &TaskId) -> Vec<(TaskId, Revision)> {
        let waits = self.graph.waits(task).iter();
        waits.filter_map(|wait| Some((wait.on.clone(), self.tasks.get(&wait.on)?.revision))).collect()
    }
}

impl Past {
    /// The tasks whose boxes are ticked in the plan file, as completed.
    #[must_use]
    pub fn of_ticked(spec: &PlanSpec) -> Self {
        let writer = Writer { who: importer(), role: Role::Operator, term: None, guard: Guard::Import };
        let completed = TaskRecord {
            status: TaskStatus::Completed,
            notes: Some(TICKED.to_owned()),
            ..TaskRecord::new(writer, Uuid::nil())
        };
        let records = spec.ticked().map(|task| (task.id.clone(), completed.clone())).collect();
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

/// What a plan that is imported has behind it already: work that was done elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Past {
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
        self.import_with(plan, spec, &Past::default(), progress).await
    }

    /// Makes a plan that is under way already. As [`Coordinator::import`] otherwise.
    ///
    /// # Errors
    /// As [`Coordinator::import`].
    ///
    /// # Cancel safety
    /// As [`Coordinator::import`].
    pub async fn import_with(
        &self,
        plan: &PlanName,
        spec: &PlanSpec,
        past: &Past,
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
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::Unreadable`] if its definition cannot be read, and as for any read.
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
        let mut parts = Parts::default();
        let (definition, _) = reply.rows();
        let (queue, _) = reply.rows();
        parts.term = reply.row();
        let (halts, _) = reply.rows();
        let (mut rows, more) = reply.rows();
        if more && !definition.is_empty() {
            let mut pages = self.etcd().pages_behind(&rows, tasks, revision);
            while let Some(page) = pages.next().await? {
                rows.extend(page.rows);
            }
        }
        for (key, entry) in [definition, queue, halts, rows].into_iter().flatten() {
            if let Some(Key::Plan(plan, part)) = layout.parse(&key) {
                parts.add(&plan, part, key, entry);
            }
        }
        let view = parts.view(layout, plan, revision).ok_or_else(|| Error::PlanNotFound(plan.clone()))??;
        self.remember_line(plan, &view.line);
        Ok(view)
    }

    /// Reads all plans, at one revision. A plan whose definition cannot be read is left out; what cannot be
    /// read of the others is listed here too.
    ///
    /// # Errors
    /// As for any read.
    pub async fn plans(&self) -> Result<List<PlanView>, Error> {
        let page = self.etcd().scan(&self.layout().plans(), None).await?;
        let mut plans = List::default();
        let mut parts: BTreeMap<PlanName, Parts> = BTreeMap::new();
        for (key, entry) in page.rows {
            match self.layout().parse(&key) {
                Some(Key::Plan(plan, part)) => {
                    parts.entry(plan.clone()).or_default().add(&plan, part, key, entry);
                }
                Some(other) => plans.unreadable.push(Unreadable::new(other, &CodecError::UnknownKey)),
                None => {}
            }
        }
        for (name, parts) in parts {
            let of_parts = parts.unreadable.clone();
            match parts.view(self.layout(), &name, page.revision) {
                Some(Ok(view)) => {
                    plans.unreadable.extend_from_slice(&view.unreadable);
                    plans.items.push(view);
                }
                Some(Err(unreadable)) => {
                    plans.unreadable.push(unreadable);
                    plans.unreadable.extend(of_parts);
                }
                None => plans.unreadable.extend(of_parts), // Not there, or not yet.
            }
        }
        Ok(plans)
    }

    /// Reads one task; `None` if the plan has no such task, or is not there.
    ///
    /// # Errors
    /// As for any read.
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
    pub async fn findings(&self, plan: &PlanName, task: &TaskId) -> Result<Option<FindingsRecord>, Error> {
        self.record(&Key::Plan(plan.clone(), PlanKey::Findings(task.clone()))).await
    }

    /// Reads the outputs of all tasks of a plan, and those that are kept under a name of their own, at one
    /// revision.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any read.
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

/// What the keys of one plan hold.
#[derive(Default)]
struct Parts {
    head: Option<Entry>,
    spec_parts: BTreeMap<u32, Vec<u8>>,
    queue: Vec<Row>,
    term: Option<Entry>,
    paused: Option<(Revision, HaltRecord)>,
    closed: Option<(Revision, HaltRecord)>,
    tasks: BTreeMap<TaskId, TaskView>,
    unreadable: Vec<Unreadable>,
}

impl Parts {
    fn add(&mut self, plan: &PlanName, part: PlanKey, key: Vec<u8>, entry: Entry) {
        match part {
            PlanKey::Spec => self.head = Some(entry),
            PlanKey::SpecPart(n) => drop(self.spec_parts.insert(n, entry.value)),
            PlanKey::Owner(_) => self.queue.push((key, entry)),
            PlanKey::Term => self.term = Some(entry),
            PlanKey::Task(id) => match TaskView::read(plan, id.clone(), &entry) {
                Ok(view) => drop(self.tasks.insert(id, view)),
                Err(unreadable) => self.unreadable.push(unreadable),
            },
            PlanKey::Close => self.closed = Some(halt_of(plan, part, &entry, &mut self.unreadable)),
            PlanKey::Pause => self.paused = Some(halt_of(plan, part, &entry, &mut self.unreadable)),
            // Every start compares that nothing is there, whatever it is.
            PlanKey::Unknown(ref below) if below.starts_with(b"halt/") => {
                let halt = halt_of(plan, part, &entry, &mut self.unreadable);
                self.paused.get_or_insert(halt);
            }
            // It is in the queue, whichever program wrote it.
            PlanKey::Unknown(ref below) if below.starts_with(b"owner/") => self.queue.push((key, entry)),
            PlanKey::Unknown(_) => {
                let key = Key::Plan(plan.clone(), part);
                self.unreadable.push(Unreadable::new(key, &CodecError::UnknownKey));
            }
            PlanKey::Import
            | PlanKey::PastTerm(_)
            | PlanKey::Findings(_)
            | PlanKey::Late(_)
            | PlanKey::Lock(..) => {}
        }
    }

    /// The plan; `None` if it is not there (parts alone do not make one).
    fn view(
        self,
        layout: &Layout,
        name: &PlanName,
        revision: Revision,
    ) -> Option<Result<PlanView, Unreadable>> {
        let head = self.head?;
        let spec = match codec::decode_spec(&head.value, self.spec_parts.values().map(Vec::as_slice)) {
            Ok(spec) => Arc::new(spec),
            Err(error) => {
                return Some(Err(Unreadable::new(Key::Plan(name.clone(), PlanKey::Spec), &error)));
            }
        };
        let line = line_of(layout, name, self.queue, self.term);
        let mut unreadable = self.unreadable;
        unreadable.extend_from_slice(&line.unreadable);
        let (defined, graph) = (head.modified, Arc::new(Graph::new(&spec)));
        let (name, tasks, paused, closed) = (name.clone(), self.tasks, self.paused, self.closed);
        Some(Ok(PlanView { name, revision, defined, spec, graph, tasks, line, paused, closed, unreadable }))
    }
}

/// What halts a plan, and since which revision. A record that cannot be read halts it as well.
pub(crate) fn halt_of(
    plan: &PlanName,
    part: PlanKey,
    entry: &Entry,
    unreadable: &mut Vec<Unreadable>,
) -> (Revision, HaltRecord) {
    let how = if part == PlanKey::Close { Halt::Cancelled } else { Halt::Paused };
    let key = Key::Plan(plan.clone(), part);
    let read = match unreadable::check(&key, &entry.value) {
        Ok(()) => unreadable::read(&key, &entry.value),
        Err(error) => Err(Unreadable::new(key, &error)),
    };
    let halt = read.unwrap_or_else(|error| {
        let halt = HaltRecord::unreadable(how, &error);
        unreadable.push(error);
        halt
    });
    (entry.modified, halt)
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
        past: &Past,
    ) -> Result<Self, Error> {
        let layout = coordinator.layout();
        let random = coordinator.etcd().random();
        let mut marked = spec.clone();
        marked.extra.insert(IMPORT_ID.to_owned(), random.uuid().to_string().into());
        let now = coordinator.clock().wall();
        marked.extra.insert(IMPORTED_AT.to_owned(), now.0.into());
        let (head, parts) = codec::encode_spec(&marked)?;
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
                return Err(Error::SessionLost(session.lost().await));
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
