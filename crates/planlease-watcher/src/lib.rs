//! Streams every change of planlease's plans to subscribers: list, then watch.
//!
//! However many subscribe, a watcher makes one list and keeps one watch, of a namespace or of some plans of
//! it ([`Scope`]). From them a [`Store`] keeps the map of the plans; each change of it is sent to all
//! subscribers, whole revisions at a time.
//!
//! ```text
//!   etcd ── list, watch ──► the watcher's task ──► store ──► ring of the last changes ◄── subscriptions
//! ```
//!
//! What a subscriber can rely on:
//!
//! - Changes come in the order of their revisions, none twice and none left out; what one transaction did
//!   comes together. Where that cannot be ([`Why`]), it receives a [`Snapshot`] to start again from.
//! - After a gap (etcd's history was compacted) the differences are reported, deletions too, marked
//!   [`resynced`](ChangeSet::resynced).
//! - Changes of ownership are reported one by one and say why ([`OwnershipChange`]), also after a gap, as far
//!   back as etcd keeps a plan's past terms.
//! - A plan is there whole or not at all: half an import is nothing yet.
//! - A slow subscriber delays no other, and costs no memory.
//!
//! A change that was *not* reported yet proves nothing: the transaction that acts decides what is allowed.
//!
//! # A subscriber
//!
//! ```no_run
//! use planlease::{Config, Coordinator};
//! use planlease_watcher::{Change, Delivery, Filter, Watcher};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let watcher = Watcher::start(Coordinator::connect(Config::default()).await?);
//! let mut subscription = watcher.subscribe(Filter::default(), None).await?;
//! while let Some(delivery) = subscription.next().await {
//!     match delivery {
//!         // The first delivery, and again if this subscriber read too slowly: replaces what it held.
//!         Delivery::Snapshot(snapshot, _why) => {
//!             for plan in snapshot.plans() {
//!                 println!("{}: {:?}", plan.name(), plan.summary());
//!             }
//!         }
//!         Delivery::Changes(set) => {
//!             for change in &set.changes {
//!                 match change {
//!                     Change::Task { plan, task, .. } => {
//!                         println!("{} {plan} {}: {}", set.revision, task.id, task.record.status);
//!                     }
//!                     Change::Ownership { plan, what, .. } => println!("{} {plan}: {what:?}", set.revision),
//!                     _ => {}
//!                 }
//!             }
//!         }
//!     }
//! }
//! // The end: closed, or this.
//! watcher.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A subscriber that remembers the last revision it has dealt with can come back with it
//! ([`Watcher::subscribe`]); [`Snapshot::apply`] keeps a copy of the store up to date.

mod change;
mod compare;
mod error;
mod filter;
mod follow;
mod hub;
mod line;
mod loading;
#[cfg(test)]
mod model;
mod recall;
mod ring;
mod scope;
mod snapshot;
mod source;
mod store;
mod subscription;
#[cfg(test)]
mod tests;
mod watcher;

pub use change::{Change, ChangeSet, OwnershipChange};
pub use error::Error;
pub use filter::Filter;
pub use hub::Health;
pub use planlease_core::view::{Halts, PlanView};
pub use scope::Scope;
pub use snapshot::Snapshot;
pub use store::Store;
pub use subscription::{Delivery, Subscription, Why};
pub use watcher::{Options, Watcher};
