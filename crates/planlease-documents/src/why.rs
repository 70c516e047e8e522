//! `why`: who, when, under which ownership, and which rule led to the present state; and what happens next.

use std::{fmt::Write as _, time::Duration};

use planlease::{List, PlanView, core::WallTime};
use planlease_core::{
    PlanName, Revision, Summary, TaskId, counted,
    late::LateResult,
    orphan::{Alive, is_orphan},
    record::{HaltRecord, TRANSITIONS_KEPT, TaskRecord, TermRecord, TransitionRecord},
    spec::OnLost,
    standing::{Standing, standing},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Document, Time, duration,
    next::{Waits, sentence, told},
    owner::{Owner, Ownership, Term, term},
    plain,
    unreadable::{UnreadableView, views},
};

/// Why a task is where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhyTask {
    plan: PlanName,
    task: TaskId,
    revision: Revision,
    status: TaskStatus,
    /// The rule that decides what happens next: `ready`, `halted`, `waits`, `claimed`, `lost` (in progress,
    /// and its claimant is gone), `retry`, `exhausted`, `parked`, `completed` or `skipped`.
    rule: &'static str,
    waits: Vec<Waits>,
    /// What happened to it, oldest first; at most the last 16 changes.
    history: Vec<Step>,
    /// Results that came too late and changed nothing, oldest first; at most the last 16.
    late: Vec<Late>,
    /// What is the case now, as a sentence.
    now: String,
    /// What happens next, or what an operator must do.
    next: String,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    at: Time,
    attempt: u32,
    from: TaskStatus,
    to: TaskStatus,
    by: String,
    term: Option<u64>,
    why: Option<String>,
}

/// A result that was refused: its attempt was over, or the right to tell it.
#[derive(Debug, Serialize, JsonSchema)]
struct Late {
    at: Time,
    attempt: Option<u32>,
    /// What the task would have become.
    status: TaskStatus,
    by: String,
    term: Option<u64>,
    /// Its notes, or its error.
    said: Option<String>,
    /// Why it was refused.
    refused: String,
}

impl Late {
    fn of(late: &LateResult) -> Self {
        Self {
            at: late.at.into(),
            attempt: late.attempt,
            status: late.status,
            by: late.by.clone(),
            term: late.term.map(|term| term.0),
            said: late.said.clone(),
            refused: late.refused.clone(),
        }
    }
}

impl Step {
    fn of(transition: &TransitionRecord) -> Self {
        Self {
            at: transition.at.into(),
            attempt: transition.attempt,
            from: transition.from,
            to: transition.to,
            by: transition.by.clone(),
            term: transition.term.map(|term| term.0),
            why: transition.why.clone(),
        }
    }
}

