//! `sidecar probe`: for images that have no other client.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::access::AtArgs;
use crate::{exit::Exit, failure::Failure, output};

/// Asks a sidecar how it is; status 17 if it answers that it is not ready, as while it drains, 102 if it does
/// not answer.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease sidecar probe ready --socket /run/planlease/sidecar.sock\n  planlease sidecar probe live --listen 127.0.0.1:9464"
)]
pub(crate) struct ProbeArgs {
    /// What to ask
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    at: AtArgs,
    /// How long an answer may take
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = crate::duration::parse)]
    within: Duration,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Whether it lives
    Live,
    /// Whether new work can be begun through it
    Ready,
    /// Whether it has read the plans
    Started,
}

impl ProbeArgs {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let path = match self.what {
            What::Live => "/livez",
            What::Ready => "/readyz",
            What::Started => "/startupz",
        };
        let (status, body) = self.at.address()?.ask(http::Method::GET, path, self.within).await?;
        if status.is_success() {
            output::print(&body)?;
            return Ok(Exit::Done);
        }
        Err(Failure::new(Exit::NotReady, format!("the sidecar is not ready: {}", body.trim_end())))
    }
}
