//! `plan check`: what a plan file means, without any server.

use clap::Args;

use super::{file, ticked::TickedArgs};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, PlanFile},
};

/// Reads a plan file and shows what was understood. Problems are shown as file:line:column on standard error.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan check docs/release.md\n  planlease plan check docs/release.md -o json"
)]
pub(crate) struct CheckArgs {
    /// The plan file: .md, .markdown or .toml
    file: String,
    #[command(flatten)]
    ticked: TickedArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CheckArgs {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let parsed = file::read(&self.file, self.output.format, invocation)?;
        self.ticked.of_file_are_done(&self.file, &parsed.spec)?;
        invocation.show(self.output.format, &PlanFile::new(&self.file, &parsed))?;
        Ok(Exit::Done)
    }
}
