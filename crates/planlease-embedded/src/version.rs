//! The version of etcd that the server reports.

/// The version in answers to a status request: that of the etcd whose behaviour is followed, marked as ours
/// in the way semantic versions provide for.
pub const VERSION: &str = "3.5.30+embedded";
