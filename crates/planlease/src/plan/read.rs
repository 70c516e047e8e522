//! Reading plans, their tasks and their outputs.

use std::collections::BTreeMap;

use planlease_core::{
    PlanName, Revision, TaskId,
    change::Entry,
    codec::CodecError,
    excerpt::view::Excerpt,
    keys::{Key, KeyRange, PlanKey},
    record::FindingsRecord,
    unreadable::{self, Unreadable},
    view::{Parts, PlanView, TaskView},
};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Op, PAGE, Reply, Transaction},
    list::List,
};

impl Coordinator {
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
        let txn = Transaction::default().then(self.whole(plan));
        let reply = self.etcd().execute(&txn, Admission::TURN).await?;
        self.read_whole(plan, reply).await
    }

    /// What reads a plan, up to the first tasks.
    pub(super) fn whole(&self, plan: &PlanName) -> [Op; 5] {
        let layout = self.layout();
        [
            Op::Range(layout.spec(plan), 0),
            Op::Range(layout.queue(plan), 0),
            Op::Get(layout.of(plan, &PlanKey::Term)),
            Op::Range(layout.halts(plan), 0),
            Op::Range(layout.tasks(plan), PAGE),
        ]
    }

    /// The plan that these operations have read, and the rest of its tasks.
    pub(super) async fn read_whole(&self, plan: &PlanName, mut reply: Reply) -> Result<PlanView, Error> {
        let (layout, tasks) = (self.layout(), self.layout().tasks(plan));
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
        self.remember_queue(plan, view.queue());
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
                // A part of the definition is among the parts already.
                Some(Err(unreadable)) if of_parts.contains(&unreadable) => {}
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
        let found = self.raw().snapshot_at(&layout.findings(plan), reply.revision).await?;
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
            key if key.is_beside() => None,
            key => Some((key, entry)),
        }),
    );
    let unreadable = parts.unreadable(name).collect();
    let view = head.map(|head| match parts.define(&head) {
        Ok(definition) => Ok(PlanView::new(name.clone(), revision, definition, parts)),
        Err(error) => Err(parts.undefined(name, &head, &error)),
    });
    (unreadable, view)
}

/// Takes a record that is read beside a task. One that cannot be read counts as absent, and is listed with
/// the task.
///
/// # Errors
/// All but [`Error::Unreadable`].
pub fn read_beside<T>(excerpt: &mut Excerpt, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Unreadable(unreadable)) => {
            excerpt.note_unreadable(unreadable);
            Ok(None)
        }
        read => read,
    }
}
