//! From when to when something was asked of the fleet, by the revisions that put and deleted its key.

use std::{collections::BTreeMap, time::Duration};

use planlease::core::{
    Revision,
    keys::{Key, SteeringKey},
};

use super::Evidence;

/// One time for which a key was there.
#[derive(Clone, Debug)]
pub struct Span {
    /// The revision that put it first.
    pub from: Revision,
    /// The one that deleted it, if any did.
    pub to: Option<Revision>,
    /// When it was put.
    pub began: Duration,
    /// When it was deleted.
    pub ended: Option<Duration>,
    /// What it said at first.
    pub value: Vec<u8>,
}

impl Span {
    /// Whether a transaction of this revision saw the key.
    #[must_use]
    pub fn holds_at(&self, revision: Revision) -> bool {
        self.from < revision && self.to.is_none_or(|to| revision < to)
    }
}

/// All times of all steering keys.
pub type Spans = BTreeMap<SteeringKey, Vec<Span>>;

/// Reads them off the history.
#[must_use]
pub fn spans(evidence: &Evidence<'_>) -> Spans {
    let mut spans = Spans::new();
    let (sets, times) = (evidence.world.history.sets(), evidence.world.history.times());
    for (set, at) in sets.iter().zip(times) {
        for change in &set.changes {
            let Key::Steering(key) = &change.key else { continue };
            let spans = spans.entry(key.clone()).or_default();
            let open = spans.last_mut().filter(|span| span.to.is_none());
            match (&change.entry, open) {
                (Some(entry), None) => {
                    let (from, value) = (set.revision, entry.value.clone());
                    spans.push(Span { from, to: None, began: at, ended: None, value });
                }
                (None, Some(span)) => (span.to, span.ended) = (Some(set.revision), Some(at)),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }
    spans
}
