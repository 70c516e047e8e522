//! `dev`: how much history a server of one's own keeps.

use std::time::Duration;

use clap::Args;
use planlease_embedded::KeptHistory;

/// Which history is dropped. 0 keeps all that the other bound allows.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Drop history that is older; 0s for never
    #[arg(
        long,
        value_name = "DURATION",
        env = "PLANLEASE_HISTORY_AGE",
        hide_env_values = true,
        default_value = "1h",
        value_parser = crate::duration::parse
    )]
    history_age: Duration,
    /// Drop history beyond so many revisions; 0 for never
    #[arg(
        long,
        value_name = "COUNT",
        env = "PLANLEASE_HISTORY_REVISIONS",
        hide_env_values = true,
        default_value_t = 100_000
    )]
    history_revisions: u32,
}

impl HistoryArgs {
    /// What the server is to do; `None` if it is to keep everything.
    pub(super) fn kept(self) -> Option<KeptHistory> {
        let age = Some(self.history_age).filter(|age| !age.is_zero());
        let revisions = Some(self.history_revisions).filter(|revisions| *revisions > 0);
        (age.is_some() || revisions.is_some()).then(|| KeptHistory {
            age: age.unwrap_or(Duration::MAX),
            revisions: revisions.unwrap_or(u32::MAX),
        })
    }

    /// The flags that say the same.
    pub(super) fn flags(self) -> [String; 2] {
        [
            format!("--history-age={}ms", self.history_age.as_millis()),
            format!("--history-revisions={}", self.history_revisions),
        ]
    }
}
