//! One change of several tasks: named, or selected by status, label and phase; each by itself, or all or
//! nothing; or only a look at what would be done.

use clap::Args;
use planlease::{
    Authority, BatchOutcome, Coordinator, Error, Outcome, PlanView, Refused, UpdateRequest,
    core::{
        PlanName, PlanState, Revision, TaskId, counted,
        record::TaskRecord,
        spec::TaskSpec,
        transition::{Change, TaskStatus},
    },
};

use super::{refusal::exit_of_refused, right::Right, select::FilterArgs};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{OutputArgs, TaskUpdate, TaskUpdates},
    progress::Progress,
};

/// How many tasks are changed before progress is shown.
const STEP: usize = 256;

/// How the changes are made.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct BatchArgs {
    /// Change it only if its record is still the one of this revision; for one task
    #[arg(long, value_name = "REVISION")]
    pub(super) expect_revision: Option<Revision>,
    /// All or nothing: in one transaction, of at most 100 tasks
    #[arg(long)]
    pub(super) atomic: bool,
    /// Show what would be done; change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// The attempt that the change is about
    #[arg(skip)]
    pub(super) attempt: Option<u32>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// The tasks of one command.
#[derive(Debug)]
pub(super) struct Bulk {
    /// `None` for all plans.
    plan: Option<PlanName>,
    /// Empty: those that the filter selects.
    tasks: Vec<TaskId>,
    filter: FilterArgs,
    batch: BatchArgs,
}

/// What became of all of them.
struct Results {
    shown: TaskUpdates,
    /// The status of the first that was not done.
    exit: Option<Exit>,
}

impl Bulk {
    /// Of the tasks that the filter selects, in this plan or in all.
    pub(super) fn selected(plan: Option<PlanName>, filter: FilterArgs, batch: BatchArgs) -> Self {
        Self { plan, tasks: Vec::new(), filter, batch }
    }

