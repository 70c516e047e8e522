//! The stored form of a definition: one key, or a head and parts if it is too large for one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    codec::{CodecError, MAX_SPEC_PART, decode_within, encode_within},
    id::TaskId,
    spec::{PlanSpec, TaskSpec},
};

/// How large a part of a definition is made, in bytes: an edit writes the parts whole in which something
/// changes.
const USUAL_SPEC_PART: usize = 16 * 1024;

/// The field of a stored definition that says over how many further keys its tasks are spread.
const PARTS: &str = "parts";

/// The stored bytes of a definition: the value of `spec`, and those of `spec/{1..}` if it is too large for
/// one key.
///
/// # Errors
/// [`CodecError::TooLarge`] if a single task is larger than a part may be.
pub fn encode_spec(spec: &PlanSpec) -> Result<(Vec<u8>, Vec<Vec<u8>>), CodecError> {
    encode_spec_over(spec, &[])
}

/// As [`encode_spec`], where these parts are stored at present: a part in which nothing changes comes out as
/// it is, so that it need not be written again. A task that stays stands in its part, a new one in the part
/// of the task before it; what a part cannot hold goes into the next one.
///
/// # Errors
/// As [`encode_spec`]; [`CodecError::Unreadable`] if a stored part is not what it should be.
pub fn encode_spec_over(spec: &PlanSpec, stored: &[&[u8]]) -> Result<(Vec<u8>, Vec<Vec<u8>>), CodecError> {
    if let Ok(whole) = encode_within(spec, MAX_SPEC_PART) {
        return Ok((whole, Vec::new()));
    }
    let at = parts_of_tasks(spec, stored)?;
    let mut parts = Parts::default();
    for (task, at) in spec.tasks.iter().zip(at) {
        parts.add(&encode_within(task, MAX_SPEC_PART - 2)?, at, stored.len());
    }
    let parts = parts.closed();
    Ok((head(spec, parts.len())?, parts))
}

/// The value of `spec` for a definition whose tasks are spread over this many parts.
fn head(spec: &PlanSpec, parts: usize) -> Result<Vec<u8>, CodecError> {
    let mut head = PlanSpec { tasks: Vec::new(), ..spec.clone() };
    head.extra.insert(PARTS.to_owned(), Value::from(parts));
    encode_within(&head, MAX_SPEC_PART)
}

/// A stored part with half of its tasks, and the next one with the rest before its own tasks: the same
/// definition.
#[derive(Debug)]
pub struct Halved {
    /// The index of the first of the two parts.
    pub at: usize,
    /// Both, as they are stored.
    pub parts: [Vec<u8>; 2],
    /// The value of `spec`.
    pub head: Vec<u8>,
}

/// Makes room in the part of this index, for an edit that it cannot hold. If the next part has no room for
/// half of it, that one comes first: call it again with what is stored then. `None` if there is nothing to be
/// halved.
///
/// # Errors
/// [`CodecError::Unreadable`] if a stored part is not what it should be.
pub fn halve_part(spec: &PlanSpec, stored: &[&[u8]], at: usize) -> Result<Option<Halved>, CodecError> {
    for at in at..stored.len() {
        let mut tasks = encoded_tasks(stored[at])?;
        let half = tasks.iter().map(Vec::len).sum::<usize>() / 2;
        let ends = tasks.iter().scan(0, |length, task| {
            *length += task.len();
            Some(*length)
        });
        let first = ends.take_while(|end| *end <= half).count();
        if first == 0 {
            return Ok(None);
        }
        let mut next = tasks.split_off(first);
        next.extend(stored.get(at + 1).map_or_else(|| Ok(Vec::new()), |part| encoded_tasks(part))?);
        if next.iter().map(|task| task.len() + 1).sum::<usize>() < MAX_SPEC_PART {
            let head = head(spec, stored.len().max(at + 2))?;
            return Ok(Some(Halved { at, parts: [list(&tasks), list(&next)], head }));
        }
    }
    Ok(None)
}

/// The tasks of a stored part, as they are stored.
fn encoded_tasks(part: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    let tasks = decode_within::<Vec<TaskSpec>>(part, MAX_SPEC_PART)?;
    tasks.iter().map(|task| encode_within(task, MAX_SPEC_PART - 2)).collect()
}

fn list(tasks: &[Vec<u8>]) -> Vec<u8> {
    [b"[".as_slice(), &tasks.join(&b','), b"]"].concat()
}

/// Parts in the making, the last one still open.
#[derive(Default)]
struct Parts(Vec<Vec<u8>>);

impl Parts {
    /// Adds a task to the part of this number, or to a later one if there is no room; `stored`: how many
    /// parts there are already. Beyond those, parts have the usual size.
    fn add(&mut self, task: &[u8], at: usize, stored: usize) {
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Vec::new);
        }
        let most = if self.0.len() > stored { USUAL_SPEC_PART } else { MAX_SPEC_PART };
        let full = |part: &Vec<u8>| !part.is_empty() && part.len() + task.len() + 2 > most;
        if self.0.last().is_none_or(full) {
            self.0.push(Vec::new());
        }
        if let Some(part) = self.0.last_mut() {
            part.push(if part.is_empty() { b'[' } else { b',' });
            part.extend_from_slice(task);
        }
    }

    fn closed(self) -> Vec<Vec<u8>> {
        let close = |mut part: Vec<u8>| {
            part.extend_from_slice(if part.is_empty() { b"[]" } else { b"]" });
            part
        };
        self.0.into_iter().map(close).collect()
    }
}

