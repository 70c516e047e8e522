//! One change of one task, and what is said about its outcome.

use clap::Args;
use planlease::{
    Coordinator, Error, Excerpt, Outcome, Refused, TaskView, UpdateRequest,
    core::{
        PlanName, Revision, TaskId,
        record::{Guard, Role, TaskRecord},
        transition::{Change, Refusal, TaskStatus},
    },
};
use uuid::Uuid;

use super::{
    bulk::{BatchArgs, Bulk},
    limit::LimitArgs,
    refusal::exit_of_refused,
    right::Right,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{self, Format, OutputArgs, TaskUpdate, describe_task, plain, pool_remedy},
};

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
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    #[arg(skip)]
    attempt: Option<u32>,
    #[arg(skip)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The request, with what its outcome is reported by.
struct Update<'a> {
    coordinator: &'a Coordinator,
    plan: PlanName,
    right: Right,
    request: UpdateRequest,
}

impl UpdateArgs {
    /// The same with a time limit of the claim.
    pub(super) fn limited(self, limit: LimitArgs) -> Self {
        Self { limit, ..self }
    }

    /// Of this task, whatever its revision.
    pub(super) fn of(plan: String, task: String, batch: &BatchArgs) -> Self {
        let BatchArgs { expect_revision, dry_run, attempt, output, .. } = *batch;
        Self { plan, task, expect_revision, dry_run, attempt, limit: LimitArgs::default(), output }
    }

    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        if self.dry_run {
            let batch = BatchArgs {
                expect_revision: self.expect_revision,
                atomic: false,
                dry_run: true,
                attempt: self.attempt,
                output: self.output,
            };
            return Bulk::named(self.plan, vec![self.task], batch)?.run(invocation, change).await;
        }
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let right = Right::of(invocation, &plan, &task)?;
        self.limit.check(&right)?;
        let coordinator = &invocation.connect().await?;
        let request = UpdateRequest::new(task, change).of_attempt(self.attempt.or(right.attempt()));
        let request = match self.expect_revision {
            Some(revision) => request.expecting(revision),
            None => request,
        };
        let authority = self.limit.apply(right.over(coordinator, &plan));
        let outcome = authority.submit(&request).await?;
        let update = Update { coordinator, plan, right, request };
        update.report(invocation, self.output.format, outcome).await
    }
}

