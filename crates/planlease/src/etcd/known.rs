//! What a process knows of its cluster once it is connected, and whether a new connection leads to the same
//! one.

use std::sync::{Mutex, PoisonError};

use planlease_core::{
    Generation, codec,
    life::{self, Marks, Verdict},
    record::StoreRecord,
};

use super::{fault::Fault, look::Seen};

/// The cluster that all endpoints have to belong to: two clusters in one list would have two owners.
#[derive(Debug)]
pub(crate) struct Known {
    cluster_id: u64,
    /// With which new terms are numbered.
    generation: Generation,
    /// How far it had come when it was connected to last.
    marks: Mutex<Marks>,
}

impl Known {
    pub(crate) fn new(cluster_id: u64, generation: Generation, marks: Marks) -> Self {
        Self { cluster_id, generation, marks: Mutex::new(marks) }
    }

    /// How far the cluster had come. To be asked for before a server is asked, since another connection may
    /// see more meanwhile.
    pub(super) fn marks(&self) -> Marks {
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a server of another cluster, of one that was restored, or whose store was adopted since.
    /// `before`: from [`Known::marks`].
    pub(super) fn check(&self, before: &Marks, seen: &Seen) -> Result<(), Fault> {
        if seen.cluster_id != self.cluster_id {
            return Err(Fault::other_cluster(seen.cluster_id, self.cluster_id));
        }
        if let Some(sign) = life::since(before, &seen.marks) {
            return Err(Fault::restored(sign));
        }
        // A record that cannot be read, or is gone, says nothing: what needs it fails by itself.
        if let Some(entry) = &seen.entry
            && let Ok(record) = codec::decode::<StoreRecord>(&entry.value)
        {
            let id = format!("{:x}", self.cluster_id);
            if let Verdict::Restored(sign) =
                life::judge(Some((&record, entry.modified)), &id, &seen.marks, &[])
            {
                return Err(Fault::restored(sign));
            }
            if record.generation != self.generation {
                let (ours, now) = (self.generation, record.generation);
                return Err(Fault::restored(format_args!(
                    "its store has generation {now}, while this process works with {ours}; start the process again"
                )));
            }
        }
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        *marks = marks.max(seen.marks);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::{Revision, WallTime, change::Entry, codec::FormatVersion};

    use super::*;
    use crate::etcd::fault::FaultKind;

    fn marks(raft_term: u64, raft_index: u64, at: i64) -> Marks {
        Marks { raft_term, raft_index: Some(raft_index), revision: Revision::from_wire(at).unwrap() }
    }

    fn seen(cluster_id: u64, generation: u64, marks: Marks) -> Seen {
        let record = StoreRecord {
            v: FormatVersion::default(),
            generation: Generation(generation),
            cluster_id: format!("{cluster_id:x}"),
            created_at: WallTime(0),
            raft_term: Some(2),
            raft_index: Some(5),
            extra: planlease_core::Extra::default(),
        };
        let written = Revision::from_wire(2).unwrap();
        let value = codec::encode(&record).unwrap();
        let entry = Entry { value, modified: written, created: written, version: 1, lease: None };
        Seen { cluster_id, marks, entry: Some(entry) }
    }

    #[test]
    fn only_the_same_life_of_the_same_cluster_is_accepted() {
        let known = Known::new(7, Generation(1), marks(2, 6, 3));
        let check = |seen: &Seen| known.check(&known.marks(), seen).map_err(|fault| fault.kind);
        let fault = |seen: &Seen| check(seen).unwrap_err();
        assert_eq!(check(&seen(7, 1, marks(3, 60, 30))), Ok(()));
        let earlier = known.check(&marks(2, 6, 3), &seen(7, 1, marks(3, 50, 29)));
        assert!(earlier.is_ok(), "asked before, and answered after the other one");
        assert_eq!(fault(&seen(8, 1, marks(3, 61, 31))), FaultKind::Unavailable);
        assert_eq!(
            fault(&seen(7, 1, marks(2, 60, 30))),
            FaultKind::Restored,
            "an older term than seen since"
        );
        assert_eq!(
            fault(&seen(7, 1, marks(3, 80, 900))),
            FaultKind::Restored,
            "a log that was started again"
        );
        assert_eq!(fault(&seen(7, 2, marks(3, 61, 31))), FaultKind::Restored, "adopted since");
        let gone = Seen { entry: None, ..seen(7, 1, marks(3, 61, 31)) };
        assert_eq!(check(&gone), Ok(()));
    }
}
