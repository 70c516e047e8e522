//! How loaded an orchestrator is, as its registration says: written when it has changed, and seldom.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use planlease::{Error, Session, error_chain};
use planlease_core::offer::Load;
use tokio::time::Sleep;

use crate::executor::Boxed;

/// How long after a write the next one comes at the earliest.
const EVERY: Duration = Duration::from_secs(5);

/// Writes the load of an orchestrator to the registration of a session.
pub(super) struct LoadReport {
    session: Session,
    written: Option<Load>,
    /// Until when nothing is written.
    rest: Pin<Box<Sleep>>,
    writing: Option<(Load, Boxed<'static, Result<(), Error>>)>,
}

impl LoadReport {
    /// Nothing is written yet.
    pub(super) fn new(session: &Session) -> Self {
        let rest = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { session: session.clone(), written: None, rest, writing: None }
    }

    /// Writes the present load if it is not written yet and the last time is long enough ago. Never ready; to
    /// be polled whenever something may have changed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, load: &Load) -> Poll<()> {
        loop {
            if let Some((written, writing)) = &mut self.writing {
                let Poll::Ready(result) = writing.as_mut().poll(context) else { return Poll::Pending };
                match result {
                    Ok(()) => self.written = Some(written.clone()),
                    // It is for people to read, and written again after the pause.
                    Err(error) => tracing::debug!(error = error_chain(&error), "the load was not written"),
                }
                self.writing = None;
                self.rest.set(tokio::time::sleep(EVERY));
            }
            if self.written.as_ref() == Some(load) || self.rest.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let (session, now) = (self.session.clone(), load.clone());
            let writing = Box::pin(async move { session.report_load(&now).await });
            self.writing = Some((load.clone(), writing));
        }
    }
}
