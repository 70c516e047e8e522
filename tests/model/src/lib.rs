//! The protocol as a model whose every reachable state is checked.
//!
//! Two models, since time and order are two questions. [`model::Ownership`] has no clock: leases expire
//! whenever the checker likes, requests arrive whenever it likes, and the question is what etcd accepts then.
//! [`time::Session`] has clocks and nothing else: whether the holder stops before the lease can expire. Both
//! ask `planlease-core` for every decision, so what is checked is the code's own. See `docs/model.md`.

pub mod bounds;
pub mod bridge;
pub mod check;
pub mod etcd;
pub mod flaws;
pub mod judge;
pub mod model;
pub mod process;
pub mod properties;
pub mod protocol;
pub mod story;
pub mod time;
