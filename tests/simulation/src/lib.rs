//! The real code on a simulated network with simulated time: a program with a seed.
//!
//! Coordinators, watchers and orchestrators are the ones that users run; etcd is the embedded server on a
//! disk that loses what was not synced. turmoil gives each of them a host of its own and carries their
//! connections, so that a run of a minute takes a fraction of a second, and is the same for the same seed, to
//! the byte.
//!
//! | module | duty |
//! | --- | --- |
//! | [`options`] | everything that is drawn from the seed, printed before a run |
//! | [`faults`] | what goes wrong when: the plan of the faults, and carrying it out |
//! | [`network`], [`disk`], [`clock`] | what the code under test is given in the place of the real things |
//! | [`hosts`] | who runs: the server, orchestrators, clients, workers, watchers, operators |
//! | [`world`] | what stands outside: the record of what happened, and the resource that the work is done on |
//! | [`invariants`] | what must hold, a file each |
//! | [`run`] | one seed from beginning to end |
//! | [`scenarios`] | seeds that have found something |
//!
//! A run has two parts. First faults come and go, and *safety* is checked. Then everything heals, and
//! *liveness* is: every plan comes to its end and every watcher to the present, and nothing is restarted for
//! it.

/// Whether the same seed is the same run. tokio draws from a generator of its own where the order of waking
/// up does not matter to it, and that one is seeded only in builds with `--cfg tokio_unstable`, as
/// `cargo xtask simulate` makes them.
pub const REPEATABLE: bool = cfg!(tokio_unstable);

pub mod clock;
pub mod disk;
pub mod faults;
pub mod hosts;
pub mod invariants;
pub mod network;
pub mod options;
pub mod run;
pub mod scenarios;
pub mod watchdog;
pub mod world;