impl WhyTask {
    /// `None` if the plan has no such task.
    pub fn new(view: &PlanView, id: &TaskId, late: &[LateResult], alive: &Alive) -> Option<Self> {
        let (task, spec) = (view.tasks().get(id)?, view.spec().task(id)?);
        let record = &task.record;
        let policy = view.spec().policy_of(spec);
        let plan = view.name();
        let owner = view.line().owner().map(|(candidate, _)| plain(&candidate.name()));
        let halt = view.halt().map(halted);
        let by_owner = owner.as_ref().map_or_else(
            || format!("{plan} has no owner: `planlease run {plan}` would continue it."),
            |owner| format!("{owner}, who owns {plan}, starts it when it has room."),
        );
        let error = record.error.as_deref().map(plain).unwrap_or_default();
        let mut waits = Vec::new();
        let (rule, now, next) = match standing(id, record, &policy, view.graph(), |task| view.status(task)) {
            Standing::Ready => ("ready", "It may start: all that it waits for is done.".to_owned(), by_owner),
            Standing::Waits(on) => {
                waits = told(view, &on);
                let now = format!("It may not start yet: it waits for {}.", sentence(&waits));
                ("waits", now, format!("See `planlease why {plan} {}`.", on[0].on))
            }
            Standing::InProgress => claimed(view, id, record, policy.on_lost, alive),
            Standing::Retryable { failures, allowed } => (
                "retry",
                retryable(record, failures, allowed, policy.max_lost),
                format!("The plan's owner puts it back by itself, or `planlease task retry {plan} {id}`."),
            ),
            Standing::Exhausted { failures, allowed } => (
                "exhausted",
                format!(
                    "It failed {}, last with: {error}; {} allowed (max_retries).",
                    counted(failures, "time"),
                    counted(allowed, "attempt")
                ),
                format!("A person has to decide: `planlease task retry {plan} {id}`, or `skip`."),
            ),
            Standing::Parked(what) => (
                "parked",
                format!("It waits for a person: {}.", plain(&what)),
                format!("`planlease task retry {plan} {id}` puts it back, `skip` leaves it out."),
            ),
            Standing::Completed => ("completed", "It is done.".to_owned(), String::new()),
            Standing::Skipped => {
                let reason = record.skip_reason.as_deref().map(plain).unwrap_or_default();
                ("skipped", format!("It was left out: {reason}; what waits for it may start."), String::new())
            }
        };
        let (rule, now, next) = match halt {
            // Nothing else decides whether it starts.
            Some(halt) if rule == "ready" => {
                ("halted", halt, format!("`planlease plan resume {plan}` lets it go on."))
            }
            _ => (rule, now, next),
        };
        Some(Self {
            plan: plan.clone(),
            task: id.clone(),
            revision: task.revision,
            status: record.status,
            rule,
            waits,
            history: record.transitions.iter().map(Step::of).collect(),
            late: late.iter().map(Late::of).collect(),
            now,
            next,
            unreadable: views(view.unreadable()),
        })
    }
}

/// How the last attempt of a task ended that will be retried, and how many attempts may still fail or be
/// lost. After losses alone it was lost, after failures alone it failed.
fn retryable(record: &TaskRecord, failures: u32, allowed: u32, max_lost: u32) -> String {
    let (attempt, lost) = (record.attempt, record.lost);
    let error = record.error.as_deref().map(plain).unwrap_or_default();
    let failed = format!("{failures} of {} failed", counted(allowed, "allowed attempt"));
    let gone = format!("{lost} lost of {max_lost} allowed (max_lost)");
    match (failures, lost) {
        (0, 1..) => format!("Attempt {attempt} was lost: {error}; {gone}."),
        (_, 0) => format!("Attempt {attempt} failed: {error}; {failed}."),
        _ => format!("Attempt {attempt} ended: {error}; {failed}, {gone}."),
    }
}

/// A task in progress: whether its claimant is there, and what happens next.
fn claimed(
    view: &PlanView,
    id: &TaskId,
    record: &TaskRecord,
    on_lost: OnLost,
    alive: &Alive,
) -> (&'static str, String, String) {
    let (plan, attempt) = (view.name(), record.attempt);
    let claim = record.claim.as_ref();
    let by = claim.map_or_else(|| "an unknown process".to_owned(), |claim| plain(&claim.by));
    let limit = claim.and_then(|claim| claim.limit).map(|limit| duration(Duration::from_secs(limit.seconds)));
    if is_orphan(record, alive) {
        let now = match limit {
            Some(limit) => format!("The claim of {by} on attempt {attempt} ended after {limit}."),
            None => format!("{by} worked on attempt {attempt} and is gone."),
        };
        let next = match (view.line().owner(), &view.halts().closed) {
            (Some((owner, _)), _) => {
                format!("{}, who owns {plan}, recovers it: on_lost = {on_lost}.", plain(&owner.name()))
            }
            (None, Some((_, halt))) => format!(
                "The plan is {}: no owner recovers it. `planlease task retry {plan} {id}` puts it back, `fail` ends it.",
                halt.how
            ),
            (None, None) => {
                format!("The plan's next owner recovers it (on_lost = {on_lost}): `planlease run {plan}`.")
            }
        };
        return ("lost", now, next);
    }
    let now = format!("{by} works on attempt {attempt}.");
    let next = match (
        claim.and_then(|claim| alive.left(claim)),
        claim.is_some_and(|claim| claim.guard.is_none()),
    ) {
        (Some(left), _) => format!(
            "The claim ends in {} (`planlease task progress {plan} {id}` extends it to {}); `complete` or `fail` ends the task.",
            duration(Duration::from_secs(left.as_secs())),
            limit.unwrap_or_default()
        ),
        (None, true) => {
            format!("The claim has no time limit: `planlease task complete {plan} {id}` or `fail` ends it.")
        }
        (None, false) => format!("If {by} is lost, the plan's owner recovers the task: on_lost = {on_lost}."),
    };
    ("claimed", now, next)
}

