//! Where `run` keeps the output of attempts, how long, and who can follow it from other hosts.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use planlease::{Coordinator, Identity};
use planlease_observe::{ListenError, LogServer, Outputs};
use planlease_orchestrator::Options;

use crate::{exit::Exit, failure::Failure};

/// The flags of `run` about its logs.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Serve the output of tasks to `planlease logs` on other hosts, at this address; unencrypted
    #[arg(long, value_name = "ADDRESS:PORT")]
    logs: Option<SocketAddr>,
    /// Allow --logs at an address that other hosts can reach
    #[arg(long, requires = "logs")]
    logs_allow_remote: bool,
    /// How long the output of an attempt is kept on this host; 0s for not at all
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = crate::duration::parse)]
    keep_output: Duration,
}

impl KeepArgs {
    /// Adds to the options what is asked for, and begins to serve.
    pub(crate) async fn keep(&self, coordinator: &Coordinator, options: Options) -> Result<Options, Failure> {
        let kept = Outputs::of(coordinator).filter(|_| !self.keep_output.is_zero());
        let kept = kept.map(|kept| kept.keep(self.keep_output));
        let server = match (self.logs, kept.clone()) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Failure::usage("--logs serves what is kept, and --keep-output 0s keeps nothing"));
            }
            (Some(at), Some(kept)) => {
                let host = Identity::of_process().host;
                let bound = LogServer::bind(at, self.logs_allow_remote, &host, kept).await;
                Some(Arc::new(bound.map_err(|error| cannot_serve(&error))?))
            }
        };
        Ok(options.outputs(kept).log_server(server))
    }
}

fn cannot_serve(error: &ListenError) -> Failure {
    let failure = Failure::new(Exit::CannotServe, error.to_string()).meaning("No plan was acquired.");
    match error {
        ListenError::NotLoopback(_) => {
            failure.remedy("Add --logs-allow-remote in a network that you trust, or listen on 127.0.0.1.")
        }
        _ => failure.remedy("Choose another address or port; port 0 lets the system choose."),
    }
}
