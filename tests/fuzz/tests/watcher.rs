//! The watcher's map, kept from arbitrary change sets: no panic, and a follower of the
//! changes that it delivers holds the same as it does.

use bolero::check;
use planlease::RawSnapshot;
use planlease_core::Revision;
use planlease_fuzz::{
    INPUT_BYTES,
    deadline::{Deadline, EACH},
    history::History,
};
use planlease_watcher::{ChangeSet, Snapshot, Store};

/// Brings the follower up to date with what was delivered.
fn follow(follower: &mut Snapshot, reported: Option<ChangeSet>, store: &Store) {
    let revision = store.snapshot().revision();
    follower.apply(&reported.unwrap_or(ChangeSet { revision, resynced: false, changes: Vec::new() }));
}

#[test]
fn a_subscribers_copy_equals_the_watchers_snapshot() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<(History, History)>().for_each(|(history, another)| {
        deadline.within((history.clone(), another.clone()), || {
            let (sets, other) = (history.play().0, another.straight().play().1);
            let mut store = Store::load(&other);
            let mut follower = store.snapshot().clone();
            for set in &sets {
                let before = store.snapshot().revision();
                let reported = store.apply(set);
                assert!(before <= store.snapshot().revision(), "it went back");
                assert!(reported.as_ref().is_none_or(|reported| !reported.changes.is_empty()));
                follow(&mut follower, reported, &store);
                if history.is_possible() {
                    assert_eq!(&follower, store.snapshot());
                }
            }
        });
    });
}

#[test]
fn a_list_replaces_any_previous_state() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<(History, History)>().for_each(|(history, another)| {
        deadline.within((history.clone(), another.clone()), || {
            let mut store = Store::load(&another.play().1);
            for set in another.play().0 {
                drop(store.apply(&set));
            }
            let present = history.play().1;
            let reported = store.resync(&present);
            assert!(reported.resynced && reported.revision == present.revision);
            assert_eq!(store.snapshot(), Store::load(&present).snapshot());
        });
    });
}

#[test]
fn following_a_history_of_our_own_leads_to_what_a_list_shows() {
    check!().with_max_len(INPUT_BYTES).with_type::<History>().for_each(|history| {
        let (sets, present) = history.straight().play();
        let first = RawSnapshot { revision: Revision::from_wire(1).unwrap(), entries: Vec::new() };
        let mut store = Store::load(&first);
        for set in &sets {
            drop(store.apply(set));
        }
        assert_eq!(store.snapshot(), Store::load(&present).snapshot());
    });
}
