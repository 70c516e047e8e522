//! `console`: the fleet as a page, for the person at this machine.

mod browser;
pub(super) mod page;

use std::net::SocketAddr;

use clap::Args;
use planlease_sidecar::{Listen, Options, Sidecar};

use self::page::PageArgs;
use crate::{exit::Exit, failure::Failure, invocation::Invocation, output, signals::Signals};

/// Show the fleet as a page in the browser
///
/// Serves the console on this machine until Ctrl-C: what needs a person, the plans with their owners, the
/// orchestrators, every change as it happens; for each plan its tasks, what waits for what, and when each
/// attempt ran. Actions ask for a reason and are recorded under your name, as those of the command line are.
///
/// The printed URL lets one browser in; then it is used up, and the next one is printed. To serve the
/// console to others: planlease sidecar --console.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConsoleArgs {
    /// The loopback address to serve on; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Show everything, and offer no action
    #[arg(long)]
    read_only: bool,
    /// Print the URL only, and open no browser
    #[arg(long)]
    no_open: bool,
}

const EXAMPLES: &str = "\
Examples:
  planlease console
  planlease console --read-only --listen 127.0.0.1:7421 --no-open
  ssh -L 7421:127.0.0.1:7421 build-host planlease console --listen 127.0.0.1:7421 --no-open
  planlease sidecar --socket /run/planlease/sidecar.sock --console 127.0.0.1:7421    for a fleet";

impl ConsoleArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let mut signals = Signals::take()?;
        let bound = Listen::Tcp { addr: self.listen, allow_remote: false }.bind().await?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect() => connected?,
            () = signals.next() => return Ok(Exit::Done),
        };
        let sidecar = Sidecar::start(coordinator, Options::default().name(invocation.operator()));
        let url = page::serve(&sidecar, bound, &PageArgs { hosts: Vec::new(), writes: !self.read_only });
        output::print_beside(&format!("{url}\n"));
        let opened = if self.no_open { None } else { browser::open(&url, invocation.environment()) };
        output::tell(match opened {
            Some(_) => "the URL is open in your browser; Ctrl-C ends the console",
            None => "open the URL in a browser on this machine; Ctrl-C ends the console",
        });
        signals.next().await;
        drop(opened);
        let _ended = sidecar.drain(async {}).await;
        Ok(Exit::Done)
    }
}
