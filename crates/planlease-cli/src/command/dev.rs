//! `dev`: servers of one's own. In the foreground for trying things, and the local one that commands use by
//! default.

mod backup;
mod clients;
mod foreground;
mod history;
mod listener;
mod restore;
mod serve;
mod server;
mod status;
mod stop;

use clap::{Args, Subcommand};

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log};

/// Run your own server, or manage the local one
///
/// Runs a server in the foreground until it is asked to end: a small etcd for one machine. planlease, every
/// etcd client and `etcdctl` can use it. It has no authentication, so it listens where only this machine can
/// connect.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  planlease dev                        in memory, on port 2379
  planlease dev --data-dir ./data --listen 127.0.0.1:0
  planlease dev status                 the server that commands start by themselves
  planlease dev backup plans.db        everything in it, while it runs
  planlease dev restore plans.db       the way back, while it does not run
  planlease dev stop"
)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    foreground: foreground::ForegroundArgs,
    #[command(subcommand)]
    command: Option<DevCommand>,
}

/// What to do with the local server.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Be the local server; started by commands, not by people
    #[command(hide = true)]
    Serve(serve::ServeArgs),
    /// Show whether the local server runs, where it is, and how large its data are
    Status(status::StatusArgs),
    /// Stop the local server; its data stay
    Stop(stop::StopArgs),
    /// Save everything in the local server into a file, while it runs
    Backup(backup::BackupArgs),
    /// Restore a backup into the local server, while it does not run
    Restore(restore::RestoreArgs),
}

impl DevArgs {
    /// Where the log goes: the local server's into its file.
    pub(crate) fn logs_to(&self) -> Log {
        match &self.command {
            Some(DevCommand::Serve(_)) => Log::File,
            _ => Log::StandardError,
        }
    }

    /// What has to be done while this process has one thread.
    pub(crate) fn before_threads(&self) {
        if matches!(self.command, Some(DevCommand::Serve(_))) {
            serve::close_inherited();
        }
    }

    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self.command {
            None => self.foreground.run().await,
            Some(DevCommand::Serve(args)) => args.run().await,
            Some(DevCommand::Status(args)) => args.run(invocation).await,
            Some(DevCommand::Stop(args)) => args.run().await,
            Some(DevCommand::Backup(args)) => args.run().await,
            Some(DevCommand::Restore(args)) => args.run().await,
        }
    }
}
