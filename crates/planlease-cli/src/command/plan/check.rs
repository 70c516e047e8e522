//! `plan check`: what a plan file means, without any server.

use clap::Args;
use planlease_formats::{Other, Parsed};

use super::{
    file::{self, ReadArgs},
    ticked::TickedArgs,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, OutputArgs, PlanFile},
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
        let read = file::read(&self.file, &self.how, self.output.format, invocation);
        if self.explain && read.is_err() {
            file::tell_boxes(&self.file);
        }
        let parsed = read?;
        self.ticked.of_file_are_done(&self.file, &parsed)?;
        let shown = PlanFile::new(&self.file, &parsed);
        let shown = if self.explain { shown.explained(&parsed) } else { shown };
        invocation.show(self.output.format, &shown)?;
        if self.explain {
            tell_others(&self.file, &parsed);
        }
        match parsed.counts.agree() || !self.explain {
            true => Ok(Exit::Done),
            false => Err(Failure::new(Exit::BadPlanFile, format!("not every box of {} was read", self.file))
                .meaning("This is a mistake of planlease.")),
        }
    }
}

/// Lists the boxes that are no tasks, and why.
fn tell_others(file: &str, parsed: &Parsed) {
    for Other { line, reason } in &parsed.others {
        output::tell(&format!("{file}:{line}: no task: {reason}"));
    }
    let more = parsed.counts.others.saturating_sub(parsed.others.len());
    if more > 0 && !parsed.others.is_empty() {
        output::tell(&format!("… and {more} more"));
    }
}