/// In which part each task belongs, in ascending order: those that stay in order keep theirs.
fn parts_of_tasks(spec: &PlanSpec, stored: &[&[u8]]) -> Result<Vec<usize>, CodecError> {
    let mut home: BTreeMap<TaskId, usize> = BTreeMap::new();
    for (at, part) in stored.iter().enumerate() {
        home.extend(decode_within::<Vec<Named>>(part, MAX_SPEC_PART)?.into_iter().map(|task| (task.id, at)));
    }
    // The longest sequence of tasks whose parts ascend, by patience sorting: `ends[n]` is the last task of
    // the best one of n + 1 tasks, `before` leads from each to the one before it.
    let homes: Vec<Option<usize>> = spec.tasks.iter().map(|task| home.get(&task.id).copied()).collect();
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; homes.len()];
    for (n, at) in homes.iter().enumerate().filter(|(_, at)| at.is_some()) {
        let length = ends.partition_point(|end| homes[*end] <= *at);
        before[n] = length.checked_sub(1).map(|last| ends[last]);
        if length == ends.len() { ends.push(n) } else { ends[length] = n }
    }
    let mut stay = vec![false; homes.len()];
    let mut next = ends.last().copied();
    while let Some(n) = next {
        stay[n] = true;
        next = before[n];
    }
    let mut last = 0;
    Ok(homes
        .iter()
        .zip(stay)
        .map(|(at, stay)| {
            last = at.filter(|_| stay).unwrap_or(last);
            last
        })
        .collect())
}

/// What is needed of a stored task to know it again.
#[derive(Deserialize)]
struct Named {
    id: TaskId,
}