impl Document for WhyTask {
    const SCHEMA: Option<&'static str> = Some("planlease.why_task.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, _now: WallTime) -> String {
        let mut text = format!("task {} of {} is {}\n\n", self.task, self.plan, words(self.status));
        if self.history.len() >= TRANSITIONS_KEPT {
            text.push_str("  …\n");
        }
        for step in &self.history {
            let term = step.term.map(|term| format!(", term {term}")).unwrap_or_default();
            let why = step.why.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
            let (from, to) = (words(step.from), words(step.to));
            let _ = writeln!(
                text,
                "  {}  {from} → {to}, attempt {}, by {}{term}{why}",
                step.at.rfc_3339(),
                step.attempt,
                plain(&step.by)
            );
        }
        if self.history.is_empty() {
            text.push_str("  nothing has happened to it yet\n");
        }
        if !self.late.is_empty() {
            text.push_str("\ncame too late, and changed nothing:\n");
        }
        for late in &self.late {
            let attempt = late.attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
            let term = late.term.map(|term| format!(", term {term}")).unwrap_or_default();
            let said = late.said.as_deref().map(|said| format!(": {}", plain(said))).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {}  {}{attempt}, by {}{term}{said} ({})",
                late.at.rfc_3339(),
                words(late.status),
                plain(&late.by),
                plain(&late.refused)
            );
        }
        let _ = write!(text, "\n{}\n{}", self.now, self.next);
        text
    }
}

fn words(status: TaskStatus) -> String {
    status.as_str().replace('_', " ")
}

/// Why a plan is where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhyPlan {
    plan: PlanName,
    revision: Revision,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    finished: bool,
    summary: Summary,
    owner: Option<Owner>,
    /// The terms so far, oldest first.
    terms: Vec<Term>,
    ready: Vec<TaskId>,
    /// What holds the plan up: parked or exhausted tasks.
    held: Vec<TaskId>,
    /// Tasks in progress whose claimants are gone.
    lost: Vec<TaskId>,
    now: String,
    next: String,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

