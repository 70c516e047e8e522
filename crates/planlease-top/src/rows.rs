//! Rows: what the store has, as cells of text that a terminal can show.

use std::borrow::Cow;

use planlease_core::{
    WallTime,
    orphan::is_orphan,
    spec::TaskSpec,
    transition::TaskStatus,
    view::{PlanView, TaskView},
};
use planlease_documents::{Printable, Time, cells};
use planlease_watcher::Snapshot;

use crate::{
    fleet::{self, Fleet},
    log::Log,
    tone::Tone,
};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// By which it stays selected.
    pub(crate) key: String,
    pub(crate) cells: Vec<String>,
    pub(crate) tone: Tone,
}

impl Row {
    fn new(key: impl ToString, tone: Tone, cells: impl IntoIterator<Item = String>) -> Self {
        let cells = cells.into_iter().map(|cell| printable(&cell)).collect();
        Self { key: key.to_string(), cells, tone }
    }

    /// Whether any cell contains the text, in whatever case.
    pub(crate) fn has(&self, lowercase: &str) -> bool {
        self.cells.iter().any(|cell| cell.to_lowercase().contains(lowercase))
    }
}

/// One line of a text of others, as a terminal can show it.
pub(crate) fn printable(text: &str) -> String {
    Printable::of_others(text.lines().next().unwrap_or_default()).as_str().to_owned()
}

/// A column: its heading, its width (0: what is left), and how wide the screen has to be for it.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) u16, pub(crate) u16);

pub(crate) const PLANS: [Column; 9] = [
    Column("PLAN", 0, 0),
    Column("STATE", 14, 0),
    Column("OWNER", 16, 70),
    Column("HOST", 14, 130),
    Column("TOKEN", 7, 110),
    Column("PROGRESS", 12, 90),
    Column("DONE", 9, 0),
    Column("RUNS", 4, 60),
    Column("FAILED", 6, 50),
];

pub(crate) const TASKS: [Column; 7] = [
    Column("TASK", 8, 0),
    Column("STATUS", 11, 0),
    Column("TRY", 3, 80),
    Column("BY", 16, 100),
    Column("FOR", 7, 70),
    Column("SAYS", 26, 120),
    Column("DESCRIPTION", 0, 0),
];

pub(crate) const ORCHESTRATORS: [Column; 6] = [
    Column("ORCHESTRATOR", 0, 0),
    Column("HOST", 16, 60),
    Column("PID", 8, 100),
    Column("FOR", 7, 0),
    Column("VERSION", 8, 110),
    Column("OWNS", 24, 80),
];

pub(crate) const LINES: [Column; 1] = [Column("", 0, 0)];

/// What stands for a tab: a cell has none.
const TAB: &str = "    ";

/// How wide the bar of progress is, in characters.
const BAR: usize = 12;

/// The plans: first what needs a person, then what goes on, then the rest; by name.
pub(crate) fn plans(snapshot: &Snapshot, fleet: &Fleet) -> Vec<Row> {
    let mut plans: Vec<_> = snapshot.plans().map(|plan| (fleet.state(plan), plan)).collect();
    plans.sort_by_key(|(state, _)| fleet::rank(*state));
    plans
        .into_iter()
        .map(|(state, plan)| {
            let summary = plan.summary();
            let owner = plan.queue().owner();
            let of_owner = |say: &dyn Fn(&planlease_core::record::TermRecord) -> String| {
                owner.map_or_else(|| "-".to_owned(), |(_, term)| say(term))
            };
            Row::new(
                plan.name(),
                fleet::tone(state),
                [
                    plan.name().to_string(),
                    state.label().to_owned(),
                    of_owner(&|term| term.owner.orchestrator.to_string()),
                    of_owner(&|term| term.owner.host.clone()),
                    of_owner(&|term| term.token().to_string()),
                    cells::bar(&summary, BAR),
                    cells::done(&summary),
                    summary.in_progress.to_string(),
                    summary.failed.to_string(),
                ],
            )
        })
        .collect()
}

/// The tasks of a plan, in the order of its file.
pub(crate) fn tasks(plan: &PlanView, fleet: &Fleet, now: WallTime) -> Vec<Row> {
    let ready: std::collections::BTreeSet<_> = plan.ready().collect();
    let alive = fleet.alive(plan);
    let row = |spec: &TaskSpec| {
        let Some(task) = plan.tasks().get(&spec.id) else {
            let cells = [&*spec.id.to_string(), "unreadable", "", "", "", "", &spec.description];
            return Row::new(&spec.id, Tone::Bad, cells.map(str::to_owned));
        };
        let record = &task.record;
        let unrunnable = fleet.unrunnable(plan.name(), &spec.id);
        let (status, tone) = match record.status {
            TaskStatus::Pending | TaskStatus::InProgress if plan.approval(task).is_some() => {
                ("decision", Tone::Bad)
            }
            TaskStatus::Pending if unrunnable.is_some() => ("unrunnable", Tone::Bad),
            TaskStatus::Pending if ready.contains(&spec.id) => ("ready", Tone::Normal),
            TaskStatus::Pending => ("waits", Tone::Dim),
            TaskStatus::InProgress => ("in progress", Tone::Good),
            TaskStatus::Completed => ("completed", Tone::Dim),
            TaskStatus::Skipped => ("skipped", Tone::Dim),
            TaskStatus::Failed if record.parked.is_some() => ("decision", Tone::Bad),
            TaskStatus::Failed => ("failed", Tone::Bad),
        };
        let attempt = if record.attempt == 0 { String::new() } else { record.attempt.to_string() };
        let by = record.claim.as_ref().map(|claim| cells::claimant(&claim.by, is_orphan(record, &alive)));
        let says = unrunnable.map(Cow::Borrowed).or_else(|| cells::says(record));
        Row::new(
            &spec.id,
            tone,
            [
                spec.id.to_string(),
                status.to_owned(),
                attempt,
                by.unwrap_or_default(),
                age(task, now),
                says.unwrap_or_default().into_owned(),
                spec.description.clone(),
            ],
        )
    };
    plan.spec().tasks.iter().map(row).collect()
}

/// For how long it is in progress.
fn age(task: &TaskView, now: WallTime) -> String {
    let since = task.record.claim.as_ref().map(|claim| claim.since);
    since.map(|since| Time(since).age(now)).unwrap_or_default()
}

/// The registered orchestrators, and what they own.
pub(crate) fn orchestrators(snapshot: &Snapshot, now: WallTime) -> Vec<Row> {
    let row = |one: &planlease::Registered| {
        let owns = snapshot
            .plans()
            .filter(|plan| plan.queue().owner().is_some_and(|(_, term)| term.owner.orchestrator == one.id));
        let owns = owns.map(|plan| plan.name().to_string()).collect::<Vec<_>>().join(", ");
        let record = &one.record;
        let (pid, since) = (record.pid.to_string(), Time(record.started_at).age(now));
        let cells = [one.id.to_string(), record.host.clone(), pid, since, record.version.clone(), owns];
        Row::new(&one.id, Tone::Normal, cells)
    };
    snapshot.orchestrators().map(|one| row(one)).collect()
}

/// Lines of text, each a row.
pub(crate) fn lines<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<Row> {
    lines.into_iter().enumerate().map(|(n, line)| Row::new(n, Tone::Normal, [line.clone()])).collect()
}

/// The lines of an output, each a row.
pub(crate) fn log(log: &Log) -> Vec<Row> {
    log.lines().map(|(n, tone, line)| Row::new(n, tone, [line.replace('\t', TAB)])).collect()
}
