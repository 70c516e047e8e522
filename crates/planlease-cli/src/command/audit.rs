//! `audit`: replays the history and says whether the promises were kept.

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{AuditReport, OutputArgs},
    progress::Progress,
};

/// Check the whole history against the protocol's promises
///
/// Reads the namespace's history from etcd, as far as it is not compacted, and checks every change: one owner
/// at a time, no write without authority, no update lost or applied twice, and so on. Changes nothing. Ends
/// with status 5 if it found violations.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease audit\n  planlease audit -o json | jq .violations_found")]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl AuditArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let mut progress = Progress::new();
        let audited = coordinator
            .admin()
            .audit(|revision| progress.say(|| format!("read up to revision {revision}")))
            .await?;
        drop(progress);
        let report = AuditReport::new(&audited);
        invocation.show(self.output.format, &report)?;
        Ok(if report.is_clean() { Exit::Done } else { Exit::FoundProblems })
    }
}
