//! What the fence kit says.

use planlease_core::FencingToken;
use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Document, each};

/// `fence check`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FenceChecked {
    /// The resource.
    pub resource: String,
    /// The token.
    pub token: FencingToken,
    /// Whether the token may act on the resource.
    pub admitted: bool,
    /// The highest token that was seen, this one included if it was admitted.
    pub highest: FencingToken,
}

impl Document for FenceChecked {
    const SCHEMA: Option<&'static str> = Some("planlease.fence_checked.v1");
}

/// The highest token that a resource has seen.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Highest {
    /// The resource.
    pub resource: String,
    /// The highest token that it has seen.
    pub highest: FencingToken,
}

/// `fence list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FenceList {
    /// All that have seen one.
    pub resources: Vec<Highest>,
}

impl Document for FenceList {
    const SCHEMA: Option<&'static str> = Some("planlease.fences.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.fence.v1", &self.resources)
    }
}
