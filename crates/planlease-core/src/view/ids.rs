//! One copy of each task's id: a definition that is read has one for each mention, and its plan another one.

use super::tasks::Tasks;
use crate::{id::TaskId, spec::PlanSpec};

/// Replaces the ids of a definition by those of the plan's tasks, and each other mention by the first one.
pub(super) fn share(spec: &mut PlanSpec, tasks: &Tasks) {
    let mut ids: Vec<TaskId> = tasks.keys().chain(spec.tasks.iter().map(|task| &task.id)).cloned().collect();
    // As texts: that is a tenth of the time which their own order takes. The tasks' own stay the first.
    ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    ids.dedup();
    let share = |id: &mut TaskId| {
        if let Ok(at) = ids.binary_search_by(|known| known.as_str().cmp(id.as_str())) {
            *id = ids[at].clone();
        }
    };
    for task in &mut spec.tasks {
        share(&mut task.id);
        task.depends_on.iter_mut().for_each(share);
    }
    // It was read without knowing how many there are.
    spec.tasks.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::TaskSpec;

    #[test]
    fn each_id_is_there_once() {
        let id = |text: &str| TaskId::new(text).unwrap();
        let task = |text: &str, on: &[&str]| TaskSpec {
            depends_on: on.iter().map(|on| id(on)).collect(),
            ..TaskSpec::new(id(text), "work")
        };
        let mut spec = PlanSpec {
            tasks: vec![task("10", &[]), task("9", &["10"]), task("x", &["10", "9", "unknown"])],
            ..PlanSpec::default()
        };
        let before = spec.clone();
        share(&mut spec, &Tasks::default());
        assert_eq!(spec, before);
        let same = |one: &TaskId, other: &TaskId| std::ptr::eq(one.as_str(), other.as_str());
        assert!(same(&spec.tasks[0].id, &spec.tasks[1].depends_on[0]));
        assert!(same(&spec.tasks[0].id, &spec.tasks[2].depends_on[0]));
        assert!(same(&spec.tasks[1].id, &spec.tasks[2].depends_on[1]));
    }
}
