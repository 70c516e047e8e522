//! The commands: a file each, with its flags beside what it does.
//!
//! A command is a struct of flags with
//! `async fn run(self, invocation: &Invocation) -> Result<Exit, Failure>`. It reads and writes through the
//! library, shows a [`crate::output::Document`], and returns the status to end with.

mod audit;
mod completions;
mod context;
mod demo;
mod deps;
mod dev;
mod doctor;
mod estimate;
pub(crate) mod export;
mod fence;
mod findings;
mod held;
mod hold;
mod import;
mod lock;
mod mirror;
mod next;
mod orchestrator;
mod owner;
mod phases;
mod plan;
pub(crate) mod plumbing;
mod run;
mod sidecar;
mod status;
mod task;
mod watch;
mod why;
mod worktree;

use clap::Subcommand;
use planlease::core::{PlanName, TaskId};

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, check, list, show and delete plans
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Show planlease at work: a fleet, a crash, a takeover, and the audit of it
    Demo(demo::DemoArgs),
    /// Own plans and run a command per ready task
    Run(run::RunArgs),
    /// Own a plan while your own program runs
    Hold(hold::HoldArgs),
    /// Serve plans, tasks, ownership and events over HTTP
    Sidecar(sidecar::SidecarArgs),
    /// Run a command while this process holds a named lock of a plan
    Lock(lock::LockArgs),
    /// List the locks of a plan with their holders and queues
    Locks(lock::LocksArgs),
    /// Show the progress and the owners of plans
    Status(status::StatusArgs),
    /// List the tasks that may start now, and what the others wait for
    Next(next::NextArgs),
    /// Explain the state of a plan or task, and what happens next
    Why(why::WhyArgs),
    /// Show the dependencies of tasks, as text or as a picture
    Deps(deps::DepsArgs),
    /// Show the progress of each phase
    Phases(phases::PhasesArgs),
    /// Estimate how long a plan may still take
    Estimate(estimate::EstimateArgs),
    /// Stream every change, as it happens or from a revision on
    Watch(watch::WatchArgs),
    /// List, show and change tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Show the owner of a plan and its history, or end an ownership
    #[command(subcommand)]
    Owner(owner::OwnerCommand),
    /// List the live orchestrators
    #[command(subcommand)]
    Orchestrator(orchestrator::OrchestratorCommand),
    /// Make worktrees for tasks, and remove abandoned ones without losing work
    #[command(subcommand)]
    Worktree(worktree::WorktreeCommand),
    /// Let resources outside etcd refuse former owners, by their fencing tokens
    #[command(subcommand)]
    Fence(fence::FenceCommand),
    /// Check the whole history against the protocol's promises
    Audit(audit::AuditArgs),
    /// Check servers, store and clock, and name the remedies
    Doctor(doctor::DoctorArgs),
    /// Run your own server, or manage the local one
    Dev(dev::DevArgs),
    /// Choose between several clusters
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Import plans from JSON state files (status.json)
    Import(import::ImportArgs),
    /// Write a plan as a JSON state file (status.json)
    Export(export::ExportArgs),
    /// Keep a status.json up to date, for programs that still read it
    Mirror(mirror::MirrorArgs),
    /// Store, print and list the outputs of tasks
    #[command(subcommand)]
    Findings(findings::FindingsCommand),
    /// Print the completions for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Where this command's log goes.
    pub(crate) fn logs_to(&self) -> Log {
        match self {
            Self::Dev(args) => args.logs_to(),
            Self::Sidecar(args) => args.logs_to(),
            _ => Log::StandardError,
        }
    }

    /// What has to be done while this process has one thread and nothing open but the standard streams.
    pub(crate) fn before_threads(&self) {
        if let Self::Dev(args) = self {
            args.before_threads();
        }
    }
}

/// Does it.
pub(crate) async fn run(command: Command, invocation: &Invocation) -> Result<Exit, Failure> {
    match command {
        Command::Plan(command) => command.run(invocation).await,
        Command::Demo(args) => args.run(invocation).await,
        Command::Run(args) => args.run(invocation).await,
        Command::Hold(args) => args.run(invocation).await,
        Command::Sidecar(args) => args.run(invocation).await,
        Command::Lock(args) => args.run(invocation).await,
        Command::Locks(args) => args.run(invocation).await,
        Command::Status(args) => args.run(invocation).await,
        Command::Next(args) => args.run(invocation).await,
        Command::Why(args) => args.run(invocation).await,
        Command::Deps(args) => args.run(invocation).await,
        Command::Phases(args) => args.run(invocation).await,
        Command::Estimate(args) => args.run(invocation).await,
        Command::Watch(args) => args.run(invocation).await,
        Command::Task(command) => command.run(invocation).await,
        Command::Owner(command) => command.run(invocation).await,
        Command::Orchestrator(command) => command.run(invocation).await,
        Command::Worktree(command) => command.run(invocation).await,
        Command::Fence(command) => command.run(invocation).await,
        Command::Audit(args) => args.run(invocation).await,
        Command::Doctor(args) => args.run(invocation).await,
        Command::Dev(args) => args.run(invocation).await,
        Command::Context(command) => command.run(invocation),
        Command::Import(args) => args.run(invocation).await,
        Command::Export(args) => args.run(invocation).await,
        Command::Mirror(args) => args.run(invocation).await,
        Command::Findings(command) => command.run(invocation).await,
        Command::Completions(args) => args.run(),
    }
}

/// A plan's name as typed.
pub(crate) fn plan_name(text: &str) -> Result<PlanName, Failure> {
    Ok(PlanName::new(text)?)
}

/// A task's id as typed.
pub(crate) fn task_id(text: &str) -> Result<TaskId, Failure> {
    Ok(TaskId::new(text)?)
}
