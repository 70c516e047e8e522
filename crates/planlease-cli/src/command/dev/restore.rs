//! `dev restore`: a backup, as the data of the local server.

use std::{io, path::PathBuf};

use clap::Args;
use planlease::{core::counted, regular};
use planlease_embedded::{OpenError, RestoreError, restore_from};

use super::listener;
use crate::{exit::Exit, failure::Failure, invocation::local_server, output, settings::untrusted};

/// The largest file that is read, in bytes: more than an etcd may hold.
const LONGEST: u64 = 8 << 30;

/// Restores a backup into the local server: everything that was in it when it was saved, history and leases
/// too. The server must not run (`planlease dev stop`). It takes the files of `planlease dev backup` and the
/// snapshots of an etcd; users and roles of an etcd are left out, since the local server has none.
///
/// What happened since the backup is forgotten, so programs must not trust what they knew: planlease refuses
/// to work on a restored store until `planlease doctor --adopt-store` has raised its generation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  planlease dev stop && planlease dev restore plans.db
  planlease dev restore plans.db --force          also if the local server has data; they are kept beside")]
pub(crate) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Replace data that the local server has; they are kept beside the new ones
    #[arg(long)]
    force: bool,
}

impl RestoreArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let server = local_server();
        server.ensure_ours().map_err(|error| untrusted(&error))?;
        let shown = self.file.display().to_string();
        // First, so that a file that takes long is not read in vain.
        let listening = listener::of(&server.socket())
            .map_err(|error| Failure::system("cannot ask the local server", &error))?;
        if listening.is_some() {
            return Err(in_use(&shown));
        }
        let (folder, file, force) = (server.folder().join("data"), self.file.clone(), self.force);
        let done = tokio::task::spawn_blocking(move || {
            let mut snapshot = regular::open(&file)?;
            if snapshot.metadata()?.len() > LONGEST {
                return Err(io::Error::other(format!("it has more than {} GiB", LONGEST >> 30)));
            }
            planlease::local::create_private_folder(server.folder())?;
            Ok(restore_from(&folder, &mut snapshot, force))
        });
        let done: io::Result<_> = done.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let done = done.map_err(|error| {
            Failure::new(Exit::UnreadableFile, format!("cannot restore {shown}: {error}"))
                .meaning("Nothing was changed.")
        })?;
        let restored = done.map_err(|error| refused(&shown, error))?;
        let (versions, leases) = (counted(restored.versions, "version"), counted(restored.leases, "lease"));
        output::tell(&format!("restored {shown}: {versions}, {leases}, revision {}", restored.revision));
        if restored.users_left_out {
            output::tell("its users and roles were left out: the local server has none");
        }
        output::tell("next: planlease doctor --adopt-store");
        Ok(Exit::Done)
    }
}

/// The server has the data open.
fn in_use(file: &str) -> Failure {
    Failure::new(Exit::InUse, format!("cannot restore {file}: the local server runs"))
        .meaning("Nothing was changed.")
        .remedy("Stop it: planlease dev stop.")
}

fn refused(file: &str, error: RestoreError) -> Failure {
    match error {
        RestoreError::Occupied => {
            Failure::new(Exit::InUse, format!("cannot restore {file}: the local server has data"))
                .meaning("Nothing was changed.")
                .remedy("Save them first: planlease dev backup. --force replaces them; they are kept beside.")
        }
        RestoreError::Folder(OpenError::InUse { .. }) => in_use(file),
        RestoreError::Folder(error) => error.into(),
        error => Failure::new(Exit::UnreadableFile, format!("cannot restore {file}: {error}"))
            .meaning("Nothing was changed."),
    }
}
