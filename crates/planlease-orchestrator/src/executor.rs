//! Where the commands of tasks run: under guards, as processes of this host, or in whatever a program that
//! embeds the orchestrator puts in their place.
//!
//! Whoever runs commands makes one promise: none of them does anything after the deadline that was last told.
//! That is what keeps two owners of a plan from working at the same time.

use std::{fmt::Debug, pin::Pin, sync::Arc};

use planlease_core::BootTime;

use crate::{
    child::{Finished, GuardedChild, Guards, SpawnError},
    command::CommandSpec,
    entry::EntryPoint,
};

/// A future of an executor.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts what runs commands, once per session. An [`EntryPoint`] is one: it leads to the guards of
/// processes.
pub trait Executor: Debug + Send + Sync {
    /// What runs the commands of a new session. It must run none before [`Commands::extend`] was called.
    fn for_session(&self) -> Arc<dyn Commands>;
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
    fn for_session(&self) -> Arc<dyn Commands> {
        Arc::new(Guards::new(self.clone()))
    }
}

impl Commands for Guards {
    fn extend(&self, deadline: BootTime) {
        Self::extend(self, deadline);
    }

    fn spawn<'a>(&'a self, spec: &'a CommandSpec) -> Boxed<'a, Result<Box<dyn Running>, SpawnError>> {
        Box::pin(async move { Ok(Box::new(Self::spawn(self, spec).await?) as Box<dyn Running>) })
    }
}

impl Running for GuardedChild {
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
