//! `run`: own plans and run a command per ready task.

mod follow;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use planlease::{
    Coordinator, Error, Identity,
    core::{OrchestratorId, PlanName, selector::Selector},
};
use planlease_observe::metrics::Work;
use planlease_orchestrator::{
    CommandSource, Dropped, EntryPoint, Options, Orchestrator, Plans, Stop, Summary, TaskCommand,
    hold::Inherited,
};
use tokio::sync::watch;

use crate::{
    command::{holding, logs, metrics, plumbing},
    descriptors,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, StreamOutputArgs},
    settings::Settings,
    signals::Signals,
};

/// Own plans and run a command per ready task
///
/// One orchestrator at a time owns each plan. Where another one is first, this one waits in the queue and
/// takes over when the owner ends or dies. Tasks run without a shell, in their own process groups, which are
/// killed before the ownership can pass to another process, whatever happens to this one.
///
/// With --all it is a service: it follows the plans of the namespace, takes a plan only when it has a free
/// job for it, by priority and then by how long the plan has waited, and ends on a signal; with --until-idle,
/// when nothing is left to be done. Tasks that are not for it (no command, other labels, unmet needs) are
/// left to `planlease task claim` and to other orchestrators.
///
/// A task runs its own command if its plan gives it one, else that of --exec. Its environment has
/// `PLANLEASE_PLAN`, `PLANLEASE_TASK`, `PLANLEASE_TASK_DESCRIPTION`, `PLANLEASE_ATTEMPT` and
/// `PLANLEASE_FENCING_TOKEN`; in a further attempt also `PLANLEASE_LAST_PROGRESS`, what the attempt before it
/// said last of its progress (`planlease task progress`), if it said anything; and if it depends on other
/// tasks, `PLANLEASE_INPUTS`, the path of a JSON file with their notes, findings and output. Where traces are
/// exported (`OTEL_EXPORTER_OTLP_ENDPOINT` is set), `TRACEPARENT` is the span of the attempt. Its exit status
/// counts only if it ends by itself. A command that does not start (no such program) uses no retry.
///
/// A user who can write to the plans of a namespace can run commands here, unless --commands says otherwise.
///
/// The first Ctrl-C (or SIGTERM) lets running tasks finish, the second one stops them, as does
/// --drain-timeout. What was stopped is given back, no attempt is counted as failed, and the next in the
/// queue owns the plan.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The plans to execute
    #[arg(required_unless_present = "all")]
    plans: Vec<String>,
    /// Execute all plans, also those that come later: stays up until it is asked to stop
    #[arg(long, conflicts_with = "plans")]
    all: bool,
    /// End when nothing is left to be done in the plans that are there. The end of a pause is not waited for:
    /// a paused plan with work left is named, and the status is 121
    #[arg(long, requires = "all", conflicts_with = "plans")]
    until_idle: bool,
    /// Only plans with these labels: 'team=payments,env!=prod', 'zone in (a,b)', 'key', '!key'
    #[arg(long, value_name = "SELECTOR", requires = "all", conflicts_with = "plans")]
    select: Option<Selector>,
    /// Only tasks with these labels; the others are left to claimants
    #[arg(long, value_name = "SELECTOR")]
    task_select: Option<Selector>,
    /// What this host can do: tasks that need more are left to others
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    can: Vec<String>,
    /// How many tasks run at once, over all plans
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// How many plans are owned at once [default: all that can be had]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_plans: Option<u16>,
    /// What a task runs if its plan does not say so: program and arguments, quoted as in a shell
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// Give --exec to `sh -c` instead
    #[arg(long, requires = "exec")]
    shell: bool,
    /// Whose commands are run [default: the configuration's, else plan]
    #[arg(long, value_enum, value_name = "WHOSE")]
    commands: Option<Commands>,
    /// Where tasks run
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How long a task has between SIGTERM and SIGKILL
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = crate::duration::parse)]
    grace: std::time::Duration,
    /// How long running tasks may go on after the first Ctrl-C (or SIGTERM) [default: as long as they take]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    drain_timeout: Option<std::time::Duration>,
    /// The name of this orchestrator; each process needs its own [default: host, process, and a random part]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// A label of this orchestrator, shown in lists
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    #[command(flatten)]
    logs: logs::KeepArgs,
    #[command(flatten)]
    metrics: metrics::ServeMetricsArgs,
    #[command(flatten)]
    output: StreamOutputArgs,
}

