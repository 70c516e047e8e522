//! `audit`: replays the history and says whether the promises were kept.

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{AuditReport, OutputArgs},
    progress::Progress,
};

/// Reads the namespace's whole history from etcd, as far as it is not compacted, and checks every change
/// against the promises of the protocol: one owner at a time, no write without a right, no update lost or
/// applied twice, and so on. Changes nothing. Ends with status 5 if anything was found.
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
        let audited =
            coordinator.audit(|revision| progress.say(|| format!("read up to revision {revision}"))).await?;
        drop(progress);
        let report = AuditReport::new(&audited);
        invocation.show(self.output.format, &report)?;
        Ok(if report.is_clean() { Exit::Done } else { Exit::FoundProblems })
    }
}
