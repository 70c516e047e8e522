//! Lease-owned plans and compare-and-swap task updates for fleets of orchestrators, on etcd.
//!
//! A *plan* is a graph of *tasks*. An *orchestrator* opens a [`Session`] (an etcd lease that it keeps alive), acquires the
//! [`Ownership`] of a plan, and changes the plan's tasks by the ownership's [`Authority`]: each change is one transaction
//! that compares the owner's key and the revision of the task, so that whoever lost the plan writes nothing, whatever it
//! believes. If the process dies, its lease expires, the next one in line takes over, and recovers what was in progress.
//!
//! ```no_run
//! use planlease::{AcquireOptions, Config, Coordinator, Identity, Outcome};
//! use planlease_core::{PlanName, transition::Change};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let coordinator = Coordinator::connect(Config::default()).await?;
//! let session = coordinator.open_session(Identity::of_process()).await?;
//! let plan = PlanName::new("release-1.4")?;
//!
//! let ownership = session.acquire(&plan, AcquireOptions::default()).await?; // Waits in line.
//! let (_recovered, view) = ownership.recover().await?; // What the last owner left in progress.
//! let authority = ownership.authority();
//! for task in view.ready() {
//!     if let Outcome::Committed(started) = authority.start(&view, task).await? {
//!         // … do the work, and stop when `ownership.lost()` resolves …
//!         let done = Change::Complete(Some("done".to_owned()));
//!         let outcome = authority.update(&started, Some(started.record.attempt), &done).await?;
//!         println!("{outcome:?}");
//!     }
//! }
//! ownership.release().await?;
//! session.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What is decided, is decided in [`planlease_core`]; this crate acts. Time, randomness and connections come in through
//! [`Config`]; nothing here prints or ends the process, and only [`local`] looks at the environment.

mod audit;
mod authority;
mod claim;
pub mod clock;
pub mod config;
pub mod connect;
mod coordinator;
mod edit;
mod error;
mod etcd;
mod feed;
mod halt;
mod late;
mod limit;
mod list;
pub mod local;
mod lock;
mod memory;
mod operator;
mod ownership;
mod plan;
mod race;
mod recovery;
mod retry;
mod session;
mod store;
mod trace;
mod vigil;
mod worktree;

pub use audit::Audited;
pub use authority::{Authority, Delegation, Outcome, Refused, TaskView};
pub use claim::Claimed;
pub use config::{Config, ConfigError, Credentials, Endpoint, Secret, Tls};
pub use coordinator::{Coordinator, EndpointHealth, EndpointStatus, Registered, version_numbers};
pub use edit::{Edited, MAX_EDITED};
pub use error::{Cause, Error};
pub use feed::{Changes, Feed, Listing, RawSnapshot};
pub use halt::Halted;
pub use limit::{CLAIM_LIMIT, CLAIM_LIMITS};
pub use list::List;
pub use lock::{Lock, LockView, TryLock};
pub use operator::Released;
pub use ownership::{AcquireOptions, Holder, Loss, Ownership, TryAcquire};
pub use plan::{Imported, Past, PlanView};
pub use planlease_core as core;
pub use recovery::Claimants;
pub use session::{Identity, MAX_HELD, Progress, Session};
pub use worktree::{WorktreeView, WorktreeWrite};