    /// Of tasks that are named, each once.
    pub(super) fn named(plan: String, tasks: Vec<String>, batch: BatchArgs) -> Result<Self, Failure> {
        if tasks.len() > 1 && batch.expect_revision.is_some() {
            return Err(Failure::usage("--expect-revision is for one task").meaning("Nothing was changed."));
        }
        let mut named = Vec::with_capacity(tasks.len());
        for task in &tasks {
            let task = task_id(task)?;
            if !named.contains(&task) {
                named.push(task);
            }
        }
        Ok(Self { plan: Some(plan_name(&plan)?), tasks: named, filter: FilterArgs::default(), batch })
    }

    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let plans = match &self.plan {
            Some(plan) => vec![coordinator.plan(plan).await?],
            None => coordinator.plans().await?.items.into_iter().filter(is_open).collect(),
        };
        let work: Vec<(PlanView, Vec<TaskId>)> = plans
            .into_iter()
            .map(|plan| {
                let tasks = self.targets(&plan, &change);
                (plan, tasks)
            })
            .collect();
        let total: usize = work.iter().map(|(_, tasks)| tasks.len()).sum();
        let mut results =
            Results { shown: TaskUpdates::new(self.batch.atomic, self.batch.dry_run), exit: None };
        let mut progress = Progress::new();
        for (plan, tasks) in &work {
            for some in tasks.chunks(if self.batch.atomic { usize::MAX } else { STEP }) {
                progress.say(|| format!("{} of {} …", results.total(), counted(total, "task")));
                self.change(invocation, &coordinator, plan, some, &change, &mut results).await?;
            }
        }
        drop(progress);
        self.finish(invocation, results, &change)
    }

    /// The tasks of a plan that are meant. Named ones are not looked for: one that is missing is reported as
    /// such.
    fn targets(&self, plan: &PlanView, change: &Change) -> Vec<TaskId> {
        if !self.tasks.is_empty() {
            return self.tasks.clone();
        }
        let meant = |spec: &&TaskSpec| match plan.tasks().get(&spec.id) {
            Some(task) => {
                self.filter.selects(Some(spec), task.record.status) && self.may(&task.record, change)
            }
            None => false,
        };
        plan.spec().tasks.iter().filter(meant).map(|spec| spec.id.clone()).collect()
    }

    /// Whether a selection without a status means a task in this one: a retry is for what failed, a skip for
    /// what was not done, and a decision for what waits for it. Otherwise `--label` would reopen what is
    /// completed.
    fn may(&self, record: &TaskRecord, change: &Change) -> bool {
        if matches!(change, Change::Approve(_) | Change::Reject(..)) {
            return record.awaits().is_some();
        }
        if self.filter.names_status() {
            return true;
        }
        match change {
            Change::Skip(_) => matches!(record.status, TaskStatus::Pending | TaskStatus::Failed),
            _ => record.status == TaskStatus::Failed,
        }
    }

    /// Changes these tasks of a plan.
    async fn change(
        &self,
        invocation: &Invocation,
        coordinator: &Coordinator,
        plan: &PlanView,
        tasks: &[TaskId],
        change: &Change,
        results: &mut Results,
    ) -> Result<(), Failure> {
        let (name, verb) = (plan.name(), change.verb());
        let right = Right::of_plan(invocation, name)?;
        let mut requests = Vec::with_capacity(tasks.len());
        for task in tasks {
            let attempt = self.batch.attempt.or(Right::of(invocation, name, task)?.attempt());
            let request = UpdateRequest::new(task.clone(), change.clone()).of_attempt(attempt);
            requests.push(match self.batch.expect_revision {
                Some(revision) => request.expecting(revision),
                None => request,
            });
        }
        let authority = right.over(coordinator, name);
        if self.batch.dry_run {
            let previews = self.previews(coordinator, &authority, plan, &requests).await?;
            results.add_previews(self.batch.atomic, plan, verb, &requests, previews);
            return Ok(());
        }
        if self.batch.atomic {
            let outcome = authority.submit_atomic(&requests).await?;
            results.add_batch(name, verb, &requests, &outcome);
            return Ok(());
        }
        let outcomes = authority.submit_all(plan, &requests).await;
        for (request, outcome) in requests.iter().zip(outcomes) {
            results.add(match outcome {
                Ok(outcome) => {
                    let exit = exit_of(&outcome);
                    (TaskUpdate::of(name.clone(), request.task.clone(), verb, &outcome), exit)
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    let why = failure.what().to_owned();
                    let update = TaskUpdate::refused(name.clone(), request.task.clone(), verb, why, None);
                    (update, Some(failure.exit()))
                }
            });
        }
        Ok(())
    }

    /// What each request would write, or why it would be refused, as everything is seen now.
    async fn previews(
        &self,
        coordinator: &Coordinator,
        authority: &Authority,
        plan: &PlanView,
        requests: &[UpdateRequest],
    ) -> Result<Vec<Result<TaskRecord, Refused>>, Failure> {
        if self.batch.atomic {
            return Ok(authority.preview_atomic(plan, requests)?);
        }
        let mut previews = Vec::with_capacity(requests.len());
        for request in requests {
            let mut preview = authority.preview(plan, request);
            if preview.is_ok()
                && request.change == Change::Start
                && let Some(refused) = outer_hindrance(coordinator, plan, &request.task).await?
            {
                preview = Err(refused);
            }
            previews.push(preview);
        }
        Ok(previews)
    }

    fn finish(&self, invocation: &Invocation, results: Results, change: &Change) -> Result<Exit, Failure> {
        invocation.show(self.batch.output.format, &results.shown)?;
        let (done, refused, unknown) = results.shown.counts();
        let Some(first) = results.exit.filter(|_| !self.batch.dry_run) else { return Ok(Exit::Done) };
        let verb = change.verb();
        let what =
            format!("cannot {verb} {} of {}", refused + unknown, counted(done + refused + unknown, "task"));
        if unknown > 0 {
            return Err(Failure::new(Exit::OutcomeUnknown, what)
                .meaning(format!("It is not known what became of {}.", counted(unknown, "task")))
                .remedy("Run it again: what was done is not done twice."));
        }
        let exit = if done > 0 { Exit::Partial } else { first };
        Err(Failure::new(exit, what)
            .meaning(format!("{} changed; the list says why the others were not.", counted(done, "task"))))
    }
}

