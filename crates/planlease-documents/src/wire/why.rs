//! `why`: who, when, under which ownership, and which rule led to the present state; and what happens next.

use std::time::Duration;

use planlease::{Excerpt, List, PlanView, TaskView};
use planlease_core::{
    PlanName, Revision, Summary, TaskId,
    cancel::CancelRequest,
    counted,
    late::LateResult,
    offer::{Offer, unoffered},
    orphan::{Alive, is_orphan},
    pool::{PoolWait, PoolsView},
    record::{HaltRecord, TaskRecord, TermRecord, TransitionRecord},
    spec::{OnLost, TaskSpec},
    standing::{Standing, standing},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    halt::HaltedBy,
    next::{Waits, sentence, waits_of},
    owner::{Owner, Ownership, Term, term},
    unreadable::{UnreadableView, views},
};
use crate::{
    printable::plain,
    time::{Time, duration},
};

/// Why a task is where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhyTask {
    pub(crate) plan: PlanName,
    pub(crate) task: TaskId,
    pub(crate) revision: Revision,
    pub(crate) status: TaskStatus,
    /// The rule that decides what happens next: `ready`, `not_run` (no registered orchestrator runs it),
    /// `pool` (a pool has too few permits left), `halted`, `fleet_paused`, `waits`, `approval` (it waits for
    /// a person's approval), `claimed`, `cancelled` (in progress, and the attempt is to end), `lost` (in
    /// progress, and its claimant is gone), `retry`, `exhausted`, `parked`, `completed` or `skipped`.
    pub(crate) rule: &'static str,
    /// Who paused the fleet, if it is paused: nothing starts. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_paused: Option<HaltedBy>,
    pub(crate) waits: Vec<Waits>,
    /// What happened to it, oldest first; at most the last 16 changes.
    pub(crate) history: Vec<Step>,
    /// Results that came too late and changed nothing, oldest first; at most the last 16.
    pub(crate) late: Vec<Late>,
    /// What is the case now, as a sentence.
    pub(crate) now: String,
    /// What happens next, or what an operator must do.
    pub(crate) next: String,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Step {
    pub(crate) at: Time,
    pub(crate) attempt: u32,
    pub(crate) from: TaskStatus,
    pub(crate) to: TaskStatus,
    pub(crate) by: String,
    pub(crate) term: Option<u64>,
    pub(crate) why: Option<String>,
}

/// A result that was refused: its attempt was over, or its writer had no authority any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Late {
    pub(crate) at: Time,
    pub(crate) attempt: Option<u32>,
    /// What the task would have become.
    pub(crate) status: TaskStatus,
    pub(crate) by: String,
    pub(crate) term: Option<u64>,
    /// Its notes, or its error.
    pub(crate) said: Option<String>,
    /// Why it was refused.
    pub(crate) refused: String,
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
    /// Of a task, with its late results, and what its claim hangs on.
    #[must_use]
    pub fn new(excerpt: &Excerpt, late: &[LateResult], alive: &Alive) -> Self {
        let (plan, task, policy) = (excerpt.plan(), excerpt.task(), excerpt.policy());
        let (id, record) = (&task.id, &task.record);
        let (q_plan, q_id) = (plan.quoted(), id.quoted());
        let owner = excerpt.queue().owner().map(|(candidate, _)| plain(&candidate.name()));
        let halt = excerpt.halt().map(halted);
        let by_owner = owner.as_ref().map_or_else(
            || format!("{plan} has no owner: `planlease run {q_plan}` would continue it."),
            |owner| format!("{owner}, who owns {plan}, starts it when it has room."),
        );
        let error = record.error.as_deref().map(plain).unwrap_or_default();
        let mut waits = Vec::new();
        let (rule, now, next) = match excerpt.standing() {
            Standing::Ready => ("ready", "It may start: all that it waits for is done.".to_owned(), by_owner),
            Standing::Waits(on) => {
                waits = waits_of(excerpt.seen(), &on);
                let now = format!("It may not start yet: it waits for {}.", sentence(&waits));
                ("waits", now, format!("See `planlease why {q_plan} {}`.", on[0].on))
            }
            Standing::InProgress => claimed(excerpt, policy.on_lost, alive),
            Standing::Retryable { failures, allowed } => (
                "retry",
                retryable(record, failures, allowed, policy.max_lost),
                format!(
                    "The plan's owner puts it back by itself, or `planlease task retry {q_plan} {q_id}`."
                ),
            ),
            Standing::Exhausted { failures, allowed } => (
                "exhausted",
                format!(
                    "It failed {}, last with: {error}; {} allowed (max_retries).",
                    counted(failures, "time"),
                    counted(allowed, "attempt")
                ),
                format!("A person has to decide: `planlease task retry {q_plan} {q_id}`, or `skip`."),
            ),
            Standing::Parked(what) => (
                "parked",
                format!("It waits for a person: {}.", plain(&what)),
                format!("`planlease task retry {q_plan} {q_id}` puts it back, `skip` leaves it out."),
            ),
            Standing::Approval(what) => approval(&what, &q_plan, &q_id),
            Standing::Completed => ("completed", "It is done.".to_owned(), String::new()),
            Standing::Skipped => {
                let reason = record.skip_reason.as_deref().map(plain).unwrap_or_default();
                let then = match record.given_up {
                    Some(_) => "what waits for it goes by its own on_dependency_failed",
                    None => "what waits for it may start",
                };
                ("skipped", format!("It was left out: {reason}; {then}."), String::new())
            }
        };
        let (rule, now, next) = match halt {
            // Nothing else decides whether it starts.
            Some(halt) if rule == "ready" => {
                ("halted", halt, format!("`planlease plan resume {q_plan}` lets it go on."))
            }
            _ => (rule, now, next),
        };
        Self {
            plan: plan.clone(),
            task: id.clone(),
            revision: task.revision,
            status: record.status,
            rule,
            fleet_paused: None,
            waits,
            history: record.transitions.iter().map(Step::of).collect(),
            late: late.iter().map(Late::of).collect(),
            now,
            next,
            unreadable: views(excerpt.unreadable()),
        }
    }
}