impl WhyPlan {
    /// Of a plan with its past terms, and what its claims hang on.
    pub fn new(view: &PlanView, past: &List<TermRecord>, alive: &Alive) -> Self {
        let (plan, summary) = (view.name(), view.summary());
        let ownership = Ownership::of(view.line());
        let mut terms: Vec<Term> = past.iter().map(term).collect();
        if let Some((_, present)) = &view.line().term
            && past.last().is_none_or(|last| last.number < present.number)
        {
            terms.push(term(present));
        }
        let held = view.spec().tasks.iter().filter(|spec| {
            view.tasks().get(&spec.id).is_some_and(|task| {
                let policy = view.spec().policy_of(spec);
                let standing =
                    standing(&spec.id, &task.record, &policy, view.graph(), |task| view.status(task));
                matches!(standing, Standing::Parked(_) | Standing::Exhausted { .. })
            })
        });
        let held: Vec<TaskId> = held.map(|spec| spec.id.clone()).collect();
        let ready: Vec<TaskId> = view.ready().cloned().collect();
        let (now, next) = if summary.is_done() {
            ("Every task is completed or skipped.".to_owned(), String::new())
        } else if let Some(halt) = view.halt() {
            (halted(halt), format!("`planlease plan resume {plan}` lets it go on."))
        } else if let Some(owner) = &ownership.owner {
            let now = format!(
                "{} owns it since {}, as term {}; {} in progress, {} ready.",
                plain(&owner.orchestrator),
                owner.since.rfc_3339(),
                owner.term,
                summary.in_progress,
                ready.len()
            );
            (now, if held.is_empty() { "It goes on by itself.".to_owned() } else { ask(plan, &held) })
        } else if let Some(first) = view.unreadable().next().filter(|_| ready.is_empty()) {
            (format!("What it needs cannot be read: {first}."), DOCTOR.to_owned())
        } else if !ready.is_empty() {
            let now = format!("No process owns it, and {} could start.", counted(ready.len(), "task"));
            (now, format!("`planlease run {plan}` goes on with it."))
        } else if !held.is_empty() {
            let now = format!(
                "No process owns it, and nothing can start: {} failed.",
                counted(summary.failed, "task")
            );
            (now, ask(plan, &held))
        } else if summary.in_progress > 0 {
            let now = format!("No process owns it; {} in progress.", being(summary.in_progress));
            (now, format!("`planlease run {plan}` recovers the tasks whose claimants are gone, and goes on."))
        } else {
            let now = format!("No process owns it; {} may be retried.", counted(summary.failed, "task"));
            (
                now,
                format!(
                    "`planlease run {plan}` retries by the plan's policy, `planlease task retry` at once."
                ),
            )
        };
        let lost = view.tasks().values().filter(|task| is_orphan(&task.record, alive));
        let lost: Vec<TaskId> = lost.map(|task| task.id.clone()).collect();
        let now = match lost.len() {
            0 => now,
            n => format!("{now} The claimants of {} in progress are gone.", counted(n, "task")),
        };
        Self {
            plan: plan.clone(),
            revision: view.revision(),
            finished: summary.is_finished(),
            summary,
            owner: ownership.owner,
            terms,
            ready,
            held,
            lost,
            now,
            next,
            unreadable: views(view.unreadable().chain(past.unreadable.iter().cloned())),
        }
    }
}

/// What to do about a record that cannot be read.
const DOCTOR: &str = "`planlease doctor` says what to do.";

/// Who stopped the plan, and why.
fn halted(halt: &HaltRecord) -> String {
    format!("The plan was {} by {}: {}.", halt.how, plain(&halt.by), plain(&halt.why))
}

/// `1 task is`, `2 tasks are`.
fn being(n: usize) -> String {
    format!("{} {}", counted(n, "task"), if n == 1 { "is" } else { "are" })
}

fn ask(plan: &PlanName, held: &[TaskId]) -> String {
    let first = &held[0];
    let wait = if held.len() == 1 { "waits" } else { "wait" };
    let tasks = counted(held.len(), "task");
    format!("{tasks} {wait} for a person's decision: see `planlease why {plan} {first}`.")
}

impl Document for WhyPlan {
    const SCHEMA: Option<&'static str> = Some("planlease.why_plan.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, _now: WallTime) -> String {
        let state = match self.summary {
            summary if summary.is_done() => "is finished",
            summary if summary.is_finished() => "has come to an end with failures",
            _ => "is not finished",
        };
        let mut text = format!("plan {} {state}\n\n", self.plan);
        for term in &self.terms {
            let end = term.ended.as_ref().map_or_else(
                || "still open".to_owned(),
                |end| {
                    let by = end.by.as_deref().map(|by| format!(" by {}", plain(by))).unwrap_or_default();
                    let to = end.to.as_deref().map(|to| format!(" to {}", plain(to))).unwrap_or_default();
                    let reason =
                        end.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
                    format!("ended {} {}{by}{to}{reason}", end.at.rfc_3339(), end.how.replace('_', " "))
                },
            );
            let _ = writeln!(
                text,
                "  term {}  {}  {} on {}; {end}",
                term.term,
                term.since.rfc_3339(),
                plain(&term.orchestrator),
                plain(&term.host)
            );
        }
        if self.terms.is_empty() {
            text.push_str("  never owned\n");
        }
        let _ = write!(text, "\n{}\n{}", self.now, self.next);
        text
    }
}
