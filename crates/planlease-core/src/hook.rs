//! What is stored about a hook: how far its receiver was notified.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{codec::FormatVersion, extra::Extra, revision::Revision, time::WallTime};

/// The position of a hook: all events up to this revision are delivered, or were given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// The last revision whose events are delivered.
    pub revision: Revision,
    /// The process that wrote this.
    pub by: String,
    /// When, on its wall clock.
    pub at: WallTime,
    /// Identifies the write: the proof that it happened when its answer got lost.
    pub op_id: Uuid,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}
