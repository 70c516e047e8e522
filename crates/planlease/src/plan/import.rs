//! Importing plans.
//!
//! A plan is there exactly if its `spec` key is. So an import of any size is atomic to every reader: the task
//! records and the parts of a large definition are written first, under the mark of the importer, and the
//! `spec` key last.

use std::collections::BTreeMap;

use planlease_core::{
    LeaseId, PlanName, Revision, TaskId, WallTime,
    change::Entry,
    codec::{self, FormatVersion},
    definition, excerpt,
    keys::{Key, PlanKey},
    record::{Claim, FindingsRecord, Guard, ImportRecord, Role, TaskRecord, Writer},
    spec::{IMPORT_ID, IMPORTED_AT, PlanSpec, TaskSpec},
    transition::TaskStatus,
    unreadable,
};
use uuid::Uuid;

use crate::{
    admin::Admin,
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, MAX_BYTES, Op, Transaction},
    session::{Identity, Session},
};

/// The most keys that one transaction of an import, or of excerpts, writes.
const CHUNK_OPS: usize = 100;

/// The most bytes that it holds.
const CHUNK_BYTES: usize = MAX_BYTES * 3 / 4;

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

impl Admin<'_> {
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
    /// coordinator.admin().import(&PlanName::new("notes")?, &spec, |written| println!("{written} tasks")).await?;
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
        self,
        plan: &PlanName,
        spec: &PlanSpec,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        self.import_with(plan, spec, &ImportedState::default(), progress).await
    }

    /// Makes a plan that is under way already. As [`Admin::import`] otherwise.
    ///
    /// # Errors
    /// As [`Admin::import`].
    ///
    /// # Cancel safety
    /// As [`Admin::import`].
    #[tracing::instrument(name = "import", level = "debug", skip_all, fields(%plan))]
    pub async fn import_with(
        self,
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
        let import = Import::new(self.coordinator, plan, spec, past)?;
        // All that an import writes first hangs on a session: a request that arrives after the import is over
        // finds no lease, and is refused, whatever has become of the plan since.
        let session = self.coordinator.open_unregistered_session(Identity::of_process()).await?;
        let imported = if import.puts.len() < CHUNK_OPS - 1 && import.bytes() < CHUNK_BYTES {
            import.at_once(&session).await
        } else {
            import.in_chunks(&session, progress).await
        };
        if let Err(error) = session.close().await {
            tracing::debug!(%error, "the import's session expires by itself");
        }
        if let Ok(Imported::Created(defined)) = imported
            && spec.tasks.len() > excerpt::WHOLE
        {
            self.coordinator.write_excerpts(plan, spec, defined).await;
        }
        imported
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
        let by = claim.map_or_else(|| "an unknown claimant".to_owned(), |claim| claim.by);
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
            let mut record = match past.records.get(&task.id) {
                Some(record) => with_past(record, fresh, now),
                None => fresh,
            };
            record.require_approval(task.approval);
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
pub(super) fn chunk(ops: &[Op]) -> &[Op] {
    let mut bytes = 0;
    let fitting = ops.iter().take(CHUNK_OPS).take_while(|op| {
        bytes += op.bytes();
        bytes <= CHUNK_BYTES
    });
    &ops[..fitting.count().max(1).min(ops.len())]
}

/// The name of the importing process, for people.
pub(crate) fn importer() -> String {
    let identity = Identity::of_process();
    format!("{} (process {})", identity.host, identity.pid)
}
