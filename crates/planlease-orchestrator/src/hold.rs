//! Holds an ownership or a lock while a command runs: queues for it, starts the command under a supervisor,
//! kills it at a loss, releases what is held when it has ended.
//!
//! ```text
//!   Hold::run ──► queue ──► Work::spec ──► command under its supervisor ──► release, close the session
//!                   ▲                            │ lost before it started
//!                   └────────────────────────────┘
//! ```
//!
//! `planlease hold` and `planlease lock` are this with messages. What else a caller wants (which command, in
//! which environment, what people read) is its [`Work`].

mod command;
mod cycle;
mod environment;
mod inherited;
mod lost;
mod patience;
mod queue;
mod session;
mod stop;
mod timers;
mod wanted;
mod work;

pub use cycle::{Conclusion, Hold, HoldError};
pub use environment::{of_lock, of_owner};
pub use inherited::Inherited;
pub use lost::{CommandFate, Lost};
pub use patience::Patience;
pub use stop::{StopRequests, StopSignal};
pub use wanted::{Busy, Held, NamedLock, PlanOwnership, Wanted};
pub use work::{Notice, Work};
