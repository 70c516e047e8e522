//! `dev status`: the local server, looked at without starting it.

use clap::Args;
use planlease::{Config, Coordinator, local::LocalServer};

use super::listener;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, ServerStatus},
    settings::untrusted,
};

/// Shows whether the local server runs, where it is, and how large its data are. Starts nothing. Ends with
/// status 102 if it does not run.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl StatusArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let server = LocalServer::of_user();
        server.ensure_ours().map_err(|error| untrusted(&error))?;
        let pid = listener::of(&server.socket())
            .map_err(|error| Failure::system("cannot ask the local server", &error))?;
        let status = match pid {
            Some(_) => {
                let config = Config::with_local_server(LocalServer::in_folder(server.folder()));
                Coordinator::diagnose(config).await?.into_iter().next().map(|health| health.status)
            }
            None => None,
        };
        invocation.show(
            self.output.format,
            &ServerStatus::new(&server, pid.map(nix::unistd::Pid::as_raw), status),
        )?;
        Ok(if pid.is_some() { Exit::Done } else { Exit::Unreachable })
    }
}
