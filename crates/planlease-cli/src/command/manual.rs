//! `manual`: the help of all commands as manual pages, for packages.

use std::path::PathBuf;

use clap::Args;

use crate::{exit::Exit, failure::Failure};

/// Writes a manual page for each command into a folder, for packages.
#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// The folder; it must be there
    folder: PathBuf,
}

impl ManualArgs {
    pub(crate) fn run(self, definition: clap::Command) -> Result<Exit, Failure> {
        clap_mangen::generate_to(definition, &self.folder).map_err(|error| {
            let folder = self.folder.display();
            Failure::usage(format!("cannot write the manual into {folder}: {error}"))
                .meaning("Some of its pages may be there already.")
        })?;
        Ok(Exit::Done)
    }
}
