//! Who runs in the simulation: a file each. All of them may be killed at any point, and are started again.

pub mod client;
pub mod keeper;
pub mod operator;
pub mod orchestrator;
pub mod server;
pub mod service;
pub mod steering;
pub mod watcher;
pub mod work;
pub mod worker;

/// What a host's program returns. It never ends by itself.
pub type Ended = turmoil::Result;
