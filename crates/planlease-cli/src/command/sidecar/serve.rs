//! `sidecar`: serving.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use planlease::{Identity, core::counted};
use planlease_sidecar::{Bound, Ended, Listen, Options, Sidecar, Tokens};
use tokio::sync::watch;

use super::access::read_tokens;
use crate::{
    command::console::page::{self, PageArgs},
    descriptors,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    logging::Log,
    output,
    signals::Signals,
};

/// How many connections there may be at once, unless said otherwise.
const CONNECTIONS: usize = 8_192;

/// How often the files with tokens are read.
const TOKEN_EVERY: Duration = Duration::from_secs(1);

/// Where to serve, whom, and how much.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A TCP address to serve on; takes --token-file or --viewer-token-file
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A unix socket to serve on
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The file with the token that each request over TCP has to bear; one a line, also as NAME TOKEN
    #[arg(long, value_name = "FILE", env = "PLANLEASE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The file with tokens of viewers: over TCP they may read and follow events, and change nothing
    #[arg(long, value_name = "FILE", env = "PLANLEASE_VIEWER_TOKEN_FILE")]
    viewer_token_file: Option<PathBuf>,
    /// Serve on an address that other hosts can reach; nothing is encrypted
    #[arg(long)]
    allow_remote: bool,
    /// A further name by which requests may address this host, besides localhost
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A TCP address to serve metrics and probes on, to everybody who can reach it
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// A TCP address to serve the console on: a page for people, behind a one-time URL
    #[arg(long, value_name = "ADDRESS")]
    console: Option<SocketAddr>,
    /// Let the console change tasks and plans; otherwise it only shows them
    #[arg(long, requires = "console")]
    console_writes: bool,
    /// What its sessions are called: this, and a random part where a program gives no name
    /// [default: sidecar-HOST]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long programs have at the end to finish and to release
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = crate::duration::parse)]
    grace: Duration,
    /// How often a stream says that it lives while nothing happens
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = crate::duration::parse)]
    heartbeat: Duration,
    /// How many sessions there may be at once
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_sessions: usize,
    /// How many connections there may be at once [default: 8192, or as many as the limit of open files
    /// allows]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// How many requests are answered in a second
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_requests_per_second: u32,
    /// How the log is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line each, for people
    #[default]
    Text,
    /// An object of JSON each
    Json,
}

impl ServeArgs {
    pub(super) fn logs_to(&self) -> Log {
        match self.log_format {
            LogFormat::Text => Log::Service,
            LogFormat::Json => Log::Json,
        }
    }

    pub(super) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        if self.listen.is_none() && self.socket.is_none() && self.console.is_none() {
            return Err(Failure::usage(
                "say where to serve: --socket PATH, --listen ADDRESS with --token-file, or --console ADDRESS",
            ));
        }
        if self.listen.is_some() && self.token_file.is_none() && self.viewer_token_file.is_none() {
            return Err(Failure::usage(
                "over TCP each request bears a token: say which with --token-file or --viewer-token-file",
            ));
        }
        let mut signals = Signals::take()?;
        let files = TokenFiles { clients: self.token_file.clone(), viewers: self.viewer_token_file.clone() };
        let tokens = files.read()?.map(watch::Sender::new);
        let connections = descriptors::connections(self.max_connections, CONNECTIONS)?;
        let options = self.options(tokens.as_ref()).max_connections(connections);
        let (bound, metrics) = self.bind().await?;
        let console = self.bind_console().await?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect() => connected?,
            () = signals.next() => return Ok(Exit::Done),
        };
        let sidecar = Sidecar::start(coordinator, options);
        for bound in bound {
            output::tell(&format!("serving on {}", bound.at()));
            sidecar.serve(bound);
        }
        if let Some((bound, page)) = console {
            let url = page::serve(&sidecar, bound, &page);
            output::tell(&format!("console for one browser on {url}"));
        }
        if let Some(bound) = metrics {
            output::tell(&format!("metrics and probes on {}", bound.at()));
            sidecar.serve_metrics(bound);
        }
        tokio::select! {
            biased; // The wish to stop first.
            () = signals.next() => {}
            never = follow_tokens(files, tokens) => match never {},
        }
        output::tell("draining: nothing new is begun; a second signal ends the wait");
        match sidecar.drain(async { signals.next().await }).await {
            Ended::Idle => {}
            Ended::Forced(left) => {
                output::tell(&format!("{} ended though the program lived", counted(left, "session")))
            }
        }
        Ok(Exit::Done)
    }

    fn options(&self, tokens: Option<&watch::Sender<Tokens>>) -> Options {
        let name = self.name.clone().unwrap_or_else(|| format!("sidecar-{}", Identity::of_process().host));
        Options::default()
            .name(name)
            .tokens(tokens.map(watch::Sender::subscribe))
            .hosts(self.hosts.clone())
            .max_sessions(self.max_sessions)
            .max_requests_per_second(self.max_requests_per_second)
            .grace(self.grace)
            .heartbeat(self.heartbeat.max(Duration::from_millis(100)))
    }

    /// The socket for the console, and what its page is to be.
    async fn bind_console(&self) -> Result<Option<(Bound, PageArgs)>, Failure> {
        let Some(addr) = self.console else { return Ok(None) };
        let bound = Listen::Tcp { addr, allow_remote: self.allow_remote }.bind().await?;
        Ok(Some((bound, PageArgs { hosts: self.hosts.clone(), writes: self.console_writes })))
    }

    /// The sockets for the interface, and the one for metrics.
    async fn bind(&self) -> Result<(Vec<Bound>, Option<Bound>), Failure> {
        let mut bound = Vec::new();
        if let Some(path) = &self.socket {
            bound.push(Listen::Unix { path: path.clone() }.bind().await?);
        }
        if let Some(addr) = self.listen {
            bound.push(Listen::Tcp { addr, allow_remote: self.allow_remote }.bind().await?);
        }
        let metrics = match self.metrics {
            Some(addr) => Some(Listen::Tcp { addr, allow_remote: true }.bind().await?),
            None => None,
        };
        Ok((bound, metrics))
    }
}

/// Where the tokens are.
#[derive(Clone, Debug)]
struct TokenFiles {
    clients: Option<PathBuf>,
    viewers: Option<PathBuf>,
}

impl TokenFiles {
    /// The tokens; `None` if there are no files.
    fn read(&self) -> Result<Option<Tokens>, Failure> {
        if self.clients.is_none() && self.viewers.is_none() {
            return Ok(None);
        }
        read_tokens(self.clients.as_deref(), self.viewers.as_deref()).map(Some)
    }
}

/// Reads the tokens again and again, so that they can be replaced while the sidecar serves. What cannot be
/// used is reported once, and the last good ones stay.
async fn follow_tokens(files: TokenFiles, tokens: Option<watch::Sender<Tokens>>) -> Infallible {
    let Some(tokens) = tokens else { return std::future::pending().await };
    let mut reported = None;
    loop {
        tokio::time::sleep(TOKEN_EVERY).await;
        let files = files.clone();
        let reading =
            tokio::task::spawn_blocking(move || files.read().map_err(|failure| failure.what().to_owned()));
        match reading.await {
            Ok(Ok(read)) => {
                reported = None;
                let read = read.unwrap_or_default();
                if tokens.send_if_modified(|present| std::mem::replace(present, read.clone()) != read) {
                    output::tell("the tokens were replaced");
                }
            }
            Ok(Err(why)) if reported.as_ref() != Some(&why) => {
                output::tell(&format!("{why}; the tokens before stay"));
                reported = Some(why);
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
