//! The protocol as a model whose every reachable state is checked.
//!
//! Three models, since order, time and companions are three questions. [`model::Ownership`] has no clock:
//! leases expire whenever the checker likes, requests arrive whenever it likes, and the question is what etcd
//! accepts then. [`time::Session`] has clocks and nothing else: whether the holder stops before the lease can
//! expire. [`companion::Takeover`] has a process that dies, its commands and its companion: whether anything
//! is freed too early. All ask `planlease-core` for every decision, so what is checked is the code's own. See
//! `docs/model.md`.
//!
//! Two more models have no code behind them. [`outage::Outage`] is a policy that was left out, and shows why.
//! [`transfer::Transfer`] is a design for several clusters (`docs/scale.md`).

pub mod bounds;
pub mod bridge;
pub mod check;
pub mod companion;
pub mod etcd;
pub mod flaws;
pub mod judge;
pub mod model;
pub mod outage;
pub mod process;
pub mod properties;
pub mod protocol;
pub mod story;
pub mod time;
pub mod transfer;
