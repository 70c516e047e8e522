//! Whether a definition is sound, and everything that is wrong with it.

use std::collections::BTreeSet;

use crate::{
    definition::encode_spec,
    graph,
    id::TaskId,
    order::{self, GraphError},
    spec::{MAX_DEPENDENCIES, MAX_TASKS, MAX_TEXT, PlanSpec},
    time::MAX_DURATION,
};

impl PlanSpec {
    /// Says everything that is wrong with the definition; empty if it is sound.
    #[must_use]
    pub fn problems(&self) -> Vec<SpecError> {
        let mut problems = Vec::new();
        if self.tasks.is_empty() {
            problems.push(SpecError::NoTasks);
        }
        if self.tasks.len() > MAX_TASKS {
            problems.push(SpecError::TooManyTasks { tasks: self.tasks.len() });
            return problems;
        }
        problems.extend(too_long(None, &self.policy.durations()));
        let mut ids = BTreeSet::new();
        for task in &self.tasks {
            if let Some(policy) = &task.policy {
                problems.extend(too_long(Some(&task.id), &policy.durations()));
            }
            if !ids.insert(&task.id) {
                problems.push(SpecError::DuplicateTask { task: task.id.clone() });
            }
            let longest = task.steps.iter().map(String::len).max().unwrap_or(0).max(task.description.len());
            if longest > MAX_TEXT {
                problems.push(SpecError::TextTooLong { task: task.id.clone(), bytes: longest });
            }
            if task.command.as_ref().is_some_and(Vec::is_empty) {
                problems.push(SpecError::EmptyCommand { task: task.id.clone() });
            }
        }
        let (waits, unclear) = order::waits(self);
        for (task, waits) in self.tasks.iter().zip(&waits).filter(|(_, waits)| waits.len() > MAX_DEPENDENCIES)
        {
            problems
                .push(SpecError::TooManyDependencies { task: task.id.clone(), dependencies: waits.len() });
        }
        let graph = unclear.into_iter().chain(graph::problems(&self.tasks, &waits));
        problems.extend(graph.map(SpecError::Graph));
        if problems.is_empty()
            && let Err(error) = encode_spec(self)
        {
            problems.push(SpecError::TooLarge(error.to_string()));
        }
        problems
    }
}

/// The durations above [`MAX_DURATION`], as problems.
fn too_long(task: Option<&TaskId>, durations: &[(&'static str, Option<u64>)]) -> Vec<SpecError> {
    let given = durations.iter().filter_map(|(field, seconds)| Some((*field, (*seconds)?)));
    given
        .filter(|(_, seconds)| *seconds > MAX_DURATION.as_secs())
        .map(|(field, seconds)| SpecError::DurationTooLong { task: task.cloned(), field, seconds })
        .collect()
}

/// One thing that is wrong with a plan's definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is nothing to do.
    #[error("the plan has no tasks")]
    NoTasks,
    /// See [`MAX_TASKS`].
    #[error("the plan has {tasks} tasks; at most {MAX_TASKS} are allowed")]
    TooManyTasks {
        /// How many it has.
        tasks: usize,
    },
    /// Two tasks of one id.
    #[error("task {task} is defined more than once")]
    DuplicateTask {
        /// Their id.
        task: TaskId,
    },
    /// See [`MAX_TEXT`].
    #[error("a text of task {task} has {bytes} bytes; at most {MAX_TEXT} are allowed")]
    TextTooLong {
        /// The task.
        task: TaskId,
        /// The length of its longest text.
        bytes: usize,
    },
    /// See [`MAX_DEPENDENCIES`].
    #[error(
        "task {task} waits for {dependencies} tasks; at most {MAX_DEPENDENCIES} are allowed: let it wait for tasks that join some each"
    )]
    TooManyDependencies {
        /// The task.
        task: TaskId,
        /// How many it depends on.
        dependencies: usize,
    },
    /// See [`MAX_DURATION`].
    #[error(
        "{field} of {} is {seconds} s; at most {} s (10 years) are allowed",
        .task.as_ref().map_or_else(|| "the policy".to_owned(), |task| format!("task {task}")),
        MAX_DURATION.as_secs()
    )]
    DurationTooLong {
        /// The task, if it is not the plan's own policy.
        task: Option<TaskId>,
        /// The name of the duration.
        field: &'static str,
        /// How long it is.
        seconds: u64,
    },
    /// A command without a program.
    #[error("the command of task {task} is empty")]
    EmptyCommand {
        /// The task.
        task: TaskId,
    },
    /// It could not be stored: a task, or the phases together, are too large. Texts are bounded one by one,
    /// their number is not.
    #[error("the plan is too large: {0}")]
    TooLarge(String),
    /// The dependencies make no sense.
    #[error(transparent)]
    Graph(GraphError),
}
