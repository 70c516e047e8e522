//! `plan check`: what a plan file means, without any server.

use clap::Args;

use super::{
    file::{self, ReadArgs},
    ticked::TickedArgs,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, PlanFile},
};

/// Reads a plan file and shows what was understood. Problems are shown as file:line:column on standard error.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan check docs/release.md\n  planlease plan check docs/release.md -o json\n  ./make-plan | planlease plan check - --format toml"
)]
pub(crate) struct CheckArgs {
    /// The plan file, a folder of tasks, or - for standard input (with --format)
    file: String,
    /// Compare the boxes, or entries, of the file with the tasks that were read
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    how: ReadArgs,
    #[command(flatten)]
    ticked: TickedArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CheckArgs {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let parsed = file::read(&self.file, &self.how, self.output.format, invocation)?;
        self.ticked.of_file_are_done(&self.file, &parsed)?;
        let shown = PlanFile::new(&self.file, &parsed);
        let shown = if self.explain { shown.explained(&parsed) } else { shown };
        invocation.show(self.output.format, &shown)?;
        match parsed.counts.agree() || !self.explain {
            true => Ok(Exit::Done),
            false => Err(Failure::new(Exit::BadPlanFile, format!("not every box of {} was read", self.file))
                .meaning("This is a mistake of planlease.")),
        }
    }
}
