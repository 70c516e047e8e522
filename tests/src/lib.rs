//! The harness: real servers, real processes, real signals.
//!
//! | module | what it gives a test |
//! | --- | --- |
//! | [`backend`] | a server to run on, whichever it is: embedded, one etcd, three members, an etcd 3.4 |
//! | [`certificates`] | an authority, and certificates that it issues to servers and clients |
//! | [`dev`] | the embedded server as a process of its own, `planlease dev` |
//! | [`disk`] | a disk that can stall |
//! | [`embedded`] | the embedded server on a port of its own |
//! | [`etcd`] | real etcd processes, to be killed, paused and started again |
//! | [`hosts`] | hosts of their own, whose network can die |
//! | [`http`] | a client of the sidecar, and programs that own plans through one |
//! | [`owner`] | a program in Rust that owns a plan, to be killed |
//! | [`packages`] | clients of etcd in other languages, from their registries |
//! | [`program`] | processes of the program `planlease`, to be run, killed and paused |
//! | [`proxy`] | a network that can be cut, slowed down, silenced, or lose the answer to one request |
//! | [`raw`] | what etcd itself needs for the same, to measure by |
//! | [`suite`] | a test written once becomes one test per backend, `on_etcd::name` |
//! | [`test_env`] | the environment of one test: its store, its folder, and the program |
//! | [`wait`] | waiting for a condition with a deadline, never for a guessed time |
//! | [`writer`] | a process that changes tasks as fast as it can, and notes down what was acknowledged |
//!
//! Servers that a suite shares are started when the first test asks and stopped when the last one has ended.
//! The harness reads `PLANLEASE_TEST_ETCD` and `PLANLEASE_TEST_ETCD_3_4`, the paths of the servers, which
//! `cargo xtask test` sets; without them it looks into `target/etcd`, where that command leaves them. The
//! program is looked for beside the test binary, where `cargo build -p planlease-cli` leaves it, or where
//! `PLANLEASE_TEST_PROGRAM` says.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a harness talks to its terminal")]

pub mod agent;
pub mod backend;
pub mod certificates;
pub mod collector;
mod data_folder;
pub mod dev;
pub mod disk;
pub mod embedded;
pub mod etcd;
mod guard;
pub mod hosts;
pub mod http;
pub mod owner;
pub mod packages;
pub mod program;
pub mod proxy;
pub mod race;
pub mod raw;
pub mod signal;
pub mod suite;
pub mod terminal;
pub mod test_env;
pub mod wait;
pub mod writer;

#[doc(hidden)] // For the attributes.
pub use inventory;
pub use planlease_tests_macros::{case, plain};
pub use test_env::TestEnv;
