//! The handle of a sidecar: begins to serve, and ends in order.

use planlease::Coordinator;
use tokio_util::task::TaskTracker;

use crate::{
    listen::Bound,
    options::Options,
    router,
    serve::serve,
    shared::{App, Shared},
};

/// A sidecar that serves.
#[derive(Debug)]
#[must_use = "a sidecar that is dropped serves on until the runtime ends"]
pub struct Sidecar {
    app: App,
    listeners: TaskTracker,
}

/// How a sidecar ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every program had ended its sessions.
    Idle,
    /// The grace was over; so many sessions were ended though their programs lived.
    Forced(usize),
}

impl Sidecar {
    /// Begins. No client is served yet, and no plan is watched before one asks for changes.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(coordinator: Coordinator, options: Options) -> Self {
        let (app, listeners) = (Shared::new(coordinator, options), TaskTracker::new());
        let (watchers, ended) = (app.watchers.clone(), app.drain.ended.clone());
        listeners.spawn(async move { ended.run_until_cancelled(watchers.drop_idle()).await });
        Self { app, listeners }
    }

    /// Serves the interface on this socket.
    pub fn serve(&self, bound: Bound) {
        self.listen(bound, router::router(&self.app));
    }

    /// The interface for clients that a gate of the caller's has let in: they are recorded under this name,
    /// and if they may not write they may read and follow events only. Without a gate before it, it answers
    /// every client that can reach it; to be served by [`Sidecar::serve_router`].
    pub fn interface_behind(&self, client: &str, may_write: bool) -> axum::Router {
        router::router_behind(&self.app, client, may_write)
    }

    /// Serves this router on this socket, with the same bounds as the interface.
    pub fn serve_router(&self, bound: Bound, router: axum::Router) {
        self.listen(bound, router);
    }

    /// Serves probes and metrics on this socket, to everybody who can reach it.
    pub fn serve_metrics(&self, bound: Bound) {
        self.listen(bound, router::metrics_router(&self.app));
    }

    fn listen(&self, bound: Bound, router: axum::Router) {
        self.listeners.spawn(serve(bound, router, self.app.clone()));
    }

    /// Drains: accepts no new work, but keeps renewing and serving until every program has ended its sessions
    /// or the grace is over, releases what is left, lets streams and connections end. `now`: ends the wait
    /// early.
    ///
    /// # Cancel safety
    /// If the future is dropped, new work stays refused, and the sessions go on until their programs end
    /// them.
    pub async fn drain(self, now: impl Future<Output = ()>) -> Ended {
        let Self { app, listeners } = self;
        app.drain.begin(true);
        let idle = tokio::select! {
            biased; // A drain that is done needs no hurry.
            () = app.sessions.none() => true,
            () = tokio::time::sleep(app.options.grace) => false,
            () = now => false,
        };
        let left = if idle { 0 } else { app.sessions.all().len() };
        app.sessions.end_all().await;
        app.drain.ended.cancel();
        listeners.close();
        listeners.wait().await;
        if left == 0 { Ended::Idle } else { Ended::Forced(left) }
    }

    /// The description of the interface (OpenAPI 3.1), as it is served at `/openapi.json`.
    #[must_use]
    pub fn openapi() -> serde_json::Value {
        crate::openapi::document()
    }
}
