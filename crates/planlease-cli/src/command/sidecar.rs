//! `sidecar`: planlease over HTTP, for programs in any language.

mod access;
mod drain;
mod probe;
mod serve;

use clap::{Args, Subcommand};
use planlease_sidecar::Sidecar;

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log, output};

/// Serve plans, tasks, ownership and events over HTTP
///
/// Serves the programs of this host or pod until it is asked to end. A program that owns a plan keeps a
/// connection open; when it dies, the connection closes and the next one in the queue owns the plan within
/// milliseconds. Over TCP each request needs the token; the unix socket has mode 0660, and a process that may
/// open it is let in. The interface is described at /openapi.json and in docs/sidecar.md.
///
/// At SIGTERM it accepts no new work. It renews what its programs own until they have ended their sessions or
/// the grace is over; then it releases the rest. A second signal ends the wait.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct SidecarArgs {
    #[command(flatten)]
    serve: serve::ServeArgs,
    #[command(subcommand)]
    command: Option<SidecarCommand>,
}

const EXAMPLES: &str = "\
Examples:
  planlease sidecar --socket /run/planlease/sidecar.sock
  planlease sidecar --listen 127.0.0.1:7420 --token-file /etc/planlease/token --metrics 0.0.0.0:9464
  planlease sidecar --socket /run/planlease/sidecar.sock --console 127.0.0.1:7421
  planlease sidecar drain --socket /run/planlease/sidecar.sock      in a preStop hook
  planlease sidecar probe ready --socket /run/planlease/sidecar.sock
  planlease sidecar openapi > planlease.json";

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum SidecarCommand {
    /// Ask a sidecar to begin nothing new, and wait until its programs have ended their sessions
    Drain(drain::DrainArgs),
    /// Ask a sidecar whether it lives, is ready, or has started
    Probe(probe::ProbeArgs),
    /// Print the description of the interface (OpenAPI 3.1)
    Openapi,
}

impl SidecarArgs {
    /// Where the log goes.
    pub(crate) fn logs_to(&self) -> Log {
        match &self.command {
            None => self.serve.logs_to(),
            Some(_) => Log::StandardError,
        }
    }

    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self.command {
            None => self.serve.run(invocation).await,
            Some(SidecarCommand::Drain(args)) => args.run().await,
            Some(SidecarCommand::Probe(args)) => args.run().await,
            Some(SidecarCommand::Openapi) => {
                let document = serde_json::to_string_pretty(&Sidecar::openapi());
                output::print(&format!("{}\n", document.map_err(|error| Failure::json(&error))?))?;
                Ok(Exit::Done)
            }
        }
    }
}
