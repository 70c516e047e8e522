//! Makes a plan of the entries that a reader found, whatever their format: what they wait for, what their
//! states come to, and which order gives way to which.

use std::collections::{BTreeMap, HashMap, HashSet};

use planlease_core::{
    TaskId,
    approval::ApprovalOf,
    counted,
    graph::{self, GraphError},
    spec::{CHECKED, Group, MARK, MAX_DEPENDENCIES, PhaseSpec, TaskSpec},
};
use serde_json::{Map, Value};

use crate::{
    complete,
    draft::{Draft, TaskPlaces},
    note::{PlanNote, TaskNote},
    order::{self, Node, Order},
    progress::State,
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
    /// What planlease noted of the plan.
    pub(crate) note: PlanNote,
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
    /// What its text says that a person has to approve.
    pub(crate) approval: Option<ApprovalOf>,
    pub(crate) state: State,
    pub(crate) extra: Map<String, Value>,
    /// What planlease noted of it.
    pub(crate) note: TaskNote,
}

/// Makes a draft of a plan.
pub(crate) fn draft(mut found: Found, order: Order, report: &mut Report<'_>) -> Draft {
    let mut entries = std::mem::take(&mut found.entries);
    for entry in &mut entries {
        entry.state = entry.state.noted(entry.note.mark.as_deref());
    }
    report_states(&entries, report);
    report_pointless(&entries, report);
    let places: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.id.as_str(), place)).collect();
    let mut nodes: Vec<Node> =
        entries.iter().enumerate().map(|(place, entry)| node(&entries, &places, place, entry)).collect();
    order::imply(&mut nodes, order);
    trim(&mut nodes, &entries, report);
    let mut draft = Draft { how_to_write_a_task: found.how_to_write_a_task, ..Draft::default() };
    draft.title = found.title_at;
    draft.spec.title = found.title;
    draft.spec.in_file_order = true;
    draft.spec.extra = found.extra;
    let (phases, places) = complete::phases(&found.phases, &found.phase_places, &found.note);
    (draft.spec.phases, draft.phases) = (phases, places);
    let ids: Vec<Option<TaskId>> = entries.iter().map(|entry| id(entry, report)).collect();
    for (place, entry) in entries.into_iter().enumerate() {
        let Some(id) = ids[place].clone() else {
            draft.missing.ids.insert(entry.id);
            continue;
        };
        let on = nodes[place].stated.iter().chain(&nodes[place].implied);
        let on: Vec<TaskId> = on.filter_map(|on| ids[*on].clone()).collect();
        draft.tasks.push(TaskPlaces::at(entry.at, on.len()));
        let note = entry.note.clone();
        let mut task = task(entry, id, on, &found.phases, report);
        complete::task(&mut task, note, &draft.spec.phases);
        draft.spec.tasks.push(task);
    }
    complete::plan(&mut draft, found.note);
    if order == Order::ByPhase && draft.spec.phases.len() > 1 {
        let phases = draft.spec.phases.iter().map(|phase| phase.number.clone()).collect();
        draft.spec.sequential.push(Group { phases, ..Group::default() });
    }
    untangle(&mut draft, &ids, &nodes, report);
    keep_order(&mut draft, &ids, &nodes);
    draft
}

