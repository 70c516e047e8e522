//! Traps: what is to happen to the next request of some method.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::connection::Connection;
use crate::wait::SOON;

/// What a trap does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    LoseAnswer,
    LoseRequest,
    HoldRequest,
    Crash,
}

/// A trap as the connection sees it.
#[derive(Debug)]
pub(super) struct Inner {
    method: String,
    pub(super) kind: Kind,
    /// How many requests have to come until it springs.
    left: AtomicU32,
    sprung: watch::Sender<bool>,
    /// Where the held request is.
    held: Mutex<Option<Arc<Connection>>>,
}

impl Inner {
    pub(super) fn new(method: &str, kind: Kind, nth: u32) -> Self {
        let sprung = watch::Sender::new(false);
        let left = AtomicU32::new(nth.max(1));
        Self { method: method.to_owned(), kind, left, sprung, held: Mutex::new(None) }
    }

    /// Whether it is this request for which it was laid. Counts: to be asked once per request.
    pub(super) fn is_for(&self, path: &str) -> bool {
        path.ends_with(&self.method) && self.left.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// It has happened.
    pub(super) fn spring(&self) {
        self.sprung.send_replace(true);
    }

    pub(super) fn hold(&self, connection: Arc<Connection>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        self.spring();
    }
}

/// Something that waits for a request. A test in which it did not spring has tested nothing, so ask.
#[derive(Clone, Debug)]
#[must_use = "ask it whether it has sprung"]
pub struct Trap {
    inner: Arc<Inner>,
}

impl Trap {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Whether it has: the answer or the request is lost, or held.
    #[must_use]
    pub fn has_sprung(&self) -> bool {
        *self.inner.sprung.borrow()
    }

    /// Waits until it has.
    ///
    /// # Panics
    ///
    /// If there is no such request soon.
    pub async fn sprung(&self) {
        let mut sprung = self.inner.sprung.subscribe();
        let sprung = tokio::time::timeout(SOON, sprung.wait_for(|sprung| *sprung)).await;
        assert!(sprung.is_ok(), "no {} came within {SOON:?}", self.inner.method);
    }

    pub(super) fn is_on(&self, connection: &Arc<Connection>) -> bool {
        let held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| Arc::ptr_eq(held, connection))
    }

    /// Lets a held request go on, whether or not its sender still waits.
    ///
    /// # Panics
    ///
    /// If none is held.
    pub fn deliver(&self) {
        let held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.expect("a request is held").deliver();
    }
}