/// Whose commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Commands {
    /// A task's own, which its plan says; --exec for tasks without one
    Plan,
    /// --exec for all tasks; what a plan says is never run
    Exec,
    /// None: a plan with open tasks is left alone
    None,
}

impl From<Commands> for CommandSource {
    fn from(commands: Commands) -> Self {
        match commands {
            Commands::Plan => Self::Plan,
            Commands::Exec => Self::Exec,
            Commands::None => Self::None,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  planlease run release --jobs 4                     the tasks bring their commands along
  planlease run release --exec './agent --once'      one command for all tasks
  planlease run release --shell --exec 'echo \"$PLANLEASE_TASK\" >> done.txt'
  planlease run --all --jobs 4                       a service: takes what it has a free job for
  planlease run --all --until-idle                   what is there now, and no more
  planlease run --all --select 'team=payments,env!=prod' --can gpu
  planlease run --all --commands exec --exec ./agent where others write the plans";

impl RunArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let format = self.output.format;
        let held = holding::inherited(invocation.environment())?;
        let options = self.options(invocation, &held)?;
        let mut signals = Signals::take()?;
        let coordinator = invocation.connect_to_hold().await?;
        ensure_not_held(&coordinator, &options.plans, &held).await?;
        let options = self.logs.keep(&coordinator, options).await?;
        let work = Work::default();
        let _metrics = self.metrics.serve(&coordinator, Some(&work)).await?;
        let (stop, stopping) = watch::channel(Stop::Run);
        let orchestrator = Orchestrator::new(coordinator, options, follow::reporter(format, work), stopping);
        let mut running = std::pin::pin!(orchestrator.run());
        let mut drained_at = None;
        let summary = loop {
            tokio::select! {
                biased; // The end first; a signal after it changes nothing.
                ended = &mut running => break ended?,
                () = until(drained_at) => {
                    drained_at = None;
                    follow::stopping(Stop::Abort);
                    stop.send_replace(Stop::Abort);
                }
                () = signals.next() => {
                    let next = if *stop.borrow() == Stop::Run { Stop::Drain } else { Stop::Abort };
                    let timeout = self.drain_timeout.filter(|_| next == Stop::Drain);
                    drained_at = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
                    follow::stopping(next);
                    stop.send_replace(next);
                }
            }
        };
        conclude(summary)
    }

    fn options(&self, invocation: &Invocation, held: &Inherited) -> Result<Options, Failure> {
        descriptors::check_jobs(self.jobs)?;
        let settings = invocation.settings()?;
        let commands = self.commands(&settings)?;
        let plans = match (self.all, self.until_idle) {
            (true, false) => Plans::Follow,
            (true, true) => Plans::All,
            (false, _) => {
                Plans::Named(self.plans.iter().map(|name| plan_name(name)).collect::<Result<_, _>>()?)
            }
        };
        let mut env = settings.for_commands(invocation.environment());
        env.push(held.variable().map_err(|error| Failure::json(&error))?);
        let executor = Arc::new(EntryPoint::of_this_program(plumbing::SUPERVISOR));
        let options = Options::new(plans, executor)
            .select(self.select.clone().unwrap_or_default())
            .task_select(self.task_select.clone().unwrap_or_default())
            .can(self.can.iter().filter(|can| !can.is_empty()).cloned().collect())
            .jobs(self.jobs.into())
            .max_plans(self.max_plans.map_or(usize::MAX, usize::from))
            .command(self.command()?)
            .commands(commands)
            .open_files(descriptors::for_commands())
            .env(env)
            .dir(self.dir.clone())
            .search_path(invocation.environment().search_path())
            .inputs(invocation.environment().folder_for_inputs())
            .grace(self.grace)
            .identity(self.identity()?);
        options.check().map_err(|why| {
            Failure::usage(why.to_string()).meaning("No plan was acquired.").remedy("Check --dir and --exec.")
        })?;
        Ok(options)
    }

    /// Whose commands are run, by the flag or its variable, else by the configuration.
    fn commands(&self, settings: &Settings) -> Result<CommandSource, Failure> {
        let commands = self.commands.map_or(settings.commands.value, Into::into);
        if commands == CommandSource::Exec && self.exec.is_none() {
            let origin = match self.commands {
                Some(_) => String::new(),
                None => format!(" ({})", settings.commands.origin),
            };
            return Err(Failure::usage(format!(
                "--commands exec{origin} runs --exec only, and that is not given"
            ))
            .meaning("No plan was acquired."));
        }
        Ok(commands)
    }

    fn command(&self) -> Result<Option<TaskCommand>, Failure> {
        let Some(exec) = &self.exec else { return Ok(None) };
        if self.shell {
            return Ok(Some(TaskCommand::Shell(OsString::from(exec))));
        }
        let words = shlex::split(exec).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| {
            Failure::usage(format!("--exec {exec:?} is no command: a quote is not closed, or it is empty"))
        })?;
        Ok(Some(TaskCommand::Program(words.into_iter().map(OsString::from).collect())))
    }

