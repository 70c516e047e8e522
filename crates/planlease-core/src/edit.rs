//! What an edited definition means for a plan that is under way: what it adds, changes and removes, and what
//! stays although it is not in it any more.
//!
//! Leaving a task out removes it only while it is pending, never after it was started. A task that
//! stays keeps what it depends on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    id::TaskId,
    spec::{
        CHECKED, EDIT_ID, EDITED_AT, IMPORT_ID, IMPORTED_AT, MARK, PhaseSpec, PlanSpec, STATED, TaskSpec,
    },
    transition::TaskStatus,
};

/// What a definition says about how it came to be, not about the plan.
const HISTORY: [&str; 4] = [IMPORT_ID, IMPORTED_AT, EDIT_ID, EDITED_AT];

/// What changes in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The definition that comes out.
    pub spec: PlanSpec,
    /// The tasks that are new, in the order of the file.
    pub added: Vec<TaskId>,
    /// The tasks that go.
    pub removed: Vec<TaskId>,
    /// The tasks that are defined differently.
    pub changed: Vec<Changed>,
    /// The tasks that are not in the edited definition, and stay.
    pub kept: Vec<TaskId>,
    /// What differs in the plan itself, by the names of its fields; `order` if tasks stand in another order.
    pub fields: Vec<String>,
}

/// A task that is defined differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which one.
    pub task: TaskId,
    /// What differs, by the names of its fields.
    pub fields: Vec<String>,
}

impl Edit {
    /// The edit that turns `present` into `edited`; `status`: the present status of each task. Whether the
    /// result is sound is for [`PlanSpec::problems`] to say.
    #[must_use]
    pub fn new(
        present: &PlanSpec,
        edited: &PlanSpec,
        status: impl Fn(&TaskId) -> Option<TaskStatus>,
    ) -> Self {
        let before: BTreeMap<&TaskId, &TaskSpec> =
            present.tasks.iter().map(|task| (&task.id, task)).collect();
        let wanted: BTreeMap<&TaskId, &TaskSpec> = edited.tasks.iter().map(|task| (&task.id, task)).collect();
        let left_out = |id: &&TaskId| !wanted.contains_key(id);
        let begun = |id: &&TaskId| !matches!(status(id), Some(TaskStatus::Pending) | None);
        let stay =
            with_dependencies(before.keys().copied().filter(left_out).filter(begun), &before, left_out);
        let spec = merged(present, edited, &stay);
        let ids = |tasks: &mut dyn Iterator<Item = &TaskSpec>| tasks.map(|task| task.id.clone()).collect();
        let changed = edited.tasks.iter().filter_map(|task| {
            let before = before.get(&task.id)?;
            let fields = match status(&task.id) {
                // How far the task is, is no part of its definition: the file says what the plan knows.
                Some(status) if task.agrees_with(status) => {
                    differing(&without_progress(sorted(before)), &without_progress(sorted(task)))
                }
                _ => differing(&sorted(before), &sorted(task)),
            };
            (!fields.is_empty()).then(|| Changed { task: task.id.clone(), fields })
        });
        Self {
            added: ids(&mut edited.tasks.iter().filter(|task| !before.contains_key(&task.id))),
            removed: ids(&mut present
                .tasks
                .iter()
                .filter(|task| left_out(&&task.id) && !stay.contains(&task.id))),
            changed: changed.collect(),
            kept: ids(&mut present.tasks.iter().filter(|task| stay.contains(&task.id))),
            fields: of_the_plan(present, &spec),
            spec,
        }
        .in_step_with(present)
    }

    /// The same, in step if only the bytes of the file differ: they say the same.
    fn in_step_with(mut self, present: &PlanSpec) -> Self {
        let differs = !self.added.is_empty() || !self.removed.is_empty() || !self.changed.is_empty();
        if !differs && self.fields == ["source"] && is_same_file(present, &self.spec) {
            self.fields.clear();
        }
        self
    }

    /// Whether everything is as it is wanted already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.fields.is_empty()
    }
}

/// These tasks, and all that they depend on and that would go otherwise.
fn with_dependencies<'a>(
    first: impl Iterator<Item = &'a TaskId>,
    before: &BTreeMap<&'a TaskId, &'a TaskSpec>,
    left_out: impl Fn(&&TaskId) -> bool,
) -> BTreeSet<TaskId> {
    let mut open: Vec<&TaskId> = first.collect();
    let mut stay = BTreeSet::new();
    while let Some(id) = open.pop() {
        if stay.insert(id.clone())
            && let Some(task) = before.get(id)
        {
            open.extend(task.depends_on.iter().filter(&left_out));
        }
    }
    stay
}

