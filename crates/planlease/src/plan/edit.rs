//! Editing the definition of a plan that is under way.
//!
//! One transaction writes the new definition, the records of the tasks that are new, and deletes those of the
//! tasks that go, if the definition and the tasks that go are as they were seen. Every start compares the
//! definition that it was decided on, so that no task is started by an order that does not hold any more; the
//! process that executes the plan sees the change and reads it again. The record of a task whose approval is
//! asked for differently is written in the same transaction: an approval that is given at that moment is
//! before the edit or after it.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use planlease_core::{
    PlanName, Revision, TaskId,
    approval::ApprovalOf,
    codec, definition,
    edit::Edit,
    excerpt,
    keys::PlanKey,
    record::{Guard, Role, TaskRecord, Writer},
    spec::{EDIT_ID, EDITED_AT, PlanSpec, TaskSpec},
    view::{PlanView, TaskView},
};

use super::import::{ImportedState, importer, with_past};
use crate::{
    admin::Admin,
    error::Error,
    etcd::{Admission, Branch, Compare, FaultKind, MAX_BYTES, Op, Transaction},
};

/// How often it is tried while the plan changes.
const TRIES: usize = 64;

/// The most tasks that one edit adds and removes, with those whose approval it changes: for each of them
/// there is a compare, and etcd takes 128 operations on all levels of a transaction together.
pub const MAX_EDITED: usize = 40;

/// Above how many bytes a stored part is halved to make room for an edit: older versions filled parts with up
/// to 512 KiB.
const HALVED_ABOVE: usize = 64 * 1024;

/// The most operations in each transaction inside the one of an edit.
const OPS_APIECE: usize = 80;

/// What an edit came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// What was changed.
    pub edit: Edit,
    /// Since when; `None` if everything was as it is wanted already.
    pub revision: Option<Revision>,
}

