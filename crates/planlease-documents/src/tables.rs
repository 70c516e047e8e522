//! Documents as people see them: tables and sentences made of the wire types, for terminals.

pub(crate) mod audit;
pub(crate) mod claim;
pub(crate) mod deps;
pub(crate) mod diagnosis;
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
pub(crate) mod table;
pub(crate) mod tabular;
pub(crate) mod task;
pub(crate) mod unreadable;
pub(crate) mod watch;
pub(crate) mod why;
pub(crate) mod worktree;