impl Update<'_> {
    async fn report(
        self,
        invocation: &Invocation,
        format: Format,
        outcome: Outcome,
    ) -> Result<Exit, Failure> {
        let (verb, task) = (self.request.change.verb(), &self.request.task);
        let said = match &outcome {
            Outcome::Committed(task) => approved(&self.request.change, &task.record),
            _ => None,
        };
        let (document, failure) = match outcome {
            Outcome::Committed(task) => (TaskUpdate::committed(self.plan, verb, &task), None),
            Outcome::Refused(refused) => {
                let seen = self.seen(&refused).await?;
                let (failure, present) = self.refusal(seen.as_ref(), &refused);
                let reason = failure.lines().next().unwrap_or_default().to_owned();
                let task = task.clone();
                (TaskUpdate::refused(self.plan, task, verb, reason, present), Some(failure))
            }
            Outcome::Unknown { op_id, reason } => {
                let failure = self.unknown(op_id, &reason).await;
                let task = task.clone();
                (TaskUpdate::unknown(self.plan, task, verb, reason), Some(failure))
            }
        };
        invocation.show(format, &document)?;
        if let Some(said) = said.filter(|_| format == Format::Table) {
            output::tell(&said);
        }
        failure.map_or(Ok(Exit::Done), Err)
    }

    /// Whether etcd's database is full, as its alarm says. etcd may carry out a write and say that it is
    /// full; but it has answered a read after that, so that what the record does not show was not done, and
    /// as long as the alarm lasts, it is not done later either.
    async fn is_full(&self, op_id: Uuid) -> bool {
        let healths = Coordinator::diagnose(self.coordinator.config().clone()).await.unwrap_or_default();
        let statuses = healths.iter().filter_map(|health| health.status.as_ref().ok());
        let full = statuses.flat_map(|status| &status.alarms).any(|alarm| alarm.contains("NOSPACE"));
        if !full {
            return false;
        }
        let present = self.coordinator.task(&self.plan, &self.request.task).await;
        matches!(present, Ok(Some(present)) if present.record.op_id != op_id)
    }

    /// What it means that no answer came, or none that settles it.
    async fn unknown(&self, op_id: Uuid, reason: &str) -> Failure {
        let Self { plan, request: UpdateRequest { task, .. }, .. } = self;
        if self.is_full(op_id).await {
            return Failure::new(Exit::NoSpace, format!("etcd's database is full (alarm NOSPACE): {reason}"))
                .meaning("Nothing was changed; nothing can be written until there is room.")
                .remedy("etcdctl compact REVISION; etcdctl defrag; etcdctl alarm disarm.");
        }
        Failure::new(Exit::OutcomeUnknown, format!("it is not known what became of it: {reason}"))
            .meaning("The change may have been made, or may still be.")
            .remedy(format!(
                "Look at `planlease task show {q_plan} {q_task}`: it was made if op_id is {op_id}.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            ))
    }

    /// What a refusal is explained by, besides what it says itself.
    async fn seen(&self, refused: &Refused) -> Result<Option<Excerpt>, Failure> {
        match refused {
            Refused::Conflict(_) | Refused::NotAllowed(..) | Refused::NoSuchTask => Ok(None),
            _ => Ok(Some(self.coordinator.excerpt(&self.plan, &self.request.task).await?)),
        }
    }

    /// What a refusal means, and the record that is in the way.
    fn refusal<'a>(
        &self,
        seen: Option<&'a Excerpt>,
        refused: &'a Refused,
    ) -> (Failure, Option<&'a TaskView>) {
        let Self { plan, request: UpdateRequest { task, change, expect, .. }, .. } = self;
        let verb = change.verb();
        let what = |why: String| format!("cannot {verb} task {task} of {plan}: {why}");
        let present = match refused {
            Refused::Conflict(present) | Refused::NotAllowed(_, present) => Some(&**present),
            _ => seen.map(Excerpt::task),
        };
        let exit = exit_of_refused(refused);
        let failure = match refused {
            Refused::Conflict(_) => {
                let expected = expect.map_or_else(String::new, |revision| format!(" (revision {revision})"));
                Failure::new(exit, what(format!("it was changed since it was looked at{expected}")))
                    .remedy("Look at it, and decide again with its present revision.")
            }
            Refused::NotAllowed(refusal, present) => {
                let is_late = change.is_decision() && matches!(refusal, Refusal::StaleAttempt { .. });
                let remedy =
                    if is_late { decide_again(plan, task) } else { remedy_of(refusal, present, plan) };
                Failure::new(exit, what(refusal.why())).remedy(remedy)
            }
            Refused::AuthorityLost(_) => {
                let why = if self.right.is_delegated() {
                    "the ownership by which this process may do that is over"
                } else {
                    "the plan's ownership changes all the time"
                };
                Failure::new(exit, what(why.to_owned()))
                    .remedy("`planlease owner show` shows who owns the plan now.")
            }
            Refused::Dependency => {
                let blockers: Vec<&str> =
                    seen.into_iter().flat_map(Excerpt::blockers).map(|wait| wait.on.as_str()).collect();
                let why = match &blockers[..] {
                    [] => "the tasks that it depends on changed at the same moment".to_owned(),
                    blockers => format!("it waits for {}", blockers.join(", ")),
                };
                Failure::new(exit, what(why)).remedy("Complete or skip them first.")
            }
            Refused::Halted(halt) => {
                let why = format!("the plan was {} by {}: {}", halt.how, plain(&halt.by), plain(&halt.why));
                Failure::new(exit, what(why)).remedy(format!(
                    "`planlease plan resume {q_plan}` lets it go on.",
                    q_plan = plan.quoted()
                ))
            }
            Refused::FleetPaused(pause) => {
                let why = format!("the fleet was paused by {}: {}", plain(&pause.by), plain(&pause.why));
                Failure::new(exit, what(why)).remedy("`planlease fleet resume` lets it go on.")
            }
            Refused::Full(most) => {
                let why = format!(
                    "no more tasks of the plan may be in progress at once (max_in_progress = {most})"
                );
                Failure::new(exit, what(why))
                    .remedy("Wait until one ends, or raise max_in_progress in the plan's policy.")
            }
            Refused::Pool(wait) => {
                Failure::new(exit, what(plain(&wait.to_string()))).remedy(pool_remedy(wait))
            }
            Refused::NoSuchTask => {
                Failure::from(Error::TaskNotFound { plan: plan.clone(), task: task.clone() })
            }
            _ => Failure::new(exit, what("etcd refused it".to_owned())),
        };
        match present {
            Some(present) => {
                (failure.meaning(format!("Nothing was changed; {}.", describe_task(present))), Some(present))
            }
            None => (failure.meaning("Nothing was changed."), None),
        }
    }
}

