//! What must hold: a file per invariant, each with its source; `spans.rs` is what several of them need.
//! Safety is judged by everything that was recorded, liveness while the run is going on.

pub mod answers;
pub mod cancelled;
pub mod conduct;
pub mod cordon;
pub mod deadlines;
pub mod exclusive_lock;
pub mod exclusive_work;
pub mod fleet_pause;
pub mod history;
pub mod liveness;
pub mod lock_delay;
pub mod moves;
pub mod order;
pub mod pools;
pub mod spans;
pub mod unowned;
pub mod watchers;

use planlease_oracle::Verdict;

use crate::world::World;

/// What a judgement is made from.
pub struct Evidence<'a> {
    /// The world after the run.
    pub world: &'a World,
    /// What the oracle says of history and journal.
    pub verdict: &'a Verdict,
}

/// An invariant: its name, and what breaks it.
pub type Invariant = (&'static str, fn(&Evidence<'_>) -> Vec<String>);

/// All of them.
pub const ALL: [Invariant; 16] = [
    ("history", history::check),
    ("answers", answers::check),
    ("order", order::check),
    ("exclusive work", exclusive_work::check),
    ("exclusive lock", exclusive_lock::check),
    ("lock delay", lock_delay::check),
    ("pools", pools::check),
    ("conduct", conduct::check),
    ("deadlines", deadlines::check),
    ("cancelled", cancelled::check),
    ("cordon", cordon::check),
    ("fleet pause", fleet_pause::check),
    ("moves", moves::check),
    ("watchers", watchers::check),
    ("unowned", unowned::check),
    ("liveness", liveness::check),
];
