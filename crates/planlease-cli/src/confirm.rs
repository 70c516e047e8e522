//! Asks before something cannot be undone: on a terminal by typing the name of what is at stake, for scripts
//! by `--yes`.

use std::io::{self, IsTerminal as _};

use clap::Args;

use crate::{failure::Failure, output};

/// Whether there is a person to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && output::stderr().is_terminal()
}

/// Asks a question that is answered by yes or no; anything but yes is no.
///
/// # Errors
/// If the terminal fails.
pub(crate) fn yes_or_no(question: &str) -> Result<bool, Failure> {
    let typed = output::ask(&format!("{question} [y/N] "));
    let typed = typed.map_err(|error| Failure::system("cannot ask", &error))?;
    Ok(matches!(typed.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// How to answer beforehand.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

impl ConfirmArgs {
    /// Lets the person type `name` after saying what would happen.
    ///
    /// # Errors
    /// If something else is typed, or there is no terminal to ask on.
    pub(crate) fn by_name(self, name: &str, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !can_ask() {
            return Err(Failure::usage(format!("{what}; that has to be confirmed"))
                .meaning("Nothing was changed; there is no terminal to ask on.")
                .remedy("Say --yes."));
        }
        let typed = output::ask(&format!("{what}.\nType the name to go on ({name}): "));
        let typed = typed.map_err(|error| Failure::system("cannot ask", &error))?;
        if typed.trim() == name {
            return Ok(());
        }
        Err(Failure::usage("that is not the name").meaning("Nothing was changed."))
    }
}
