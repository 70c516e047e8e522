//! One change of one task, and what is said about its outcome.

use std::time::Duration;

use clap::Args;
use planlease::{
    Coordinator, Error, Outcome, PlanView, Refused, TaskView,
    core::{
        PlanName, Revision, TaskId,
        transition::{Change, Refusal},
    },
};

use uuid::Uuid;

use super::{limit::LimitArgs, right::Right};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{Format, OutputArgs, TaskUpdate, describe_task, plain},
};

/// How often a change is decided again because the record changed in between, if no revision is expected.
const TRIES: u32 = 20;

/// The pause between two tries: a takeover that is under way takes about as long.
const PAUSE: Duration = Duration::from_millis(100);

/// What every change takes.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The plan
    plan: String,
    /// The task
    task: String,
    /// Change it only if its record is still the one of this revision
    #[arg(long, value_name = "REVISION")]
    expect_revision: Option<Revision>,
    #[arg(skip)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What there is to do, understood.
struct Update<'a> {
    coordinator: &'a Coordinator,
    plan: PlanName,
    task: TaskId,
    expected: Option<Revision>,
    limit: LimitArgs,
    right: Right,
    change: Change,
}

/// What came of it, with the plan as it was seen last.
struct Tried {
    view: PlanView,
    outcome: Outcome,
    doubt: Doubt,
}

/// What is known about an outcome that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It is known.
    None,
    /// The database is full, and the change was not made.
    NoSpace,
    /// Nothing.
    Open,
}

impl UpdateArgs {
    /// The same with a time limit of the claim.
    pub(super) fn limited(self, limit: LimitArgs) -> Self {
        Self { limit, ..self }
    }

    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let right = Right::of(invocation, &plan, &task)?;
        self.limit.check(&right)?;
        let coordinator = &invocation.connect().await?;
        let (expected, limit) = (self.expect_revision, self.limit);
        let update = Update { coordinator, plan, task, expected, limit, right, change };
        let tried = update.carry_out().await?;
        update.report(invocation, self.output.format, tried)
    }
}