impl Admin<'_> {
    /// Changes the definition of a plan to `edited`, as [`Edit`] says: new tasks are added, pending ones that
    /// are left out are removed with their outputs, all others stay. The plan may be owned and executed
    /// meanwhile. Two reads, one transaction; all again if one of the tasks that would go was started in
    /// between, or another process edits.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{TaskId, TaskSpec};
    ///
    /// let mut spec = coordinator.plan(&plan).await?.spec().as_ref().clone();
    /// spec.tasks.push(TaskSpec::new(TaskId::new("3")?, "one more"));
    /// coordinator.admin().edit(&plan, &spec).await?;
    /// assert_eq!(coordinator.plan(&plan).await?.tasks().len(), 3);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::EditTooLarge`] beyond [`MAX_EDITED`] tasks; [`Error::EditTooWide`] if the parts of the
    /// definition in which something changes have more than about 1 MiB; [`Error::Unsound`] with everything
    /// that is wrong with the definition that would come out; [`Error::PlanNotFound`]; [`Error::TimedOut`] if
    /// the plan keeps changing; and as for any request.
    ///
    /// # Cancel safety
    /// A dropped future leaves the old definition or the new one.
    pub async fn edit(self, plan: &PlanName, edited: &PlanSpec) -> Result<Edited, Error> {
        self.edit_with(plan, edited, &ImportedState::default()).await
    }

    /// As [`Admin::edit`], with new tasks that have work behind them. Findings are not written.
    ///
    /// # Errors
    /// As [`Admin::edit`].
    ///
    /// # Cancel safety
    /// As [`Admin::edit`].
    #[tracing::instrument(name = "edit_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn edit_with(
        self,
        plan: &PlanName,
        edited: &PlanSpec,
        past: &ImportedState,
    ) -> Result<Edited, Error> {
        let id = self.coordinator.etcd().random().uuid().to_string();
        for _ in 0..TRIES {
            let view = self.coordinator.plan(plan).await?;
            let mut edit = view.edit(edited);
            edited
                .tasks
                .iter()
                .filter(|task| edit.added.contains(&task.id))
                .try_for_each(|task| task.id.check_new())?;
            for task in &edit.removed {
                view.require(&PlanKey::Task(task.clone()))?;
            }
            if edit.is_empty() {
                return Ok(Edited { edit, revision: None });
            }
            let asked = asked_differently(&view, &edit);
            let touched = edit.added.len() + edit.removed.len() + asked.len();
            if touched > MAX_EDITED {
                return Err(Error::EditTooLarge { tasks: touched, most: MAX_EDITED });
            }
            let problems = edit.spec.problems();
            if !problems.is_empty() {
                return Err(Error::Unsound(problems));
            }
            edit.spec.extra.insert(EDIT_ID.to_owned(), id.clone().into());
            edit.spec.extra.insert(EDITED_AT.to_owned(), self.coordinator.clock().wall().0.into());
            if let Some(revision) = self.write_edit(&view, &edit, &asked, past).await? {
                if view.spec().tasks.len().max(edit.spec.tasks.len()) > excerpt::WHOLE {
                    self.coordinator.write_excerpts(plan, &edit.spec, revision).await;
                }
                return Ok(Edited { edit, revision: Some(revision) });
            }
        }
        Err(Error::TimedOut("the plan keeps changing"))
    }

    /// Halves the largest of the stored parts in which an edit changes something, so that the edit writes
    /// less. The definition stays as it is. `false` if none is large.
    async fn make_room(self, view: &PlanView, stored: &[&[u8]], changed: &[usize]) -> Result<bool, Error> {
        let large = changed.iter().filter_map(|at| Some((stored.get(*at)?.len(), *at)));
        let large = large.filter(|(length, _)| *length > HALVED_ABOVE);
        let Some((_, at)) = large.max_by_key(|(length, at)| (*length, Reverse(*at))) else {
            return Ok(false);
        };
        let Some(halved) = definition::halve_part(view.spec(), stored, at)? else { return Ok(false) };
        let key = |key| self.coordinator.layout().of(view.name(), &key);
        let spec = key(PlanKey::Spec);
        let mut then = vec![Op::Put(spec.clone(), halved.head)];
        let parts = (halved.at..).zip(halved.parts);
        then.extend(parts.map(|(at, part)| Op::Put(key(PlanKey::SpecPart(number(at))), part)));
        let txn = Transaction::when([Compare::Modified(spec, Some(view.defined()))]).then(then);
        self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        Ok(true)
    }

    /// Writes it, if the plan is as it was seen; `None` if it is not, or if room had to be made in what is
    /// stored first.
    async fn write_edit(
        self,
        view: &PlanView,
        edit: &Edit,
        asked: &[(&TaskView, Option<ApprovalOf>)],
        past: &ImportedState,
    ) -> Result<Option<Revision>, Error> {
        let key = |key| self.coordinator.layout().of(view.name(), &key);
        let layout = self.coordinator.layout();
        let parts = layout.spec_parts_after(view.name(), 0);
        let stored = match self.coordinator.etcd().scan(&parts, Some(view.revision())).await {
            Err(fault) if fault.kind == FaultKind::Compacted => return Ok(None), // Read again, as it is now.
            stored => stored?,
        };
        let stored: Vec<&[u8]> = stored.rows.iter().map(|(_, entry)| entry.value.as_slice()).collect();
        let (head, parts) = definition::encode_spec_over(&edit.spec, &stored)?;
        let spec = key(PlanKey::Spec);
        let mut when = vec![Compare::Modified(spec.clone(), Some(view.defined()))];
        let mut then = vec![Op::DeleteRange(layout.spec_parts_after(view.name(), parts.len()))];
        for task in &edit.removed {
            let record = key(PlanKey::Task(task.clone()));
            let seen = view.tasks().get(task).map(|task| task.revision);
            when.push(Compare::Modified(record.clone(), seen));
            let of_it = [PlanKey::Findings(task.clone()), PlanKey::Late(task.clone())];
            then.push(Op::Delete(record));
            then.extend(of_it.map(|of_it| Op::Delete(key(of_it))));
        }
        let writer = Writer { who: importer(), role: Role::Operator, term: None, guard: Guard::Import };
        for (task, of) in asked {
            let op_id = self.coordinator.etcd().random().uuid();
            let mut record = TaskRecord { writer: writer.clone(), op_id, ..task.record.clone() };
            record.require_approval(*of);
            record.revoke_approval();
            let at = key(PlanKey::Task(task.id.clone()));
            when.push(Compare::Modified(at.clone(), Some(task.revision)));
            then.push(Op::Put(at, codec::encode(&record)?));
        }
        for task in &edit.added {
            let fresh = TaskRecord::new(writer.clone(), self.coordinator.etcd().random().uuid());
            let mut record = match past.records.get(task) {
                Some(record) => with_past(record, fresh, self.coordinator.clock().wall()),
                None => fresh,
            };
            record.require_approval(edit.spec.task(task).and_then(|task| task.approval));
            let at = key(PlanKey::Task(task.clone()));
            when.push(Compare::Created(at.clone(), None));
            then.push(Op::Put(at, codec::encode(&record)?));
        }
        let changes = |at: usize| parts.get(at).map(Vec::as_slice) != stored.get(at).copied();
        let changed: Vec<usize> = (0..parts.len().max(stored.len())).filter(|at| changes(*at)).collect();
        let puts = changed.iter().filter_map(|at| Some((number(*at), parts.get(*at)?)));
        then.extend(puts.map(|(n, part)| Op::Put(key(PlanKey::SpecPart(n)), part.clone())));
        then.push(Op::Put(spec.clone(), head.clone()));
        let txn = Transaction::when(when).then(nested(then)).otherwise([Op::Get(spec)]);
        if txn.bytes() > MAX_BYTES {
            if written_anew(view.spec(), &edit.spec)? <= MAX_BYTES
                && self.make_room(view, &stored, &changed).await?
            {
                return Ok(None);
            }
            return Err(Error::EditTooWide { bytes: txn.bytes(), most: MAX_BYTES });
        }
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(Some(reply.revision));
        }
        match reply.row().filter(|entry| entry.value == head) {
            Some(entry) => Ok(Some(entry.modified)), // By an earlier try whose answer got lost.
            None if reply.uncertain => {
                Err(Error::outcome_unknown("the plan may have been edited so, and changed again since"))
            }
            None => Ok(None),
        }
    }
}

