//! Leases, their deadlines and the keys that hang on them. Pure: time comes in as the duration since the
//! server was opened.
//!
//! A lease never ends before its TTL has passed since it was granted or last renewed; it is the engine that
//! revokes what is due, and it does so before anything else at each step, so that nothing can be done with a
//! lease whose time is up. Deadlines are not stored: at the next opening every lease starts over, as in etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::status::Refusal;

/// etcd's longest TTL, in seconds.
const TTL_SECS_MAX: i64 = 9_000_000_000;

/// All leases with their deadlines.
#[derive(Debug, Default)]
pub(crate) struct Lessor {
    leases: BTreeMap<i64, Lease>,
    deadlines: BTreeSet<(Duration, i64)>,
    /// The lease of each key that has one.
    attached: BTreeMap<Bytes, i64>,
}

#[derive(Debug)]
struct Lease {
    ttl_secs: i64,
    deadline: Duration,
    keys: BTreeSet<Bytes>,
}

/// What a client may ask about a lease.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeaseInfo {
    pub(crate) granted_ttl_secs: i64,
    /// Rounded down.
    pub(crate) remaining_secs: i64,
    pub(crate) keys: Vec<Bytes>,
}

impl Lessor {
    /// Grants a lease and returns its TTL in seconds, which may be longer than asked for.
    ///
    /// # Errors
    /// `LeaseExists`, `LeaseTtlTooLarge`; `LeaseNotFound` for id 0, as etcd.
    pub(crate) fn grant(&mut self, id: i64, ttl: i64, ttl_min: i64, now: Duration) -> Result<i64, Refusal> {
        if id == 0 {
            return Err(Refusal::LeaseNotFound);
        }
        if ttl > TTL_SECS_MAX {
            return Err(Refusal::LeaseTtlTooLarge);
        }
        if self.exists(id) {
            return Err(Refusal::LeaseExists);
        }
        let ttl_secs = ttl.max(ttl_min).max(1);
        let deadline = now + seconds(ttl_secs);
        self.leases.insert(id, Lease { ttl_secs, deadline, keys: BTreeSet::new() });
        self.deadlines.insert((deadline, id));
        Ok(ttl_secs)
    }

    /// Restarts the TTL and returns it in seconds; `None` if there is no such lease.
    pub(crate) fn renew(&mut self, id: i64, now: Duration) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        self.deadlines.remove(&(lease.deadline, id));
        lease.deadline = now + seconds(lease.ttl_secs);
        self.deadlines.insert((lease.deadline, id));
        Some(lease.ttl_secs)
    }

    /// Forgets a lease and returns its keys, in order, which are the caller's to delete.
    pub(crate) fn remove(&mut self, id: i64) -> Option<BTreeSet<Bytes>> {
        let lease = self.leases.remove(&id)?;
        self.deadlines.remove(&(lease.deadline, id));
        for key in &lease.keys {
            self.attached.remove(key);
        }
        Some(lease.keys)
    }

    /// The lease whose time is up for longest, if any.
    pub(crate) fn due(&self, now: Duration) -> Option<i64> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }

    /// When the next lease is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Whether the lease exists.
    pub(crate) fn exists(&self, id: i64) -> bool {
        self.leases.contains_key(&id)
    }

    /// Number of leases.
    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    /// Hangs a key on a lease, or on none when the id is 0, and takes it off any other.
    pub(crate) fn attach(&mut self, key: &Bytes, id: i64) {
        self.detach(key);
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
            self.attached.insert(key.clone(), id);
        }
    }

    /// Takes a key off its lease.
    pub(crate) fn detach(&mut self, key: &Bytes) {
        if let Some(id) = self.attached.remove(key)
            && let Some(lease) = self.leases.get_mut(&id)
        {
            lease.keys.remove(key);
        }
    }

    /// What is known of a lease.
    pub(crate) fn info(&self, id: i64, now: Duration) -> Option<LeaseInfo> {
        let lease = self.leases.get(&id)?;
        let remaining = lease.deadline.saturating_sub(now).as_secs();
        Some(LeaseInfo {
            granted_ttl_secs: lease.ttl_secs,
            remaining_secs: i64::try_from(remaining).unwrap_or(i64::MAX),
            keys: lease.keys.iter().cloned().collect(),
        })
    }

    /// All leases with their TTLs in seconds.
    pub(crate) fn ttls(&self) -> impl Iterator<Item = (i64, i64)> {
        self.leases.iter().map(|(id, lease)| (*id, lease.ttl_secs))
    }

    /// All leases, the one that ends first in front.
    pub(crate) fn ids(&self) -> impl Iterator<Item = i64> {
        self.deadlines.iter().map(|(_, id)| *id)
    }
}

fn seconds(secs: i64) -> Duration {
    Duration::from_secs(u64::try_from(secs).expect("a TTL is at least one second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn grants_as_etcd_does() {
        let mut lessor = Lessor::default();
        for (id, ttl, expected) in [
            (0, 5, Err(Refusal::LeaseNotFound)),
            (1, 1, Ok(2)),
            (1, 9, Err(Refusal::LeaseExists)),
            (2, -5, Ok(2)),
            (3, 9_000_000_001, Err(Refusal::LeaseTtlTooLarge)),
            (4, 9_000_000_000, Ok(9_000_000_000)),
            (-7, 60, Ok(60)),
        ] {
            assert_eq!(lessor.grant(id, ttl, 2, secs(0)), expected, "id {id}, ttl {ttl}");
        }
        assert_eq!(lessor.ids().collect::<Vec<_>>(), [1, 2, -7, 4]);
    }

    #[test]
    fn a_lease_is_due_a_ttl_after_its_last_renewal() {
        let mut lessor = Lessor::default();
        lessor.grant(1, 10, 2, secs(0)).unwrap();
        assert_eq!(lessor.due(secs(10) - Duration::from_nanos(1)), None);
        assert_eq!(lessor.due(secs(10)), Some(1));
        assert_eq!(lessor.renew(1, secs(4)), Some(10));
        assert_eq!((lessor.due(secs(13)), lessor.due(secs(14))), (None, Some(1)));
        assert_eq!(lessor.remove(1), Some(BTreeSet::new()));
        assert_eq!((lessor.due(secs(99)), lessor.renew(1, secs(5)), lessor.remove(1)), (None, None, None));
    }

    #[test]
    fn a_key_hangs_on_one_lease_at_a_time() {
        let mut lessor = Lessor::default();
        lessor.grant(1, 10, 2, secs(0)).unwrap();
        lessor.grant(2, 10, 2, secs(0)).unwrap();
        lessor.attach(&key("a"), 1);
        lessor.attach(&key("b"), 1);
        lessor.attach(&key("c"), 1);
        lessor.attach(&key("a"), 2);
        lessor.attach(&key("b"), 0);
        assert_eq!(lessor.info(1, secs(3)).unwrap().keys, [key("c")]);
        assert_eq!(lessor.info(2, secs(3)).unwrap().remaining_secs, 7);
        assert_eq!(lessor.remove(1), Some(BTreeSet::from([key("c")])));
        lessor.detach(&key("a"));
        assert_eq!(lessor.remove(2), Some(BTreeSet::new()));
    }
}
