//! What judges a run: the whole history of the store, the answers to each client, and whether the two agree.
//!
//! It cannot be fooled by the code it judges, since it takes nothing from it but stored bytes: the
//! [`History`] comes from a watch of its own, from the first revision, past whatever stands between the
//! clients and the store; the [`Journal`] holds what each client called and which answer it got, and when.
//! Then
//!
//! - the history is replayed against the invariants (`planlease_core::audit`),
//! - history and journal are [reconciled](reconcile::reconcile): what was acknowledged is in the history
//!   exactly once, what was refused is not, each unknown outcome turns out to be one or the other, and every
//!   write is one that a client got an answer to,
//! - the order of the answers is compared with the order in which things happened
//!   ([`order::check`]), and for single tasks searched for without knowing it ([`search::check`]).

pub mod client;
pub mod history;
pub mod journal;
pub mod order;
pub mod reconcile;
pub mod search;
mod verdict;

pub use client::Client;
pub use history::History;
pub use journal::Journal;
pub use verdict::{Verdict, judge};
