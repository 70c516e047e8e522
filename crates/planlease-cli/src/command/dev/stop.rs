//! `dev stop`: asks the local server to end, and waits until it has.

use std::{path::Path, time::Duration};

use clap::Args;
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::local::LocalServer;

use super::{clients, listener};
use crate::{exit::Exit, failure::Failure, output, settings::untrusted};

/// How long it may take. It gives requests under way some seconds, and writes what is queued.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long it is looked whether a client starts it again.
const RESTARTED_WITHIN: Duration = Duration::from_secs(5);

/// Stops the local server and waits until it has written everything. Its data stay; the next command starts
/// it again.
///
/// Refused with status 26 while other processes are connected: they would start it again at once. Stop them
/// first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  planlease dev stop
  planlease dev stop && cp -a ~/.local/state/planlease/data backup     the data folder, while nothing writes
  planlease dev backup plans.db                                       the same without stopping it")]
pub(crate) struct StopArgs {
    /// Stop it although others are connected; what they have open breaks, as at a crash of the server
    #[arg(long)]
    force: bool,
}

impl StopArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let server = LocalServer::of_user();
        server.ensure_ours().map_err(|error| untrusted(&error))?;
        let pid = listener::of(&server.socket())
            .map_err(|error| Failure::system("cannot ask the local server", &error))?;
        let Some(pid) = pid else {
            output::tell("the local server does not run");
            return Ok(Exit::Done);
        };
        // Where the kernel cannot report it, the look afterwards remains.
        let clients = clients::of(&server.socket()).await.ok();
        let named = clients.as_ref().map_or_else(|| "unknown processes".to_owned(), |all| all.join(", "));
        if clients.as_ref().is_some_and(|clients| !clients.is_empty()) && !self.force {
            return Err(Failure::new(Exit::InUse, format!("the local server is in use by {named}"))
                .meaning("It was not stopped: they would start it again.")
                .remedy("Stop them first, or break their connections with --force."));
        }
        match kill(pid, Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(Failure::system(&format!("cannot stop process {pid}"), &error.into())),
        }
        if tokio::time::timeout(PATIENCE, gone(pid)).await.is_err() {
            return Err(Failure::new(
                Exit::TimedOut,
                format!("process {pid} was asked to stop, but still runs"),
            )
            .meaning(format!("Its log is {}.", server.log().display()))
            .remedy(format!("kill -9 {pid} ends it; nothing that was acknowledged is lost.")));
        }
        let socket = server.socket();
        let again = restarted(&socket);
        if clients.is_none_or(|clients| !clients.is_empty())
            && let Ok(pid) = tokio::time::timeout(RESTARTED_WITHIN, again).await
        {
            return Err(Failure::new(
                Exit::InUse,
                format!("the local server was stopped, and started again by a client (process {pid} now)"),
            )
            .meaning(format!("Connected were {named}."))
            .remedy("Stop them first."));
        }
        output::tell("the local server has stopped");
        Ok(Exit::Done)
    }
}

async fn gone(pid: Pid) {
    while kill(pid, None) != Err(Errno::ESRCH) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until a process listens on the socket again.
async fn restarted(socket: &Path) -> Pid {
    loop {
        if let Ok(Some(pid)) = listener::of(socket) {
            return pid;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
