//! `status PLAN`: how far one plan is, at one revision.

use std::{collections::BTreeMap, fmt::Write as _};

use planlease::{PlanView, TaskView, core::WallTime};
use planlease_core::{
    PlanName, Revision, Summary, TaskId,
    orphan::Alive,
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Style, Table, Time,
    halt::HaltedBy,
    owner::Ownership,
    plain,
    task::Hold,
    unreadable::{UnreadableView, views},
};

/// How wide the bar is, in characters.
const BAR: usize = 30;

/// The status of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanStatus {
    plan: PlanName,
    title: String,
    revision: Revision,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    finished: bool,
    /// What keeps it from going on, if anything does.
    halted: Option<HaltedBy>,
    summary: Summary,
    phases: Vec<Phase>,
    #[serde(flatten)]
    ownership: Ownership,
    in_progress: Vec<Running>,
    /// What needs a person's look: failed tasks, those that wait for a decision among them.
    attention: Vec<Attention>,
    /// What could start now.
    ready: Vec<TaskId>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PhaseSummary")]
struct Phase {
    /// `None` for the tasks that are in no phase.
    number: Option<String>,
    name: String,
    summary: Summary,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Running {
    task: TaskId,
    description: String,
    attempt: u32,
    claimed_by: Option<String>,
    since: Option<Time>,
    progress: Option<String>,
    #[serde(flatten)]
    hold: Hold,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Attention {
    task: TaskId,
    description: String,
    attempt: u32,
    error: Option<String>,
    /// What has to be decided, if the task waits for a person.
    parked: Option<String>,
    ended_at: Option<Time>,
}

impl PlanStatus {
    /// Of a plan, and what its claims hang on.
    pub fn new(view: &PlanView, alive: &Alive) -> Self {
        let summary = view.summary();
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let described =
            |task: &TaskView| specs.get(&task.id).map(|spec| spec.description.clone()).unwrap_or_default();
        let with_status = |status| view.tasks().values().filter(move |task| task.record.status == status);
        let running = with_status(TaskStatus::InProgress).map(|task| Running {
            task: task.id.clone(),
            description: described(task),
            attempt: task.record.attempt,
            claimed_by: task.record.claim.as_ref().map(|claim| claim.by.clone()),
            since: task.record.claim.as_ref().map(|claim| claim.since.into()),
            progress: task.record.progress.clone(),
            hold: Hold::of(task, alive),
        });
        let attention = with_status(TaskStatus::Failed).map(|task| Attention {
            task: task.id.clone(),
            description: described(task),
            attempt: task.record.attempt,
            error: task.record.error.clone(),
            parked: task.record.parked.clone(),
            ended_at: task.record.ended_at.map(Time),
        });
        Self {
            plan: view.name().clone(),
            title: view.spec().title.clone(),
            revision: view.revision(),
            finished: summary.is_finished(),
            halted: view.halt().map(HaltedBy::of),
            summary,
            phases: phases(view.spec(), view),
            ownership: Ownership::of(view.line()),
            in_progress: running.collect(),
            attention: attention.collect(),
            ready: view.ready().cloned().collect(),
            unreadable: views(view.unreadable()),
        }
    }

    fn phases_table(&self) -> String {
        let mut table = Table::new(["PHASE", "NAME", "DONE", "RUNNING", "FAILED"]);
        for phase in &self.phases {
            table.row([
                Cell::text(phase.number.as_deref().unwrap_or("-")),
                Cell::text(&phase.name),
                done(&phase.summary).into(),
                count(phase.summary.in_progress),
                count(phase.summary.failed),
            ]);
        }
        table.render("")
    }
}

/// The counts of each phase, in the order of the plan, in one pass over the tasks.
fn phases(spec: &PlanSpec, view: &PlanView) -> Vec<Phase> {
    let mut phases: Vec<Phase> = spec
        .phases
        .iter()
        .map(|phase| Phase {
            number: Some(phase.number.clone()),
            name: phase.name.clone(),
            summary: Summary::default(),
        })
        .collect();
    let index: BTreeMap<&str, usize> =
        spec.phases.iter().enumerate().map(|(i, phase)| (phase.number.as_str(), i)).collect();
    let mut others = Phase { number: None, name: String::new(), summary: Summary::default() };
    for task in &spec.tasks {
        let summary = match task.phase.as_deref().and_then(|phase| index.get(phase)) {
            Some(&i) => &mut phases[i].summary,
            None => &mut others.summary,
        };
        match view.status(&task.id) {
            Some(status) => summary.add(status),
            None => *summary = summary.with_unreadable(1),
        }
    }
    if others.summary.total > 0 {
        phases.push(others);
    }
    phases
}

/// `4/5`, skipped ones counted as done.
pub(super) fn done(summary: &Summary) -> String {
    format!("{}/{}", summary.completed + summary.skipped, summary.total)
}

/// A number, or nothing for none.
pub(super) fn count(n: usize) -> Cell {
    if n == 0 { Cell::text("-") } else { n.into() }
}

/// The bar: `[####----]`.
fn bar(summary: &Summary) -> String {
    let share = |n: usize| n * BAR / summary.total.max(1);
    let (done, running) = (share(summary.completed + summary.skipped), share(summary.in_progress));
    format!("[{}{}{}]", "#".repeat(done), ">".repeat(running), "-".repeat(BAR - done - running))
}

impl Document for PlanStatus {
    const SCHEMA: Option<&'static str> = Some("planlease.status.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, now: WallTime) -> String {
        let mut text = format!("{}  {}\n\n", self.plan, plain(&self.title));
        let Summary { total: _, pending, in_progress, completed, failed, skipped, unreadable } = self.summary;
        let line = |text: &mut String, name: &str, what: &str| {
            writeln!(text, "{name:<9} {what}").expect("a text can always be written to");
        };
        if let Some(halted) = &self.halted {
            line(&mut text, "halted", &halted.sentence(now));
        }
        line(&mut text, "owner", &self.ownership.describe(now));
        for waiting in &self.ownership.waiting {
            line(&mut text, "queue", &format!("{}: {}", waiting.position, plain(&waiting.name)));
        }
        line(&mut text, "progress", &format!("{} {}", bar(&self.summary), done(&self.summary)));
        line(
            &mut text,
            "tasks",
            &format!(
                "{completed} completed, {in_progress} in progress, {failed} failed, {skipped} skipped, {pending} pending ({} ready){}",
                self.ready.len(),
                if unreadable > 0 { format!(", {unreadable} unreadable") } else { String::new() }
            ),
        );
        line(&mut text, "revision", &self.revision.to_string());
        if self.phases.iter().any(|phase| phase.number.is_some()) {
            write!(text, "\n{}", self.phases_table()).expect("a text can always be written to");
        }
        if !self.in_progress.is_empty() {
            let mut table = Table::new(["IN PROGRESS", "ATTEMPT", "BY", "FOR", "SAYS"]);
            for task in &self.in_progress {
                table.row([
                    task.task.to_string().into(),
                    task.attempt.into(),
                    Cell::text(task.hold.by(task.claimed_by.as_deref())),
                    task.hold.age(task.since, now).into(),
                    Cell::text(task.progress.as_deref().unwrap_or("-")),
                ]);
            }
            write!(text, "\n{}", table.render("")).expect("a text can always be written to");
        }
        if !self.attention.is_empty() {
            let mut table = Table::new(["FAILED", "ATTEMPT", "AGO", "WHY"]);
            for task in &self.attention {
                let why = task.parked.as_deref().or(task.error.as_deref()).unwrap_or("-");
                table.row([
                    Cell::from(&task.task).in_style(Style::Red),
                    task.attempt.into(),
                    task.ended_at.map_or_else(|| "-".to_owned(), |at| at.age(now)).into(),
                    Cell::text(why),
                ]);
            }
            write!(text, "\n{}", table.render("")).expect("a text can always be written to");
        }
        text
    }
}
