//! The state of a plan, understood.

use std::collections::BTreeMap;

use planlease_core::{
    PlanName, TaskId,
    record::{Guard, Role, TaskRecord, Writer},
    spec::PlanSpec,
};
use serde_json::Value;

use super::{export::export, task::TaskState};
use crate::problem::Problem;

/// The state of a plan, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct StateFile {
    /// The plan: sound, see [`PlanSpec::problems`]. What planlease has no field for is in its extras.
    pub spec: PlanSpec,
    /// How far each of its tasks is.
    pub states: BTreeMap<TaskId, TaskState>,
    /// The files that tasks say their findings are in, as the state file says it.
    pub findings: BTreeMap<TaskId, String>,
    /// The path of the plan file, as the state file says it.
    pub plan_path: Option<String>,
    /// What its owner should know, and what was left out if the file was read leniently. In the order of the
    /// file.
    pub warnings: Vec<Problem>,
    /// What the file says of its tasks as a whole, and the tasks do not: export derives it again.
    pub derived: Vec<Problem>,
}

impl StateFile {
    /// The records of the tasks, but for who writes them and when.
    #[must_use]
    pub fn records(&self) -> BTreeMap<TaskId, TaskRecord> {
        self.states.iter().map(|(id, state)| (id.clone(), record(state))).collect()
    }

    /// The document that export gives for this plan as long as nothing of it is changed.
    #[must_use]
    pub fn document(&self, name: &PlanName) -> Value {
        export(name, &self.spec, &self.records())
    }
}

/// A record as an import writes it, but for who writes it and when.
pub(super) fn record(state: &TaskState) -> TaskRecord {
    let writer = Writer { who: String::new(), role: Role::Operator, term: None, guard: Guard::Import };
    let mut record = TaskRecord::new(writer, Default::default());
    state.put_into(&mut record);
    record
}
