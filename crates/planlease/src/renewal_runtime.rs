//! Where the renewals of sessions run: on a thread of their own, so that a program which blocks its runtime
//! keeps its sessions.
//!
//! The connection for renewals is made there too, and so driven there. The process has one such thread, not
//! one per coordinator: a renewal is one small message per session and third of a TTL, and so the number of
//! threads has a bound whatever the number of coordinators.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Name of the thread.
const NAME: &str = "planlease-renew";

/// How many threads the runtime has for calls that block, which are name lookups and reads of certificates.
const BLOCKING_THREADS: usize = 4;

/// Where the renewals of sessions run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalRuntime {
    /// A thread of their own, shared by all coordinators of the process. It starts with the first session and
    /// ends with the last coordinator that has opened one.
    ///
    /// A program that blocks its own runtime keeps its sessions then, for however long. One that has to lose
    /// them if it is stuck calls [`Session::require_progress`](crate::Session::require_progress).
    #[default]
    OwnThread,
    /// The runtime on which the session is opened. A program that blocks it for longer than the TTL loses its
    /// sessions. For simulations and for tests that pause tokio's time, which is the time of one runtime.
    Ambient,
}

/// Runs the renewals of one coordinator.
#[derive(Debug)]
pub(crate) struct Renewals {
    runtime: RenewalRuntime,
    /// The thread, once it was needed; `None` in it if it could not be started.
    thread: OnceLock<Option<Arc<Thread>>>,
}

impl Renewals {
    pub(crate) fn new(runtime: RenewalRuntime) -> Self {
        Self { runtime, thread: OnceLock::new() }
    }

    /// Runs a task that renews. Its owner stops it and waits for it by the handle, from any runtime.
    #[expect(clippy::disallowed_methods, reason = "the session owns the task, stops it and waits for it")]
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self.thread() {
            Some(thread) => thread.runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }

    fn thread(&self) -> Option<&Arc<Thread>> {
        if self.runtime == RenewalRuntime::Ambient {
            return None;
        }
        let start = || {
            let started = Thread::shared();
            let failed =
                |error| tracing::warn!(%error, "no thread for renewals: a blocked runtime blocks them");
            started.map_err(failed).ok()
        };
        self.thread.get_or_init(start).as_ref()
    }
}

/// The thread and its runtime; ends when the last handle of it is dropped.
#[derive(Debug)]
struct Thread {
    runtime: Handle,
    end: CancellationToken,
}

/// The thread of this process, while it is used.
static SHARED: Mutex<Weak<Thread>> = Mutex::new(Weak::new());

impl Thread {
    /// The thread of this process; a new one if there is none.
    fn shared() -> io::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let started = Arc::new(Self { runtime: runtime.handle().clone(), end: CancellationToken::new() });
        let end = started.end.clone();
        thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            runtime.block_on(end.cancelled());
            // No task is left: each holds a handle of this thread. A name lookup may still block.
            runtime.shutdown_background();
        })?;
        *shared = Arc::downgrade(&started);
        Ok(started)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    async fn thread_of(renewals: &Renewals) -> Option<String> {
        let (sender, receiver) = oneshot::channel();
        let task = async move { sender.send(thread::current().name().map(ToOwned::to_owned)).unwrap() };
        renewals.spawn(task).await.unwrap();
        receiver.await.unwrap()
    }

    /// One test, since there is one thread per process.
    #[tokio::test]
    async fn one_thread_serves_all_and_ends_with_the_last() {
        let [one, other] = [(); 2].map(|()| Renewals::new(RenewalRuntime::OwnThread));
        assert_eq!(thread_of(&one).await.as_deref(), Some(NAME));
        assert_eq!(thread_of(&other).await.as_deref(), Some(NAME));
        let shared = |renewals: &Renewals| Arc::clone(renewals.thread().unwrap());
        assert!(Arc::ptr_eq(&shared(&one), &shared(&other)));
        drop(one);
        assert_eq!(thread_of(&other).await.as_deref(), Some(NAME), "the other one still has it");
        let end = shared(&other).end.clone();
        drop(other);
        tokio::time::timeout(Duration::from_secs(5), end.cancelled()).await.unwrap();
        assert!(SHARED.lock().unwrap().upgrade().is_none());
        let ambient = Renewals::new(RenewalRuntime::Ambient);
        assert_ne!(thread_of(&ambient).await.as_deref(), Some(NAME));
    }
}