impl Results {
    fn total(&self) -> usize {
        let (done, refused, unknown) = self.shown.counts();
        done + refused + unknown
    }

    fn add(&mut self, (update, exit): (TaskUpdate, Option<Exit>)) {
        self.shown.add(update);
        self.exit = self.exit.or(exit);
    }

    /// What would become of each request; of an all-or-nothing batch, of all of them together.
    fn add_previews(
        &mut self,
        atomic: bool,
        plan: &PlanView,
        verb: &'static str,
        requests: &[UpdateRequest],
        previews: Vec<Result<TaskRecord, Refused>>,
    ) {
        let name = plan.name();
        let all_possible = previews.iter().all(Result::is_ok);
        let each = requests.iter().map(|request| request.task.clone()).zip(previews);
        if atomic && !all_possible {
            let refused = each.filter_map(|(task, preview)| Some((task, preview.err()?))).collect();
            return self.add_batch(name, verb, requests, &BatchOutcome::Refused(refused));
        }
        for (task, preview) in each {
            self.add(match (preview, plan.tasks().get(&task)) {
                (Ok(next), Some(seen)) => (TaskUpdate::possible(name.clone(), seen, verb, &next), None),
                (Err(refused), _) => {
                    let exit = exit_of_refused(&refused);
                    (TaskUpdate::of_refusal(name.clone(), task, verb, &refused), Some(exit))
                }
                (Ok(_), None) => continue,
            });
        }
    }

    /// What became of an all-or-nothing batch, task by task.
    fn add_batch(
        &mut self,
        plan: &PlanName,
        verb: &'static str,
        requests: &[UpdateRequest],
        outcome: &BatchOutcome,
    ) {
        let blocked = || "another task of the batch is refused".to_owned();
        for request in requests {
            let (plan, task) = (plan.clone(), request.task.clone());
            self.add(match outcome {
                BatchOutcome::Committed(tasks) => match tasks.iter().find(|written| written.id == task) {
                    Some(written) => (TaskUpdate::committed(plan, verb, written), None),
                    None => continue,
                },
                BatchOutcome::Refused(refused) => {
                    match refused.iter().find(|(refused, _)| *refused == task) {
                        Some((_, why)) => {
                            (TaskUpdate::of_refusal(plan, task, verb, why), Some(exit_of_refused(why)))
                        }
                        None => (TaskUpdate::refused(plan, task, verb, blocked(), None), None),
                    }
                }
                BatchOutcome::Unknown { reason, .. } => {
                    (TaskUpdate::unknown(plan, task, verb, reason.clone()), Some(Exit::OutcomeUnknown))
                }
            });
        }
    }
}

/// What keeps a task from starting besides its plan: the fleet is paused, or a pool has no permit for it.
async fn outer_hindrance(
    coordinator: &Coordinator,
    plan: &PlanView,
    task: &TaskId,
) -> Result<Option<Refused>, Error> {
    if let Some(pause) = coordinator.steering().await?.0.pause {
        return Ok(Some(Refused::FleetPaused(Box::new(pause))));
    }
    let Some(uses) = plan.graph().pools(task) else { return Ok(None) };
    let wait = coordinator.pools_of(uses).await?.wait(uses);
    Ok(wait.map(|wait| Refused::Pool(Box::new(wait))))
}

fn is_open(plan: &PlanView) -> bool {
    !matches!(PlanState::of(plan), PlanState::Cancelled | PlanState::Archived)
}

fn exit_of(outcome: &Outcome) -> Option<Exit> {
    match outcome {
        Outcome::Committed(_) => None,
        Outcome::Refused(refused) => Some(exit_of_refused(refused)),
        Outcome::Unknown { .. } => Some(Exit::OutcomeUnknown),
    }
}
