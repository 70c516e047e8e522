//! What judges a run: the whole history of the store, what each client was told, and whether the two agree.
//!
//! It cannot be fooled by the code it judges, since it takes nothing from it but stored bytes: the
//! [`History`] is told by a watch of its own, from the first revision, past whatever stands between the
//! clients and the store; the [`Journal`] holds what each client called and what it was told, and when. Then
//!
//! - the history is replayed against the invariants (`planlease_core::audit`),
//! - history and journal are [settled](settle::settle): what was acknowledged is in the history exactly once,
//!   what was refused is not, each unknown outcome turns out to be one or the other, and every write is one
//!   that somebody was told of,
//! - the order in which things were told is compared with the order in which they happened
//!   ([`order::check`]), and for single tasks searched for without knowing it ([`search::check`]).

pub mod client;
pub mod history;
pub mod journal;
pub mod order;
pub mod search;
pub mod settle;
mod verdict;

pub use client::Client;
pub use history::History;
pub use journal::Journal;
pub use verdict::{Verdict, judge};
