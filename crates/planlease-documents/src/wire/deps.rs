//! `deps`: what waits for what, as text, JSON, DOT and Mermaid.

use std::collections::{BTreeMap, BTreeSet};

use planlease::PlanView;
use planlease_core::{PlanName, Revision, TaskId, transition::TaskStatus};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each},
    next::{Waits, waits_of},
    unreadable::{UnreadableView, views},
};

/// The dependencies of a plan's tasks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DependencyGraph {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    pub(crate) tasks: Vec<Task>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DependingTask")]
pub(crate) struct Task {
    pub(crate) task: TaskId,
    pub(crate) description: String,
    pub(crate) status: Option<TaskStatus>,
    pub(crate) waits: Vec<Waits>,
    /// Those that wait for it.
    pub(crate) waited_for_by: Vec<TaskId>,
}

impl DependencyGraph {
    /// The whole graph, or the part of it that has to do with one task.
    #[must_use]
    pub fn new(view: &PlanView, of: Option<&TaskId>) -> Self {
        let mut waiters: BTreeMap<&TaskId, Vec<TaskId>> = BTreeMap::new();
        for task in view.graph().tasks() {
            for wait in view.graph().waits(task) {
                waiters.entry(&wait.on).or_default().push(task.clone());
            }
        }
        let reached = of.map(|of| {
            let before =
                reach(of, |task| view.graph().waits(task).iter().map(|wait| wait.on.clone()).collect());
            let after = reach(of, |task| waiters.get(task).cloned().unwrap_or_default());
            &before | &after
        });
        let descriptions: BTreeMap<&TaskId, &str> =
            view.spec().tasks.iter().map(|task| (&task.id, task.description.as_str())).collect();
        let tasks = view
            .graph()
            .tasks()
            .filter(|task| reached.as_ref().is_none_or(|reached| reached.contains(*task)));
        let tasks = tasks.map(|task| Task {
            task: task.clone(),
            description: descriptions.get(task).copied().unwrap_or_default().to_owned(),
            status: view.status(task),
            waits: waits_of(view, view.graph().waits(task)),
            waited_for_by: waiters.get(task).cloned().unwrap_or_default(),
        });
        let unreadable = views(view.unreadable());
        Self { plan: view.name().clone(), revision: view.revision(), tasks: tasks.collect(), unreadable }
    }
}

/// All that is reached from a task, and itself.
fn reach(from: &TaskId, next: impl Fn(&TaskId) -> Vec<TaskId>) -> BTreeSet<TaskId> {
    let mut reached = BTreeSet::from([from.clone()]);
    let mut open = vec![from.clone()];
    while let Some(task) = open.pop() {
        open.extend(next(&task).into_iter().filter(|next| reached.insert(next.clone())));
    }
    reached
}

impl Document for DependencyGraph {
    const SCHEMA: Option<&'static str> = Some("planlease.deps.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.dep.v1", &self.tasks)
    }
}
