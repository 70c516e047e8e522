//! Lease-owned plans and compare-and-swap task updates for fleets of orchestrators, on etcd.
//!
//! A *plan* is a list of *tasks* with dependencies. An *orchestrator* is a program that executes plans. It
//! opens a [`Session`] (an etcd lease that it keeps alive), acquires the [`Ownership`] of a plan, and updates
//! the plan's tasks through the ownership's [`Authority`]. Each update is one transaction, guarded by the
//! owner's key and by the revision of the task, so that a process that has lost the plan cannot write,
//! whatever it believes. If the owner dies, its lease expires; the next candidate in the queue takes over and
//! recovers the tasks that were in progress.
//!
//! | To … | start at |
//! | --- | --- |
//! | connect, read plans | [`Coordinator`] |
//! | follow changes | [`RawStore::changes`]; for many subscribers, the crate `planlease-watcher` |
//! | own a plan and update its tasks | [`Session::acquire`], [`Ownership::authority`], [`Authority::submit`] |
//! | work on tasks without owning the plan | [`Coordinator::worker`], [`Authority::claim`] |
//! | run commands for ready tasks | the crate `planlease-orchestrator` |
//! | exclude others from a resource | [`Session::lock`], and fencing tokens ([`Ownership::token`]) |
//! | import, edit, pause, cancel plans | [`Coordinator::admin`] |
//!
//! ```no_run
//! use planlease::{
//!     AcquireOptions, Change, Config, Coordinator, Identity, Outcome, PlanName, UpdateRequest,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::with_endpoints(vec!["https://etcd.example:2379".parse()?]);
//! let coordinator = Coordinator::connect(config).await?;
//! let session = coordinator.open_session(Identity::of_process()).await?;
//! let plan = PlanName::new("release-1.4")?;
//!
//! let ownership = session.acquire(&plan, AcquireOptions::default()).await?; // Waits in the queue.
//! let (_recovered, view) = ownership.recover().await?; // Tasks that the last owner left in progress.
//! let authority = ownership.authority();
//! for task in view.ready() {
//!     let start = UpdateRequest::new(task.clone(), Change::Start);
//!     if let Outcome::Committed(started) = authority.submit(&start).await? {
//!         // … do the work, and stop when `ownership.lost()` resolves …
//!         let done = Change::Complete(Some("done".to_owned()));
//!         let done = UpdateRequest::new(task.clone(), done).of_attempt(started.record.attempt);
//!         println!("{:?}", authority.submit(&done).await?);
//!     }
//! }
//! ownership.release().await?;
//! session.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Protocol decisions are pure functions in [`planlease_core`], which is at hand as [`core`]; what most
//! programs need of it stands here as well. This crate performs the I/O. Time, randomness and connections
//! come in through [`Config`]. Nothing here prints or ends the process, and nothing reads the environment but
//! the module `local`.
//!
//! | feature | adds |
//! | --- | --- |
//! | `local-server` | `Config::local` and the module `local`: the user's own server, started on first use by the program `planlease`. Off by default. |
//!
//! Ten programs that use the library are in the repository's `examples/`.
//!
//! **Cancel safety.** A future that writes can be dropped at any time: the write is then carried out once or
//! not at all, and [`PlanHistory::find_update`] finds out which for an update with an id of its own. A future
//! that waits in a queue leaves it when it is dropped. Exceptions are documented with the method.

mod admin;
mod audit;
mod authority;
mod claim;
pub mod clock;
pub mod companion;
pub mod config;
pub mod connect;
mod coordinator;
mod counts;
mod endpoint;
mod entry;
mod error;
mod etcd;
mod feed;
mod history;
mod hook;
mod key_watch;
mod limit;
mod list;
#[cfg(feature = "local-server")]
pub mod local;
mod lock;
mod logs;
mod memory;
mod operator;
mod orphans;
mod ownership;
mod plan;
mod pool;
mod queue;
mod race;
mod raw;
mod recovery;
pub mod regular;
mod renewal_runtime;
mod retry;
mod session;
mod span;
mod start_bounds;
mod start_turns;
mod stats;
mod steering;
mod store;
mod timers;
pub mod trace;
mod update;
mod worktree;

pub use admin::{Admin, Reason};
pub use audit::Audited;
pub use authority::{Authority, CLAIM_LIMIT, CLAIM_LIMITS, Delegation};
pub use claim::Claimed;
pub use config::{Config, ConfigError, Credentials, Endpoint, InvalidEndpoint, KeyPair, Secret, Tls};
pub use coordinator::{Coordinator, EndpointHealth, EndpointStatus, Registered, version_numbers};
pub use counts::{BATCH_BOUNDS, Distribution, RENEWAL_BOUNDS};
pub use entry::EntryPoint;
pub use error::{AuthorityLoss, Cause, Error, error_chain};
pub use etcd::LeaseTimes;
pub use feed::{Changes, Feed, Listing, RawSnapshot};
pub use history::History;
pub use hook::HookRunner;
pub use list::List;
pub use lock::{Lock, LockOptions, LockView, MAX_LOCK_PERMITS, TryLock};
pub use operator::Released;
pub use ownership::{AcquireOptions, Holder, Loss, NotHandedOver, Ownership, TryAcquire};
pub use plan::{Edited, Halted, Imported, ImportedState, MAX_EDITED, PlanHistory, read_beside};
pub use planlease_core::{
    self as core, FencingToken, Generation, HookName, HostName, InvalidName, LockName, LockToken, Namespace,
    OrchestratorId, PlanName, PoolName, Revision, Summary, TaskId, TermNumber, WorktreeName,
    excerpt::view::Excerpt,
    record::{TaskRecord, TermRecord},
    session::{LossReason, Status as SessionStatus},
    spec::{PhaseSpec, PlanSpec, Policy, TaskSpec},
    transition::{Change, TaskStatus},
    view::{PlanView, TaskView},
};
pub use raw::RawStore;
pub use recovery::Claimants;
pub use renewal_runtime::RenewalRuntime;
pub use session::{Identity, MAX_HELD, Progress, Session};
pub use stats::Stats;
pub use steering::{MAX_DEADLINE, MOVE_SLACK, SteeringFollower};
pub use timers::{Carried, Hands, PlanTimers, TaskTimers, TimerEvent, TimerKeeper};
pub use update::{BatchOutcome, Findings, MAX_BATCH, OpId, Outcome, Refused, Seen, UpdateRequest};
pub use worktree::{WorktreeView, WorktreeWrite, Worktrees};
