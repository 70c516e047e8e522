//! `sidecar`: planlease over HTTP, for programs in any language.

mod drain;
mod probe;
mod serve;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use planlease::Secret;
use planlease_sidecar::{Address, AskError, ListenError, Sidecar, Tokens};

use crate::{exit::Exit, failure::Failure, invocation::Invocation, logging::Log, output, secrets};

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

/// Where a sidecar is that runs already.
#[derive(Debug, Args)]
struct AtArgs {
    /// Its unix socket
    #[arg(long, value_name = "PATH", required_unless_present = "listen", conflicts_with = "listen")]
    socket: Option<PathBuf>,
    /// Its TCP address
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The file with the token that it wants over TCP
    #[arg(long, value_name = "FILE", env = "PLANLEASE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl AtArgs {
    fn address(&self) -> Result<Address, Failure> {
        match (&self.socket, &self.listen) {
            (Some(socket), _) => Ok(Address::Unix(socket.clone())),
            (None, Some(at)) => {
                let tokens = read_tokens(self.token_file.as_deref(), None)?;
                Ok(Address::Tcp(at.clone(), tokens.first().map(str::to_owned)))
            }
            (None, None) => Err(Failure::usage("say where the sidecar is: --socket or --listen")),
        }
    }
}

/// The tokens in the file of clients and in that of viewers.
fn read_tokens(clients: Option<&Path>, viewers: Option<&Path>) -> Result<Tokens, Failure> {
    let read = |file: &Path| {
        let bytes = Secret::read_file(file).map_err(|error| unusable(file, &error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| unusable(file, "it is no text (UTF-8)"))?;
        secrets::warn_of_readers(file);
        let read = Tokens::read(&text, "").map_err(|why| unusable(file, &why).remedy(MAKE_A_TOKEN))?;
        if read.is_empty() {
            return Err(unusable(file, "there is none in it").remedy(MAKE_A_TOKEN));
        }
        Ok(text)
    };
    let clients_text = clients.map(read).transpose()?.unwrap_or_default();
    let viewers_text = viewers.map(read).transpose()?.unwrap_or_default();
    // Each by itself can be used; together they may name the same token.
    let both = Tokens::read(&clients_text, &viewers_text);
    both.map_err(|why| unusable(viewers.or(clients).unwrap_or(Path::new("")), &why))
}

const MAKE_A_TOKEN: &str = "Make one: head -c 32 /dev/urandom | base64";

fn unusable(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::UnreadableFile, format!("cannot use the token in {}: {why}", file.display()))
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

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let failure = Self::new(Exit::CannotServe, error.to_string());
        match error {
            ListenError::NotLoopback { .. } => failure.remedy("--allow-remote allows it."),
            ListenError::InUse { .. } => failure.remedy("Stop that one, or choose another address."),
            _ => failure,
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::new(Exit::Unreachable, error.to_string())
    }
}
