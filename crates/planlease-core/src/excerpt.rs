//! The excerpts of a definition: the same tasks in the order of their keys, so that what one task is and what
//! it waits for is read without the rest of the plan.
//!
//! They are derived from the definition, and decide nothing by themselves. They count only as long as the
//! definition that they are of is the present one ([`ExcerptsRecord::of`]); a task that is not among them is
//! looked for in the definition. So a version that does not know them can edit the plan as ever.

pub mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    codec::{CodecError, FormatVersion, MAX_SPEC_PART, MAX_VALUE, decode_within, encode_within},
    extra::Extra,
    id::TaskId,
    keys::written_id,
    order::{self, Wait, Why},
    revision::Revision,
    spec::{PlanSpec, Policy, TaskSpec},
};

/// Up to how many tasks a plan has no excerpts: it is read whole.
pub const WHOLE: usize = 16;

/// The largest excerpt that is stored, in bytes: the largest task, with what it waits for.
pub const MAX_EXCERPT: usize = MAX_SPEC_PART + MAX_VALUE;

/// How large an excerpt is made, in bytes.
const USUAL_EXCERPT: usize = 12 * 1024;

/// Which definition the excerpts are of (`excerpts`), and what of it holds for all tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExcerptsRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// The revision that wrote the definition; absent while the excerpts are being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Revision>,
    /// The policy of the plan.
    #[serde(default)]
    pub policy: Policy,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One task of an excerpt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// Its definition.
    pub task: TaskSpec,
    /// What it waits for besides its dependencies, by what the plan says of its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
}

impl Extracted {
    /// Everything that it waits for.
    #[must_use]
    pub fn all_waits(&self) -> Vec<Wait> {
        let depends = |on: &TaskId| Wait { on: on.clone(), why: Why::Dependency };
        self.task.depends_on.iter().map(depends).chain(self.waits.iter().cloned()).collect()
    }
}

/// The excerpts of a definition, each with the task that its key names: no task in it comes after that one in
/// the order of keys. `stored`: those that the present excerpts are named for, in the order of their keys;
/// they keep their tasks, so that an edit changes few.
///
/// # Errors
/// [`CodecError::TooLarge`] if a single task is larger than an excerpt may be.
pub fn encode_excerpts(spec: &PlanSpec, stored: &[TaskId]) -> Result<Vec<(TaskId, Vec<u8>)>, CodecError> {
    let (waits, _) = order::waits(spec);
    let mut tasks: Vec<_> = spec.tasks.iter().zip(waits).collect();
    tasks.sort_by_cached_key(|(task, _)| written_id(&task.id).into_owned());
    let names: Vec<_> = stored.iter().map(|name| (written_id(name), name)).collect();
    // By the excerpt that each belongs to; the last ones may come after all that are stored.
    let mut groups: BTreeMap<usize, Vec<(&TaskId, Vec<u8>)>> = BTreeMap::new();
    for (task, mut waits) in tasks {
        let written = written_id(&task.id);
        let at = names.partition_point(|(name, _)| *name < written);
        let besides = waits.split_off(task.depends_on.len());
        let entry = encode_within(&Extracted { task: task.clone(), waits: besides }, MAX_EXCERPT - 2)?;
        groups.entry(at).or_default().push((&task.id, entry));
    }
    let mut excerpts = Vec::new();
    for (at, entries) in groups {
        let name = names.get(at).map(|(_, name)| *name);
        excerpts.extend(split(name, &entries));
    }
    Ok(excerpts)
}

/// One excerpt, or several if it has grown too large for one; the last one keeps the name.
fn split(name: Option<&TaskId>, entries: &[(&TaskId, Vec<u8>)]) -> Vec<(TaskId, Vec<u8>)> {
    let bytes =
        |entries: &[(&TaskId, Vec<u8>)]| entries.iter().map(|(_, entry)| entry.len() + 1).sum::<usize>();
    let whole = name.is_some() && bytes(entries) <= 2 * USUAL_EXCERPT;
    let mut excerpts: Vec<(TaskId, Vec<u8>)> = Vec::new();
    let mut rest = entries;
    while let Some((last, _)) = rest.last() {
        let mut length = 0;
        let fitting = rest.iter().take_while(|(_, entry)| {
            length += entry.len() + 1;
            whole || length <= USUAL_EXCERPT
        });
        let (now, later) = rest.split_at(fitting.count().max(1));
        let last =
            if later.is_empty() { name.unwrap_or(last) } else { now.last().map_or(*last, |(id, _)| id) };
        let list: Vec<&[u8]> = now.iter().map(|(_, entry)| entry.as_slice()).collect();
        excerpts.push((last.clone(), [b"[".as_slice(), &list.join(&b','), b"]"].concat()));
        rest = later;
    }
    excerpts
}