/// What an approval has brought about.
fn approved(change: &Change, record: &TaskRecord) -> Option<String> {
    let Change::Approve(_) = change else { return None };
    Some(match record.status {
        TaskStatus::Pending => format!("approved: attempt {} may start", record.attempt.saturating_add(1)),
        status => format!("approved: {status}"),
    })
}

/// What to do after a decision about an attempt that does not wait for one any more.
fn decide_again(plan: &PlanName, task: &TaskId) -> String {
    format!(
        "`planlease why {q_plan} {q_task}` shows what waits now.",
        q_plan = plan.quoted(),
        q_task = task.quoted()
    )
}

/// The command that has to come before the one that was refused, if there is one.
fn comes_first(refusal: &Refusal, present: &TaskView, plan: &PlanName) -> Option<String> {
    let (record, plan, task) = (&present.record, plan.quoted(), present.id.quoted());
    match refusal {
        Refusal::WrongStatus {
            verb: "complete" | "fail" | "report progress of",
            status: TaskStatus::Pending,
        } => Some(format!("It has to be started first: `planlease task start {plan} {task}`.")),
        Refusal::NothingWaits { .. }
            if matches!(record.status, TaskStatus::Failed | TaskStatus::Skipped)
                && record.approval_of().is_some() =>
        {
            let last = record.transitions.last().and_then(|last| last.why.as_deref());
            let rejected = last.filter(|why| why.starts_with("rejected"));
            let why = rejected.map(|why| format!("It was {}. ", plain(why))).unwrap_or_default();
            Some(format!("{why}`planlease task retry {plan} {task}` comes first, then the approval."))
        }
        _ => None,
    }
}

fn remedy_of(refusal: &Refusal, present: &TaskView, plan: &PlanName) -> String {
    if let Some(first) = comes_first(refusal, present, plan) {
        return first;
    }
    let task = &present.id;
    let claim = present.record.claim.as_ref();
    match refusal {
        Refusal::ClaimedBy { .. } => match claim.map(|claim| (&claim.guard, &claim.limit)) {
            Some((Some(Guard::Owner { .. }), _)) => {
                format!(
                    "Wait until it ends; `planlease owner release {q_plan}` takes the plan from its owner.",
                    q_plan = plan.quoted()
                )
            }
            Some((Some(Guard::Worker { .. }), _)) => {
                format!(
                    "Wait until it ends; the claim also ends with the session of the worker, and `planlease task claim \
                     {q_plan}` hands the task out again.",
                    q_plan = plan.quoted()
                )
            }
            Some((_, Some(limit))) => format!(
                "Wait until it ends; the claim also ends {} s after its last progress report.",
                limit.seconds
            ),
            _ => format!(
                "`planlease task show {q_plan} {q_task}` shows the claim.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            ),
        },
        Refusal::Cancelled { .. } => {
            format!(
                "Stop working on it, and give it up: `planlease task fail {q_plan} {q_task} --error cancelled`.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            )
        }
        Refusal::NotApproved { .. } => {
            format!(
                "A person has to approve it: `planlease approve {q_plan} {q_task} --reason …`.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            )
        }
        Refusal::ResultWaits { .. } => {
            format!(
                "A person decides: `planlease approve {q_plan} {q_task} --reason …`, or `reject`.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            )
        }
        Refusal::NothingToRetry => "Reject it with --then fail or --then skip.".to_owned(),
        Refusal::SpentLess { .. } => {
            "Report what the attempt has spent in all, not what came on top.".to_owned()
        }
        Refusal::NotAllowed { role: Role::Owner, verb: "approve" | "reject", .. } => {
            "Only a person decides that, and no command that `run` or `hold` has started.".to_owned()
        }
        Refusal::StaleAttempt { .. } => {
            "This result is of an attempt that was given up; stop working on it.".to_owned()
        }
        _ => format!(
            "`planlease task show {q_plan} {q_task}` shows its history.",
            q_plan = plan.quoted(),
            q_task = task.quoted()
        ),
    }
}
