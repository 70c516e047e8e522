//! Hooks: a command or a webhook is notified of what happens to the plans of a namespace.
//!
//! - **At least once.** A hook's position, the revision up to which its events are delivered, is kept in etcd
//!   and moved by compare-and-swap after each delivery. A runner that dies in between delivers the last event
//!   again, under the same id.
//! - **By one process.** A hook is run under the lease of one session ([`planlease::HookRunner`]); others
//!   wait.
//! - **In order, from etcd's history.** Nothing is queued in memory: a receiver that is behind reads on from
//!   its position. Where etcd's history is compacted, the events of the present state are delivered instead.
//! - **Bounded.** A delivery is tried a few times with growing pauses, and then given up, with a warning.
//!   After that each event has one try, until one succeeds. Every hook has its own position: one with a dead
//!   receiver keeps no other from anything.

mod command;
mod deliver;
mod event;
mod follow;
mod not_delivered;
mod receiver;
mod secret;
mod webhook;

pub use deliver::Retries;
pub use event::{Event, EventKind};
pub use follow::{Hook, Report};
pub use not_delivered::NotDelivered;
pub use receiver::Receiver;
pub use secret::Secret;
