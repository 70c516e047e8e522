//! One task of a plan at one revision, with all that decides what may become of it.

use crate::{
    excerpt::Extracted,
    graph::Graph,
    id::{PlanName, TaskId},
    keys::{Key, PlanKey},
    order::Wait,
    record::HaltRecord,
    revision::Revision,
    spec::{PlanSpec, Policy, TaskSpec},
    standing::{Standing, standing},
    status::TaskStatus,
    term::Queue,
    unreadable::Unreadable,
    view::{Definition, Halts, MissingTask, Parts, PlanView, TaskView},
};

/// One task of a plan: its definition and its record, those that it waits for, what halts the plan, the owner
/// and the queue. Read without the rest of the plan, or taken from it.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// Of the plan, as much as concerns the task, or more.
    plan: PlanView,
    task: TaskView,
}

impl Excerpt {
    /// The excerpt of a plan that was read whole.
    ///
    /// # Errors
    /// [`MissingTask`].
    pub fn of(plan: &PlanView, task: &TaskId) -> Result<Self, MissingTask> {
        Ok(Self { plan: plan.clone(), task: plan.task(task)?.clone() })
    }

    /// What was read for a task: `since` and `defined` are the revisions at which the plan appeared and its
    /// definition was written, `policy` is the plan's, and `parts` has the records of the task and of those
    /// that it waits for.
    ///
    /// # Errors
    /// [`MissingTask`] if the task's own record is not among them.
    pub fn read(
        name: PlanName,
        revision: Revision,
        (since, defined): (Revision, Revision),
        policy: Policy,
        extracted: Extracted,
        parts: Parts,
    ) -> Result<Self, MissingTask> {
        let id = extracted.task.id.clone();
        let waits = extracted.all_waits();
        let spec = PlanSpec { policy, tasks: vec![extracted.task], ..PlanSpec::default() };
        let graph = Graph::of_one(&spec, id.clone(), waits);
        let definition = Definition { since, revision: defined, graph: graph.into(), spec: spec.into() };
        Self::of(&PlanView::new(name, revision, definition, parts), &id)
    }

    /// The plan's name.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        self.plan.name()
    }

    /// The revision at which it was read.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.plan.revision()
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskView {
        &self.task
    }

    /// Its definition; `None` if the plan has a record of it alone.
    #[must_use]
    pub fn spec(&self) -> Option<&TaskSpec> {
        self.plan.spec().task(&self.task.id)
    }

    /// How it is treated.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let spec = self.plan.spec();
        self.spec().map_or_else(|| spec.policy.clone(), |task| spec.policy_of(task))
    }

    /// The plan as far as it concerns the task. Nothing else is to be asked of it: the other tasks may be
    /// missing.
    #[must_use]
    pub fn seen(&self) -> &PlanView {
        &self.plan
    }

    /// The owner and the queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        self.plan.queue()
    }

    /// What keeps the plan from going on.
    #[must_use]
    pub fn halts(&self) -> &Halts {
        self.plan.halts()
    }

    /// What keeps the task from being started although nothing blocks it.
    #[must_use]
    pub fn halt(&self) -> Option<&HaltRecord> {
        self.plan.halt()
    }

    /// What it waits for by definition.
    #[must_use]
    pub fn waits(&self) -> &[Wait] {
        self.plan.graph().waits(&self.task.id)
    }

    /// What it still waits for.
    pub fn blockers(&self) -> impl Iterator<Item = &Wait> {
        self.plan.blockers(&self.task.id)
    }

    /// The status of the task, or of one that it waits for.
    #[must_use]
    pub fn status(&self, id: &TaskId) -> Option<TaskStatus> {
        self.plan.status(id)
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (task, graph) = (&self.task, self.plan.graph());
        standing(&task.id, &task.record, &self.policy(), graph, |task| self.plan.state(task))
    }

    /// What cannot be read of that which concerns the task.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        self.plan.unreadable().filter(|unreadable| match &unreadable.key {
            Key::Plan(_, PlanKey::Task(id)) => {
                *id == self.task.id || self.waits().iter().any(|wait| wait.on == *id)
            }
            _ => true,
        })
    }

    /// Lists a record that belongs to the task and cannot be read.
    pub fn note_unreadable(&mut self, unreadable: Unreadable) {
        self.plan.note_unreadable(unreadable);
    }
}
