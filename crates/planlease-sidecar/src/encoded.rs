//! Events as they are sent: each is made once, and sent to all subscribers of the same kind as the same
//! bytes.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use planlease_core::{PlanName, Revision, keys::Layout};
use planlease_documents::{ChangesView, SnapshotView};
use planlease_watcher::{ChangeSet, Snapshot};

use crate::sse;

/// How many events are kept as they are sent. Subscribers that are further behind cost the making of theirs.
const KEPT: usize = 256;

/// How many snapshots are kept as they are sent.
const SNAPSHOTS_KEPT: usize = 4;

/// How large one of them may be, in bytes: a larger one is made for each subscriber and not
/// kept.
const SNAPSHOT_KEPT: usize = 2 * 1024 * 1024;

/// Which plans a subscriber wants; `None` for all.
pub(crate) type Wish = Option<BTreeSet<PlanName>>;

/// The last events as they are sent, by the change sets that they are made of; and the last snapshots:
/// subscribers come in crowds when a sidecar or a connection has come back.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    kept: Mutex<VecDeque<(Arc<ChangeSet>, Bytes)>>,
    snapshots: Mutex<VecDeque<Encoding>>,
}

/// A snapshot as it is sent: its name, the plans in it, its revision.
#[derive(Debug)]
struct Encoding {
    name: &'static str,
    plans: Wish,
    revision: Revision,
    bytes: Bytes,
}

impl Encoded {
    /// A snapshot of these plans as an event of this name.
    pub(crate) fn snapshot(&self, name: &'static str, plans: &Wish, snapshot: &Snapshot) -> Bytes {
        let revision = snapshot.revision();
        let mut kept = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &&Encoding| one.revision == revision && one.name == name && one.plans == *plans;
        if let Some(known) = kept.iter().find(same) {
            return known.bytes.clone();
        }
        let shown = SnapshotView::new(snapshot, snapshot.plans().map(|plan| &**plan));
        let json = planlease_documents::json(&shown).unwrap_or_else(|_| "{}".to_owned());
        let bytes = sse::event(name, Some(revision.to_wire()), &json);
        if bytes.len() <= SNAPSHOT_KEPT {
            kept.push_back(Encoding { name, plans: plans.clone(), revision, bytes: bytes.clone() });
        }
        if kept.len() > SNAPSHOTS_KEPT {
            kept.pop_front();
        }
        bytes
    }

    /// A change set as an event. `present`: what the watcher that brought it holds by now.
    pub(crate) fn of(&self, set: &Arc<ChangeSet>, layout: &Layout, present: Option<&Snapshot>) -> Bytes {
        let known = |kept: &VecDeque<(Arc<ChangeSet>, Bytes)>| {
            kept.iter().rev().find(|(known, _)| Arc::ptr_eq(known, set)).map(|(_, bytes)| bytes.clone())
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known(&kept) {
            return bytes;
        }
        let view = ChangesView::new(set, layout);
        let view = match present.filter(|present| present.revision() >= set.revision) {
            Some(present) => view.with_states(set, present),
            None => view,
        };
        let json = planlease_documents::json(&view).unwrap_or_else(|_| "{}".to_owned());
        let bytes = sse::event("changes", Some(set.revision.to_wire()), &json);
        // A filter's own set is one subscriber's alone: no other one asks for it.
        if Arc::strong_count(set) > 1 {
            kept.push_back((Arc::clone(set), bytes.clone()));
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        bytes
    }
}
