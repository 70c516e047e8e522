//! `dev serve`: the local server itself, a process in the background.
//!
//! Exactly one runs for a folder: the process that has it open. Every other one that was started at the same
//! moment ends at once and in silence. It leaves the session of its starter, so that it survives it, and
//! stops by itself when no client has used it for some time, or when it is asked to. Its standard output is
//! its log file.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, RawFd},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use clap::Args;
use planlease::local::{CANNOT_START, LocalServer, create_private_folder};
use planlease_embedded::{Activity, Bound, Listen, OpenError, Options, Server};
use tokio::sync::watch;

use super::{foreground::stopped, history::HistoryArgs, server::seed};
use crate::{exit::Exit, failure::Failure, signals::Signals};

/// Beyond this size, in bytes, the log is emptied when a server starts.
const LOG_MAX: u64 = 1024 * 1024;

/// Where, and for how long.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The folder of its data, its socket and its log
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// How long without connections and sessions until it stops
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = crate::duration::parse)]
    idle_timeout: Duration,
    #[command(flatten)]
    history: HistoryArgs,
}

impl ServeArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        if !self.leave_session().map_err(|error| Failure::system("cannot leave the session", &error))? {
            return Ok(Exit::Done);
        }
        let mut signals = Signals::take()?;
        let local = LocalServer::in_folder(&self.folder);
        // The process that has started this one looks for it in the log.
        let opened = self.open(&local).await.map_err(|failure| failure.after(CANNOT_START))?;
        let Some((server, bound)) = opened else {
            return Ok(Exit::Done); // Another process is the server.
        };
        shorten_log();
        tracing::info!(target: "planlease", endpoint = bound.url(), pid = std::process::id(), "the local server runs");
        let activity = server.activity();
        let end = async {
            tokio::select! {
                biased; // The order does not matter: both mean the same.
                () = signals.next() => tracing::info!(target: "planlease", "asked to stop"),
                () = idle(activity, self.idle_timeout) => {
                    tracing::info!(target: "planlease", idle = ?self.idle_timeout, "no client needs the server");
                }
            }
        };
        let ended = tokio::select! {
            biased; // Served to the end is better than anything else.
            served = server.serve_on(bound, end) => {
                served.map_err(|error| Failure::new(Exit::Unexpected, planlease::error_chain(&error)))
            }
            reason = server.ended() => Err(stopped(reason)),
        };
        server.close().await;
        tracing::info!(target: "planlease", "the local server has stopped");
        ended.map(|()| Exit::Done)
    }

    /// Opens the data and the socket; `None` if another process has them.
    async fn open(&self, local: &LocalServer) -> Result<Option<(Server, Bound)>, Failure> {
        create_private_folder(&self.folder)
            .map_err(|error| Failure::system("cannot make the folder", &error))?;
        let mut options = Options::in_folder(self.folder.join("data"), seed());
        options.compaction = self.history.kept();
        let server = match Server::open(options).await {
            Ok(server) => server,
            Err(OpenError::InUse { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bound = Listen::Unix { path: local.socket() }.bind().await?;
        Ok(Some((server, bound)))
    }

    /// Makes this process the leader of a session of its own, which no terminal and no logout can end. The
    /// leader of a process group cannot do that, and its starter made it one; so it starts itself again,
    /// as an ordinary member (and in `/`, to keep no file system busy), and ends. Returns whether this
    /// process is the one that goes on.
    fn leave_session(&self) -> io::Result<bool> {
        if nix::unistd::setsid().is_ok() {
            return Ok(true);
        }
        Command::new(std::env::current_exe()?)
            .args(["dev", "serve", "--folder"])
            .arg(std::path::absolute(&self.folder)?)
            .arg(format!("--idle-timeout={}ms", self.idle_timeout.as_millis()))
            .args(self.history.flags())
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(false)
    }
}

/// Closes what the starter left open by mistake: a lock or a pipe of a script must not be held for as long as
/// the server runs. To be called before anything else is opened.
pub(super) fn close_inherited() {
    let Ok(folder) = std::fs::read_dir("/dev/fd") else { return };
    let open: Vec<RawFd> = folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        let _closed = nix::unistd::close(fd); // The one of the folder itself is closed already.
    }
}

/// Resolves when no client has used the server for this long.
async fn idle(mut activity: watch::Receiver<Activity>, timeout: Duration) {
    loop {
        if activity.wait_for(Activity::is_idle).await.is_err() {
            return std::future::pending().await; // The server is gone, which others notice.
        }
        tokio::select! {
            biased; // Who comes at the last moment is served.
            _ = activity.changed() => {}
            () = tokio::time::sleep(timeout) => return,
        }
    }
}

/// Empties a log that has become large, if it is a file. What it says is of use for a while only.
fn shorten_log() {
    let stdout = crate::output::stdout();
    let Ok(log) = stdout.as_fd().try_clone_to_owned().map(File::from) else { return };
    let large = log.metadata().is_ok_and(|about| about.is_file() && about.len() > LOG_MAX);
    if large && let Err(error) = log.set_len(0) {
        tracing::warn!(target: "planlease", %error, "the log cannot be shortened");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Activity {
        let mut activity = Activity::default();
        activity.connections = 1;
        activity
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_used_meanwhile_is_not_idle() {
        let (used, activity) = watch::channel(Activity::default());
        let begun = tokio::time::Instant::now();
        let stop = idle(activity, Duration::from_secs(60));
        let user = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            used.send_replace(busy());
            tokio::time::sleep(Duration::from_secs(500)).await;
            used.send_replace(Activity::default());
        };
        tokio::join!(stop, user);
        assert_eq!(begun.elapsed(), Duration::from_secs(610));
    }
}
