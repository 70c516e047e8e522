//! What people see of a process of planlease: the output of its commands while they run, and its metrics.
//!
//! The output of each attempt is written to bounded files of its host ([`Outputs`]); a reader reads
//! those, directly or through a [`LogServer`]. A reader can therefore never make a command wait.
//!
//! | feature | adds |
//! | --- | --- |
//! | `otlp` | the module `traces`: spans are exported by OpenTelemetry's protocol. Off by default. |

mod characters;
mod follow;
mod frame;
mod http;
pub mod metrics;
mod output;
mod remote;
mod serve;
#[cfg(feature = "otlp")]
pub mod traces;

pub use characters::Characters;
pub use follow::{Event, Source, TaskOutput, Wanted};
pub use http::ListenError;
pub use output::{AttemptId, End, From, Outputs, Piece, Place, Reader, Recorder, Sweeper, Swept};
pub use serve::LogServer;
