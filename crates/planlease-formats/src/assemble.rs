//! Makes a plan of the entries that a reader found, whatever their format: what they wait for, what their
//! states come to, and which order gives way to which.

use std::collections::{BTreeMap, HashMap, HashSet};

use planlease_core::{
    TaskId, counted,
    graph::{self, GraphError},
    spec::{CHECKED, DROPPED, Group, MARK, PhaseSpec, TaskSpec},
};
use serde_json::{Map, Value};

use crate::{
    draft::{Draft, TaskPlaces},
    order::{self, Node, Order},
    report::Report,
};

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) title: String,
    pub(crate) title_at: usize,
    pub(crate) phases: Vec<PhaseSpec>,
    /// Where each phase begins.
    pub(crate) phase_places: Vec<usize>,
    pub(crate) entries: Vec<Entry>,
    /// How this format wants a task to be written.
    pub(crate) how_to_write_a_task: &'static str,
    pub(crate) extra: Map<String, Value>,
}

/// One task as it was found. Entries name each other by their places.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) at: usize,
    pub(crate) id: String,
    pub(crate) description: String,
    /// The place of its phase.
    pub(crate) phase: Option<usize>,
    /// The entry that it is part of.
    pub(crate) parent: Option<usize>,
    /// What it says that it waits for.
    pub(crate) stated: Vec<usize>,
    /// Whether it may be done beside the tasks around it.
    pub(crate) is_parallel: bool,
    pub(crate) is_optional: bool,
    pub(crate) priority: i32,
    pub(crate) labels: Vec<String>,
    pub(crate) steps: Vec<String>,
    pub(crate) state: State,
    pub(crate) extra: Map<String, Value>,
}

/// What a file says of the state of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    #[default]
    Open,
    Done,
    Begun,
    Blocked,
    Deferred,
    Dropped,
}

impl State {
    /// What the plan keeps of it, besides that it is done or not.
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::Open | Self::Done => None,
            Self::Begun => Some("in_progress"),
            Self::Blocked => Some("blocked"),
            Self::Deferred => Some("deferred"),
            Self::Dropped => Some(DROPPED),
        }
    }

    /// What becomes of such tasks, and what to do about it.
    fn help(self) -> &'static str {
        match self {
            Self::Dropped => {
                "With --ticked done they are recorded as skipped; with --ticked pending they are done."
            }
            Self::Blocked => {
                "The file does not say by what: they count as pending. Write what they depend on."
            }
            Self::Deferred => {
                "They count as pending, and are done like all others: take out what is not to be done."
            }
            _ => "No process of this plan works on them: they count as pending.",
        }
    }
}

/// Makes a draft of a plan.
pub(crate) fn draft(mut found: Found, order: Order, report: &mut Report<'_>) -> Draft {
    let entries = std::mem::take(&mut found.entries);
    report_states(&entries, report);
    let mut nodes: Vec<Node> =
        entries.iter().enumerate().map(|(place, entry)| node(&entries, place, entry)).collect();
    order::imply(&mut nodes, order);
    let mut draft = Draft { how_to_write_a_task: found.how_to_write_a_task, ..Draft::default() };
    draft.title = found.title_at;
    draft.spec.title = found.title;
    draft.spec.in_file_order = true;
    draft.spec.extra = found.extra;
    draft.phases = found.phase_places;
    draft.spec.phases = found.phases;
    let ids: Vec<Option<TaskId>> = entries.iter().map(|entry| id(entry, report)).collect();
    for (place, entry) in entries.into_iter().enumerate() {
        let Some(id) = ids[place].clone() else {
            draft.missing.ids.insert(entry.id);
            continue;
        };
        let on = nodes[place].stated.iter().chain(&nodes[place].implied);
        let on: Vec<TaskId> = on.filter_map(|on| ids[*on].clone()).collect();
        draft.tasks.push(TaskPlaces::at(entry.at, on.len()));
        draft.spec.tasks.push(task(entry, id, on, &draft.spec.phases, report));
    }
    if order == Order::ByPhase && draft.spec.phases.len() > 1 {
        let phases = draft.spec.phases.iter().map(|phase| phase.number.clone()).collect();
        draft.spec.sequential.push(Group { phases, ..Group::default() });
    }
    untangle(&mut draft, &ids, &nodes, report);
    draft
}

