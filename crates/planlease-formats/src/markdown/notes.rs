//! Keeps the notes about the order of execution with the plan, once all its tasks and phases are known.
//!
//! A note of tasks in a phase is kept with the phase, all others with the plan. What they come to is the
//! core's (`planlease_core::order`). A note that contradicts the dependencies is kept as well, under
//! `contradictory` among the extras, and orders nothing: a plan whose tasks wait for each other could never
//! end.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Bound,
};

use planlease_core::{
    TaskId,
    graph::cycles,
    spec::{Group, MAX_TASKS, PhaseSpec, PipelineStart, PlanSpec},
};
use serde_json::{Value, json};

use super::{
    depends::Target,
    extras,
    note::{self, Note, Subject},
};
use crate::{draft::Draft, report::Report};

/// A note where it was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) at: usize,
    /// The place of the phase that it is in.
    pub(super) phase: Option<usize>,
    pub(super) text: Text<'a>,
}

/// What follows the label of a note.
#[derive(Debug)]
pub(super) enum Text<'a> {
    Execution(&'a str),
    PipelineStart(&'a str),
    /// What a phase depends on.
    After(Target<'a>),
}

/// How many contradictory notes are looked for one by one: each look goes over the whole plan.
const LOOKS: usize = 64;

/// Keeps all notes that make sense, and warns of the others.
pub(super) fn keep(found: &[Found<'_>], draft: &mut Draft, report: &mut Report<'_>) {
    if found.is_empty() {
        return;
    }
    let names = Names::new(draft);
    let mut kept = Vec::new();
    let mut pipelined = HashSet::new(); // The phases that wait for a task.
    let mut room = MAX_TASKS; // Notes may name tasks again and again; together no more than a plan may have.
    for found in found {
        match found.text {
            Text::Execution(text) => match names.resolve(text, room) {
                Ok(resolved) => {
                    room -= resolved.names.len();
                    kept.push((found.at, resolved.rule(found.phase)));
                }
                Err(Unclear::NoOrder) => {} // A note for people.
                Err(unclear) => {
                    if matches!(unclear, Unclear::TooLong) {
                        room = 0; // Counting that far for each further note would take long.
                    }
                    report.warning(found.at, unclear.message(), HOW_TO_WRITE_A_NOTE);
                }
            },
            Text::After(target) => match names.after(target, found.phase, &mut pipelined, room) {
                Ok(rules) => {
                    room -= rules.len();
                    kept.extend(rules.into_iter().map(|rule| (found.at, rule)));
                }
                Err(message) => report.error(found.at, message, HOW_A_PHASE_WAITS),
            },
            Text::PipelineStart(text) => {
                let task = note::pipeline_start(text).and_then(|task| names.task(task));
                match (task, found.phase) {
                    (Some(after), Some(phase)) => {
                        pipelined.insert(phase);
                        kept.push((found.at, Rule::Pipeline { phase, after }));
                    }
                    _ => report.warning(
                        found.at,
                        "this pipeline-start is not understood",
                        "It stands in a phase and names a task of the plan, as `when 1.3 completes`.",
                    ),
                }
            }
        }
    }
    obey(kept, draft, report);
}

/// Puts the rules into the plan, but for those with which its tasks would wait for each other.
fn obey(rules: Vec<(usize, Rule)>, draft: &mut Draft, report: &mut Report<'_>) {
    let alone = draft.spec.clone();
    if rules.iter().all(|(_, rule)| rule.only_allows()) || !cycles(&alone).is_empty() {
        rules.into_iter().for_each(|(_, rule)| rule.obey(&mut draft.spec));
        return; // A cycle that is there already is reported, and is not the notes' fault.
    }
    rules.iter().for_each(|(_, rule)| rule.clone().obey(&mut draft.spec));
    if cycles(&draft.spec).is_empty() {
        return;
    }
    draft.spec = alone;
    for (n, (at, rule)) in rules.into_iter().enumerate() {
        let mut with = draft.spec.clone();
        rule.clone().obey(&mut with);
        if n < LOOKS && cycles(&with).is_empty() {
            draft.spec = with;
        } else {
            report.warning(at, "this note contradicts the dependencies", CONTRADICTION);
            extras::push(&mut draft.spec.extra, "contradictory", rule.told());
        }
    }
}

const CONTRADICTION: &str =
    "With it, tasks would wait for each other. It is kept and shown, and orders nothing.";

/// What a note says about the order of execution.
#[derive(Clone)]
enum Rule {
    Order { order: note::Order, phase: Option<usize>, group: Group },
    Pipeline { phase: usize, after: TaskId },
}

impl Rule {
    /// Whether nothing has to wait for it.
    fn only_allows(&self) -> bool {
        matches!(self, Self::Order { order: note::Order::Parallel, .. })
    }

    fn obey(self, spec: &mut PlanSpec) {
        match self {
            Self::Order { order, phase, group } => {
                let lists = match phase {
                    Some(phase) => {
                        let phase = &mut spec.phases[phase];
                        (&mut phase.sequential, &mut phase.parallel)
                    }
                    None => (&mut spec.sequential, &mut spec.parallel),
                };
                match order {
                    note::Order::Sequential => lists.0.push(group),
                    note::Order::Parallel => lists.1.push(group),
                }
            }
            Self::Pipeline { phase, after } => {
                spec.phases[phase].pipeline_start = Some(PipelineStart { after });
            }
        }
    }

    fn told(&self) -> Value {
        match self {
            Self::Order { group, .. } => {
                json!({ "tasks": group.tasks, "phases": group.phases, "reason": group.reason })
            }
            Self::Pipeline { after, .. } => json!({ "after": after }),
        }
    }
}

const HOW_A_PHASE_WAITS: &str = "A phase waits for other phases, or for one task: write the others into the lines of its \
                                 tasks, as `(depends: 1.1, 1.2)`.";

const HOW_TO_WRITE_A_NOTE: &str = "Write it as `Tasks 2.1-2.6 are [SEQUENTIAL] - reason`, or with `Phases` or \
                                   `[PARALLEL]`; as it is, it is a note for people.";

/// A note whose names are those of the plan.
struct Resolved<'a> {
    note: Note<'a>,
    names: Vec<String>,
}

impl Resolved<'_> {
    /// `phase`: in which the note stands. Phases are ordered by the plan.
    fn rule(self, phase: Option<usize>) -> Rule {
        let Self { note, names } = self;
        let reason = note.reason.map(str::to_owned);
        let (phase, group) = match note.subject {
            Subject::Tasks => {
                let tasks = names.into_iter().filter_map(|name| TaskId::new(name).ok()).collect();
                (phase, Group { tasks, reason, ..Group::default() })
            }
            Subject::Phases => (None, Group { phases: names, reason, ..Group::default() }),
        };
        Rule::Order { order: note.order, phase, group }
    }
}

/// Why a note cannot be kept.
enum Unclear {
    NoOrder,
    NamesNothing,
    Unknown(String),
    TooLong,
}

impl Unclear {
    fn message(&self) -> String {
        match self {
            Self::NoOrder | Self::NamesNothing => {
                "this note does not say which tasks or phases it means".into()
            }
            Self::Unknown(name) => format!("this is about {name}, which the plan does not have"),
            Self::TooLong => format!("the notes of this plan name more than {MAX_TASKS} tasks"),
        }
    }
}

/// The names of a plan's tasks and phases, in order.
struct Names {
    tasks: BTreeSet<TaskId>,
    phases: Vec<String>,
    phase_places: HashMap<String, usize>,
}

impl Names {
    fn new(draft: &Draft) -> Self {
        let phases: Vec<String> =
            draft.spec.phases.iter().map(|PhaseSpec { number, .. }| number.clone()).collect();
        Self {
            tasks: draft.spec.tasks.iter().map(|task| task.id.clone()).collect(),
            phase_places: phases.iter().cloned().enumerate().map(|(i, number)| (number, i)).collect(),
            phases,
        }
    }

    fn task(&self, text: &str) -> Option<TaskId> {
        TaskId::new(text).ok().filter(|id| self.tasks.contains(id))
    }

    fn resolve<'a>(&self, text: &'a str, room: usize) -> Result<Resolved<'a>, Unclear> {
        let note = note::execution(text).ok_or(Unclear::NoOrder)?;
        let mut names = Vec::new();
        for &(first, last) in &note.ranges {
            match note.subject {
                Subject::Tasks => self.tasks_between(first, last, room, &mut names)?,
                Subject::Phases => self.phases_between(first, last, room, &mut names)?,
            }
        }
        if names.is_empty() { Err(Unclear::NamesNothing) } else { Ok(Resolved { note, names }) }
    }

    /// The rules that make a phase wait for what it depends on.
    fn after(
        &self,
        target: Target<'_>,
        phase: Option<usize>,
        pipelined: &mut HashSet<usize>,
        room: usize,
    ) -> Result<Vec<Rule>, String> {
        let phase = phase.ok_or("this is in no phase")?;
        match target {
            Target::Task(text) => {
                let after =
                    self.task(text).ok_or_else(|| Unclear::Unknown(format!("task {text}")).message())?;
                match pipelined.insert(phase) {
                    true => Ok(vec![Rule::Pipeline { phase, after }]),
                    false => Err(format!("phase {} waits for another task already", self.phases[phase])),
                }
            }
            Target::Phases(first, last) => {
                let mut before = Vec::new();
                self.phases_between(first, last, room, &mut before).map_err(|unclear| unclear.message())?;
                let own = &self.phases[phase];
                if before.contains(own) {
                    return Err(format!("phase {own} cannot wait for itself"));
                }
                let rule = |before: String| Rule::Order {
                    order: note::Order::Sequential,
                    phase: None,
                    group: Group { phases: vec![before, own.clone()], ..Group::default() },
                };
                Ok(before.into_iter().map(rule).collect())
            }
        }
    }

    fn tasks_between(
        &self,
        first: &str,
        last: &str,
        room: usize,
        names: &mut Vec<String>,
    ) -> Result<(), Unclear> {
        let known = |text: &str| {
            let id = TaskId::new(text).ok().filter(|id| self.tasks.contains(id));
            id.ok_or_else(|| Unclear::Unknown(format!("task {text}")))
        };
        let (first, last) = (known(first)?, known(last)?);
        if first > last {
            return Err(Unclear::NamesNothing); // Also what the map would not take.
        }
        for id in self.tasks.range((Bound::Included(first), Bound::Included(last))) {
            if names.len() >= room {
                return Err(Unclear::TooLong);
            }
            names.push(id.as_str().to_owned());
        }
        Ok(())
    }

    fn phases_between(
        &self,
        first: &str,
        last: &str,
        room: usize,
        names: &mut Vec<String>,
    ) -> Result<(), Unclear> {
        let known = |number: &str| {
            let place = self.phase_places.get(number).copied();
            place.ok_or_else(|| Unclear::Unknown(format!("phase {number}")))
        };
        let between = self.phases.get(known(first)?..=known(last)?).ok_or(Unclear::NamesNothing)?;
        if names.len() + between.len() > room {
            return Err(Unclear::TooLong);
        }
        names.extend_from_slice(between);
        Ok(())
    }
}
