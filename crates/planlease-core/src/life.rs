//! Whether a store is the one that was seen before, or was restored: values that only grow while an etcd
//! cluster lives, and start over in one that was made from a snapshot or an older copy of its data.
//!
//! What etcd itself holds (`StoreRecord`) is compared, and what this host remembers. In a living cluster
//! every revision has a log entry of its own, so the log is never shorter, compared with the revision, than
//! it was before; a restored cluster keeps the revision and begins its log again. That is seen however long
//! ago the record was written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    record::StoreRecord,
    revision::{Generation, Revision},
    time::WallTime,
};

/// How far a cluster has come, as one member said in answer to a linearizable read and right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The raft term.
    pub raft_term: u64,
    /// How many entries its log has had; `None` where the member does not say so.
    pub raft_index: Option<u64>,
    /// The revision of the read.
    pub revision: Revision,
}

impl Marks {
    /// The most of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            raft_term: self.raft_term.max(other.raft_term),
            raft_index: self.raft_index.max(other.raft_index),
            revision: self.revision.max(other.revision),
        }
    }
}

/// What a host remembers of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The etcd cluster, in hex.
    pub cluster_id: String,
    /// When the store was created: distinguishes two that were created on one cluster.
    pub created_at: WallTime,
    /// The highest generation that was seen.
    pub generation: Generation,
    /// The highest raft term in that generation.
    pub raft_term: u64,
    /// The highest index of the log in that generation.
    #[serde(default)]
    pub raft_index: u64,
    /// The highest revision in that generation.
    pub revision: Revision,
}

/// What a store turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The one that was seen before, as far as the marks show.
    Same,
    /// There is none yet; one of this generation is to be made.
    Missing(Generation),
    /// It was written on another cluster.
    Moved,
    /// It was restored from an older state, for this reason.
    Restored(Sign),
}

/// What shows that a store was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A value fell that only grows.
    Fell {
        /// Which one.
        what: &'static str,
        /// What it was.
        from: u64,
        /// What it is.
        to: u64,
    },
    /// The log is too short for the revision.
    ShortLog {
        /// How many entries it has had.
        entries: u64,
        /// The revision.
        revision: Revision,
    },
    /// The store was made again, although this host has seen one of the same generation on this cluster.
    MadeAgain,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fell { what, from, to } => write!(f, "its {what} went back from {from} to {to}"),
            Self::ShortLog { entries, revision } => {
                write!(f, "its log was started again: {entries} entries at revision {revision}")
            }
            Self::MadeAgain => f.write_str("it was emptied and used again"),
        }
    }
}

/// What the store is whose record was read from this cluster. `written`: the revision that wrote the record.
#[must_use]
pub fn judge(
    record: Option<(&StoreRecord, Revision)>,
    cluster_id: &str,
    now: &Marks,
    remembered: &[Remembered],
) -> Verdict {
    let here = || remembered.iter().filter(|seen| seen.cluster_id == cluster_id);
    let Some((record, written)) = record else {
        // Tokens go on above all that were given out on this cluster, as far as this host knows.
        let highest = here().map(|seen| seen.generation.0).max().unwrap_or(0);
        return Verdict::Missing(Generation(highest.saturating_add(1)));
    };
    if record.cluster_id != cluster_id {
        return Verdict::Moved;
    }
    let by_host = || here().find_map(|seen| of_host(record, now, seen));
    of_record(record, written, now).or_else(by_host).map_or(Verdict::Same, Verdict::Restored)
}

/// The generation that a store gets when an operator adopts it: above all that were seen.
#[must_use]
pub fn adopted(record: &StoreRecord, remembered: &[Remembered]) -> Generation {
    let same =
        |seen: &&Remembered| seen.created_at == record.created_at || seen.cluster_id == record.cluster_id;
    let seen = remembered.iter().filter(same).map(|seen| seen.generation.0).max().unwrap_or(0);
    Generation(record.generation.0.max(seen).saturating_add(1))
}

/// Whether the record is to be written again, since the cluster has elected a leader since, or it does not
/// say how far the cluster had come.
#[must_use]
pub fn is_outdated(record: &StoreRecord, now: &Marks) -> bool {
    record.raft_term.is_none_or(|term| term < now.raft_term)
        || (record.raft_index.is_none() && now.raft_index.is_some())
}

/// What a process finds when it connects again. `before`: what it saw last.
#[must_use]
pub fn since(before: &Marks, now: &Marks) -> Option<Sign> {
    let index = || Some(("raft index", before.raft_index?, now.raft_index?));
    fell("revision", before.revision.get(), now.revision.get())
        .or_else(|| fell("raft term", before.raft_term, now.raft_term))
        .or_else(|| index().and_then(|(what, from, to)| fell(what, from, to)))
}

