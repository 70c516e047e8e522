//! What follows for pending tasks from those that failed for good: `on_dependency_failed`.
//!
//! One step at a time: what is given up here is a failure for the tasks behind it at the next look.

use crate::{
    graph::Graph,
    id::TaskId,
    on_failed::OnDependencyFailed,
    record::{GivenUp, TaskRecord},
    spec::Policies,
    transition::{Change, TaskStatus},
};

/// The tasks that are to be given up now, since one that they wait for failed for good. Empty, at no cost, in
/// a plan whose tasks wait. `record` answers for each task of the plan.
#[must_use]
pub fn due<'a>(
    tasks: impl Iterator<Item = (&'a TaskId, &'a TaskRecord)>,
    graph: &Graph,
    policies: &Policies,
    record: impl Fn(&TaskId) -> Option<&'a TaskRecord>,
) -> Vec<(TaskId, Change)> {
    if !policies.give_up() {
        return Vec::new();
    }
    let pending = tasks.filter(|(_, record)| record.status == TaskStatus::Pending);
    let due = pending.filter_map(|(task, _)| Some((task.clone(), of_task(task, graph, policies, &record)?)));
    due.collect()
}

/// What is to be done about a pending task, if one that it waits for failed for good.
fn of_task<'a>(
    task: &TaskId,
    graph: &Graph,
    policies: &Policies,
    record: impl Fn(&TaskId) -> Option<&'a TaskRecord>,
) -> Option<Change> {
    let on_failed = policies.of_task(task).on_dependency_failed;
    let given_up = match on_failed {
        OnDependencyFailed::Wait | OnDependencyFailed::Run => return None,
        OnDependencyFailed::Skip => GivenUp::Skipped,
        OnDependencyFailed::Fail => GivenUp::Failed,
    };
    let failed = graph.waits(task).iter().find_map(|wait| {
        let state = graph.state(&wait.on, record(&wait.on)?);
        state.by_failure.then_some((&wait.on, state.status))
    });
    let (on, status) = failed?;
    let how = if status == TaskStatus::Skipped { "was left out after a failure" } else { "failed" };
    Some(Change::GiveUp(given_up, format!("{on} {how} (on_dependency_failed = {on_failed})")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::{
        record::{Guard, Role, Writer},
        spec::{PlanSpec, Policy, TaskPolicy, TaskSpec},
        time::WallTime,
        transition::{Write, apply},
    };

    fn id(name: &str) -> TaskId {
        TaskId::new(name).unwrap()
    }

    fn writer() -> Writer {
        Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned }
    }

    /// A chain of tasks, each waiting for the one before it, with these policies; the first one fails for
    /// good. Each is done as far as its owner can get.
    fn chain(on_failed: &[OnDependencyFailed]) -> Vec<(TaskStatus, bool)> {
        let task = |(n, on_failed): (usize, &OnDependencyFailed)| TaskSpec {
            depends_on: n.checked_sub(1).map(|before| id(&before.to_string())).into_iter().collect(),
            policy: Some(Box::new(TaskPolicy {
                on_dependency_failed: Some(*on_failed),
                ..TaskPolicy::default()
            })),
            ..TaskSpec::new(id(&n.to_string()), "work")
        };
        let policy = Policy { max_retries: 0, ..Policy::default() };
        let spec = PlanSpec {
            tasks: on_failed.iter().enumerate().map(task).collect(),
            policy,
            ..PlanSpec::default()
        };
        let (graph, policies) = (Graph::new(&spec), Policies::of(&spec));
        let mut records: BTreeMap<TaskId, TaskRecord> =
            spec.tasks.iter().map(|task| (task.id.clone(), TaskRecord::new(writer(), Uuid::nil()))).collect();
        let failed = records.get_mut(&id("0")).unwrap();
        (failed.status, failed.failures) = (TaskStatus::Failed, 1);
        let write = Write { writer: writer(), attempt: None, at: WallTime(0), op_id: Uuid::nil() };
        for _ in 0..on_failed.len() {
            let mut changes = due(records.iter(), &graph, &policies, |id| records.get(id));
            let state = |id: &TaskId| records.get(id).map(|record| graph.state(id, record));
            changes.extend(graph.ready(state).map(|task| (task.clone(), Change::Start)));
            for (task, change) in changes {
                let mut record = apply(&records[&task], &change, &write).unwrap();
                if change == Change::Start {
                    record = apply(&record, &Change::Complete(None), &write).unwrap();
                }
                records.insert(task, record);
            }
        }
        assert_eq!(due(records.iter(), &graph, &policies, |id| records.get(id)), [], "it converges");
        let end = |n: usize| {
            let record = &records[&id(&n.to_string())];
            (record.status, record.given_up.is_some())
        };
        (1..on_failed.len()).map(end).collect()
    }

    #[test]
    fn a_failure_goes_down_the_chain_as_each_task_says() {
        use OnDependencyFailed::{Fail, Run, Skip, Wait};
        use TaskStatus::{Completed, Failed, Pending, Skipped};
        assert_eq!(chain(&[Wait, Skip, Skip, Skip]), [(Skipped, true); 3]);
        assert_eq!(chain(&[Wait, Fail, Skip, Fail]), [(Failed, true), (Skipped, true), (Failed, true)]);
        assert_eq!(chain(&[Wait, Wait, Skip]), [(Pending, false); 2]);
        assert_eq!(chain(&[Wait, Skip, Wait]), [(Skipped, true), (Pending, false)]);
        assert_eq!(
            chain(&[Wait, Skip, Run, Wait]),
            [(Skipped, true), (Completed, false), (Completed, false)]
        );
        assert_eq!(chain(&[Wait, Run, Skip]), [(Completed, false); 2]);
    }
}
