//! What the commands above this process hold. They wait for it to end, so it must not wait for them.

use std::ffi::OsString;

use planlease::Delegation;
use planlease_core::{LeaseId, PlanName, Revision, record::Guard, term::Candidate};
use serde::{Deserialize, Serialize};

use crate::options::env;

/// The ownerships and locks that commands above this process hold, as handed down in
/// [`PLANLEASE_HELD`](env::HELD).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inherited(Vec<One>);

/// A place at the head of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct One {
    /// The plan; none for a lock of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<PlanName>,
    /// The lease and the create revision of its key: no other key has, or had, the two.
    lease: LeaseId,
    revision: Revision,
}

impl Inherited {
    /// Reads the value of the variable, if it is set, and adds the ownership that was delegated to this
    /// process.
    ///
    /// # Errors
    /// The value is not what [`Self::variable`] makes.
    pub fn read(value: Option<&str>, delegation: Option<&Delegation>) -> Result<Self, serde_json::Error> {
        let mut held: Self = value.map_or_else(|| Ok(Self::default()), serde_json::from_str)?;
        if let Some(delegation) = delegation
            && let Guard::Owner { lease, revision } = delegation.guard
        {
            held.0.push(One { plan: Some(delegation.plan.clone()), lease, revision });
        }
        Ok(held)
    }

    /// With one more.
    #[must_use]
    pub fn and(&self, plan: Option<&PlanName>, lease: LeaseId, revision: Revision) -> Self {
        let mut more = self.clone();
        more.0.push(One { plan: plan.cloned(), lease, revision });
        more
    }

    /// The variable that hands it down; removed if there is nothing.
    ///
    /// # Errors
    /// Never in practice: names and numbers can be written as JSON.
    pub fn variable(&self) -> Result<(OsString, Option<OsString>), serde_json::Error> {
        let text = if self.0.is_empty() { None } else { Some(serde_json::to_string(self)?.into()) };
        Ok((env::HELD.into(), text))
    }

    /// The plans of which something is held.
    pub fn plans(&self) -> impl Iterator<Item = &PlanName> {
        self.0.iter().filter_map(|one| one.plan.as_ref())
    }

    /// Whether this candidate is one of the commands above.
    #[must_use]
    pub fn contains(&self, candidate: &Candidate) -> bool {
        self.0.iter().any(|one| (one.lease, one.revision) == (candidate.lease, candidate.joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_down_is_read_back() {
        let plan = PlanName::new("release").unwrap();
        let (lease, revision) = (LeaseId::from_wire(7).unwrap(), Revision::from_wire(5).unwrap());
        let held = Inherited::default().and(Some(&plan), lease, revision);
        let (name, value) = held.variable().unwrap();
        assert_eq!(name, env::HELD);
        let read = Inherited::read(value.unwrap().to_str(), None).unwrap();
        assert_eq!(read, held);
        assert!(read.contains(&Candidate { lease, joined: revision, record: None }));
        let later = Revision::from_wire(6).unwrap();
        assert!(!read.contains(&Candidate { lease, joined: later, record: None }), "it was lost since");
        assert!(Inherited::read(Some("{"), None).is_err());
        assert_eq!(Inherited::default().variable().unwrap().1, None);
    }
}
