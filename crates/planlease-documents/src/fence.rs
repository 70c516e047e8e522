//! What the fence kit says.

use planlease::core::WallTime;
use planlease_core::FencingToken;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Document, Table, each, plain};

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

    fn table(&self, _now: WallTime) -> String {
        if self.admitted {
            format!("{}: token {} is admitted\n", plain(&self.resource), self.token)
        } else {
            String::new()
        }
    }
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

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["RESOURCE", "HIGHEST TOKEN"]);
        for one in &self.resources {
            table.row([super::Cell::text(&one.resource), one.highest.into()]);
        }
        table.render("no resource has seen a token yet")
    }
}
