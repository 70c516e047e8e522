//! Foreign bytes, thrown at everything that reads them: what the targets share.
//!
//! The targets themselves are in `tests/`, one file each; `docs/fuzzing.md` says what they assert and how to run them
//! for longer.

pub mod confine;
pub mod deadline;
pub mod edit;
pub mod grpc;
pub mod history;
pub mod liar;
pub mod panics;
pub mod plans;
pub mod protobuf;
pub mod records;