fn of_record(record: &StoreRecord, written: Revision, now: &Marks) -> Option<Sign> {
    let term = record.raft_term.and_then(|term| fell("raft term", term, now.raft_term));
    term.or_else(|| {
        let (then, entries) = (record.raft_index?, now.raft_index?);
        // Entries less revisions. The record's index was read before it was written, the present one after
        // the revision: both errors make the difference larger.
        let surplus = |index: u64, revision: Revision| i128::from(index) - i128::from(revision.get());
        fell("raft index", then, entries).or_else(|| {
            let short = surplus(entries, now.revision) < surplus(then, written);
            short.then_some(Sign::ShortLog { entries, revision: now.revision })
        })
    })
}

fn of_host(record: &StoreRecord, now: &Marks, seen: &Remembered) -> Option<Sign> {
    if seen.generation < record.generation {
        return None; // Adopted since.
    }
    let before =
        Marks { raft_term: seen.raft_term, raft_index: Some(seen.raft_index), revision: seen.revision };
    fell("generation", seen.generation.0, record.generation.0)
        .or_else(|| since(&before, now))
        .or_else(|| (seen.created_at != record.created_at).then_some(Sign::MadeAgain))
}

fn fell(what: &'static str, from: u64, to: u64) -> Option<Sign> {
    (to < from).then_some(Sign::Fell { what, from, to })
}