impl Update<'_> {
    /// Tries until the outcome is not due to something else that changed at the same moment.
    async fn carry_out(&self) -> Result<Tried, Failure> {
        let mut tries = 1;
        loop {
            let tried = self.try_once().await;
            let again = tries < TRIES && self.is_passing(&tried);
            if !again {
                return Ok(tried?);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_once(&self) -> Result<Tried, Error> {
        let view = self.coordinator.plan(&self.plan).await?;
        let seen = view.task(&self.task)?;
        if self.expected.is_some_and(|expected| expected != seen.revision) {
            let outcome = Outcome::Refused(Refused::Conflict(Box::new(seen.clone())));
            return Ok(Tried { outcome, view, doubt: Doubt::None });
        }
        let authority = self.limit.apply(self.right.authority(self.coordinator, &view)?);
        let outcome = match &self.change {
            Change::Start => authority.start(&view, &self.task).await?,
            change => authority.update(seen, self.right.attempt(), change).await?,
        };
        let (outcome, doubt) = self.settle(outcome).await;
        Ok(Tried { outcome, view, doubt })
    }

    /// Looks once more after an outcome that is not known: the record tells whether the write was made. That
    /// it was not made *yet* proves nothing, so then it stays unknown.
    async fn settle(&self, outcome: Outcome) -> (Outcome, Doubt) {
        let Outcome::Unknown { op_id, .. } = &outcome else { return (outcome, Doubt::None) };
        match self.coordinator.task(&self.plan, &self.task).await {
            Ok(Some(present)) if present.record.op_id == *op_id => (Outcome::Committed(present), Doubt::None),
            // etcd may carry out a write and say that it is full. It has answered this read after that, so
            // what the record does not show was not done; and while the alarm lasts, it is not done later
            // either.
            Ok(Some(_)) if self.is_full().await => (outcome, Doubt::NoSpace),
            _ => (outcome, Doubt::Open),
        }
    }

    /// Whether etcd's alarm is on that says that its database is full.
    async fn is_full(&self) -> bool {
        let healths = Coordinator::diagnose(self.coordinator.config().clone()).await.unwrap_or_default();
        let statuses = healths.iter().filter_map(|health| health.status.as_ref().ok());
        statuses.flat_map(|status| &status.alarms).any(|alarm| alarm.contains("NOSPACE"))
    }

    /// Whether another try, on what is there then, can come out differently and means the same.
    fn is_passing(&self, tried: &Result<Tried, Error>) -> bool {
        match tried {
            Err(Error::PlanOwned { .. }) => true, // Another process takes over at this moment.
            Err(_) => false,
            Ok(Tried { view, outcome, .. }) => match outcome {
                Outcome::Refused(Refused::Conflict(_)) => self.expected.is_none(),
                Outcome::Refused(Refused::RightGone) => !self.right.is_delegated(),
                Outcome::Refused(Refused::Dependency) => view.blockers(&self.task).next().is_none(),
                _ => false,
            },
        }
    }

    fn report(self, invocation: &Invocation, format: Format, tried: Tried) -> Result<Exit, Failure> {
        let verb = self.change.verb();
        let (document, failure) = match tried.outcome {
            Outcome::Committed(task) => (TaskUpdate::committed(self.plan, verb, &task), None),
            Outcome::Refused(refused) => {
                let (failure, present) = self.refusal(&tried.view, &refused);
                let reason = failure.lines().next().unwrap_or_default().to_owned();
                (TaskUpdate::refused(self.plan, self.task, verb, reason, present), Some(failure))
            }
            Outcome::Unknown { op_id, reason } => {
                let failure = self.unknown(tried.doubt, op_id, &reason);
                (TaskUpdate::unknown(self.plan, self.task, verb, reason), Some(failure))
            }
        };
        invocation.show(format, &document)?;
        failure.map_or(Ok(Exit::Done), Err)
    }

    /// What it means that no answer came, or none that settles it.
    fn unknown(&self, doubt: Doubt, op_id: Uuid, reason: &str) -> Failure {
        let Self { plan, task, .. } = self;
        if doubt == Doubt::NoSpace {
            return Failure::new(Exit::NoSpace, format!("etcd's database is full (alarm NOSPACE): {reason}"))
                .meaning("Nothing was changed; nothing can be written until there is room.")
                .remedy("etcdctl compact REVISION; etcdctl defrag; etcdctl alarm disarm.");
        }
        Failure::new(Exit::OutcomeUnknown, format!("it is not known what became of it: {reason}"))
            .meaning("The change may have been made, or may still be.")
            .remedy(format!("Look at `planlease task show {plan} {task}`: it was made if op_id is {op_id}."))
    }

    /// What a refusal means, and the record that is in the way.
    fn refusal<'a>(&self, view: &'a PlanView, refused: &'a Refused) -> (Failure, Option<&'a TaskView>) {
        let Self { plan, task, .. } = self;
        let verb = self.change.verb();
        let what = |why: String| format!("cannot {verb} task {task} of {plan}: {why}");
        let present = match refused {
            Refused::Conflict(present) | Refused::NotAllowed(_, present) => Some(&**present),
            _ => view.tasks().get(task),
        };
        let failure = match refused {
            Refused::Conflict(_) => {
                let expected =
                    self.expected.map_or_else(String::new, |revision| format!(" (revision {revision})"));
                Failure::new(Exit::Stale, what(format!("it was changed since it was looked at{expected}")))
                    .remedy("Look at it, and decide again with its present revision.")
            }
            Refused::NotAllowed(refusal, _) => {
                Failure::new(exit_of(refusal), what(why(refusal))).remedy(remedy_of(refusal))
            }
            Refused::RightGone => {
                let why = if self.right.is_delegated() {
                    "the ownership by which this process may do that is over"
                } else {
                    "the plan's ownership changes all the time"
                };
                Failure::new(Exit::RightGone, what(why.to_owned()))
                    .remedy("`planlease owner show` shows who owns the plan now.")
            }
            Refused::Dependency => {
                let blockers: Vec<&str> = view.blockers(task).map(|wait| wait.on.as_str()).collect();
                let why = format!("it waits for {}", blockers.join(", "));
                Failure::new(Exit::Blocked, what(why)).remedy("Complete or skip them first.")
            }
            Refused::Halted(halt) => {
                let why = format!("the plan was {} by {}: {}", halt.how, plain(&halt.by), plain(&halt.why));
                Failure::new(Exit::Halted, what(why))
                    .remedy(format!("`planlease plan resume {plan}` lets it go on."))
            }
            Refused::Full(most) => {
                let why = format!(
                    "no more tasks of the plan may be in progress at once (max_in_progress = {most})"
                );
                Failure::new(Exit::Blocked, what(why))
                    .remedy("Wait until one ends, or raise max_in_progress in the plan's policy.")
            }
            Refused::NoSuchTask => {
                Failure::from(Error::TaskNotFound { plan: plan.clone(), task: task.clone() })
            }
            _ => Failure::new(Exit::Unexpected, what("etcd refused it".to_owned())),
        };
        match present {
            Some(present) => {
                (failure.meaning(format!("Nothing was changed; {}.", describe_task(present))), Some(present))
            }
            None => (failure.meaning("Nothing was changed."), None),
        }
    }
}

/// The refusal as the end of a sentence that names the task and the change.
fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::WrongStatus { status, .. } => format!("it is {status}"),
        Refusal::ClaimedBy { by } => format!("it is claimed by {by}"),
        other => other.to_string(),
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::ClaimedBy { .. } => Exit::Claimed,
        Refusal::StaleAttempt { .. } => Exit::Stale,
        _ => Exit::WrongTransition,
    }
}

fn remedy_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ClaimedBy { .. } => {
            "Wait until it ends; `planlease owner release` takes the plan from its owner."
        }
        Refusal::StaleAttempt { .. } => "This result is of an attempt that was given up; stop working on it.",
        _ => "`planlease task show` shows its history.",
    }
}

#[cfg(test)]
mod tests {
    use planlease::core::transition::TaskStatus;

    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_own_status() {
        let by_other = Refusal::ClaimedBy { by: "x".into() };
        let late = Refusal::StaleAttempt { given: 1, present: 2 };
        let wrong = Refusal::WrongStatus { verb: "start", status: TaskStatus::Completed };
        let exits = [by_other, late, wrong].map(|refusal| exit_of(&refusal));
        assert_eq!(exits, [Exit::Claimed, Exit::Stale, Exit::WrongTransition]);
    }
}