impl WhyTask {
    /// Says of a ready task if none of the orchestrators with these offers runs it.
    #[must_use]
    pub fn offered(self, excerpt: &Excerpt, offers: &[Offer]) -> Self {
        let why = excerpt.spec().and_then(|spec| unoffered(excerpt.plan(), None, spec, offers));
        match why {
            Some(why) if self.rule == "ready" => Self {
                rule: "not_run",
                now: format!("It may start, but no registered orchestrator runs it: {}.", plain(&why)),
                next: format!(
                    "Start an orchestrator that does (`planlease run --can`, `--task-select`, `--exec`), or claim it: \
                     `planlease task start {} {}`.",
                    self.plan, self.task
                ),
                ..self
            },
            _ => self,
        }
    }
}

impl WhyTask {
    /// Says of a ready task if it waits for a pool.
    #[must_use]
    pub fn pooled(self, excerpt: &Excerpt, pools: &PoolsView) -> Self {
        let wait = excerpt.seen().graph().pools(&self.task).and_then(|uses| pools.wait(uses));
        match wait {
            Some(wait) if self.rule == "ready" || self.rule == "not_run" => Self {
                rule: "pool",
                now: format!("It may start, but {}.", in_sentence(&wait)),
                next: pool_next(&wait),
                ..self
            },
            _ => self,
        }
    }
}

impl WhyTask {
    /// The same in a fleet with this pause, if it is paused: the first thing that a task waits for which may
    /// start otherwise.
    #[must_use]
    pub fn in_fleet(self, pause: Option<&HaltRecord>) -> Self {
        let Some(pause) = pause else { return self };
        let paused = Self { fleet_paused: Some(HaltedBy::of(pause)), ..self };
        if !["ready", "not_run", "pool"].contains(&paused.rule) {
            return paused;
        }
        Self { rule: "fleet_paused", now: fleet_paused(pause), next: FLEET_RESUME.to_owned(), ..paused }
    }
}

/// `it waits for pool gpu (2 of 2 in use: …)`, `pool gpu is not defined`.
fn in_sentence(wait: &PoolWait) -> String {
    let text = plain(&wait.to_string());
    if text.starts_with("waits") { format!("it {text}") } else { text }
}

/// What ends the wait.
fn pool_next(wait: &PoolWait) -> String {
    let pool = wait.pool().quoted();
    if wait.ends_by_itself() {
        format!("It starts when one of them ends: see `planlease pool show {pool}`.")
    } else {
        format!("An operator has to act: `planlease pool set {pool} SIZE`.")
    }
}