/// What the order has to know of an entry. What it is part of waits for it, so that it cannot wait for that.
fn node(entries: &[Entry], place: usize, entry: &Entry) -> Node {
    let above: Vec<usize> =
        std::iter::successors(Some(place), |at| entries[*at].parent).take(MAX_NESTING).collect();
    let mut seen: HashSet<usize> = above.into_iter().collect();
    Node {
        parent: entry.parent,
        phase: entry.phase,
        is_parallel: entry.is_parallel,
        is_optional: entry.is_optional,
        stated: entry.stated.iter().copied().filter(|on| seen.insert(*on)).collect(),
        implied: Vec::new(),
    }
}

/// The deepest nesting that is looked at.
const MAX_NESTING: usize = 64;

fn id(entry: &Entry, report: &mut Report<'_>) -> Option<TaskId> {
    match TaskId::new(&entry.id) {
        Ok(id) => Some(id),
        Err(error) => {
            report.error(entry.at, error.to_string(), "Give the task another id.");
            None
        }
    }
}

fn task(
    entry: Entry,
    id: TaskId,
    depends_on: Vec<TaskId>,
    phases: &[PhaseSpec],
    report: &mut Report<'_>,
) -> TaskSpec {
    if entry.description.trim().is_empty() {
        let help = "Say what is to be done.";
        report.warning(entry.at, format!("task {id} has no description"), help);
    }
    let mut task = TaskSpec::new(id, entry.description);
    task.phase = entry.phase.map(|phase| phases[phase].number.clone());
    task.depends_on = depends_on;
    task.priority = entry.priority;
    task.labels = entry.labels.into_iter().collect();
    if entry.is_optional {
        task.labels.insert("optional".to_owned());
    }
    task.steps = entry.steps;
    task.extra = entry.extra;
    if matches!(entry.state, State::Done | State::Dropped) {
        task.extra.insert(CHECKED.to_owned(), Value::Bool(true));
    }
    if let Some(mark) = entry.state.mark() {
        task.extra.insert(MARK.to_owned(), Value::from(mark));
    }
    task
}

/// Says once for each state that it is known only in part.
fn report_states(entries: &[Entry], report: &mut Report<'_>) {
    let mut counts: BTreeMap<State, (usize, usize)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.state.mark().is_some()) {
        counts.entry(entry.state).or_insert((entry.at, 0)).1 += 1;
    }
    for (state, (at, number)) in counts {
        let word = state.mark().unwrap_or_default().replace('_', " ");
        let verb = if number == 1 { "is" } else { "are" };
        report.warning(at, format!("{} {verb} marked as {word}", counted(number, "task")), state.help());
    }
}

/// How often contradictions are looked for: each look goes over the whole plan.
const MAX_LOOKS: usize = 16;

/// Gives up what is implied where it contradicts what is said, so that no tasks wait for each other.
fn untangle(draft: &mut Draft, ids: &[Option<TaskId>], nodes: &[Node], report: &mut Report<'_>) {
    let places = ids.iter().enumerate().filter_map(|(place, id)| Some((id.clone()?, place)));
    let places: HashMap<TaskId, usize> = places.collect();
    let tasks = draft.spec.tasks.iter().enumerate();
    let tasks: HashMap<TaskId, usize> = tasks.map(|(nth, task)| (task.id.clone(), nth)).collect();
    for _ in 0..MAX_LOOKS {
        let cycles = graph::cycles(&draft.spec);
        let Some(GraphError::Cycle { cycle: first }) = cycles.first() else { return };
        let at = tasks.get(&first[0]).map_or(0, |nth| draft.tasks[*nth].id);
        let mut changed = false;
        for cycle in &cycles {
            let GraphError::Cycle { cycle } = cycle else { continue };
            for id in cycle {
                let (Some(&place), Some(&nth)) = (places.get(id), tasks.get(id)) else { continue };
                let task = &mut draft.spec.tasks[nth];
                let stated: HashSet<&TaskId> =
                    nodes[place].stated.iter().filter_map(|on| ids[*on].as_ref()).collect();
                let before = task.depends_on.len();
                task.depends_on.retain(|on| stated.contains(on) || !cycle.contains(on));
                changed |= task.depends_on.len() < before;
            }
        }
        if !changed && std::mem::take(&mut draft.spec.sequential).is_empty() {
            return; // What the tasks say is a circle by itself.
        }
        let help = "What the tasks say that they wait for counts; the order of the file does not, here.";
        report.warning(at, "the order of the file contradicts what tasks wait for", help);
    }
}
