//! Serves metrics to every host that can reach the port: nothing in them is a secret.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Method, StatusCode};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::{
    reader::FleetReader,
    text::{TYPE, text},
};
use crate::http::{ListenError, Places, bind, said, serve, whole};

/// A listener that serves a registry as `GET /metrics`, until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<Infallible>,
}

impl MetricsServer {
    /// Listens on an address, which other hosts may reach.
    ///
    /// # Errors
    /// What the system refuses.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was bound.
    pub async fn bind(at: SocketAddr, registry: Registry) -> Result<Self, ListenError> {
        Self::bind_with(at, registry, None).await
    }

    /// The same, which also reads how the fleet is before it answers: see [`FleetReader`].
    ///
    /// # Errors
    /// As [`MetricsServer::bind`].
    ///
    /// # Cancel safety
    /// As [`MetricsServer::bind`].
    pub async fn bind_reading(
        at: SocketAddr,
        registry: Registry,
        fleet: FleetReader,
    ) -> Result<Self, ListenError> {
        Self::bind_with(at, registry, Some(fleet)).await
    }

    async fn bind_with(
        at: SocketAddr,
        registry: Registry,
        fleet: Option<FleetReader>,
    ) -> Result<Self, ListenError> {
        let socket = bind(at, true).await?;
        let address = socket.local_addr().map_err(|source| ListenError::Io { at, source })?;
        let registry = Arc::new(registry);
        let answer = move |request: http::Request<_>, _| {
            let (registry, fleet) = (Arc::clone(&registry), fleet.clone());
            async move {
                match (request.method(), request.uri().path()) {
                    (&Method::GET, "/metrics") => {
                        if let Some(fleet) = fleet {
                            fleet.refresh().await;
                        }
                        whole(StatusCode::OK, TYPE, text(&registry))
                    }
                    (&Method::GET, "/livez") => said(StatusCode::OK, "ok\n"),
                    _ => said(StatusCode::NOT_FOUND, "there are GET /metrics and GET /livez\n"),
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the handle owns the task, and stops it")]
        let task = tokio::spawn(serve(socket, Places::default(), answer));
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
