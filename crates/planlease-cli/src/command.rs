//! The commands: a file each, with its flags beside what it does.
//!
//! A command is a struct of flags with
//! `async fn run(self, invocation: &Invocation) -> Result<Exit, Failure>`. It reads and writes through the
//! library, shows a [`crate::output::Tabular`] document, and returns the status to end with.

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
mod hold;
mod holding;
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

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, check, list, show and delete plans
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Hold(hold::HoldArgs),
    Sidecar(sidecar::SidecarArgs),
    Lock(lock::LockArgs),
    /// List the locks of a plan with their holders and queues
    Locks(lock::LocksArgs),
    Status(status::StatusArgs),
    Next(next::NextArgs),
    Why(why::WhyArgs),
    Deps(deps::DepsArgs),
    Phases(phases::PhasesArgs),
    Estimate(estimate::EstimateArgs),
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
    Audit(audit::AuditArgs),
    Doctor(doctor::DoctorArgs),
    Dev(dev::DevArgs),
    /// Choose between several clusters
    #[command(subcommand)]
    Context(context::ContextCommand),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
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

/// Runs a command. `definition`: that of the whole command line.
pub(crate) async fn run(
    command: Command,
    invocation: &Invocation,
    definition: fn() -> clap::Command,
) -> Result<Exit, Failure> {
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
        Command::Completions(args) => args.run(definition()),
    }
}
