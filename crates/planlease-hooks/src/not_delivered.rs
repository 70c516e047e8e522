//! Why a receiver did not take an event.

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The command could not be started, or its input not be written.
    #[error("the command cannot be run: {0}")]
    NotRun(#[from] std::io::Error),
    /// The command ended with another status than 0.
    #[error("the command ended with {0}")]
    Ended(std::process::ExitStatus),
    /// There is no connection, or it broke.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
    /// The server answered with another status than 2xx.
    #[error("the receiver answered with status {0}")]
    Status(u16),
    /// It took too long.
    #[error("the receiver did not answer in time")]
    TimedOut,
}