/// Reads a task from the excerpt that has it if one has; `None` if it is not there.
///
/// # Errors
/// [`CodecError::Unreadable`] if the excerpt is not what it should be.
pub fn find_in_excerpt(excerpt: &[u8], task: &TaskId) -> Result<Option<Extracted>, CodecError> {
    let tasks: Vec<Extracted> = decode_within(excerpt, MAX_EXCERPT)?;
    Ok(tasks.into_iter().find(|extracted| extracted.task.id == *task))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Group, PhaseSpec};

    fn id(n: usize) -> TaskId {
        TaskId::new(format!("1.{n}")).unwrap()
    }

    fn plan(tasks: usize) -> PlanSpec {
        let task = |n: usize| TaskSpec {
            depends_on: n.checked_sub(1).map(id).into_iter().collect(),
            phase: Some(if n.is_multiple_of(2) { "even" } else { "odd" }.into()),
            ..TaskSpec::new(id(n), "x".repeat(60))
        };
        let phase = |number: &str| PhaseSpec { number: number.into(), ..PhaseSpec::default() };
        let sequential = vec![Group { tasks: vec![id(3), id(40)], ..Group::default() }];
        let phases = vec![phase("even"), phase("odd")];
        PlanSpec { tasks: (0..tasks).map(task).collect(), sequential, phases, ..PlanSpec::default() }
    }

    /// As a reader finds it: the first excerpt whose key does not come before the task's.
    fn find(excerpts: &[(TaskId, Vec<u8>)], task: &TaskId) -> Option<Extracted> {
        let (_, excerpt) = excerpts.iter().find(|(name, _)| written_id(name) >= written_id(task))?;
        find_in_excerpt(excerpt, task).unwrap()
    }

    fn check(spec: &PlanSpec, excerpts: &[(TaskId, Vec<u8>)]) {
        assert!(excerpts.is_sorted_by_key(|(name, _)| written_id(name)));
        let (waits, _) = order::waits(spec);
        for (task, waits) in spec.tasks.iter().zip(waits) {
            let found = find(excerpts, &task.id).unwrap();
            assert_eq!((&found.task, found.all_waits()), (task, waits));
        }
    }

    fn names(excerpts: &[(TaskId, Vec<u8>)]) -> Vec<TaskId> {
        excerpts.iter().map(|(name, _)| name.clone()).collect()
    }

    fn differing(one: &[(TaskId, Vec<u8>)], other: &[(TaskId, Vec<u8>)]) -> usize {
        one.iter().filter(|excerpt| !other.contains(excerpt)).count()
    }

    #[test]
    fn each_task_is_found_with_all_that_it_waits_for() {
        let spec = plan(2_000);
        let excerpts = encode_excerpts(&spec, &[]).unwrap();
        assert!(excerpts.len() > 10 && excerpts.iter().all(|(_, excerpt)| excerpt.len() <= USUAL_EXCERPT));
        check(&spec, &excerpts);
        assert_eq!(find(&excerpts, &id(40)).unwrap().waits, [Wait { on: id(3), why: Why::Sequence }]);
        for unknown in ["0", "1.0-", "1.20000", "z"] {
            assert_eq!(find(&excerpts, &TaskId::new(unknown).unwrap()), None, "{unknown}");
        }
    }

    #[test]
    fn an_edit_changes_the_excerpts_of_its_tasks_alone() {
        let mut spec = plan(2_000);
        let before = encode_excerpts(&spec, &[]).unwrap();
        assert_eq!(encode_excerpts(&spec, &names(&before)).unwrap(), before);
        spec.tasks[700].description = "different".into();
        spec.tasks.push(TaskSpec::new(TaskId::new("z").unwrap(), "the last one"));
        let after = encode_excerpts(&spec, &names(&before)).unwrap();
        check(&spec, &after);
        assert_eq!(differing(&after, &before), 2);
        spec.tasks.retain(|task| find_in_excerpt(&before[1].1, &task.id).unwrap().is_none());
        let fewer = encode_excerpts(&spec, &names(&after)).unwrap();
        check(&spec, &fewer);
        assert!(!names(&fewer).contains(&before[1].0));
    }

    #[test]
    fn an_excerpt_that_grows_too_large_is_split() {
        let mut spec = plan(300);
        let mut stored = encode_excerpts(&spec, &[]).unwrap();
        for n in 0..10 {
            let new = |i| TaskSpec::new(TaskId::new(format!("1.5-{n}-{i}")).unwrap(), "y".repeat(90));
            spec.tasks.extend((0..40).map(new));
            let next = encode_excerpts(&spec, &names(&stored)).unwrap();
            assert!(next.iter().all(|(_, excerpt)| excerpt.len() <= 2 * USUAL_EXCERPT + 2));
            assert!(differing(&next, &stored) <= 3, "{n}: {}", differing(&next, &stored));
            stored = next;
        }
        check(&spec, &stored);
    }

    #[test]
    fn ids_are_in_the_order_of_keys_whatever_they_contain() {
        let ids = ["ä", "a%b", "a", "B", "10", "9", "a b", "~", "日本"];
        let task = |id: &str| TaskSpec::new(TaskId::new(id).unwrap(), "x".repeat(USUAL_EXCERPT));
        let spec = PlanSpec { tasks: ids.map(task).to_vec(), ..PlanSpec::default() };
        let excerpts = encode_excerpts(&spec, &[]).unwrap();
        assert_eq!(excerpts.len(), ids.len());
        check(&spec, &excerpts);
    }
}
