//! Delivering an event to a command.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{event::Event, not_delivered::NotDelivered};

/// Runs the command with the event on its standard input, and waits for its end. It is killed if the future
/// is dropped.
pub(crate) async fn run(command: &[String], event: &Event, body: &[u8]) -> Result<(), NotDelivered> {
    let (program, args) = command.split_first().ok_or_else(|| {
        NotDelivered::NotRun(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is empty"))
    })?;
    let mut child = Command::new(program)
        .args(args)
        .env("PLANLEASE_EVENT", event.kind.as_str())
        .env("PLANLEASE_EVENT_ID", &event.id)
        .env("PLANLEASE_EVENT_PLAN", event.plan.as_str())
        .env("PLANLEASE_EVENT_TASK", event.task.as_ref().map_or("", |task| task.as_str()))
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its input has taken the event all the same, if it says so.
        drop(input.write_all(body).await);
    }
    let status = child.wait().await?;
    if status.success() { Ok(()) } else { Err(NotDelivered::Ended(status)) }
}
