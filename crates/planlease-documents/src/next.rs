//! `next`: what may start now, and what the others wait for.

use std::{collections::BTreeMap, fmt::Write as _};

use planlease::{PlanView, core::WallTime};
use planlease_core::{
    PlanName, Revision, TaskId,
    order::{Wait, Why},
    orphan::{Alive, is_orphan},
    spec::TaskSpec,
    standing::{Standing, standing},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Table,
    halt::HaltedBy,
    plain,
    unreadable::{UnreadableView, views},
};

/// How many rows each table of what cannot start has at most; the JSON has all.
const ROWS: usize = 20;

/// How many of the tasks that one waits for are named.
const NAMED: usize = 5;

/// The tasks that may start, and what the others wait for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextTasks {
    plan: PlanName,
    revision: Revision,
    /// What keeps them all from being started.
    halted: Option<HaltedBy>,
    /// In the order in which they are handed out.
    ready: Vec<Ready>,
    /// How many are ready, also those that were not asked for.
    ready_total: usize,
    /// What waits for others; as many as were asked for.
    blocked: Vec<Blocked>,
    /// How many are blocked, also those that were not asked for.
    blocked_total: usize,
    in_progress: Vec<TaskId>,
    /// Those of them whose claimants are gone.
    lost: Vec<TaskId>,
    /// What a person has to look at.
    held: Vec<Held>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    task: TaskId,
    phase: Option<String>,
    description: String,
    priority: i32,
    labels: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Blocked {
    task: TaskId,
    waits: Vec<Waits>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Waits {
    pub(super) on: TaskId,
    pub(super) why: Why,
    /// Where that one stands.
    pub(super) status: Option<TaskStatus>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Held {
    task: TaskId,
    /// `parked`, `exhausted` or `retryable`.
    state: &'static str,
    why: Option<String>,
}

impl NextTasks {
    /// The first `count` ready tasks with these labels, and what the first `count` of the blocked ones wait
    /// for; `alive`: what the claims of those in progress hang on.
    pub fn new(view: &PlanView, count: usize, labels: &[String], alive: &Alive) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let asked_for = |task: &&TaskId| {
            specs.get(task).is_some_and(|spec| labels.iter().all(|label| spec.labels.contains(label)))
        };
        let ready: Vec<&TaskId> = view.ready().filter(asked_for).collect();
        let shown = ready.iter().take(count).filter_map(|task| specs.get(task)).map(|spec| Ready {
            task: spec.id.clone(),
            phase: spec.phase.clone(),
            description: spec.description.clone(),
            priority: spec.priority,
            labels: spec.labels.iter().cloned().collect(),
        });
        let mut next = Self {
            plan: view.name().clone(),
            revision: view.revision(),
            halted: view.halt().map(HaltedBy::of),
            ready: shown.collect(),
            ready_total: ready.len(),
            blocked: Vec::new(),
            blocked_total: 0,
            in_progress: Vec::new(),
            lost: Vec::new(),
            held: Vec::new(),
            unreadable: views(view.unreadable()),
        };
        for (task, spec) in
            view.graph().tasks().filter_map(|task| Some((view.tasks().get(task)?, specs.get(task)?)))
        {
            let policy = view.spec().policy_of(spec);
            let id = task.id.clone();
            let mut hold =
                |state, why: Option<String>| next.held.push(Held { task: task.id.clone(), state, why });
            match standing(&task.id, &task.record, &policy, view.graph(), |task| view.status(task)) {
                Standing::Waits(waits) => {
                    next.blocked_total += 1;
                    if next.blocked.len() < count {
                        next.blocked.push(Blocked { task: id, waits: told(view, &waits) });
                    }
                }
                Standing::InProgress => {
                    if is_orphan(&task.record, alive) {
                        next.lost.push(id.clone());
                    }
                    next.in_progress.push(id);
                }
                Standing::Parked(why) => hold("parked", Some(why)),
                Standing::Exhausted { .. } => hold("exhausted", task.record.error.clone()),
                Standing::Retryable { .. } => hold("retryable", task.record.error.clone()),
                Standing::Ready | Standing::Completed | Standing::Skipped => {}
            }
        }
        next
    }
}

/// What is waited for, with where that stands.
pub(super) fn told(view: &PlanView, waits: &[Wait]) -> Vec<Waits> {
    let told = |wait: &Wait| Waits { on: wait.on.clone(), why: wait.why, status: view.status(&wait.on) };
    waits.iter().map(told).collect()
}

/// `1.2 (failed), 1.3 (pending; in sequence)`, and how many more.
pub(super) fn sentence(waits: &[Waits]) -> String {
    let words = waits.iter().take(NAMED).map(|wait| {
        let status = wait.status.map_or("missing", TaskStatus::as_str).replace('_', " ");
        match rule(wait.why) {
            "" => format!("{} ({status})", wait.on),
            rule => format!("{} ({status}; {rule})", wait.on),
        }
    });
    let named = words.collect::<Vec<_>>().join(", ");
    match waits.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What makes it wait, where it is not its own dependency.
pub(super) fn rule(why: Why) -> &'static str {
    match why {
        Why::Dependency => "",
        Why::Sequence => "in sequence",
        Why::PhaseSequence => "its phase comes first",
        Why::PipelineStart => "the phase starts then",
    }
}

impl Document for NextTasks {
    const SCHEMA: Option<&'static str> = Some("planlease.next.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["READY", "PHASE", "PRIORITY", "LABELS", "DESCRIPTION"]);
        for task in &self.ready {
            table.row([
                Cell::from(&task.task),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                if task.priority == 0 { "-".into() } else { task.priority.into() },
                Cell::text(task.labels.join(", ")),
                Cell::text(&task.description),
            ]);
        }
        let halted = self.halted.as_ref().map(|by| format!("{}; nothing is started\n\n", by.sentence(now)));
        let mut text = halted.unwrap_or_default() + &table.render("nothing is ready");
        more(&mut text, self.ready_total - self.ready.len());
        if !self.in_progress.is_empty() {
            let shown = |task: &TaskId| match self.lost.contains(task) {
                true => format!("{task} (gone)"),
                false => task.to_string(),
            };
            let tasks: Vec<String> = self.in_progress.iter().take(ROWS).map(shown).collect();
            let _ = writeln!(text, "\nin progress: {}", tasks.join(", "));
            more(&mut text, self.in_progress.len().saturating_sub(ROWS));
        }
        if !self.blocked.is_empty() {
            let mut table = Table::new(["BLOCKED", "WAITS FOR"]);
            for task in self.blocked.iter().take(ROWS) {
                table.row([Cell::from(&task.task), Cell::text(sentence(&task.waits))]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, self.blocked_total - self.blocked.len().min(ROWS));
        }
        if !self.held.is_empty() {
            let mut table = Table::new(["HELD", "STATE", "WHY"]);
            for task in self.held.iter().take(ROWS) {
                let why = task.why.as_deref().map(plain).unwrap_or_default();
                table.row([Cell::from(&task.task), task.state.into(), Cell::text(why)]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, self.held.len().saturating_sub(ROWS));
        }
        text
    }
}

/// How many are left out, if any are.
fn more(text: &mut String, left_out: usize) {
    if left_out > 0 {
        let _ = writeln!(text, "… and {left_out} more");
    }
}
