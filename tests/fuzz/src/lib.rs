//! Foreign bytes, thrown at everything that reads them: what the targets share.
//!
//! The targets themselves are in `tests/`, one file each; `docs/fuzzing.md` says what they assert and how to
//! run them for longer.

pub mod confine;
pub mod deadline;
pub mod edit;
pub mod faulty_server;
pub mod grpc;
pub mod history;
pub mod panics;
pub mod plans;
pub mod protobuf;
pub mod records;
pub mod states;

/// How many random bytes a structured input may be made of. What is left when they are used up is all zeros:
/// the first variant, the empty list. bolero's own limit of 4 KiB is used up by a few nested values.
pub const INPUT_BYTES: usize = 64 * 1024;
