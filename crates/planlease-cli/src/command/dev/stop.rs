//! `dev stop`: asks the local server to end, and waits until it has.

use std::time::Duration;

use clap::Args;
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::local::LocalServer;

use super::listener;
use crate::{exit::Exit, failure::Failure, output};

/// How long it may take. It gives requests under way some seconds, and writes what is queued.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stops the local server and waits until it has written everything. Its data stay; the next command starts it again.
/// Sessions on it end when they notice, as with any crash of a server.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {}

impl StopArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let server = LocalServer::of_user();
        let pid = listener::of(&server.socket())
            .map_err(|error| Failure::system("cannot ask the local server", &error))?;
        let Some(pid) = pid else {
            output::tell("the local server does not run");
            return Ok(Exit::Done);
        };
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
        output::tell("the local server has stopped");
        Ok(Exit::Done)
    }
}

async fn gone(pid: Pid) {
    while kill(pid, None) != Err(Errno::ESRCH) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
