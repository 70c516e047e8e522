//! `dev`: a server in the foreground.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use planlease_embedded::{Listen, Options, Server};

use super::{history::HistoryArgs, server::seed};
use crate::{exit::Exit, failure::Failure, output, signals::Signals};

/// Where and with which data.
#[derive(Debug, Args)]
pub(crate) struct ForegroundArgs {
    /// Where to listen: HOST:PORT, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2379")]
    listen: String,
    /// Where to keep the data [default: in memory, gone at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Allow other machines to connect. The server asks for no password
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    history: HistoryArgs,
}

impl ForegroundArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let mut signals = Signals::take()?;
        let listen = self.listen().await?;
        let (mut options, kept) = match self.data_dir {
            Some(folder) => (Options::in_folder(&folder, seed()), format!("data in {}", folder.display())),
            None => (Options::in_memory(seed()), "in memory".to_owned()),
        };
        options.compaction = self.history.kept();
        let server = Server::open(options).await?;
        let bound = match listen.bind().await {
            Ok(bound) => bound,
            Err(error) => {
                server.close().await;
                return Err(error.into());
            }
        };
        output::print_beside(&format!("listening on {}, {kept}\n", bound.url()));
        output::tell(&format!("use it with: export PLANLEASE_ENDPOINTS={}", bound.url()));
        let serving = server.serve_on(bound, async { signals.next().await });
        let ended = tokio::select! {
            biased; // Served to the end is better than anything else.
            served = serving => served.map_err(|error| Failure::new(Exit::Unexpected, planlease::error_chain(&error))),
            reason = server.ended() => Err(stopped(reason)),
        };
        tokio::select! {
            biased; // Closed well is better than left at the second signal.
            () = server.close() => {}
            () = signals.next() => {}
        }
        ended.map(|()| Exit::Done)
    }

    async fn listen(&self) -> Result<Listen, Failure> {
        if let Some(path) = self.listen.strip_prefix("unix:") {
            return Ok(Listen::Unix { path: path.strip_prefix("//").unwrap_or(path).into() });
        }
        let text = self.listen.strip_prefix("http://").unwrap_or(&self.listen);
        let found = tokio::net::lookup_host(text).await.ok().and_then(|mut found| found.next());
        let addr: SocketAddr = found.ok_or_else(|| {
            Failure::usage(format!("{text:?} is not an address to listen on"))
                .remedy("Write 127.0.0.1:2379 or unix:PATH.")
        })?;
        Ok(Listen::Tcp { addr, allow_remote: self.allow_remote })
    }
}

/// The server ended without being asked to.
pub(super) fn stopped(reason: Option<String>) -> Failure {
    let reason = reason.unwrap_or_else(|| "for an unknown reason".to_owned());
    Failure::new(Exit::Unexpected, format!("the server stopped: {reason}"))
}