    fn identity(&self) -> Result<Identity, Failure> {
        let label = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("--label {text:?} is no label; write NAME=VALUE"))),
        };
        let labels: BTreeMap<String, String> = self.label.iter().map(label).collect::<Result<_, _>>()?;
        let id = self.id.as_ref().map(OrchestratorId::new).transpose()?;
        Ok(Identity::of_process().id(id).labels(labels))
    }
}

/// Waits until the moment; for ever if there is none.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The status to end with, and what is to be said about plans that were not executed to their end.
fn conclude(summary: Summary) -> Result<Exit, Failure> {
    if !summary.unfinished.is_empty() {
        return Ok(Exit::Stopped);
    }
    let Some((plan, why)) = summary.dropped.into_iter().next() else {
        let success = summary.finished.iter().all(|(_, success)| *success);
        return Ok(if success { Exit::Done } else { Exit::TasksFailed });
    };
    Err(match why {
        Dropped::Closed { how, by, why } => Error::PlanClosed { plan, how, by, why }.into(),
        Dropped::CannotStart(why) => Failure::new(
            Exit::CannotStart,
            format!("no command of plan {plan} starts here: {}", output::plain(&why)),
        )
        .meaning("No retry of its tasks was used; another orchestrator can own the plan.")
        .remedy("Give --exec, install what is missing, check --commands, or run it on a host that has it."),
        Dropped::Unreadable(why) => {
            Failure::new(Exit::BadRecord, format!("plan {plan} was not executed: {}", output::plain(&why)))
                .meaning("Only this plan is concerned.")
                .remedy("`planlease doctor` lists all that cannot be read, and says what to do.")
        }
        Dropped::Paused { fleet, by, why } => paused(&plan, fleet, &by, &why),
        _ => Failure::from(Error::PlanNotFound(plan)).meaning("It was deleted while it was executed."),
    })
}

/// A pause of the plan, or of the fleet, has left it unfinished.
fn paused(plan: &PlanName, fleet: bool, by: &str, why: &str) -> Failure {
    let (paused, resume) = match fleet {
        true => ("the fleet is paused", "planlease fleet resume".to_owned()),
        false => ("it is paused", format!("planlease plan resume {}", plan.quoted())),
    };
    let (by, why) = (output::plain(by), output::plain(why));
    Failure::new(Exit::Halted, format!("plan {plan} was not finished: {paused} by {by}: {why}"))
        .meaning("With --until-idle the end of a pause is not waited for.")
        .remedy(format!("Run it again after `{resume}`."))
}

/// Refuses plans that a command above owns: it waits for this one to end.
async fn ensure_not_held(coordinator: &Coordinator, plans: &Plans, held: &Inherited) -> Result<(), Failure> {
    for plan in held.plans() {
        let wanted = match plans {
            // One that stays up waits for no plan.
            Plans::Follow => false,
            Plans::All => true,
            Plans::Named(names) => names.contains(plan),
        };
        if wanted
            && coordinator.queue(plan).await?.candidates().first().is_some_and(|first| held.contains(first))
        {
            return Err(holding::held_above(plan.as_str()));
        }
    }
    Ok(())
}
