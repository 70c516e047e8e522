//! A plan as it was at one revision, for all who read one: the coordinator, the watcher, subscribers.
//!
//! Cheap to clone, whatever its size, and to change while older clones are kept: clones share what they have
//! in common.

mod ids;
mod parts;
mod task;
mod tasks;

use std::sync::Arc;

pub use self::{
    parts::{Definition, Halts, Parts, halt_of},
    task::TaskView,
    tasks::Tasks,
};
use crate::{
    approval::Awaits,
    change::Entry,
    consequence,
    dependency::State,
    edit::Edit,
    graph::Graph,
    id::{PlanName, TaskId},
    keys::{Key, PlanKey},
    order::Wait,
    record::HaltRecord,
    revision::Revision,
    spec::{PlanSpec, Policies, TaskSpec},
    standing::{Outlook, standing},
    summary::Summary,
    term::Queue,
    transition::{Change, TaskStatus},
    unreadable::Unreadable,
};

/// A plan as it was at one revision. Clones share everything.
#[derive(Clone, Debug)]
pub struct PlanView {
    name: PlanName,
    revision: Revision,
    definition: Definition,
    parts: Parts,
}

/// Why a task of a plan cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingTask {
    /// Its record cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The plan has no such task.
    #[error("plan {plan} has no task {task}")]
    NotFound {
        /// The plan.
        plan: PlanName,
        /// The task.
        task: TaskId,
    },
}

impl PlanView {
    /// The plan of this name, defined like this, at a revision.
    #[must_use]
    pub fn new(name: PlanName, revision: Revision, definition: Definition, parts: Parts) -> Self {
        Self { name, revision, definition, parts }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &PlanName {
        &self.name
    }

    /// A revision of the store at which the plan was as it is here: the one at which it was read, or, from a
    /// watcher, that of the plan's last change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision at which it appeared: another one is another plan of the same name.
    #[must_use]
    pub fn since(&self) -> Revision {
        self.definition.since
    }

    /// The revision that wrote its definition.
    #[must_use]
    pub fn defined(&self) -> Revision {
        self.definition.revision
    }

    /// Its definition.
    #[must_use]
    pub fn spec(&self) -> &Arc<PlanSpec> {
        &self.definition.spec
    }

    /// Its dependencies.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.definition.graph
    }

