//! The error of a command with `-o json` or `-o jsonl`: the last line of standard error.

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;

/// Why a command did not do what it was asked to do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorView {
    pub(crate) error: ErrorDetail,
}

/// What happened, what it means, what to do.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorDetail {
    /// The kind of error, one for each exit status: stable.
    pub(crate) code: String,
    /// The exit status.
    pub(crate) status: u8,
    /// What happened. For people: may change.
    pub(crate) message: String,
    /// What that means, as what was changed.
    pub(crate) meaning: Option<String>,
    /// What to do.
    pub(crate) remedy: Option<String>,
}

impl ErrorView {
    /// An error of this kind and exit status.
    #[must_use]
    pub fn new(code: String, status: u8, message: String) -> Self {
        Self { error: ErrorDetail { code, status, message, meaning: None, remedy: None } }
    }

    /// With what it means.
    #[must_use]
    pub fn meaning(mut self, meaning: Option<String>) -> Self {
        self.error.meaning = meaning;
        self
    }

    /// With what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: Option<String>) -> Self {
        self.error.remedy = remedy;
        self
    }
}

impl Document for ErrorView {
    const SCHEMA: Option<&'static str> = Some("planlease.error.v1");
}
