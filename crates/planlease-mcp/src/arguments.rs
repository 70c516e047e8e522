//! The arguments of the tools. Their schemas are what a model reads, so each word costs every agent its
//! tokens.

use planlease_core::{PlanName, TaskId, budget::Amount, cancel::Then};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::reply::Refusal;

/// The longest `request`, in bytes.
const MAX_REQUEST: usize = 200;

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Next {
    pub(crate) plan: String,
    /// At most so many; 5 by default
    #[schemars(range(min = 1, max = 100))]
    pub(crate) count: Option<u32>,
    /// Only tasks with all of these
    #[serde(default)]
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    pub(crate) plan: String,
    /// This one; by default whichever is next
    pub(crate) task: Option<String>,
    /// 1 by default
    #[schemars(range(min = 1, max = 10))]
    pub(crate) count: Option<u32>,
    /// Only tasks with all of these
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    /// An id of your own for this call: called again with it, it answers the same
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) text: Option<String>,
    /// What the attempt has spent so far in all
    #[schemars(with = "Option<f64>")]
    pub(crate) spent: Option<Amount>,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Complete {
    pub(crate) plan: String,
    pub(crate) task: String,
    /// What there is to say, in a sentence or two
    pub(crate) notes: Option<String>,
    /// What was found out, for the tasks that come after; at most 48 KiB are kept
    pub(crate) findings: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    pub(crate) plan: String,
    pub(crate) task: String,
    /// What is wrong
    pub(crate) error: String,
    pub(crate) findings: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Return {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) reason: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    pub(crate) plan: String,
    /// By default the plan itself
    pub(crate) task: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operate {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) reason: String,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) reason: String,
    /// Only if this one waits
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reject {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) reason: String,
    /// retry (default of a result), fail (default of a start) or skip
    #[schemars(with = "Option<String>")]
    pub(crate) then: Option<Then>,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    pub(crate) plan: String,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    pub(crate) plan: String,
}

/// A plan's name.
pub(crate) fn plan(text: &str) -> Result<PlanName, Refusal> {
    Ok(PlanName::new(text)?)
}

/// A task's id.
pub(crate) fn task(text: &str) -> Result<TaskId, Refusal> {
    Ok(TaskId::new(text)?)
}

/// The idempotency key of a request by this writer: two writers may count from 1 both.
pub(crate) fn key(writer: &str, request: Option<&str>) -> Result<Option<Uuid>, Refusal> {
    match request {
        Some(request) if request.is_empty() || request.len() > MAX_REQUEST => Err(Refusal::new(format!(
            "`request` has to be of 1 to {MAX_REQUEST} bytes. Nothing was changed."
        ))),
        request => Ok(request.map(|request| {
            Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("planlease-mcp/{writer}/{request}").as_bytes())
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_its_writers_own() {
        let key = |writer, request| key(writer, Some(request)).unwrap();
        assert_eq!(key("a", "1"), key("a", "1"));
        assert_ne!(key("a", "1"), key("b", "1"));
        assert_ne!(key("a", "1"), key("a", "2"));
    }

    #[test]
    fn a_request_has_a_bound() {
        assert!(key("a", Some("")).is_err());
        assert!(key("a", Some(&"x".repeat(MAX_REQUEST + 1))).is_err());
        assert_eq!(key("a", None).unwrap(), None);
    }
}
