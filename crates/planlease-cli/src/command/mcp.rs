//! `mcp`: serves the tools for agents on standard streams.

use std::collections::BTreeMap;

use clap::Args;
use planlease::{Identity, core::OrchestratorId};
use planlease_mcp::{Access, ProcessSession, Server, serve_stdio};

use crate::{exit::Exit, failure::Failure, invocation::Invocation, signals::Signals};

/// The label of a session that says that an agent has it.
const AGENT: &str = "agent";

/// Serve an agent over the Model Context Protocol, on standard input and output
///
/// An agent's program starts this command and calls its eight tools: `plans`, `next`, `claim`, `progress`,
/// `complete`, `fail`, `return`, `why`. No two agents get the same task.
///
/// The process is the session: when the agent ends, crashes or is killed, standard input ends, the lease is
/// revoked, and the tasks that it had claimed are put back, or do what the plan's `on_lost` says.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct McpArgs {
    /// Offer the tools that look, and no others
    #[arg(long, conflicts_with = "operator")]
    read_only: bool,
    /// Offer the tools of operators as well: `retry`, `skip`, `approve`, `reject`, `pause`, `resume`
    #[arg(long)]
    operator: bool,
    /// The name of the agent's session; each process needs its own [default: host, process, and a random
    /// part]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  planlease setup claude-code         writes what starts it into the agent's configuration
  planlease mcp --read-only           for an agent that only reports
  planlease mcp --endpoints http://etcd-1:2379,http://etcd-2:2379";

impl McpArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let id = self.id.map(OrchestratorId::new).transpose()?;
        let mut signals = Signals::take()?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect_to_hold() => connected?,
            signal = signals.which() => return Ok(Exit::Child(signal.status())),
        };
        let access = match (self.read_only, self.operator) {
            (true, _) => Access::Read,
            (false, true) => Access::Operate,
            (false, false) => Access::Work,
        };
        let labels = BTreeMap::from([(AGENT.to_owned(), "mcp".to_owned())]);
        let session = ProcessSession::new(coordinator.clone(), Identity::of_process().id(id).labels(labels));
        let server = Server::new(coordinator, session.clone(), access, &invocation.operator());
        let served = serve_stdio(server, signals.next()).await;
        session.end().await;
        served.map_err(|error| {
            Failure::usage(error.to_string())
                .meaning("Standard input and output are for an agent's program, not for a terminal.")
                .remedy("`planlease setup` writes what starts it; `planlease prime PLAN` is for people and shells.")
        })?;
        Ok(Exit::Done)
    }
}
