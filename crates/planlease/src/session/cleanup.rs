//! The task of a session that cleans up after handles that were dropped: one thing after the other, and again
//! later what could not be done. What there is to clean up is decided above the session.

use std::{collections::VecDeque, fmt};

use futures_util::future::BoxFuture;
use planlease_core::session::Status;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{coordinator::Coordinator, error::Error};

/// Something to clean up.
pub(crate) trait Cleanup: fmt::Debug + Send {
    /// Cleans it up. Can be done again.
    fn clean_up<'a>(&'a mut self, coordinator: &'a Coordinator) -> BoxFuture<'a, Result<(), Error>>;
}

/// What the task receives.
#[derive(Debug)]
pub(super) enum Message {
    /// Something to clean up.
    CleanUp(Box<dyn Cleanup>),
    /// Reports when everything before it is done.
    Flush(oneshot::Sender<()>),
}

/// The task: cleans up, one thing after the other. Ends when the session does.
pub(super) async fn clean_up(
    coordinator: Coordinator,
    mut inbox: mpsc::UnboundedReceiver<Message>,
    status: watch::Receiver<Status>,
) {
    let look_after = coordinator.config().request_timeout * 2;
    let mut again: VecDeque<(Instant, Box<dyn Cleanup>)> = VecDeque::new();
    loop {
        let due = again.front().map(|(due, _)| *due);
        let mut cleanup = tokio::select! {
            biased; // What was dropped just now first: a caller may wait for it.
            message = inbox.recv() => match message {
                Some(Message::CleanUp(cleanup)) => cleanup,
                Some(Message::Flush(done)) => {
                    let _ = done.send(());
                    continue;
                }
                None => return,
            },
            () = until(due) => match again.pop_front() {
                Some((_, cleanup)) => cleanup,
                None => continue,
            },
        };
        let live = matches!(*status.borrow(), Status::Live { .. });
        if live && let Err(error) = cleanup.clean_up(&coordinator).await {
            if error.is_transient() || matches!(error, Error::HeldLocally(_) | Error::LockedLocally { .. }) {
                tracing::debug!(%error, "cleaned up later");
                again.push_back((Instant::now() + look_after, cleanup));
            } else if matches!(error, Error::AuthorityLost(_)) {
                tracing::debug!(%error, "there is nothing to clean up any more");
            } else {
                tracing::warn!(%error, "could not clean up; the end of the session will");
            }
        }
        // Else everything is gone with the session.
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
