//! `dev backup`: everything in the local server, in a file, while it runs.

use std::path::PathBuf;

use clap::Args;
use planlease::{Config, Coordinator};

use crate::{exit::Exit, failure::Failure, invocation::local_server, output, replace, settings::untrusted};

/// Saves everything in the local server into a file: all plans, their history and the leases, as of one
/// moment. The server and its clients continue meanwhile.
///
/// The file is a snapshot of etcd's. With --force a file that exists is replaced when the backup is complete;
/// if this command or the server is killed before, it stays as it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  planlease dev backup plans.db
  planlease dev restore plans.db
  etcdutl snapshot status plans.db
  etcdutl snapshot restore plans.db --data-dir ./etcd     an etcd with these plans; start it on this folder")]
pub(crate) struct BackupArgs {
    /// Where to save it
    file: PathBuf,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
}

impl BackupArgs {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let target = self.file.metadata().ok();
        if target.as_ref().is_some_and(|about| !about.is_file()) {
            let what = format!("cannot save to {}: it is not a regular file", self.file.display());
            return Err(Failure::new(Exit::UnreadableFile, what)
                .meaning("A backup is put in the place of its file in one step. Nothing was saved.")
                .remedy("Name a regular file, or one that does not exist."));
        }
        if !self.force && target.is_some() {
            return Err(Failure::new(Exit::InUse, format!("{} exists", self.file.display()))
                .meaning("Nothing was saved.")
                .remedy("Choose another name; --force replaces it."));
        }
        let server = local_server();
        server.ensure_ours().map_err(|error| untrusted(&error))?;
        let coordinator = Coordinator::connect(Config::with_local_server(server)).await?;
        let bytes = coordinator.admin().save_store().await?;
        replace::private_file(&self.file, &bytes)?;
        output::tell(&format!("saved {} bytes to {}", bytes.len(), self.file.display()));
        Ok(Exit::Done)
    }
}
