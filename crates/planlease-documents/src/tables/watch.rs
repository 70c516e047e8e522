//! `watch`: snapshots and changes in words, a line each.

#[cfg(test)]
mod tests;
mod words;

use planlease::core::WallTime;
use planlease_core::{PlanName, counted, keys::Layout};
use planlease_watcher::ChangeSet;
use serde::Serialize;

use super::tabular::Tabular;
use crate::wire::{
    document::Document,
    watch::{ChangeView, ChangesView, Dated, PlanContents, SnapshotView},
};

impl Tabular for SnapshotView {
    fn table(&self, now: WallTime) -> String {
        let plans = self.plans.iter().map(|plan| {
            let PlanContents { plan, summary, ownership, .. } = plan;
            let words = format!(
                "{} of {} ended; owned by {}",
                summary.ended(),
                counted(summary.total, "task"),
                ownership.describe(now)
            );
            words::line(Some(now), self.revision, Some(plan), &words)
        });
        plans.collect()
    }
}

/// The changes of a set, as JSON and in words.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ChangesInWords {
    view: ChangesView,
    /// The plan of each change, and the change in words.
    #[serde(skip)]
    words: Vec<(Option<PlanName>, String)>,
}

impl ChangesInWords {
    /// The changes of a set. `layout`: the form of keys.
    #[must_use]
    pub fn new(set: &ChangeSet, layout: &Layout) -> Self {
        let words = set.changes.iter().map(|change| (change.plan().cloned(), words::words(change, layout)));
        Self { view: ChangesView::new(set, layout), words: words.collect() }
    }
}

impl Document for ChangesInWords {
    const SCHEMA: Option<&'static str> = ChangesView::SCHEMA;
}

impl Tabular for ChangesInWords {
    fn table(&self, _now: WallTime) -> String {
        let revision = self.view.revision;
        let gap = "the history was compacted meanwhile; what differs since then:";
        let gap = self.view.resynced.then(|| words::line(None, revision, None, gap));
        // How loaded orchestrators are changes all the time, and is no news to people.
        let is_news = |change: &Dated| !matches!(change.change, ChangeView::OrchestratorChanged { .. });
        let changes = self.view.changes.iter().zip(&self.words).filter(|(change, _)| is_news(change));
        let changes = changes.map(|(change, (plan, words))| {
            words::line(change.at.map(|at| at.0), revision, plan.as_ref(), words)
        });
        gap.into_iter().chain(changes).collect()
    }
}