/// The edited definition with the tasks that stay, each after the one that it stood behind, and with their
/// phases.
fn merged(present: &PlanSpec, edited: &PlanSpec, stay: &BTreeSet<TaskId>) -> PlanSpec {
    let mut spec = edited.clone();
    for name in HISTORY {
        spec.extra.remove(name);
        if let Some(value) = present.extra.get(name) {
            spec.extra.insert(name.to_owned(), value.clone());
        }
    }
    // The same bytes are the same file, whatever path leads there.
    if let (Some(before), Some(now)) = (&present.source, &edited.source)
        && before.sha256 == now.sha256
    {
        spec.source.clone_from(&present.source);
    }
    if stay.is_empty() {
        return spec;
    }
    let wanted: BTreeSet<&TaskId> = edited.tasks.iter().map(|task| &task.id).collect();
    let mut behind: BTreeMap<Option<&TaskId>, Vec<&TaskSpec>> = BTreeMap::new();
    let mut last = None;
    for task in &present.tasks {
        if wanted.contains(&task.id) {
            last = Some(&task.id);
        } else if stay.contains(&task.id) {
            behind.entry(last).or_default().push(task);
        }
    }
    let first = behind.remove(&None).unwrap_or_default();
    spec.tasks = first.into_iter().cloned().collect();
    for task in &edited.tasks {
        spec.tasks.push(task.clone());
        spec.tasks.extend(behind.remove(&Some(&task.id)).unwrap_or_default().into_iter().cloned());
    }
    let phases: BTreeSet<&String> = spec.tasks.iter().filter_map(|task| task.phase.as_ref()).collect();
    let gone = |phase: &&PhaseSpec| {
        phases.contains(&phase.number) && !edited.phases.iter().any(|other| other.number == phase.number)
    };
    // What was said about the order of a phase that is left out is about tasks that may be gone.
    let gone = present.phases.iter().filter(gone).map(|phase| PhaseSpec {
        number: phase.number.clone(),
        name: phase.name.clone(),
        ..PhaseSpec::default()
    });
    spec.phases.extend(gone);
    spec
}

/// A task with its dependencies in one order: which of them a file names first, says nothing.
fn sorted(task: &TaskSpec) -> TaskSpec {
    let mut task = task.clone();
    task.depends_on.sort_unstable();
    task
}

/// A task without what its file says of how far it is.
fn without_progress(mut task: TaskSpec) -> TaskSpec {
    for name in [CHECKED, MARK, STATED] {
        task.extra.remove(name);
    }
    task
}

/// Whether two plans were made of one file; its bytes may have changed.
fn is_same_file(before: &PlanSpec, after: &PlanSpec) -> bool {
    match (&before.source, &after.source) {
        (Some(before), Some(after)) => before.may_be_same_file(after),
        _ => false,
    }
}

/// What differs between two plans besides their tasks.
fn of_the_plan(before: &PlanSpec, after: &PlanSpec) -> Vec<String> {
    let without_tasks = |spec: &PlanSpec| {
        let mut spec = PlanSpec { tasks: Vec::new(), ..spec.clone() };
        for name in HISTORY {
            spec.extra.remove(name);
        }
        spec
    };
    let mut fields = differing(&without_tasks(before), &without_tasks(after));
    let ids = |spec: &PlanSpec| spec.tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    let (old, new) = (ids(before), ids(after));
    let known: (BTreeSet<&TaskId>, BTreeSet<&TaskId>) = (old.iter().collect(), new.iter().collect());
    if !old.iter().filter(|id| known.1.contains(id)).eq(new.iter().filter(|id| known.0.contains(id))) {
        fields.push("order".to_owned());
    }
    fields
}

