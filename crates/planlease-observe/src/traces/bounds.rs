//! The bounds of the export of spans.

use std::time::Duration;

/// How many spans may wait to be sent.
pub const QUEUE: usize = 4096;

/// How many spans one request has at most.
pub const BATCH: usize = 512;

/// How long spans wait for others to share a request with.
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a request may take.
pub const REQUEST: Duration = Duration::from_secs(10);

/// How long the end of the process may wait for what is still to be sent.
pub const AT_THE_END: Duration = Duration::from_secs(1);

/// How often a collector that does not take spans is complained about.
pub const COMPLAIN: Duration = Duration::from_mins(1);
