//! Who owns a plan, who waits for it, who owned it before.

use planlease::{List, PlanView, Released, core::PlanName};
use planlease_core::{
    FencingToken,
    deeds::Deeds,
    record::{Ending, TermRecord},
    term::{Candidate, Queue},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// The effective owner.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Owner {
    pub orchestrator: String,
    pub host: String,
    pub pid: u32,
    pub since: Time,
    pub term: u64,
    pub token: FencingToken,
    pub lease: String,
}

/// A waiter.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Waiting {
    /// From 1.
    pub position: usize,
    pub name: String,
    pub host: Option<String>,
    pub since: Option<Time>,
    pub lease: String,
}

/// A term that is over, or the present one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Term {
    pub term: u64,
    pub token: FencingToken,
    pub orchestrator: String,
    pub host: String,
    pub since: Time,
    /// `None` while no process has recorded its end.
    pub ended: Option<End>,
}

/// How a term ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct End {
    pub at: Time,
    /// `clean`, `handed_over`, `unclean` or `forced`.
    pub how: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A plan's ownership at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Ownership {
    /// `None`: no owner, or a waiter is about to take over.
    pub owner: Option<Owner>,
    pub waiting: Vec<Waiting>,
    /// The last term, if the plan has no owner.
    pub last_term: Option<Term>,
    /// Why the owner is unknown, if the record that names it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_unreadable: Option<String>,
}

impl Ownership {
    pub(crate) fn of(line: &Queue) -> Self {
        let owner = line.owner().map(|(candidate, term)| owner(candidate, term));
        let in_line = line.candidates().iter().skip(usize::from(owner.is_some()));
        let waiting = in_line.zip(1..).map(|(candidate, position)| waiting(candidate, position)).collect();
        let last_term = line.term.as_ref().filter(|_| owner.is_none()).map(|(_, record)| term(record));
        let owner_unreadable = line.unreadable.first().filter(|_| owner.is_none()).map(ToString::to_string);
        Self { owner, waiting, last_term, owner_unreadable }
    }
}

fn owner(candidate: &Candidate, term: &TermRecord) -> Owner {
    Owner {
        orchestrator: term.owner.orchestrator.to_string(),
        host: term.owner.host.clone(),
        pid: term.owner.pid,
        since: term.since.into(),
        term: term.number.0,
        token: term.token(),
        lease: candidate.lease.to_string(),
    }
}

fn waiting(candidate: &Candidate, position: usize) -> Waiting {
    let record = candidate.record.as_ref();
    Waiting {
        position,
        name: candidate.name(),
        host: record.map(|record| record.host.clone()),
        since: record.map(|record| record.since.into()),
        lease: candidate.lease.to_string(),
    }
}

pub(crate) fn term(record: &TermRecord) -> Term {
    Term {
        term: record.number.0,
        token: record.token(),
        orchestrator: record.owner.orchestrator.to_string(),
        host: record.owner.host.clone(),
        since: record.since.into(),
        ended: record.ended.as_ref().map(|end| {
            let (how, to, by, reason) = match &end.how {
                Ending::Clean => ("clean", None, None, None),
                Ending::HandedOver { to } => ("handed_over", Some(to.to_string()), None, None),
                Ending::Unclean => ("unclean", None, None, None),
                Ending::Forced { by, reason } => ("forced", None, Some(by.clone()), Some(reason.clone())),
            };
            End { at: end.at.into(), how, to, by, reason }
        }),
    }
}

/// `owner show`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnerView {
    pub(crate) plan: PlanName,
    #[serde(flatten)]
    pub(crate) ownership: Ownership,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

impl OwnerView {
    /// Of a line as it was seen.
    #[must_use]
    pub fn new(plan: PlanName, line: &Queue) -> Self {
        Self { plan, ownership: Ownership::of(line), unreadable: views(&line.unreadable) }
    }
}

impl Document for OwnerView {
    const SCHEMA: Option<&'static str> = Some("planlease.owner.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}

/// `owner history`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TermList {
    pub(crate) plan: PlanName,
    /// The oldest first; the present one, or the last one, last.
    pub(crate) terms: Vec<PastTerm>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PastTerm {
    #[serde(flatten)]
    pub(crate) term: Term,
    /// What was done under it, as far as the plan's tasks remember now: of a task that was edited out of the
    /// plan nothing is known any more.
    pub(crate) deeds: Deeds,
    /// Whether its session is over without an end on record: the next owner writes it. Absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) expired: bool,
}

impl TermList {
    /// The terms of a plan, of which the present one is in its line.
    #[must_use]
    pub fn new(view: &PlanView, past: &List<TermRecord>) -> Self {
        let mut terms: Vec<&TermRecord> = past.iter().collect();
        if let Some((_, present)) = &view.queue().term
            && past.iter().all(|term| term.number != present.number)
        {
            terms.push(present);
        }
        let deeds = Deeds::by_term(view.tasks().values().map(|task| &task.record));
        let queue = view.queue();
        let is_over = queue.owner().is_none() && queue.unreadable.is_empty();
        let terms = terms.into_iter().map(|record| PastTerm {
            expired: is_over && record.ended.is_none(),
            term: term(record),
            deeds: deeds.get(&record.number).copied().unwrap_or_default(),
        });
        let unreadable = views(view.queue().unreadable.iter().chain(&past.unreadable));
        Self { plan: view.name().clone(), terms: terms.collect(), unreadable }
    }
}

impl Document for TermList {
    const SCHEMA: Option<&'static str> = Some("planlease.terms.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.term.v1", &self.terms, &self.unreadable)
    }
}

/// `owner release`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReleasedView {
    pub(crate) plan: PlanName,
    pub(crate) released: String,
    pub(crate) term: Option<u64>,
    /// Whether this shows only what would be done; nothing was changed then. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
}

impl ReleasedView {
    /// Of the former owner.
    #[must_use]
    pub fn new(plan: PlanName, released: Released) -> Self {
        Self { plan, released: released.by, term: released.term.map(|term| term.0), dry_run: false }
    }

    /// Of the present owner, which would lose the plan.
    #[must_use]
    pub fn planned(plan: PlanName, queue: &Queue) -> Self {
        let released = queue.candidates().first().map(Candidate::name).unwrap_or_default();
        let term = queue.owner().map(|(_, term)| term.number.0);
        Self { plan, released, term, dry_run: true }
    }
}

impl Document for ReleasedView {
    const SCHEMA: Option<&'static str> = Some("planlease.released.v1");
}