/// The names of the fields in which two values differ, in the order of the alphabet.
fn differing<T: Serialize>(before: &T, after: &T) -> Vec<String> {
    let fields = |value: &T| match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::{Location, Source};

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    fn plan(tasks: &[(&str, &[&str])]) -> PlanSpec {
        let task = |(name, depends_on): &(&str, &[&str])| TaskSpec {
            depends_on: depends_on.iter().map(|other| id(other)).collect(),
            phase: Some(name[..1].to_owned()),
            ..TaskSpec::new(id(name), *name)
        };
        let tasks: Vec<TaskSpec> = tasks.iter().map(task).collect();
        let numbers: BTreeSet<String> = tasks.iter().filter_map(|task| task.phase.clone()).collect();
        let phase = |number| PhaseSpec { number, name: "a phase".into(), ..PhaseSpec::default() };
        PlanSpec { tasks, phases: numbers.into_iter().map(phase).collect(), ..PlanSpec::default() }
    }

    fn ids(tasks: &[TaskId]) -> Vec<&str> {
        tasks.iter().map(TaskId::as_str).collect()
    }

    #[test]
    fn an_edit_is_empty_only_if_nothing_differs() {
        let present = plan(&[("1.1", &[]), ("1.2", &[])]);
        let pending = |_: &TaskId| Some(TaskStatus::Pending);
        let titled = PlanSpec { title: "another".into(), ..present.clone() };
        for (edited, empty) in [
            (present.clone(), true),
            (plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &[])]), false),
            (plan(&[("1.1", &[])]), false),
            (plan(&[("1.1", &[]), ("1.2", &["1.1"])]), false),
            (titled, false),
        ] {
            let edit = Edit::new(&present, &edited, pending);
            assert_eq!(edit.is_empty(), empty, "{edit:?}");
        }
    }

    #[test]
    fn an_edit_removes_pending_tasks_and_keeps_begun_ones() {
        let present = plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("2.1", &[]), ("2.2", &["2.1"]), ("2.3", &[])]);
        let edited = plan(&[("1.1", &[]), ("1.3", &[])]);
        let status = |task: &TaskId| {
            Some(if task.as_str() == "2.2" { TaskStatus::Completed } else { TaskStatus::Pending })
        };
        let edit = Edit::new(&present, &edited, status);
        assert_eq!(ids(&edit.added), ["1.3"]);
        assert_eq!(ids(&edit.removed), ["1.2", "2.3"]);
        assert_eq!(ids(&edit.kept), ["2.1", "2.2"]);
        let order: Vec<&str> = edit.spec.tasks.iter().map(|task| task.id.as_str()).collect();
        assert_eq!(order, ["1.1", "2.1", "2.2", "1.3"]);
        assert_eq!(edit.spec.phases.len(), 2, "with their phase");
        assert!(edit.spec.phases.iter().all(|phase| phase.name == "a phase"), "{:?}", edit.spec.phases);
        assert_eq!(edit.spec.problems(), []);
        assert!(Edit::new(&edit.spec, &edited, status).is_empty(), "once more changes nothing");
    }

    #[test]
    fn what_differs_is_named() {
        let mut present = plan(&[("1.1", &[]), ("1.2", &[])]);
        present.extra.insert("import_id".into(), "x".into());
        let mut edited = plan(&[("1.2", &["1.1"]), ("1.1", &[])]);
        edited.tasks[0].priority = 3;
        edited.title = "another".into();
        edited.policy.max_retries = 9;
        let edit = Edit::new(&present, &edited, |_| Some(TaskStatus::InProgress));
        assert_eq!(
            edit.changed,
            [Changed { task: id("1.2"), fields: vec!["depends_on".into(), "priority".into()] }]
        );
        assert_eq!(edit.fields, ["policy", "title", "order"]);
        assert_eq!(edit.spec.extra["import_id"], "x", "what the import said is not the file's to change");
    }

    #[test]
    fn the_order_of_dependencies_is_no_difference() {
        let present = plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &["1.1", "1.2"])]);
        let edited = plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &["1.2", "1.1"])]);
        for status in [None, Some(TaskStatus::Pending), Some(TaskStatus::Completed)] {
            let edit = Edit::new(&present, &edited, |_: &TaskId| status);
            assert!(edit.is_empty(), "{edit:?}");
        }
    }

    #[test]
    fn equal_bytes_are_in_step_by_any_path() {
        let source = |path: &str, sha256: &str| {
            Some(Source { path: path.into(), sha256: sha256.into(), location: None })
        };
        let present = PlanSpec { source: source("a/plan.md", "1"), ..plan(&[("1.1", &[])]) };
        let same = PlanSpec { source: source("./plan.md", "1"), ..present.clone() };
        assert!(Edit::new(&present, &same, |_| None).is_empty());
        let other = PlanSpec { source: source("./plan.md", "2"), ..present.clone() };
        assert_eq!(Edit::new(&present, &other, |_| None).fields, ["source"]);
    }

    #[test]
    fn a_file_that_says_how_far_the_plan_is_differs_in_nothing() {
        let source =
            |sha256: &str| Some(Source { path: "plan.md".into(), sha256: sha256.into(), location: None });
        let present = PlanSpec { source: source("1"), ..plan(&[("1.1", &[]), ("1.2", &[])]) };
        let mut edited = PlanSpec { source: source("2"), ..present.clone() };
        edited.tasks[0].extra.insert(CHECKED.to_owned(), true.into());
        edited.tasks[0].extra.insert(STATED.to_owned(), "done".into());
        edited.tasks[1].extra.insert(MARK.to_owned(), "in_progress".into());
        let status = |first| {
            move |task: &TaskId| Some(if task.as_str() == "1.1" { first } else { TaskStatus::InProgress })
        };
        let edit = Edit::new(&present, &edited, status(TaskStatus::Completed));
        assert!(edit.is_empty(), "{edit:?}");
        let edit = Edit::new(&present, &edited, status(TaskStatus::Pending));
        assert_eq!(edit.changed.len(), 1, "{edit:?}");
    }

    #[test]
    fn a_plan_belongs_to_the_file_that_it_was_made_of() {
        let spec = |title: &str, path: &str, at: Option<(&str, &str)>| PlanSpec {
            title: title.into(),
            source: Some(Source {
                path: path.into(),
                sha256: format!("{title} {path} {at:?}"),
                location: at.map(|(host, path)| Location { host: host.into(), path: path.into() }),
            }),
            ..PlanSpec::default()
        };
        let here = spec("T", "tasks.md", Some(("h", "/a/tasks.md")));
        for (other, belongs) in [
            (spec("U", "./tasks.md", Some(("h", "/a/tasks.md"))), true),
            (spec("T", "tasks.md", Some(("h", "/b/tasks.md"))), false),
            (spec("T", "x/../tasks.md", Some(("h", "/b/tasks.md"))), false),
            (spec("U", "a/tasks.md", Some(("i", "/home/a/tasks.md"))), true),
            (spec("U", "b/tasks.md", Some(("i", "/home/b/tasks.md"))), true),
            (spec("U", "other.md", Some(("i", "/home/b/other.md"))), false),
            (spec("T", "tasks.md", None), true),
            (spec("U", "tasks.md", None), false),
            (spec("T", "b/tasks.md", None), false),
            (PlanSpec { title: "T".into(), ..PlanSpec::default() }, false),
        ] {
            assert_eq!(here.has_origin_of(&other), belongs, "{other:?}");
            assert_eq!(other.has_origin_of(&here), belongs, "{other:?}");
        }
    }

    fn any_plan() -> impl Strategy<Value = PlanSpec> {
        proptest::collection::btree_map(0..12_u8, proptest::collection::vec(0..12_u8, 0..3), 1..10).prop_map(
            |tasks| {
                let name = |n: u8| format!("{}.{}", n % 3, n);
                let known: Vec<u8> = tasks.keys().copied().collect();
                let tasks: Vec<(String, Vec<String>)> = tasks
                    .into_iter()
                    .map(|(n, on)| {
                        let on: BTreeSet<u8> =
                            on.into_iter().filter(|other| *other < n && known.contains(other)).collect();
                        (name(n), on.into_iter().map(name).collect())
                    })
                    .collect();
                let on: Vec<Vec<&str>> =
                    tasks.iter().map(|(_, on)| on.iter().map(String::as_str).collect()).collect();
                let tasks: Vec<(&str, &[&str])> =
                    tasks.iter().zip(&on).map(|((name, _), on)| (name.as_str(), on.as_slice())).collect();
                plan(&tasks)
            },
        )
    }

    proptest! {
        /// Whatever is edited: nothing that was begun is lost, the result is sound, and doing it again
        /// changes nothing.
        #[test]
        fn nothing_that_was_begun_is_lost(
            present in any_plan(),
            edited in any_plan(),
            begun in proptest::collection::btree_set(0..12_u8, 0..12),
        ) {
            let status = |task: &TaskId| {
                let number = task.as_str().rsplit('.').next().unwrap().parse::<u8>().unwrap();
                Some(if begun.contains(&number) { TaskStatus::Failed } else { TaskStatus::Pending })
            };
            let edit = Edit::new(&present, &edited, status);
            prop_assert_eq!(edit.spec.problems(), []);
            let after: BTreeSet<&TaskId> = edit.spec.tasks.iter().map(|task| &task.id).collect();
            for task in &present.tasks {
                let there = after.contains(&task.id);
                prop_assert_eq!(there, !edit.removed.contains(&task.id));
                prop_assert!(there || status(&task.id) == Some(TaskStatus::Pending));
            }
            prop_assert!(edited.tasks.iter().all(|task| edit.spec.task(&task.id) == Some(task)));
            prop_assert!(Edit::new(&edit.spec, &edited, status).is_empty());
        }
    }
}
