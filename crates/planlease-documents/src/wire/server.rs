//! `dev status`: the local server.

use std::path::PathBuf;

use planlease::{EndpointStatus, local::LocalServer};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;

/// The state of the local server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerStatus {
    pub(crate) running: bool,
    pub(crate) pid: Option<i32>,
    pub(crate) endpoint: String,
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) version: Option<String>,
    pub(crate) revision: Option<u64>,
    pub(crate) db_size_bytes: Option<u64>,
    /// Why a server that runs does not answer.
    pub(crate) problem: Option<String>,
}

impl ServerStatus {
    /// `pid` is that of the process that listens, if one does; `status` what it says.
    #[must_use]
    pub fn new(
        server: &LocalServer,
        pid: Option<i32>,
        status: Option<Result<EndpointStatus, String>>,
    ) -> Self {
        let (status, problem) = match status {
            Some(Ok(status)) => (Some(status), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        Self {
            running: pid.is_some(),
            pid,
            endpoint: planlease::Endpoint::Unix(server.socket()).to_string(),
            folder: server.folder().to_owned(),
            log: server.log(),
            version: status.as_ref().map(|status| status.version.clone()),
            revision: status.as_ref().map(|status| status.revision),
            db_size_bytes: status.as_ref().map(|status| status.db_size),
            problem,
        }
    }
}

impl Document for ServerStatus {
    const SCHEMA: Option<&'static str> = Some("planlease.local_server.v1");
}
