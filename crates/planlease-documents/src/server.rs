//! `dev status`: the local server.

use std::{fmt::Write as _, path::PathBuf};

use planlease::{EndpointStatus, core::WallTime, local::LocalServer};
use schemars::JsonSchema;
use serde::Serialize;

use super::Document;

/// The state of the local server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerStatus {
    running: bool,
    pid: Option<i32>,
    endpoint: String,
    folder: PathBuf,
    log: PathBuf,
    version: Option<String>,
    revision: Option<u64>,
    db_size_bytes: Option<u64>,
    /// Why a server that runs does not answer.
    problem: Option<String>,
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

    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name:<9} {value}").expect("a text can always be written to");
        };
        match self.pid {
            Some(pid) => line("state", &format!("running as process {pid}")),
            None => line("state", "not running; the next command without --endpoints starts it"),
        }
        line("endpoint", &self.endpoint);
        line("folder", &self.folder.display().to_string());
        line("log", &self.log.display().to_string());
        if let Some(version) = &self.version {
            line("version", version);
        }
        if let (Some(revision), Some(bytes)) = (self.revision, self.db_size_bytes) {
            line("data", &format!("{bytes} bytes at revision {revision}"));
        }
        if let Some(problem) = &self.problem {
            line("problem", problem);
        }
        text
    }
}