/// What the order has to know of an entry. What it is part of waits for it, so that it cannot wait for that.
fn node(entries: &[Entry], places: &HashMap<&str, usize>, place: usize, entry: &Entry) -> Node {
    let noted = entry.note.depends_on.as_ref();
    let noted = noted.map(|on| on.iter().filter_map(|on| places.get(on.as_str()).copied()));
    if let Some(noted) = noted {
        let mut seen = HashSet::from([place]);
        let stated = noted.filter(|on| seen.insert(*on)).collect();
        let is_over = entry.state.is_over();
        return Node {
            parent: entry.parent,
            phase: entry.phase,
            is_over,
            stated,
            is_exact: true,
            ..Node::default()
        };
    }
    let mut seen: HashSet<usize> = above(entries, place).collect();
    Node {
        parent: entry.parent,
        phase: entry.phase,
        is_parallel: entry.is_parallel,
        is_optional: entry.is_optional,
        is_over: entry.state.is_over(),
        is_exact: false,
        stated: entry.stated.iter().copied().filter(|on| seen.insert(*on)).collect(),
        ..Node::default()
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
    task.approval = entry.approval;
    task.extra = entry.extra;
    if entry.state.is_over() {
        task.extra.insert(CHECKED.to_owned(), Value::Bool(true));
    }
    if let Some(mark) = entry.state.mark() {
        task.extra.insert(MARK.to_owned(), Value::from(mark));
    }
    task
}

/// Lets a task that waits for more tasks than are allowed wait for the open ones among them.
fn trim(nodes: &mut [Node], entries: &[Entry], report: &mut Report<'_>) {
    for (node, entry) in nodes.iter_mut().zip(entries) {
        let is_open = |on: &usize| !entries[*on].state.is_over();
        let number = node.stated.len() + node.implied.len();
        let open = node.stated.iter().chain(&node.implied).filter(|on| is_open(on)).count();
        if number <= MAX_DEPENDENCIES || open > MAX_DEPENDENCIES {
            continue; // It fits, or is refused.
        }
        node.stated.retain(is_open);
        node.implied.retain(is_open);
        let id = &entry.id;
        let message = format!(
            "task {id} waits for {number} tasks, of which the {open} open ones are kept: at most {MAX_DEPENDENCIES} \
             are allowed"
        );
        report.warning(entry.at, message, "With --ticked pending it may start before the others are done.");
    }
}

/// The places of what an entry is part of, itself first.
fn above(entries: &[Entry], place: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(place), |at| entries[*at].parent).take(MAX_NESTING)
}

/// Warns of tasks that are said to wait for themselves, or for what they are part of. One that waits for its
/// own phase waits for the other tasks of it.
fn report_pointless(entries: &[Entry], report: &mut Report<'_>) {
    for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.stated.is_empty()) {
        let stated: HashSet<usize> = entry.stated.iter().copied().collect();
        for on in above(entries, place).filter(|on| stated.contains(on)) {
            let same = |other: &&usize| entries[**other].phase == entries[on].phase;
            if entries[on].phase.is_some() && stated.iter().filter(same).count() > 2 {
                continue;
            }
            let (id, on_id) = (&entry.id, &entries[on].id);
            let message = if on == place {
                format!("task {id} cannot wait for itself: this dependency is left out")
            } else {
                format!("task {id} is part of {on_id} and cannot wait for it: this dependency is left out")
            };
            report.warning(entry.at, message, "Take the dependency out, or name the task that is meant.");
        }
    }
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

/// Has a task wait for what comes earlier, where what comes between was done before its turn: it would begin
/// early. Not where that contradicts what is said.
fn keep_order(draft: &mut Draft, ids: &[Option<TaskId>], nodes: &[Node]) {
    let before: Vec<Vec<TaskId>> = draft.spec.tasks.iter().map(|task| task.depends_on.clone()).collect();
    let tasks = draft.spec.tasks.iter_mut().zip(&mut draft.tasks);
    let known = (0..nodes.len()).filter(|place| ids[*place].is_some());
    let mut changed = false;
    for ((task, places), place) in tasks.zip(known) {
        let passed_over = order::passed_over(nodes, place);
        changed |= !passed_over.is_empty();
        task.depends_on.extend(passed_over.into_iter().filter_map(|on| ids[on].clone()));
        places.depends_on.resize(task.depends_on.len(), places.id);
    }
    if changed && !graph::cycles(&draft.spec).is_empty() {
        for ((task, places), before) in draft.spec.tasks.iter_mut().zip(&mut draft.tasks).zip(before) {
            places.depends_on.truncate(before.len());
            task.depends_on = before;
        }
    }
}