/// Reads a definition from the value of `spec` and those of its further parts, in the order of their keys.
///
/// # Errors
/// [`CodecError::Unreadable`] if a part is missing, or not what it should be.
pub fn decode_spec<'a>(
    head: &[u8],
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<PlanSpec, CodecError> {
    let mut spec: PlanSpec = decode_within(head, MAX_SPEC_PART)?;
    let expected = spec.extra.remove(PARTS).and_then(|parts| parts.as_u64()).unwrap_or(0);
    let mut found = 0;
    for part in parts {
        found += 1;
        spec.tasks.extend(decode_within::<Vec<TaskSpec>>(part, MAX_SPEC_PART)?);
    }
    spec.tasks.shrink_to_fit(); // As in `shrunk`.
    if found == expected {
        Ok(spec)
    } else {
        let reason = format!("{found} of its {expected} further parts are there");
        Err(CodecError::Unreadable { kind: "PlanSpec", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_definition_is_spread_over_parts_and_read_back() {
        let tasks = (0..20_000).map(|i| {
            TaskSpec::new(TaskId::new(i.to_string()).unwrap(), format!("do thing number {i}, with care"))
        });
        let spec = PlanSpec { title: "large".into(), tasks: tasks.collect(), ..PlanSpec::default() };
        let (head, parts) = encode_spec(&spec).unwrap();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= USUAL_SPEC_PART));
        let slices = || parts.iter().map(Vec::as_slice);
        assert_eq!(decode_spec(&head, slices()).unwrap(), spec);
        let error = decode_spec(&head, slices().skip(1)).unwrap_err().to_string();
        assert!(error.contains("further parts are there"), "{error}");
    }

    /// A definition of 8,000 tasks, and its parts as they are stored.
    fn large() -> (PlanSpec, Vec<Vec<u8>>) {
        let task = |i: usize| TaskSpec::new(TaskId::new(i.to_string()).unwrap(), "x".repeat(50));
        let spec = PlanSpec { tasks: (0..8_000).map(task).collect(), ..PlanSpec::default() };
        let (_, parts) = encode_spec(&spec).unwrap();
        (spec, parts)
    }

    /// Encodes the definition over the parts; how many of those that come out are not stored yet.
    fn rewritten(spec: &PlanSpec, stored: &[Vec<u8>]) -> (usize, Vec<Vec<u8>>) {
        let slices: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
        let (head, parts) = encode_spec_over(spec, &slices).unwrap();
        assert_eq!(&decode_spec(&head, parts.iter().map(Vec::as_slice)).unwrap(), spec);
        assert!(parts.iter().all(|part| part.len() <= MAX_SPEC_PART));
        let differ = parts.iter().enumerate().filter(|(n, part)| stored.get(*n) != Some(part)).count();
        (differ, parts)
    }

    #[test]
    fn an_edit_of_a_large_definition_changes_few_parts() {
        let (spec, parts) = large();
        assert_eq!(rewritten(&spec, &parts), (0, parts.clone()));
        let task = |id: &str| TaskSpec::new(TaskId::new(id).unwrap(), "new");
        let mut edited = spec.clone();
        edited.tasks[5].description = "different".to_owned();
        edited.tasks.insert(0, task("first"));
        edited.tasks.remove(5_000);
        edited.tasks.push(task("last"));
        let (differ, parts) = rewritten(&edited, &parts);
        assert!(differ <= 3, "{differ} of {}", parts.len());
        // One that moves from the end to the beginning changes its parts, and not those in between.
        let moved = edited.tasks.pop().unwrap();
        edited.tasks.insert(0, moved);
        assert!(rewritten(&edited, &parts).0 <= 2);
        edited.tasks.reverse();
        rewritten(&edited, &parts);
        edited.tasks.truncate(7_000);
        rewritten(&edited, &parts);
    }

    #[test]
    fn a_part_that_grows_too_large_gives_the_rest_to_the_next_one() {
        let (mut spec, mut stored) = large();
        for n in 0..14 {
            for i in 0..40 {
                let id = TaskId::new(format!("new-{n}-{i}")).unwrap();
                spec.tasks.insert(7, TaskSpec::new(id, "y".repeat(1000)));
            }
            let (differ, parts) = rewritten(&spec, &stored);
            assert!(differ <= 4, "{differ} in edit {n}");
            stored = parts;
        }
    }

    #[test]
    fn space_in_a_full_part_is_made_from_the_last_one() {
        let task = |i: usize| TaskSpec::new(TaskId::new(i.to_string()).unwrap(), "x".repeat(400));
        let spec = PlanSpec { tasks: (0..4_000).map(task).collect(), ..PlanSpec::default() };
        let mut stored: Vec<Vec<u8>> =
            spec.tasks.chunks(1_000).map(|tasks| serde_json::to_vec(tasks).unwrap()).collect();
        assert!(stored.iter().all(|part| part.len() > MAX_SPEC_PART / 4 * 3), "full");
        let mut steps = Vec::new();
        while steps.last() != Some(&0) {
            let slices: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
            let Halved { at, parts, head } = halve_part(&spec, &slices, 0).unwrap().unwrap();
            assert!(parts.iter().all(|part| part.len() <= MAX_SPEC_PART));
            stored.resize(stored.len().max(at + 2), Vec::new());
            stored.splice(at..at + 2, parts);
            assert_eq!(decode_spec(&head, stored.iter().map(Vec::as_slice)).unwrap(), spec);
            steps.push(at);
        }
        assert_eq!((steps, stored.len()), (vec![3, 2, 1, 0], 5));
        assert!(stored[0].len() < MAX_SPEC_PART / 2);
        let one = serde_json::to_vec(&spec.tasks[..1]).unwrap();
        assert!(halve_part(&spec, &[&one], 0).unwrap().is_none(), "a single task");
    }

    #[test]
    fn parts_of_an_older_version_stay_as_they_are() {
        let (spec, _) = large();
        let old: Vec<Vec<u8>> =
            spec.tasks.chunks(3_000).map(|tasks| serde_json::to_vec(tasks).unwrap()).collect();
        assert!(old.iter().all(|part| part.len() <= MAX_SPEC_PART));
        let mut edited = spec.clone();
        edited.tasks[7_500].description = "different".to_owned();
        assert_eq!(rewritten(&edited, &old).0, 1);
    }

    /// A task whose stored form has this many bytes.
    fn task_of(id: &str, bytes: usize) -> TaskSpec {
        let task = |text: &str| TaskSpec::new(TaskId::new(id).unwrap(), text);
        let frame = serde_json::to_vec(&task("")).unwrap().len();
        task(&"x".repeat(bytes - frame))
    }

    /// The parts that a definition of these tasks is stored in, besides the one of a task so large that there
    /// are parts.
    fn parts_of(tasks: Vec<TaskSpec>) -> Result<usize, CodecError> {
        let tasks = [vec![task_of("0", MAX_SPEC_PART - 2)], tasks].concat();
        let (_, parts) = encode_spec(&PlanSpec { tasks, ..PlanSpec::default() })?;
        assert_eq!(parts[0].len(), MAX_SPEC_PART);
        assert!(parts[1..].iter().all(|part| part.len() <= USUAL_SPEC_PART));
        Ok(parts.len() - 1)
    }

    #[test]
    fn a_part_holds_as_many_tasks_as_fit() {
        // Two brackets and one comma frame two tasks.
        let half = USUAL_SPEC_PART / 2;
        assert_eq!(parts_of(vec![task_of("1", half), task_of("2", half - 3)]).unwrap(), 1);
        assert_eq!(parts_of(vec![task_of("1", half), task_of("2", half - 2)]).unwrap(), 2);
        assert_eq!(parts_of(vec![task_of("1", USUAL_SPEC_PART - 2)]).unwrap(), 1);
        let error = parts_of(vec![task_of("1", MAX_SPEC_PART - 1)]).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { kind: "TaskSpec", .. }), "{error}");
    }
}