/// Adds what was seen now to what a host remembers; at most `most` stores, those that were seen last.
pub fn remember(remembered: &mut Vec<Remembered>, record: &StoreRecord, now: &Marks, most: usize) {
    let same =
        |seen: &Remembered| seen.cluster_id == record.cluster_id && seen.created_at == record.created_at;
    let before = remembered.iter().position(same).map(|at| remembered.remove(at));
    let mut seen = Remembered {
        cluster_id: record.cluster_id.clone(),
        created_at: record.created_at,
        generation: record.generation,
        raft_term: now.raft_term,
        raft_index: now.raft_index.unwrap_or(0),
        revision: now.revision,
    };
    // Another process of this host may have seen more; but an adopted store begins below what was seen
    // before.
    if let Some(before) = before.filter(|before| before.generation == seen.generation) {
        seen.raft_term = seen.raft_term.max(before.raft_term);
        seen.raft_index = seen.raft_index.max(before.raft_index);
        seen.revision = seen.revision.max(before.revision);
    }
    // What was seen on this cluster before the store was made again, or adopted, is over.
    remembered.retain(|other| other.cluster_id != seen.cluster_id || other.generation > seen.generation);
    remembered.push(seen);
    remembered.drain(..remembered.len().saturating_sub(most));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::FormatVersion;

    fn revision(n: i64) -> Revision {
        Revision::from_wire(n).unwrap()
    }

    fn marks(raft_term: u64, raft_index: u64, at: i64) -> Marks {
        Marks { raft_term, raft_index: Some(raft_index), revision: revision(at) }
    }

    fn record(generation: u64, raft_term: u64, raft_index: u64) -> StoreRecord {
        StoreRecord {
            v: FormatVersion::default(),
            generation: Generation(generation),
            cluster_id: "c".to_owned(),
            created_at: WallTime(5),
            raft_term: Some(raft_term),
            raft_index: Some(raft_index),
            extra: crate::extra::Extra::default(),
        }
    }

    fn verdict(record: &StoreRecord, now: &Marks, remembered: &[Remembered]) -> Verdict {
        judge(Some((record, revision(2))), "c", now, remembered)
    }

    #[test]
    fn a_living_store_is_the_same() {
        let made = record(1, 2, 5);
        for now in [marks(2, 5, 2), marks(2, 6, 3), marks(9, 1000, 600), marks(2, 1_000_000, 900_000)] {
            assert_eq!(verdict(&made, &now, &[]), Verdict::Same, "{now:?}");
        }
        let silent = Marks { raft_index: None, ..marks(2, 0, 9) };
        assert_eq!(verdict(&made, &silent, &[]), Verdict::Same);
        let old = StoreRecord { raft_term: None, raft_index: None, ..made };
        assert_eq!(verdict(&old, &marks(1, 1, 9), &[]), Verdict::Same, "written by an older version");
    }

    #[test]
    fn a_restored_store_shows_in_what_etcd_holds() {
        let restored = |now| matches!(verdict(&record(1, 3, 50), &now, &[]), Verdict::Restored(_));
        assert!(restored(marks(2, 60, 40)), "an older term");
        assert!(restored(marks(3, 8, 40)), "a shorter log");
        assert!(restored(marks(3, 900, 1000)), "a log that has outgrown the old one, but not its revisions");
        assert!(restored(marks(3, 60, 1_000_000)), "with raised revisions");
        assert_eq!(judge(Some((&record(1, 3, 50), revision(2))), "d", &marks(9, 99, 9), &[]), Verdict::Moved);
    }

    #[test]
    fn a_host_knows_what_a_copy_has_not_seen() {
        let made = record(1, 2, 5);
        let mut host = Vec::new();
        remember(&mut host, &made, &marks(3, 100, 80), 16);
        assert_eq!(verdict(&made, &marks(3, 101, 80), &host), Verdict::Same);
        for now in [marks(3, 101, 70), marks(3, 99, 80), marks(2, 100, 80)] {
            assert!(matches!(verdict(&made, &now, &host), Verdict::Restored(_)), "{now:?}");
        }
        let adopted_elsewhere = record(2, 2, 6);
        assert_eq!(verdict(&adopted_elsewhere, &marks(2, 7, 3), &host), Verdict::Same);
        remember(&mut host, &adopted_elsewhere, &marks(2, 7, 3), 16);
        assert!(
            matches!(verdict(&made, &marks(9, 900, 80), &host), Verdict::Restored(_)),
            "generation 1 again"
        );
        let again = StoreRecord { created_at: WallTime(9), ..adopted_elsewhere };
        assert_eq!(verdict(&again, &marks(9, 900, 80), &host), Verdict::Restored(Sign::MadeAgain));
    }

    #[test]
    fn a_new_generation_is_above_all_that_were_seen() {
        let made = record(1, 2, 5);
        let mut host = Vec::new();
        assert_eq!(judge(None, "c", &marks(2, 4, 1), &host), Verdict::Missing(Generation(1)));
        remember(&mut host, &record(3, 2, 5), &marks(2, 9, 9), 16);
        assert_eq!(judge(None, "c", &marks(2, 4, 1), &host), Verdict::Missing(Generation(4)));
        assert_eq!(adopted(&made, &host), Generation(4), "restored twice from one snapshot");
        assert_eq!(
            adopted(&StoreRecord { cluster_id: "d".to_owned(), ..made.clone() }, &host),
            Generation(4)
        );
        assert_eq!(adopted(&made, &[]), Generation(2));
        let made_again = StoreRecord { created_at: WallTime(9), ..made.clone() };
        assert_eq!(adopted(&made_again, &host), Generation(4), "another store on the same cluster");
        let unrelated = StoreRecord { cluster_id: "d".to_owned(), ..made_again };
        assert_eq!(adopted(&unrelated, &host), Generation(2), "another store on another cluster");
    }

    #[test]
    fn a_newer_generation_is_not_forgotten_for_an_older_one() {
        let mut host = Vec::new();
        let made_again = |generation| StoreRecord { created_at: WallTime(9), ..record(generation, 2, 5) };
        remember(&mut host, &made_again(3), &marks(2, 9, 9), 16);
        remember(&mut host, &record(1, 2, 5), &marks(2, 9, 9), 16);
        let generations: Vec<u64> = host.iter().map(|seen| seen.generation.0).collect();
        assert_eq!(generations, [3, 1]);
        remember(&mut host, &made_again(4), &marks(2, 9, 9), 16);
        assert_eq!(host.len(), 1, "adopted: what was seen before is over");
    }

    #[test]
    fn a_host_remembers_the_newest_of_a_bounded_number_of_stores() {
        let mut host = Vec::new();
        remember(&mut host, &record(1, 2, 5), &marks(4, 100, 80), 2);
        remember(&mut host, &record(1, 2, 5), &marks(3, 120, 70), 2);
        assert_eq!((host[0].raft_term, host[0].raft_index, host[0].revision), (4, 120, revision(80)));
        remember(&mut host, &record(2, 2, 5), &marks(2, 10, 8), 2);
        assert_eq!((host.len(), host[0].raft_index), (1, 10), "adopted: its values begin again");
        for id in ["d", "e"] {
            let other = StoreRecord { cluster_id: id.to_owned(), ..record(1, 2, 5) };
            remember(&mut host, &other, &marks(2, 6, 3), 2);
        }
        assert_eq!(host.iter().map(|seen| &*seen.cluster_id).collect::<Vec<_>>(), ["d", "e"]);
    }

    #[test]
    fn a_record_is_written_again_after_an_election() {
        assert!(!is_outdated(&record(1, 2, 5), &marks(2, 900, 80)));
        assert!(is_outdated(&record(1, 2, 5), &marks(3, 900, 80)));
        assert!(is_outdated(&StoreRecord { raft_index: None, ..record(1, 2, 5) }, &marks(2, 9, 8)));
    }
}
