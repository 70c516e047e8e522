//! What a caller adds to a hold: its command, and what it shows.

use std::time::Duration;

use planlease::{Error, Holder, TaskView};

use super::lost::Lost;
use crate::{child::SpawnError, command::CommandSpec};

/// The command of a hold, and the receiver of its notices.
pub trait Work<H> {
    /// It is held from now on.
    fn acquired(&self, held: &H) {
        let _ = held;
    }

    /// The command to run, with its environment.
    ///
    /// # Errors
    /// What is handed down to the command cannot be written as JSON.
    fn spec(&self, held: &H) -> Result<CommandSpec, serde_json::Error>;

    /// Something happened meanwhile. Must not block.
    fn notice(&self, notice: Notice<'_>);
}

/// Something that happens while a process queues for a hold, or has it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Another process holds it; this one waits in the queue.
    Waiting(&'a Holder),
    /// The last holder crashed, and a lock delay is waited for.
    LockDelay(Duration),
    /// The place in the queue is lost with its session; this process joins again.
    PlaceLost(&'a Error),
    /// Tasks of lost claimants were recovered.
    Recovered(usize),
    /// The time has come for a task of the plan, and it was put back, given up or handed to a person, for
    /// this reason.
    Due(&'a TaskView, &'a str),
    /// etcd did not do what is due, for this reason; it is asked again.
    NotDoneYet(&'a str),
    /// The host is short of resources; starting the command is retried.
    ShortOfResources(&'a SpawnError),
    /// The command was asked to end; a second signal kills it.
    AskedToEnd,
    /// Processes that the command had started could not be killed.
    Survivors,
    /// It was lost before the command had started; this process joins the queue again.
    LostBeforeStart(&'a Lost),
    /// etcd did not answer what comes before the command; this process joins the queue again.
    NotBegun(&'a Error),
    /// It could not be released; it ends with the session.
    NotReleased(&'a Error),
}
