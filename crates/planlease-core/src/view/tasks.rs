//! The tasks of a plan, in their order, in a map whose clones share what they have in common.

use std::{ops::Index, sync::Arc};

use rpds::RedBlackTreeMapSync;

use super::task::TaskView;
use crate::id::TaskId;

/// The tasks of a plan, number by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks(RedBlackTreeMapSync<TaskId, Arc<TaskView>>);

impl Tasks {
    /// One task; `None` if there is no such task.
    #[must_use]
    pub fn get(&self, id: &TaskId) -> Option<&TaskView> {
        self.shared(id).map(AsRef::as_ref)
    }

    /// One task, to be kept without a copy; `None` if there is no such task.
    #[must_use]
    pub fn shared(&self, id: &TaskId) -> Option<&Arc<TaskView>> {
        self.0.get(id)
    }

    /// Whether there is such a task.
    #[must_use]
    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.0.contains_key(id)
    }

    /// The tasks.
    pub fn values(&self) -> impl Iterator<Item = &TaskView> {
        self.0.values().map(AsRef::as_ref)
    }

    /// The ids.
    pub fn keys(&self) -> impl Iterator<Item = &TaskId> {
        self.0.keys()
    }

    /// The ids with the tasks.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, &TaskView)> {
        self.0.iter().map(|(id, task)| (id, task.as_ref()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a task in the place of the one with its id.
    pub fn insert(&mut self, task: Arc<TaskView>) {
        self.0.insert_mut(task.id.clone(), task);
    }

    /// Removes a task; `true` if there was one.
    pub fn remove(&mut self, id: &TaskId) -> bool {
        self.0.remove_mut(id)
    }
}

impl Index<&TaskId> for Tasks {
    type Output = TaskView;

    fn index(&self, id: &TaskId) -> &TaskView {
        &self.0[id]
    }
}

impl FromIterator<TaskView> for Tasks {
    fn from_iter<I: IntoIterator<Item = TaskView>>(tasks: I) -> Self {
        Self(tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect())
    }
}
