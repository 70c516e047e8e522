//! `completions`: for the shell's own completion.

use clap::Args;
use clap_complete::Shell;

use crate::{
    exit::Exit,
    failure::Failure,
    output::{self, Printable},
};

/// Prints a script that completes commands and flags; load it from the shell's start-up file.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease completions bash > ~/.local/share/bash-completion/completions/planlease\n  planlease completions zsh > ~/.zfunc/_planlease"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(self, mut definition: clap::Command) -> Result<Exit, Failure> {
        // Into memory first: written straight to a pipe without a reader, the generator would panic.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definition, "planlease", &mut script);
        output::print_exact(&String::from_utf8_lossy(&script), Printable::of_others)?;
        Ok(Exit::Done)
    }
}
