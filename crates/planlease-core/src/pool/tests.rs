//! Pools: what is taken, what waits, and what is refused.

use super::*;

fn revision(number: i64) -> Revision {
    Revision::from_wire(number).unwrap()
}

fn entry(value: &[u8]) -> Entry {
    Entry { value: value.to_vec(), created: revision(5), modified: revision(5), version: 1, lease: None }
}

fn name() -> PoolName {
    PoolName::new("gpu").unwrap()
}

fn lease(number: i64) -> LeaseId {
    LeaseId::from_wire(number).unwrap()
}

/// A pool of this size with these permits taken.
fn pool(size: u32, taken: &[u32]) -> PoolsView {
    let record = format!(r#"{{"size":{size},"by":"ops","at":0}}"#);
    let mut keys = vec![(Key::Pool(name()), entry(record.as_bytes()))];
    keys.extend(taken.iter().map(|number| (Key::Permit(name(), *number, lease(7)), entry(b"{"))));
    PoolsView::of(keys)
}

fn uses(permits: u32) -> Pools {
    Pools::new([(name(), permits)].into()).unwrap()
}

/// The numbers that a start may take, in their order.
fn free(size: u32, taken: &[u32]) -> Vec<u32> {
    pool(size, taken).0.get(&name()).unwrap().free().collect()
}

#[test]
fn free_permits_never_exceed_the_size_together_with_those_taken() {
    assert_eq!(free(2, &[]), [0, 1]);
    assert_eq!(free(2, &[1]), [0]);
    assert_eq!(free(2, &[0, 1]), [] as [u32; 0]);
    // After the pool was made smaller.
    assert_eq!(free(2, &[3]), [0]);
    assert_eq!(free(2, &[1, 3]), [] as [u32; 0]);
    assert_eq!(free(2, &[2, 3]), [] as [u32; 0]);
    assert_eq!(free(3, &[0, 4]), [1]);
    assert_eq!(free(0, &[]), [] as [u32; 0]);
    for size in 0..6_u32 {
        for mask in 0..64_u32 {
            let taken: Vec<u32> = (0..6).filter(|bit| mask & (1 << bit) != 0).collect();
            let free = free(size, &taken).len() + taken.len();
            assert!(free <= usize::try_from(size).unwrap().max(taken.len()), "{size} {taken:?}");
        }
    }
}

#[test]
fn a_start_waits_with_a_reason_and_takes_distinct_permits() {
    let text = |pools: &PoolsView, permits| pools.wait(&uses(permits)).map(|wait| wait.to_string());
    assert_eq!(text(&PoolsView::default(), 1).unwrap(), "pool gpu is not defined");
    assert_eq!(text(&pool(2, &[0]), 1), None);
    assert_eq!(text(&pool(2, &[0, 1]), 1).unwrap(), "waits for pool gpu (2 of 2 in use: lease 7, lease 7)");
    assert_eq!(text(&pool(2, &[]), 3).unwrap(), "pool gpu has 2 of the 3 permits that the task needs");
    assert!(!pool(0, &[]).wait(&uses(1)).unwrap().ends_by_itself());
    let unreadable = PoolsView::of([(Key::Pool(name()), entry(b"{"))]);
    assert!(matches!(unreadable.wait(&uses(1)), Some(PoolWait::Unreadable(..))));
    let mut taken = pool(9, &[2]).take(&uses(8), |_| false, |_| 0).unwrap().remove(&name()).unwrap();
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_start_takes_its_own_left_permits_first() {
    let is_own = |permit: &PermitView| permit.since == revision(6);
    let mut pools = pool(2, &[0, 1]);
    pools.0.get_mut(&name()).unwrap().permits.get_mut(&1).unwrap().since = revision(6);
    let taken = |pools: &PoolsView, needs| {
        pools.take(&uses(needs), is_own, |_| 0).ok().map(|mut taken| taken.remove(&name()).unwrap())
    };
    assert_eq!(taken(&pools, 1), Some(vec![1]));
    assert_eq!(taken(&pools, 2), None, "the other one is another task's");
    pools.0.get_mut(&name()).unwrap().permits.remove(&0);
    assert_eq!(taken(&pools, 2), Some(vec![1, 0]));
}

#[test]
fn a_stored_size_beyond_the_bound_is_not_readable() {
    assert_eq!(free(MAX_POOL, &[]).len(), 1_000);
    for size in [MAX_POOL + 1, u32::MAX] {
        let pools = pool(size, &[]);
        assert_eq!(pools.0.get(&name()).unwrap().size(), 0);
        let wait = pools.take(&uses(1), |_| false, |_| 0).unwrap_err();
        assert!(matches!(wait, PoolWait::Unreadable(..)), "{wait}");
        assert!(wait.to_string().contains("at most 1000"), "{wait}");
    }
}

#[test]
fn a_permit_goes_with_its_own_lease_only() {
    let mut pools = pool(1, &[0]);
    let before = pools.clone();
    pools.apply(&Key::Permit(name(), 0, lease(8)), None);
    assert_eq!(pools, before, "another claim's");
    pools.apply(&Key::Permit(name(), 0, lease(7)), None);
    assert_eq!(pools, pool(1, &[]));
    pools.apply(&Key::Pool(name()), None);
    assert_eq!(pools, PoolsView::default());
}

#[test]
fn others_go_first_for_less_time_the_longer_one_waits() {
    let pause = |priority, waited, number| {
        patience(priority, Duration::from_secs(waited), lease(number), revision(number * 31))
    };
    let longest = |priority, waited| (1..400).map(|number| pause(priority, waited, number)).max().unwrap();
    let millis = |priority, waited| longest(priority, waited).as_millis();
    assert_eq!([0, 10, 30, 60].map(|waited| millis(0, waited)), [49, 24, 6, 0]);
    assert_eq!([-9, -1, 1, 9].map(|priority| millis(priority, 0)), [249, 99, 24, 9]);
    assert!(longest(-9, 60) < Duration::from_millis(1), "the lowest priority, after a minute");
    let spread: std::collections::BTreeSet<_> =
        (1..65).map(|number| pause(0, 0, number).as_millis()).collect();
    assert!(spread.len() > 25, "64 waiters do not try at once: {spread:?}");
}

#[test]
fn uses_are_read_as_names_or_numbers_and_are_bounded() {
    let read = |json: &str| serde_json::from_str::<Pools>(json).map_err(|error| error.to_string());
    assert_eq!(read(r#"["gpu"]"#).unwrap(), uses(1));
    assert_eq!(read(r#"{"gpu":2}"#).unwrap(), uses(2));
    assert_eq!(serde_json::to_string(&uses(2)).unwrap(), r#"{"gpu":2}"#);
    assert!(read(r#"["gpu","gpu"]"#).unwrap_err().contains("twice"));
    assert!(read(r#"{"gpu":0}"#).unwrap_err().contains("0 permits"));
    assert!(read(r#"{"gpu":13}"#).unwrap_err().contains("at most 12 permits"));
    assert!(read(r#"["a","b","c","d","e"]"#).unwrap_err().contains("at most 4 pools"));
}
