//! The flag that names a host, its worktrees, and what people read about what was done there.

use clap::Args;
use planlease::{Identity, core::HostName, core::WorktreeName};
use planlease_worktree::Variables;
use planlease_worktrees::{Action, Error, Host};

use crate::{
    failure::Failure,
    invocation::Invocation,
    messages,
    output::{Tidied, plain},
};

/// The flag that names a host.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct HostArgs {
    /// The host whose worktree it is; for containers that have a new name each time [default: this one]
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
}

impl HostArgs {
    /// The worktrees of the host.
    pub(super) async fn open(&self, invocation: &Invocation) -> Result<Host, Failure> {
        let name = self.host.clone().unwrap_or_else(|| Identity::of_process().host);
        let name = HostName::new(name)?;
        Ok(Host::new(invocation.connect().await?, name).with_variables(variables(invocation)?))
    }
}

/// The environment of git's hooks: as that of commands.
pub(super) fn variables(invocation: &Invocation) -> Result<Variables, Failure> {
    Ok(invocation.settings()?.for_commands(invocation.environment()).into())
}

/// What was done about a worktree, as a document.
pub(super) fn document(tidied: planlease_worktrees::Tidied) -> Tidied {
    let planlease_worktrees::Tidied { view, action, why } = tidied;
    match action {
        Action::Keep => Tidied::keep(&view, why),
        Action::Remove => Tidied::remove(&view, why),
        Action::Quarantine => Tidied::quarantine(&view, why),
    }
}

/// Reports what was done about the rest of an interrupted command.
pub(super) fn report(name: &WorktreeName, recovered: Result<planlease_worktrees::Tidied, Error>) {
    match recovered {
        Ok(tidied) => messages::tell(&document(tidied).sentence()),
        Err(error) => messages::tell(&format!(
            "what an interrupted command left of worktree {} cannot be cleared away: {}",
            plain(name.as_str()),
            Failure::from(error).what()
        )),
    }
}
