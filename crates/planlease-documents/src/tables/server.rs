//! `dev status`: the local server.

use std::fmt::Write as _;

use planlease::core::WallTime;

use super::tabular::Tabular;
use crate::wire::server::ServerStatus;

impl Tabular for ServerStatus {
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
