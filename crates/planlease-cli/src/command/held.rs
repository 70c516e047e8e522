//! What the commands above this process hold. They wait for it to end, so it must not wait for them.

use std::ffi::OsString;

use planlease::core::{LeaseId, PlanName, Revision, record::Guard, term::Candidate};
use planlease_orchestrator::env;
use serde::{Deserialize, Serialize};

use super::task::right::delegation;
use crate::{environment::Environment, exit::Exit, failure::Failure};

/// The ownerships and locks that commands above this process hold. It is handed down in a variable, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Held(Vec<One>);

/// A place at the head of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct One {
    plan: PlanName,
    /// The lease and the create revision of its key: no other key has, or had, the two.
    lease: LeaseId,
    revision: Revision,
}

impl Held {
    /// That of this process: what it was handed down, and the ownership that was delegated to it.
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let mut held: Self = match environment.text(env::HELD) {
            None => Self::default(),
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                Failure::usage(format!("the variable {} cannot be read: {error}", env::HELD))
                    .meaning("It is set by `planlease hold`, `lock` and `run` for their commands.")
            })?,
        };
        if let Some(delegation) = delegation(environment)?
            && let Guard::Owner { lease, revision } = delegation.guard
        {
            held.0.push(One { plan: delegation.plan, lease, revision });
        }
        Ok(held)
    }

    /// With one more.
    pub(super) fn and(&self, plan: &PlanName, lease: LeaseId, revision: Revision) -> Self {
        let mut more = self.clone();
        more.0.push(One { plan: plan.clone(), lease, revision });
        more
    }

    /// The variable that hands it down; not set if there is nothing.
    pub(super) fn variable(&self) -> Result<(OsString, Option<OsString>), Failure> {
        let text = match self.0.is_empty() {
            true => None,
            false => Some(serde_json::to_string(self).map_err(|error| Failure::json(&error))?.into()),
        };
        Ok((env::HELD.into(), text))
    }

    /// The plans of which something is held.
    pub(super) fn plans(&self) -> impl Iterator<Item = &PlanName> {
        self.0.iter().map(|one| &one.plan)
    }

    /// Whether this candidate is one of the commands above.
    pub(super) fn is_ours(&self, candidate: &Candidate) -> bool {
        self.0.iter().any(|one| (one.lease, one.revision) == (candidate.lease, candidate.joined))
    }

    /// Why it is not waited for.
    pub(super) fn refusal(what: &str) -> Failure {
        Failure::new(
            Exit::OwnedByOther,
            format!("cannot wait for {what}: a command that waits for this one has it"),
        )
        .meaning("Each would wait for the other for ever. Nothing was started.")
        .remedy("Use what that command has (`planlease task` works by its ownership), or run this after it.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_down_is_read_back() {
        let plan = PlanName::new("release").unwrap();
        let (lease, revision) = (LeaseId::from_wire(7).unwrap(), Revision::from_wire(5).unwrap());
        let held = Held::default().and(&plan, lease, revision);
        let (name, value) = held.variable().unwrap();
        let environment = Environment::from_iter([(name.into_string().unwrap(), value.unwrap())]);
        let read = Held::of(&environment).unwrap();
        assert_eq!(read, held);
        assert!(read.is_ours(&Candidate { lease, joined: revision, record: None }));
        let later = Revision::from_wire(6).unwrap();
        assert!(!read.is_ours(&Candidate { lease, joined: later, record: None }), "it was lost since");
        assert!(Held::of(&Environment::from_iter([(env::HELD, "{")])).is_err());
    }
}
