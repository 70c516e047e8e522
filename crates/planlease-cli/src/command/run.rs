//! `run`: own plans and run a command per ready task.

mod follow;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use planlease::{Coordinator, Error, Identity, core::OrchestratorId};
use planlease_orchestrator::{
    CommandSource, Dropped, EntryPoint, Options, Orchestrator, Plans, Stop, Summary, TaskCommand,
    hold::Inherited,
};
use tokio::sync::watch;

use crate::{
    command::{holding, plumbing},
    descriptors,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, OutputArgs},
    settings::Settings,
    signals::Signals,
};

/// Own plans and run a command per ready task
///
/// One orchestrator at a time owns each plan. Where another one is first, this one waits in the queue and
/// takes over when the owner ends or dies. Tasks run without a shell, in their own process groups, which are
/// killed before the ownership can pass to another process, whatever happens to this one.
///
/// A task runs its own command if its plan gives it one, else that of --exec. Its environment has
/// `PLANLEASE_PLAN`, `PLANLEASE_TASK`, `PLANLEASE_TASK_DESCRIPTION`, `PLANLEASE_ATTEMPT` and
/// `PLANLEASE_FENCING_TOKEN`. Its exit status counts only if it ends by itself. A command that does not start
/// (no such program) uses no retry.
///
/// A user who can write to the plans of a namespace can run commands here, unless --commands says otherwise.
///
/// The first Ctrl-C (or SIGTERM) lets running tasks finish, the second one stops them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The plans to execute
    #[arg(required_unless_present = "all")]
    plans: Vec<String>,
    /// Execute all plans that are there and not finished
    #[arg(long, conflicts_with = "plans")]
    all: bool,
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
    /// The name of this orchestrator; each process needs its own [default: host, process, and a random part]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// A label of this orchestrator, shown in lists
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
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
  planlease run --all --max-plans 1                  one of a fleet: take what is free
  planlease run --all --commands exec --exec ./agent where others write the plans";

impl RunArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let format = self.output.format;
        let held = holding::inherited(invocation.environment())?;
        let options = self.options(invocation, &held)?;
        let mut signals = Signals::take()?;
        let coordinator = invocation.connect().await?;
        ensure_not_held(&coordinator, &options.plans, &held).await?;
        let (stop, stopping) = watch::channel(Stop::Run);
        let orchestrator = Orchestrator::new(coordinator, options, follow::reporter(format), stopping);
        let mut running = std::pin::pin!(orchestrator.run());
        let summary = loop {
            tokio::select! {
                biased; // The end first; a signal after it changes nothing.
                ended = &mut running => break ended?,
                () = signals.next() => {
                    let next = if *stop.borrow() == Stop::Run { Stop::Drain } else { Stop::Abort };
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
        let plans = if self.all {
            Plans::All
        } else {
            Plans::Named(self.plans.iter().map(|name| plan_name(name)).collect::<Result<_, _>>()?)
        };
        let mut env = settings.for_commands(invocation.environment());
        env.push(held.variable().map_err(|error| Failure::json(&error))?);
        let executor = Arc::new(EntryPoint::of_this_program(plumbing::SUPERVISOR));
        let options = Options::new(plans, executor)
            .jobs(self.jobs.into())
            .max_plans(self.max_plans.map_or(usize::MAX, usize::from))
            .command(self.command()?)
            .commands(commands)
            .open_files(descriptors::for_commands())
            .env(env)
            .dir(self.dir.clone())
            .search_path(invocation.environment().search_path())
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
                .meaning("The other plans were executed.")
                .remedy("`planlease doctor` lists all that cannot be read, and says what to do.")
        }
        _ => Failure::from(Error::PlanNotFound(plan)).meaning("It was deleted while it was executed."),
    })
}

/// Refuses plans that a command above owns: it waits for this one to end.
async fn ensure_not_held(coordinator: &Coordinator, plans: &Plans, held: &Inherited) -> Result<(), Failure> {
    for plan in held.plans() {
        let wanted = match plans {
            Plans::All => true,
            Plans::Named(names) => names.contains(plan),
        };
        if wanted
            && coordinator.line(plan).await?.candidates().first().is_some_and(|first| held.contains(first))
        {
            return Err(holding::held_above(plan.as_str()));
        }
    }
    Ok(())
}
