//! Reading what an operation on one task needs of its plan ([`planlease_core::reading`] decides what): its
//! record, with or without the queue, or its excerpt. What it costs does not depend on the plan's size.

use planlease_core::{
    PlanName, Revision, TaskId,
    change::Entry,
    excerpt::{self, ExcerptsRecord, Extracted, view::Excerpt},
    keys::{Key, PlanKey},
    reading,
    spec::Policy,
    term::Queue,
    view::{MissingTask, Parts, PlanView, TaskView},
};

use crate::{
    coordinator::{Coordinator, queue_of},
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Reply, Row, Transaction},
};

/// An excerpt, and the plan if it had to be read whole although it is large: its excerpts are not there, or
/// not of its present definition.
pub(crate) struct ReadExcerpt {
    pub(crate) excerpt: Excerpt,
    pub(crate) without: Option<PlanView>,
}

/// What was found of a task's definition.
struct Found {
    since: Revision,
    defined: Revision,
    policy: Policy,
    extracted: Extracted,
}

impl Coordinator {
    /// Reads one task of a plan, with all that decides what may become of it, at one revision. One
    /// transaction, and one more if the task waits for others. A plan without excerpts of its definition is
    /// read whole: a small one, or one that a version without excerpts has written.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{TaskId, TaskStatus};
    ///
    /// let excerpt = coordinator.excerpt(&plan, &TaskId::new("1")?).await?;
    /// assert_eq!(excerpt.task().record.status, TaskStatus::Pending);
    /// assert_eq!(excerpt.blockers().count(), 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::TaskNotFound`], [`Error::Unreadable`] if the task's definition or
    /// record cannot be read, and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn excerpt(&self, plan: &PlanName, task: &TaskId) -> Result<Excerpt, Error> {
        Ok(self.read_excerpt(plan, task).await?.excerpt)
    }

    pub(crate) async fn read_excerpt(&self, plan: &PlanName, task: &TaskId) -> Result<ReadExcerpt, Error> {
        let layout = self.layout();
        let of = |key| layout.of(plan, &key);
        let definition = [
            Op::Find(of(PlanKey::Spec)),
            Op::Get(of(PlanKey::Excerpts)),
            Op::Range(layout.excerpt_of(plan, task), 1),
        ];
        let txn = Transaction::when([Compare::Exists(of(PlanKey::Excerpts))])
            .then(definition)
            .then(self.state_of(plan, [task]))
            .otherwise(self.whole(plan));
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Otherwise {
            return whole(self.read_whole(plan, reply).await?, task);
        }
        let spec = reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        let Some(found) = found(&spec, reply.row(), reply.row(), task) else {
            return whole(self.plan(plan).await?, task);
        };
        let waits = found.extracted.all_waits();
        if !waits.is_empty() {
            let tasks = [task].into_iter().chain(waits.iter().map(|wait| &wait.on));
            let txn = Transaction::when([Compare::Modified(of(PlanKey::Spec), Some(found.defined))])
                .then(self.state_of(plan, tasks));
            reply = self.etcd().execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Otherwise {
                return whole(self.plan(plan).await?, task); // Edited in between.
            }
        }
        let parts = self.parts_of(plan, &mut reply);
        let Found { since, defined, policy, extracted } = found;
        let excerpt =
            Excerpt::read(plan.clone(), reply.revision, (since, defined), policy, extracted, parts)?;
        let (on_failed, waits) = (excerpt.policy().on_dependency_failed, excerpt.waits());
        if reading::phases_decide(waits, |task| excerpt.status(task))
            || reading::failures_decide(on_failed, waits, |task| excerpt.status(task))
        {
            let excerpt = Excerpt::of(&self.plan(plan).await?, task)?;
            return Ok(ReadExcerpt { excerpt, without: None });
        }
        self.remember_queue(plan, excerpt.queue());
        Ok(ReadExcerpt { excerpt, without: None })
    }

    /// Reads a task and who owns its plan. One transaction.
    pub(crate) async fn task_and_queue(
        &self,
        plan: &PlanName,
        task: &TaskId,
    ) -> Result<(TaskView, Queue), Error> {
        let of = |key| self.layout().of(plan, &key);
        let txn = Transaction::default().then([
            Op::Find(of(PlanKey::Spec)),
            Op::Range(self.layout().queue(plan), 0),
            Op::Get(of(PlanKey::Term)),
            Op::Get(of(PlanKey::Task(task.clone()))),
        ]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        let (candidates, _) = reply.rows();
        let queue = queue_of(self.layout(), plan, candidates, reply.row());
        self.remember_queue(plan, &queue);
        let missing = || MissingTask::NotFound { plan: plan.clone(), task: task.clone() };
        let entry = reply.row().ok_or_else(missing)?;
        Ok((TaskView::read(plan, task.clone(), &entry)?, queue))
    }

    /// Reads the owner, the queue, what halts the plan, and the records of these tasks.
    fn state_of<'a>(&self, plan: &PlanName, tasks: impl IntoIterator<Item = &'a TaskId>) -> Vec<Op> {
        let layout = self.layout();
        let mut ops = vec![
            Op::Range(layout.queue(plan), 0),
            Op::Get(layout.of(plan, &PlanKey::Term)),
            Op::Range(layout.halts(plan), 0),
        ];
        let records = tasks.into_iter().map(|task| layout.of(plan, &PlanKey::Task(task.clone())));
        ops.extend(records.map(Op::Get));
        ops
    }

    /// Everything else that the operations of the reply read.
    fn parts_of(&self, plan: &PlanName, reply: &mut Reply) -> Parts {
        let rows = std::iter::from_fn(|| reply.next_rows()).flatten();
        let part = |(key, entry): Row| match self.layout().parse(&key) {
            Some(Key::Plan(_, part)) => Some((part, entry)),
            _ => None,
        };
        Parts::of(plan, rows.filter_map(part))
    }
}

/// The excerpt of a plan that was read whole.
fn whole(plan: PlanView, task: &TaskId) -> Result<ReadExcerpt, Error> {
    let excerpt = Excerpt::of(&plan, task)?;
    let without = (plan.spec().tasks.len() > excerpt::WHOLE).then_some(plan);
    Ok(ReadExcerpt { excerpt, without })
}

/// The definition of the task, if the excerpts are of the present definition and have it. What of them cannot
/// be read counts as absent: the definition itself decides.
fn found(spec: &Entry, excerpts: Option<Entry>, excerpt: Option<Entry>, task: &TaskId) -> Option<Found> {
    let record: ExcerptsRecord = planlease_core::codec::decode(&excerpts?.value).ok()?;
    let present = record.of == Some(spec.modified);
    let extracted = excerpt::find_in_excerpt(&excerpt.filter(|_| present)?.value, task).ok()??;
    Some(Found { since: spec.created, defined: spec.modified, policy: record.policy, extracted })
}
