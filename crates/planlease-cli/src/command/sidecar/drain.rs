//! `sidecar drain`: what a `preStop` hook runs.

use std::time::Duration;

use clap::Args;
use planlease_sidecar::Address;

use super::access::AtArgs;
use crate::{exit::Exit, failure::Failure};

/// How often it is asked whether the end has come.
const EVERY: Duration = Duration::from_millis(200);

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Asks a sidecar to begin nothing new, and waits until its programs have ended their sessions. The sidecar
/// itself goes on serving; SIGTERM ends it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease sidecar drain --socket /run/planlease/sidecar.sock --wait 25s\n  planlease sidecar drain --listen 127.0.0.1:7420 --token-file /etc/planlease/token"
)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    at: AtArgs,
    /// How long to wait; then status 118
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Duration,
    /// Let new work begin again, instead: as long as the sidecar itself is not to end
    #[arg(long)]
    undo: bool,
}

impl DrainArgs {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let address = self.at.address()?;
        if self.undo {
            ask(&address, http::Method::DELETE).await?;
            return Ok(Exit::Done);
        }
        ask(&address, http::Method::POST).await?;
        let left = async {
            loop {
                let sessions = ask(&address, http::Method::GET).await?;
                if sessions == 0 {
                    return Ok(());
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        match tokio::time::timeout(self.wait, left).await {
            Ok(drained) => drained.map(|()| Exit::Done),
            Err(_) => Err(Failure::new(Exit::TimedOut, "the sidecar still has sessions".to_owned()).meaning(
                "It accepts no new work; its programs keep what they own until they end, or it does.",
            )),
        }
    }
}

/// How many sessions are left.
async fn ask(address: &Address, method: http::Method) -> Result<u64, Failure> {
    let (status, body) = address.ask(method, "/v1/drain", WITHIN).await?;
    let document: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    document["sessions"].as_u64().filter(|_| status.is_success()).ok_or_else(|| {
        let detail =
            document["detail"].as_str().unwrap_or("it says nothing that can be understood").to_owned();
        Failure::new(Exit::NotPermitted, format!("the sidecar at {address} answers {status}: {detail}"))
    })
}
