//! What halts a plan.

use serde::{Deserialize, Serialize};

use crate::{codec::FormatVersion, extra::Extra, time::WallTime};

/// Why nothing goes on in a plan (`halt/pause`, `halt/close`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// How.
    pub how: Halt,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: WallTime,
    /// Why.
    pub why: String,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How a plan is halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// Nothing is started; what runs goes on.
    Paused,
    /// It is not to be finished.
    Cancelled,
    /// It is put away.
    Archived,
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Archived => "archived",
        })
    }
}

impl HaltRecord {
    /// The halt that stands in the place of a record which cannot be read, for this reason: the key alone
    /// halts the plan.
    #[must_use]
    pub fn unreadable(how: Halt, why: String) -> Self {
        let (v, by) = (FormatVersion::default(), "an unknown writer".to_owned());
        Self { v, how, by, at: WallTime(0), why, extra: Extra::default() }
    }
}
