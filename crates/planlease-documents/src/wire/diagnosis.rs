//! `doctor`: what was looked at, what was found, what to do.

use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Document, each};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but should be looked at.
    Warning,
    /// It does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// In words.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    /// It should be looked at.
    pub fn warning(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(what, found) }
    }

    /// It does not work.
    pub fn problem(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, remedy: Some(remedy.into()), ..Self::ok(what, found) }
    }
}

/// Everything that was looked at.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict == Verdict::Ok)
    }
}

impl Document for Diagnosis {
    const SCHEMA: Option<&'static str> = Some("planlease.diagnosis.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.finding.v1", &self.findings)
    }
}