/// A task that waits for approval: what is to be decided, and how.
fn approval(what: &str, plan: &str, task: &str) -> (&'static str, String, String) {
    let next = format!(
        "`planlease approve {plan} {task} --reason …` lets it go on, `planlease reject {plan} {task} --reason …` does not."
    );
    ("approval", format!("It waits for a person: {}.", plain(what)), next)
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
fn claimed(excerpt: &Excerpt, on_lost: OnLost, alive: &Alive) -> (&'static str, String, String) {
    let (plan, TaskView { id, record, .. }) = (excerpt.plan(), excerpt.task());
    let (q_plan, q_id) = (plan.quoted(), id.quoted());
    let attempt = record.attempt;
    let claim = record.claim.as_ref();
    let by = claim.map_or_else(|| "an unknown process".to_owned(), |claim| plain(&claim.by));
    let cancel = record.cancel.as_deref();
    let limit = claim.and_then(|claim| claim.limit).map(|limit| duration(Duration::from_secs(limit.seconds)));
    if is_orphan(record, alive) {
        let now = match limit {
            Some(limit) => format!("The claim of {by} on attempt {attempt} ended after {limit}."),
            None => format!("{by} worked on attempt {attempt} and is gone."),
        };
        let rule = cancel.map_or_else(|| format!("on_lost = {on_lost}"), becomes);
        let next = match (excerpt.queue().owner(), &excerpt.halts().closed) {
            (Some((owner, _)), _) => {
                format!("{}, who owns {plan}, recovers it: {rule}.", plain(&owner.name()))
            }
            (None, Some((_, halt))) => format!(
                "The plan is {}: no owner recovers it. `planlease task retry {q_plan} {q_id}` puts it back, `fail` ends it.",
                halt.how
            ),
            (None, None) => {
                format!("The plan's next owner recovers it ({rule}): `planlease run {q_plan}`.")
            }
        };
        return ("lost", now, next);
    }
    if let Some(request) = cancel {
        let now = format!("{by} works on attempt {attempt}, {}.", plain(&request.reason()));
        let next = format!(
            "When {by} has ended the attempt, or is gone, {}. It cannot be completed; `planlease task fail {q_plan} {q_id}` gives it up.",
            becomes(request)
        );
        return ("cancelled", now, next);
    }
    let now = format!("{by} works on attempt {attempt}.");
    let next = match (
        claim.and_then(|claim| alive.left(claim)),
        claim.is_some_and(|claim| claim.guard.is_none()),
    ) {
        (Some(left), _) => format!(
            "The claim ends in {} (`planlease task progress {q_plan} {q_id}` extends it to {}); `complete` or `fail` ends the task.",
            duration(Duration::from_secs(left.as_secs())),
            limit.unwrap_or_default()
        ),
        (None, true) => {
            format!(
                "The claim has no time limit: `planlease task complete {q_plan} {q_id}` or `fail` ends it."
            )
        }
        (None, false) => format!("If {by} is lost, the plan's owner recovers the task: on_lost = {on_lost}."),
    };
    ("claimed", now, next)
}

/// What becomes of a task whose attempt is cancelled.
fn becomes(request: &CancelRequest) -> String {
    format!("it becomes {}, as the cancellation says", request.then.status())
}

impl Document for WhyTask {
    const SCHEMA: Option<&'static str> = Some("planlease.why_task.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}

/// Why a plan is where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhyPlan {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    pub(crate) finished: bool,
    pub(crate) summary: Summary,
    /// Who paused the fleet, if it is paused: nothing starts. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_paused: Option<HaltedBy>,
    pub(crate) owner: Option<Owner>,
    /// The terms so far, oldest first.
    pub(crate) terms: Vec<Term>,
    pub(crate) ready: Vec<TaskId>,
    /// What holds the plan up: tasks that are parked, exhausted, or wait for approval.
    pub(crate) held: Vec<TaskId>,
    /// Tasks in progress whose claimants are gone.
    pub(crate) lost: Vec<TaskId>,
    pub(crate) now: String,
    pub(crate) next: String,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

impl WhyPlan {
    /// Of a plan with its past terms, and what its claims hang on.
    pub fn new(view: &PlanView, past: &List<TermRecord>, alive: &Alive) -> Self {
        let (plan, summary, q_plan) = (view.name(), view.summary(), view.name().quoted());
        let ownership = Ownership::of(view.queue());
        let mut terms: Vec<Term> = past.iter().map(term).collect();
        if let Some((_, present)) = &view.queue().term
            && past.last().is_none_or(|last| last.number < present.number)
        {
            terms.push(term(present));
        }
        let held = held(view);
        let ready: Vec<TaskId> = view.ready().cloned().collect();
        let (now, next) = if summary.is_done() {
            ("Every task is completed or skipped.".to_owned(), String::new())
        } else if let Some(halt) = view.halt() {
            (halted(halt), format!("`planlease plan resume {q_plan}` lets it go on."))
        } else if let Some(owner) = &ownership.owner {
            let now = format!(
                "{} owns it since {}, as term {}; {} in progress, {} ready.",
                plain(&owner.orchestrator),
                owner.since.to_the_second(),
                owner.term,
                summary.in_progress,
                ready.len()
            );
            (now, if held.is_empty() { "It goes on by itself.".to_owned() } else { ask(plan, &held) })
        } else if let Some(first) = view.unreadable().next().filter(|_| ready.is_empty()) {
            (format!("What it needs cannot be read: {first}."), DOCTOR.to_owned())
        } else if !ready.is_empty() {
            let now = format!("No process owns it, and {} could start.", counted(ready.len(), "task"));
            (now, format!("`planlease run {q_plan}` goes on with it."))
        } else if !held.is_empty() {
            let what = match view.approvals().next() {
                Some(_) => format!("{} for a person", waiting(held.len())),
                None => format!("{} failed", counted(summary.failed, "task")),
            };
            let now = format!("No process owns it, and nothing can start: {what}.");
            (now, ask(plan, &held))
        } else if summary.in_progress > 0 {
            let now = format!("No process owns it; {} in progress.", being(summary.in_progress));
            (
                now,
                format!("`planlease run {q_plan}` recovers the tasks whose claimants are gone, and goes on."),
            )
        } else {
            let now = format!("No process owns it; {} may be retried.", counted(summary.failed, "task"));
            (
                now,
                format!(
                    "`planlease run {q_plan}` retries by the plan's policy, `planlease task retry` at once."
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
            fleet_paused: None,
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

impl WhyPlan {
    /// Says if nothing of the plan is in progress since its ready tasks wait for pools.
    #[must_use]
    pub fn pooled(self, view: &PlanView, pools: &PoolsView) -> Self {
        let mut ready = self.ready.iter();
        let wait = |task: &TaskId| view.graph().pools(task).and_then(|uses| pools.wait(uses));
        let Some(first) = self.ready.first().and_then(wait) else { return self };
        if self.summary.in_progress > 0 || view.halt().is_some() || !ready.all(|task| wait(task).is_some()) {
            return self;
        }
        let tasks = counted(self.ready.len(), "ready task");
        let now = format!("{} Of its {tasks} none can start: {}.", self.now, in_sentence(&first));
        Self { now, next: pool_next(&first), ..self }
    }
}

impl WhyPlan {
    /// The same in a fleet with this pause, if it is paused: a plan that would go on does not.
    #[must_use]
    pub fn in_fleet(self, view: &PlanView, pause: Option<&HaltRecord>) -> Self {
        let Some(pause) = pause else { return self };
        let goes_on = match &self.owner {
            Some(_) => self.held.is_empty(),
            None => !self.ready.is_empty(),
        };
        let paused = Self { fleet_paused: Some(HaltedBy::of(pause)), ..self };
        if !goes_on || paused.summary.is_done() || view.halt().is_some() {
            return paused;
        }
        let now = format!("{} {}", paused.now, fleet_paused(pause));
        Self { now, next: FLEET_RESUME.to_owned(), ..paused }
    }
}

/// The tasks that wait for a person, in the order of the file.
fn held(view: &PlanView) -> Vec<TaskId> {
    let is_held = |spec: &&TaskSpec| {
        view.tasks().get(&spec.id).is_some_and(|task| {
            let policy = view.spec().policy_of(spec);
            let standing = standing(&spec.id, &task.record, &policy, view.graph(), |task| view.state(task));
            matches!(standing, Standing::Parked(_) | Standing::Exhausted { .. } | Standing::Approval(_))
        })
    };
    view.spec().tasks.iter().filter(is_held).map(|spec| spec.id.clone()).collect()
}

/// What to do about a record that cannot be read.
const DOCTOR: &str = "`planlease doctor` says what to do.";

/// What ends the pause of a fleet.
const FLEET_RESUME: &str = "`planlease fleet resume` lets it go on.";

/// Who paused the fleet, and why.
fn fleet_paused(pause: &HaltRecord) -> String {
    format!("Nothing starts: the fleet was paused by {}: {}.", plain(&pause.by), plain(&pause.why))
}

/// Who stopped the plan, and why.
fn halted(halt: &HaltRecord) -> String {
    format!("The plan was {} by {}: {}.", halt.how, plain(&halt.by), plain(&halt.why))
}

/// `1 task waits`, `2 tasks wait`.
fn waiting(n: usize) -> String {
    format!("{} {}", counted(n, "task"), if n == 1 { "waits" } else { "wait" })
}

/// `1 task is`, `2 tasks are`.
fn being(n: usize) -> String {
    format!("{} {}", counted(n, "task"), if n == 1 { "is" } else { "are" })
}

fn ask(plan: &PlanName, held: &[TaskId]) -> String {
    let (q_plan, q_first) = (plan.quoted(), held[0].quoted());
    let wait = if held.len() == 1 { "waits" } else { "wait" };
    let tasks = counted(held.len(), "task");
    format!("{tasks} {wait} for a person's decision: see `planlease why {q_plan} {q_first}`.")
}

impl Document for WhyPlan {
    const SCHEMA: Option<&'static str> = Some("planlease.why_plan.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}
