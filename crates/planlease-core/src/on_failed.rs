//! What plans say of the tasks behind one that failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of a task when one that it waits for has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDependencyFailed {
    /// It waits until a person has decided about that one.
    #[default]
    Wait,
    /// The plan's owner leaves it out.
    Skip,
    /// It fails with it.
    Fail,
    /// It runs all the same.
    Run,
}

impl OnDependencyFailed {
    /// Whether it is [`Self::Wait`], which is not stored.
    #[must_use]
    pub fn is_wait(&self) -> bool {
        *self == Self::Wait
    }
}

impl fmt::Display for OnDependencyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Skip => "skip",
            Self::Fail => "fail",
            Self::Run => "run",
        })
    }
}
