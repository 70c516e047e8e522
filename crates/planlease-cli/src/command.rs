//! The commands: a file each, with its flags beside what it does.
//!
//! A command is a struct of flags with
//! `async fn run(self, invocation: &Invocation) -> Result<Exit, Failure>`. It reads and writes through the
//! library, shows a [`crate::output::Tabular`] document, and returns the status to end with.

mod audit;
pub(crate) mod completions;
mod console;
mod context;
mod demo;
mod deps;
mod dev;
mod doctor;
mod ended;
mod estimate;
pub(crate) mod export;
mod fence;
mod findings;
mod fleet;
mod hold;
mod holding;
mod hooks;
mod import;
mod lock;
mod logs;
mod manual;
mod mcp;
mod metrics;
mod mirror;
mod next;
mod orchestrator;
mod owner;
mod phases;
mod plan;
pub(crate) mod plumbing;
mod pool;
mod prime;
mod run;
mod setup;
mod sidecar;
mod status;
mod task;
mod top;
mod wait;
mod watch;
mod why;
mod worktree;

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, look at, change, pause, cancel and delete plans
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Hold(hold::HoldArgs),
    Hooks(hooks::HooksArgs),
    Sidecar(sidecar::SidecarArgs),
    Mcp(mcp::McpArgs),
    Setup(setup::SetupArgs),
    Console(console::ConsoleArgs),
    Lock(lock::LockArgs),
    /// List the locks of a plan with their holders and queues
    Locks(lock::LocksArgs),
    Status(status::StatusArgs),
    Next(next::NextArgs),
    Why(why::WhyArgs),
    Approve(task::approve::ApproveArgs),
    Reject(task::approve::RejectArgs),
    Prime(prime::PrimeArgs),
    Deps(deps::DepsArgs),
    Phases(phases::PhasesArgs),
    Estimate(estimate::EstimateArgs),
    Watch(watch::WatchArgs),
    Top(top::TopArgs),
    Wait(wait::WaitArgs),
    Logs(logs::LogsArgs),
    Metrics(metrics::MetricsArgs),
    /// List, show and change tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Show the owner of a plan and its history, move a plan, or end an ownership
    #[command(subcommand)]
    Owner(owner::OwnerCommand),
    /// List the live orchestrators, and cordon, drain and uncordon them
    #[command(subcommand)]
    Orchestrator(orchestrator::OrchestratorCommand),
    /// Define pools, which bound how many tasks are in progress across plans
    #[command(subcommand)]
    Pool(pool::PoolCommand),
    /// Pause all orchestrators and claimants of a namespace, and resume them
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
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
    /// Write the manual pages
    #[command(hide = true)]
    Manual(manual::ManualArgs),
}

impl Command {
    /// Where this command's log goes.
    pub(crate) fn logs_to(&self) -> Log {
        match self {
            Self::Dev(args) => args.logs_to(),
            Self::Sidecar(args) => args.logs_to(),
            Self::Top(_) => Log::Nowhere,
            _ => Log::StandardError,
        }
    }

    /// Whether this command may have many connections or processes at once. The others leave the limit of
    /// open files as it is: what they start, git for example, inherits it.
    pub(crate) fn needs_descriptors(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Sidecar(_) | Self::Dev(_))
    }

    /// Whether this command changes nothing in etcd: what of it is not answered cannot have happened either.
    pub(crate) fn only_reads(&self) -> bool {
        use findings::FindingsCommand as Findings;
        use orchestrator::OrchestratorCommand as Orchestrators;
        use owner::OwnerCommand as Owner;
        use plan::PlanCommand as Plan;
        use task::TaskCommand as Task;
        match self {
            Self::Plan(command) => {
                matches!(command, Plan::Check(_) | Plan::List(_) | Plan::Show(_) | Plan::Diff(_))
            }
            Self::Task(command) => matches!(command, Task::List(_) | Task::Show(_)),
            Self::Owner(command) => matches!(command, Owner::Show(_) | Owner::History(_)),
            Self::Orchestrator(command) => matches!(command, Orchestrators::List(_)),
            Self::Fleet(command) => matches!(command, fleet::FleetCommand::Status(_)),
            Self::Findings(command) => matches!(command, Findings::Read(_) | Findings::List(_)),
            Self::Locks(_)
            | Self::Status(_)
            | Self::Next(_)
            | Self::Why(_)
            | Self::Prime(_)
            | Self::Deps(_)
            | Self::Phases(_)
            | Self::Estimate(_)
            | Self::Watch(_)
            | Self::Top(_)
            | Self::Wait(_)
            | Self::Logs(_)
            | Self::Metrics(_)
            | Self::Audit(_)
            | Self::Export(_) => true,
            _ => false,
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
        Command::Hooks(args) => args.run(invocation).await,
        Command::Sidecar(args) => args.run(invocation).await,
        Command::Mcp(args) => args.run(invocation).await,
        Command::Setup(args) => args.run(),
        Command::Console(args) => args.run(invocation).await,
        Command::Lock(args) => args.run(invocation).await,
        Command::Locks(args) => args.run(invocation).await,
        Command::Status(args) => args.run(invocation).await,
        Command::Next(args) => args.run(invocation).await,
        Command::Why(args) => args.run(invocation).await,
        Command::Approve(args) => args.run(invocation).await,
        Command::Reject(args) => args.run(invocation).await,
        Command::Prime(args) => args.run(invocation).await,
        Command::Deps(args) => args.run(invocation).await,
        Command::Phases(args) => args.run(invocation).await,
        Command::Estimate(args) => args.run(invocation).await,
        Command::Watch(args) => args.run(invocation).await,
        Command::Top(args) => args.run(invocation).await,
        Command::Wait(args) => args.run(invocation).await,
        Command::Logs(args) => args.run(invocation).await,
        Command::Metrics(args) => args.run(invocation).await,
        Command::Task(command) => command.run(invocation).await,
        Command::Owner(command) => command.run(invocation).await,
        Command::Orchestrator(command) => command.run(invocation).await,
        Command::Pool(command) => command.run(invocation).await,
        Command::Fleet(command) => command.run(invocation).await,
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
        Command::Manual(args) => args.run(definition()),
    }
}
