//! The wire types: what `-o json` prints and the sidecar answers with. They know nothing of terminals.

pub(crate) mod audit;
pub(crate) mod claim;
pub(crate) mod deps;
pub(crate) mod diagnosis;
pub(crate) mod document;
pub(crate) mod edit;
pub(crate) mod estimate;
pub(crate) mod fence;
pub(crate) mod findings;
pub(crate) mod halt;
pub(crate) mod import;
pub(crate) mod lock;
pub(crate) mod next;
pub(crate) mod orchestrator;
pub(crate) mod owner;
pub(crate) mod phases;
pub(crate) mod plan;
pub(crate) mod plan_file;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod task;
pub(crate) mod unreadable;
pub(crate) mod watch;
pub(crate) mod why;
pub(crate) mod worktree;
