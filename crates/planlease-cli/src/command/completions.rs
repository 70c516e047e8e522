//! `completions`: for the shell's own completion.

use clap::Args;
use clap_complete::{Shell, env::Shells};

use crate::{
    exit::Exit,
    failure::Failure,
    output::{self, Printable},
};

/// Names the shell that asks; set by its script, and answered by `completion`.
pub(crate) const VARIABLE: &str = "PLANLEASE_COMPLETE";

/// Prints a script that completes commands, flags, and the names of plans, tasks and contexts; load it from
/// the shell's start-up file.
///
/// At each Tab the script asks the `planlease` on your path. Names come from the store that the typed flags,
/// the environment and the current context lead to, within a second; a local server is not started for it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  planlease completions bash > ~/.local/share/bash-completion/completions/planlease
  echo 'source <(planlease completions zsh)' >> ~/.zshrc
  planlease completions fish > ~/.config/fish/completions/planlease.fish

Print it again after an upgrade.")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        // In memory already: written straight to a pipe without a reader, the generator would fail.
        let script = script(self.shell).unwrap_or_default();
        output::print_exact(&String::from_utf8_lossy(&script), Printable::of_others)?;
        Ok(Exit::Done)
    }
}

/// What a shell has to load.
fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(&shell.to_string()) {
        completer.write_registration(VARIABLE, "planlease", "planlease", "planlease", &mut script)?;
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_asks_this_program() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = String::from_utf8(script(shell).unwrap()).unwrap();
            assert!(script.contains(VARIABLE), "{shell}:\n{script}");
            assert!(script.contains("planlease"), "{shell}:\n{script}");
        }
    }
}