/// The tasks that stay and whose records are written, with what the edited plan asks a person for: if that
/// differs, or if a start that waits for approval, or has it, would be one of another definition now.
fn asked_differently<'a>(view: &'a PlanView, edit: &Edit) -> Vec<(&'a TaskView, Option<ApprovalOf>)> {
    let changed: HashSet<&TaskId> = edit.changed.iter().map(|changed| &changed.task).collect();
    let seen = edit.spec.tasks.iter().filter_map(|task| Some((view.tasks().get(&task.id)?, task.approval)));
    let differs = |(task, of): &(&TaskView, Option<ApprovalOf>)| {
        let is_other = changed.contains(&task.id) && task.record.start_needs_approval();
        is_other || task.record.approval_of() != *of
    };
    seen.filter(differs).collect()
}

/// The number of the part of this index.
fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// How many bytes the tasks have that are new, or different from before.
fn written_anew(before: &PlanSpec, after: &PlanSpec) -> Result<usize, Error> {
    let known: HashMap<&TaskId, &TaskSpec> = before.tasks.iter().map(|task| (&task.id, task)).collect();
    let anew = after.tasks.iter().filter(|task| known.get(&task.id) != Some(task));
    let mut bytes = 0;
    for task in anew {
        bytes += codec::encode_within(task, codec::MAX_SPEC_PART)?.len();
    }
    Ok(bytes)
}

/// These operations in transactions inside of one: etcd bounds the operations of each of them, less those
/// around it.
fn nested(mut ops: Vec<Op>) -> Vec<Op> {
    let mut nested = Vec::new();
    while !ops.is_empty() {
        let rest = ops.split_off(OPS_APIECE.min(ops.len()));
        nested.push(Op::Nested(Transaction::default().then(ops)));
        ops = rest;
    }
    nested
}
