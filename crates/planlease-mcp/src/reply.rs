//! What a tool answers: documents, or a refusal that says what to do.

use planlease::{AuthorityLoss, Error, error_chain};
use planlease_core::InvalidName;
use planlease_documents::{Document, json};
use rmcp::model::{CallToolResult, ContentBlock};

/// The answer of a tool: documents in JSON, a block each.
pub(crate) type Reply = Result<Vec<String>, Refusal>;

/// Why a call was refused, in words, and the record that is in the way.
#[derive(Clone, Debug)]
pub struct Refusal {
    what: String,
    document: Option<String>,
}

impl Refusal {
    /// A refusal. `what`: what happened, what it means, and what to do next.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), document: None }
    }

    /// With the document that shows what is in the way.
    pub(crate) fn with<D: Document>(self, document: &D) -> Self {
        Self { document: json(document).ok(), ..self }
    }

    /// In words.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let next = match &error {
            Error::PlanNotFound(_) => "Nothing was changed. The tool `plans` lists the plans.",
            Error::TaskNotFound { .. } => "Nothing was changed. The tool `next` lists the tasks of the plan.",
            Error::AuthorityLost(AuthorityLoss::Session(_) | AuthorityLoss::Registration(_)) => {
                "Its claims are lost with it: stop working on them. The next `claim` opens another session."
            }
            Error::OutcomeUnknown(_) => {
                "It may have been carried out. Call it again with the same `request`, or look with `why`."
            }
            Error::Name(_) => "Nothing was changed.",
            error if error.is_transient() => "Nothing was changed. Call it again in a moment.",
            _ => "Look with `why` before you call it again.",
        };
        Self::new(format!("{}. {next}", error_chain(&error)))
    }
}

impl From<InvalidName> for Refusal {
    fn from(error: InvalidName) -> Self {
        Error::from(error).into()
    }
}

/// One document as an answer.
pub(crate) fn shown<D: Document>(document: &D) -> Reply {
    Ok(vec![text(document)?])
}

/// A document in JSON.
pub(crate) fn text<D: Document>(document: &D) -> Result<String, Refusal> {
    json(document).map_err(|error| Refusal::new(format!("the answer cannot be written as JSON: {error}")))
}

/// The answer in the protocol's terms. A refusal is a tool error, which the agent reads, not one of the
/// protocol, which it never sees.
pub(crate) fn result(reply: Reply) -> CallToolResult {
    match reply {
        Ok(blocks) => CallToolResult::success(blocks.into_iter().map(ContentBlock::text).collect()),
        Err(Refusal { what, document }) => {
            CallToolResult::error([what].into_iter().chain(document).map(ContentBlock::text).collect())
        }
    }
}