    /// Its definition, with the revisions that belong to it.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What belongs to it besides its definition.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its tasks, number by number.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.parts.tasks
    }

    /// One task.
    ///
    /// # Errors
    /// [`MissingTask`].
    pub fn task(&self, id: &TaskId) -> Result<&TaskView, MissingTask> {
        if let Some(task) = self.tasks().get(id) {
            return Ok(task);
        }
        self.require(&PlanKey::Task(id.clone()))?;
        Err(MissingTask::NotFound { plan: self.name.clone(), task: id.clone() })
    }

    /// The status of a task; `None` if there is no such task.
    #[must_use]
    pub fn status(&self, id: &TaskId) -> Option<TaskStatus> {
        self.tasks().get(id).map(|task| task.record.status)
    }

    /// The owner and the queue.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.parts.queue
    }

    /// The revision that wrote the output of a task; `None` if there is none, or if outputs were not read
    /// (a read of one plan leaves them out).
    #[must_use]
    pub fn findings(&self, id: &TaskId) -> Option<Revision> {
        self.parts.findings.get(id).copied()
    }

    /// What keeps it from going on.
    #[must_use]
    pub fn halts(&self) -> &Halts {
        &self.parts.halts
    }

    /// What keeps its tasks from being started, if anything does.
    #[must_use]
    pub fn halt(&self) -> Option<&HaltRecord> {
        let Halts { paused, closed } = self.halts();
        closed.as_ref().or(paused.as_ref()).map(|(_, record)| record)
    }

    /// What of it cannot be read, and is missing here. A halt that cannot be read still halts it.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        self.parts.unreadable(&self.name)
    }

    /// Fails if this record of the plan cannot be read: for what needs it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn require(&self, key: &PlanKey) -> Result<(), Unreadable> {
        match self.parts.unreadable.get(key) {
            Some(reason) => {
                Err(Unreadable { key: Key::Plan(self.name.clone(), key.clone()), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    /// The counts, of these very tasks.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let tasks = self.parts.unreadable.keys().filter(|key| matches!(key, PlanKey::Task(_)));
        Summary::of(self.tasks().values().map(|task| &task.record)).with_unreadable(tasks.count())
    }

    /// The tasks that may start now, in the order in which they are handed out.
    pub fn ready(&self) -> impl Iterator<Item = &TaskId> {
        self.graph().ready(|task| self.state(task))
    }

    /// The state of a task, as far as others wait for it.
    #[must_use]
    pub fn state(&self, id: &TaskId) -> Option<State> {
        self.tasks().get(id).map(|task| self.graph().state(id, &task.record))
    }

    /// What a task still waits for.
    pub fn blockers(&self, task: &TaskId) -> impl Iterator<Item = &Wait> {
        self.graph().blockers(task, |task| self.state(task))
    }

    /// What may still come of it without a person's decision.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let policies = Policies::of(self.spec());
        let outlook = Outlook::of(self.tasks().values().map(|task| {
            let policy = policies.of_task(&task.id);
            standing(&task.id, &task.record, policy, self.graph(), |id| self.state(id))
        }));
        // What is to be given up is the owner's work, as retries are.
        let owners = outlook == Outlook::Stuck && !self.consequences(&policies).is_empty();
        if owners { Outlook::Retries } else { outlook }
    }

    /// The tasks that are to be given up now by the plan's owner, since one that they wait for failed for
    /// good.
    #[must_use]
    pub fn consequences(&self, policies: &Policies) -> Vec<(TaskId, Change)> {
        let tasks = self.tasks();
        let records = tasks.values().map(|task| (&task.id, &task.record));
        consequence::due(records, self.graph(), policies, |id| tasks.get(id).map(|task| &task.record))
    }

    /// Whether an owner would find something to do: a task in progress, one that is ready, or one that may be
    /// tried again.
    #[must_use]
    pub fn has_work(&self) -> bool {
        matches!(self.outlook(), Outlook::Retries | Outlook::Open)
    }

    /// The tasks that failed, with the decision that is asked for, or the error.
    pub fn failed(&self) -> impl Iterator<Item = (&TaskId, &str)> {
        let failed = self.tasks().values().filter(|task| task.record.status == TaskStatus::Failed);
        failed.map(|task| {
            let why = task.record.parked.as_deref().or(task.record.error.as_deref());
            (&task.id, why.unwrap_or("no reason given"))
        })
    }

    /// The tasks that wait for a person's approval, and for nothing else.
    pub fn approvals(&self) -> impl Iterator<Item = (&TaskView, Awaits)> {
        self.tasks().values().filter_map(|task| Some((task, self.approval(task)?)))
    }

    /// The approval that this task of the plan waits for, if it is all that it waits for.
    #[must_use]
    pub fn approval(&self, task: &TaskView) -> Option<Awaits> {
        let awaits = task.record.awaits()?;
        let is_next = match awaits {
            Awaits::Start(_) => self.blockers(&task.id).next().is_none(),
            Awaits::Result(_) => true,
        };
        is_next.then_some(awaits)
    }

    /// Whether as many tasks are in progress as may be. One whose result waits for approval does not count:
    /// nothing works on it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let most = usize::try_from(self.spec().policy.max_in_progress).unwrap_or(usize::MAX);
        let works =
            |task: &&TaskView| task.record.status == TaskStatus::InProgress && !task.record.result_waits();
        most > 0 && self.tasks().values().filter(works).count() >= most
    }

    /// The revisions of all that a task depends on, as seen.
    pub fn dependency_revisions(&self, task: &TaskId) -> impl Iterator<Item = (TaskId, Revision)> {
        let waits = self.graph().waits(task).iter();
        waits.filter_map(|wait| Some((wait.on.clone(), self.tasks().get(&wait.on)?.revision)))
    }

    /// The tasks that are pending here and whose boxes are ticked in `file`.
    #[must_use]
    pub fn pending_of_ticked(&self, file: &PlanSpec) -> Vec<TaskId> {
        let pending = |task: &&TaskSpec| self.status(&task.id) == Some(TaskStatus::Pending);
        file.ticked().filter(pending).map(|task| task.id.clone()).collect()
    }

    /// What it takes for the plan to be as `edited`.
    #[must_use]
    pub fn edit(&self, edited: &PlanSpec) -> Edit {
        Edit::new(self.spec(), edited, |task| self.status(task))
    }

    /// Applies a newer record of a task, from a write's answer or a watch; an older one changes nothing.
    pub fn apply_task(&mut self, task: TaskView) {
        if self.tasks().get(&task.id).is_none_or(|known| known.revision < task.revision) {
            self.revision = self.revision.max(task.revision);
            self.parts.put_task(Arc::new(task));
        }
    }

    /// Applies a newer record of a task as it is stored, which may be one that cannot be read.
    pub fn apply_entry(&mut self, task: TaskId, entry: &Entry) {
        let known = self.tasks().get(&task).is_none_or(|task| task.revision >= entry.modified);
        if entry.modified <= self.revision && known {
            return;
        }
        match TaskView::read(&self.name, task.clone(), entry) {
            Ok(view) => self.apply_task(view),
            Err(unreadable) => {
                self.parts.tasks.remove(&task);
                self.parts.set_unreadable(&PlanKey::Task(task), Some(unreadable.reason));
            }
        }
    }

    /// The same plan with another definition.
    #[must_use]
    pub fn with_definition(self, definition: Definition) -> Self {
        Self { definition, ..self }
    }

    /// Changes what belongs to it besides its definition, as of this revision.
    pub fn change(&mut self, revision: Revision, change: impl FnOnce(&mut Parts)) {
        self.revision = self.revision.max(revision);
        change(&mut self.parts);
    }

    /// Lists a record that belongs to it and cannot be read.
    pub fn note_unreadable(&mut self, unreadable: Unreadable) {
        if let Key::Plan(_, key) = &unreadable.key {
            self.parts.set_unreadable(key, Some(unreadable.reason));
        }
    }
}

/// The revision at which it was read is left out: the plan is the same. So are the dependencies: the
/// definition determines them.
impl PartialEq for PlanView {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.definition == other.definition && self.parts == other.parts
    }
}
