//! Which writes of a task release the permits of pools that it has.

use crate::{
    pool::Permits,
    record::{Role, TaskRecord},
};

/// The permits that a write of a task releases, in the transaction that makes it.
///
/// The end of an attempt does, if its claimant writes it: what ran for it has ended. If another process ends
/// it (a claimant is lost, an ownership was ended by force), the command may still run until the claimant's
/// own deadline. Its permits stay then: the claimant releases them when it has stopped, or they go with their
/// lease, which the server drops after that deadline. A person's claim has no process behind it; its permits
/// hang on the lease of its time limit.
#[must_use]
pub fn released<'a>(before: &'a TaskRecord, after: &TaskRecord) -> Option<&'a Permits> {
    let claim = before.claim.as_ref()?;
    let permits = claim.permits.as_deref()?;
    let by_claimant = match &claim.guard {
        None => claim.limit.as_ref().is_some_and(|limit| limit.lease == permits.lease),
        Some(guard) => after.writer.role != Role::Operator && after.writer.guard == *guard,
    };
    let goes_on = after.claim.as_ref().is_some_and(|claim| claim.permits.is_some());
    (by_claimant && !goes_on).then_some(permits)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        LeaseId, PoolName, Revision, WallTime,
        record::{Claim, ClaimLimit, Guard, Writer},
    };

    fn revision(number: i64) -> Revision {
        Revision::from_wire(number).unwrap()
    }

    fn name() -> PoolName {
        PoolName::new("gpu").unwrap()
    }

    fn lease(number: i64) -> LeaseId {
        LeaseId::from_wire(number).unwrap()
    }

    #[test]
    fn a_claim_releases_its_permits_when_its_claimant_ends_it() {
        let owner = |revision_of| Guard::Owner { lease: lease(7), revision: revision(revision_of) };
        let writer = |role, guard| Writer { who: "w".into(), role, term: None, guard };
        let ended = |role, guard| TaskRecord::new(writer(role, guard), Uuid::nil());
        let permits = Permits { lease: lease(7), taken: [(name(), vec![0])].into() };
        let claimed = |guard| {
            let mut claim = Claim::new("w".into(), guard, None, WallTime(0));
            claim.permits = Some(Box::new(permits.clone()));
            TaskRecord { claim: Some(claim), ..ended(Role::Owner, owner(3)) }
        };
        let mine = claimed(Some(owner(3)));
        assert_eq!(released(&mine, &ended(Role::Owner, owner(3))), Some(&permits));
        assert_eq!(released(&mine, &mine), None, "it goes on");
        assert_eq!(
            released(&mine, &ended(Role::Owner, owner(4))),
            None,
            "its successor says that it is lost"
        );
        assert_eq!(released(&mine, &ended(Role::Operator, Guard::Unowned)), None, "it may still run");
        assert_eq!(released(&mine, &ended(Role::Operator, owner(3))), None, "an operator under its guard");
        assert_eq!(
            released(&claimed(None), &ended(Role::Operator, owner(3))),
            None,
            "another claim's by now"
        );
        let mut persons = claimed(None);
        let limit = ClaimLimit { lease: lease(7), seconds: 60 };
        persons.claim.as_mut().unwrap().limit = Some(limit);
        assert!(released(&persons, &ended(Role::Operator, owner(3))).is_some(), "a person's");
        let mut waits = mine.clone();
        waits.claim.as_mut().unwrap().permits = None;
        assert_eq!(released(&mine, &waits), Some(&permits), "its result waits for approval");
        let keys: Vec<_> = permits.keys().map(|key| key.to_string()).collect();
        assert_eq!(keys, ["pools/gpu/permits/000000/7"]);
    }
}
