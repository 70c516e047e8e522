//! `doctor`: what was looked at, what was found, what to do.

use planlease::core::WallTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Style, Table, each};

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

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["", "LOOKED AT", "FOUND"]);
        for finding in &self.findings {
            let (mark, style) = match finding.verdict {
                Verdict::Ok => ("ok", Style::Green),
                Verdict::Warning => ("look", Style::Yellow),
                Verdict::Problem => ("bad", Style::Red),
            };
            table.row([
                Cell::text(mark).in_style(style),
                Cell::text(&finding.what),
                Cell::text(&finding.found),
            ]);
            if let Some(remedy) = &finding.remedy {
                table.row([Cell::text(""), Cell::text(""), Cell::text(format!("-> {remedy}"))]);
            }
        }
        let end =
            if self.is_well() { "all is well" } else { "not all is well: see the lines that do not say ok" };
        format!("{}\n{end}\n", table.render(""))
    }
}
