//! Where the commands of tasks run: under supervisors, as processes of this host, or in whatever a program
//! that embeds the orchestrator puts in their place.
//!
//! An executor makes one promise: none of its commands does anything after the deadline that was set last.
//! That is what keeps two owners of a plan from working at the same time.

use std::{fmt::Debug, pin::Pin, sync::Arc, time::Duration};

use planlease::{EntryPoint, Session};
use planlease_core::{BootTime, session::Status};

use crate::{
    child::{SpawnError, SupervisedChild, Supervisors},
    command::CommandSpec,
    ending::Finished,
};

/// How long before the session's deadline commands are killed: what killing a process group may take on a
/// busy host.
const KILL_ALLOWANCE: Duration = Duration::from_millis(100);

/// A future of an executor.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes the runner of commands, once per session. An [`EntryPoint`] is one: it leads to the supervisors of
/// processes.
pub trait Executor: Debug + Send + Sync {
    /// The runner of the commands of a new session. It must run none before [`Commands::extend`] was called.
    /// If the session has a [companion](planlease::companion), commands that outlive this process are
    /// announced to it.
    fn for_session(&self, session: &Session) -> Arc<dyn Commands>;
}

/// Runs the commands of one session.
pub trait Commands: Debug + Send + Sync {
    /// Lets all commands, those that run and those to come, live until `deadline`, on the clock that counts
    /// suspend. An earlier deadline than the last one changes nothing.
    fn extend(&self, deadline: BootTime);

    /// Starts a command.
    ///
    /// # Errors
    /// Why it was not started.
    fn spawn<'a>(&'a self, spec: &'a CommandSpec) -> Boxed<'a, Result<Box<dyn Running>, SpawnError>>;
}

/// A command that runs. Dropping it kills it.
pub trait Running: Debug + Send {
    /// Asks it to end, and kills it after its grace.
    fn terminate(&self);

    /// Kills it.
    fn kill(&self);

    /// Waits until it has ended. Cancel safe; later calls return the same.
    fn wait(&mut self) -> Boxed<'_, &Finished>;
}

impl Executor for EntryPoint {
    fn for_session(&self, session: &Session) -> Arc<dyn Commands> {
        Arc::new(Supervisors::of_session(self.clone(), session))
    }
}

impl Commands for Supervisors {
    fn extend(&self, deadline: BootTime) {
        Self::extend(self, deadline);
    }

    fn spawn<'a>(&'a self, spec: &'a CommandSpec) -> Boxed<'a, Result<Box<dyn Running>, SpawnError>> {
        Box::pin(async move { Ok(Box::new(Self::spawn(self, spec).await?) as Box<dyn Running>) })
    }
}

impl Running for SupervisedChild {
    fn terminate(&self) {
        Self::terminate(self);
    }

    fn kill(&self) {
        Self::kill(self);
    }

    fn wait(&mut self) -> Boxed<'_, &Finished> {
        Box::pin(Self::wait(self))
    }
}

/// Lets the commands of a session live as long as the session may be relied on, less what killing them takes.
pub(crate) fn extend(commands: &dyn Commands, status: Status) {
    if let Status::Live { deadline } = status {
        commands.extend(deadline.minus(KILL_ALLOWANCE));
    }
}
