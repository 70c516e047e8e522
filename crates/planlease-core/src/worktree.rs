//! Worktrees, decided: which state may follow which, which of them are abandoned, what may be done about one.
//!
//! One rule stands above all others: work that is nowhere else is never destroyed. So a worktree is removed
//! only if nothing was found in it, and there is no state from which it could be removed otherwise.

use uuid::Uuid;

use crate::{
    record::{Guard, WorktreeRecord, WorktreeState},
    term::Queue,
    time::WallTime,
};

/// Whether the authority by which a worktree was made still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// The ownership that made it lasts, or a person made it.
    Live,
    /// The ownership that made it is over. For good: an owner's key never has the same create revision again.
    TermOver,
    /// Its plan was deleted.
    PlanGone,
    /// The record that names the plan's owner cannot be read. The worktree is kept.
    Unknown,
}

impl Tenure {
    /// Whether it has no owner left.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::TermOver | Self::PlanGone)
    }

    /// Why it is abandoned, as the rest of a sentence.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Live => "it is in use",
            Self::TermOver => "the ownership that made it is over",
            Self::PlanGone => "its plan was deleted",
            Self::Unknown => "the owner of its plan cannot be read",
        }
    }
}

/// Whose a worktree is. `line`: that of its plan; `None` if there is no such plan.
#[must_use]
pub fn tenure(record: &WorktreeRecord, queue: Option<&Queue>) -> Tenure {
    let Some(queue) = queue else { return Tenure::PlanGone };
    match &record.guard {
        Some(Guard::Owner { lease, revision }) => {
            let lasts =
                queue.owner().is_some_and(|(owner, _)| (owner.lease, owner.joined) == (*lease, *revision));
            match lasts {
                true => Tenure::Live,
                false if !queue.unreadable.is_empty() => Tenure::Unknown,
                false => Tenure::TermOver,
            }
        }
        Some(_) | None => Tenure::Live,
    }
}

/// What is done about a worktree that the caller did not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidying {
    /// Nothing: it is in use, or kept.
    Keep,
    /// It is removed, or its removal or what there is of it is cleared away.
    Remove,
    /// It is kept for a person to look at.
    Quarantine,
}

/// What tidying up does about a worktree. `work`: whether something was found that is nowhere else. To be
/// asked and acted upon under the lock of the repository: then one that is being added or removed has been
/// given up by its maker.
#[must_use]
pub fn tidy(state: WorktreeState, tenure: Tenure, work: bool) -> Tidying {
    match state {
        WorktreeState::Quarantined => Tidying::Keep,
        WorktreeState::Ready if !tenure.is_over() => Tidying::Keep,
        WorktreeState::Ready | WorktreeState::Adding | WorktreeState::Removing if work => Tidying::Quarantine,
        WorktreeState::Ready | WorktreeState::Adding | WorktreeState::Removing => Tidying::Remove,
    }
}

/// Why a worktree that was named is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another process works in it.
    #[error("the owner of its plan works in it")]
    InUse,
    /// Something in it is nowhere else.
    #[error("it holds work that is nowhere else")]
    HasWork,
    /// The one state does not follow the other.
    #[error("it is {0}")]
    WrongState(WorktreeState),
}

/// Whether a worktree that was named may be removed. `own`: whether the caller has the authority by which it
/// was made.
///
/// # Errors
/// [`Refusal`]. There is no way around it.
pub fn may_remove(state: WorktreeState, tenure: Tenure, own: bool, work: bool) -> Result<(), Refusal> {
    if state == WorktreeState::Ready && !tenure.is_over() && !own {
        return Err(Refusal::InUse);
    }
    if work { Err(Refusal::HasWork) } else { Ok(()) }
}

/// The record in its next state.
///
/// # Errors
/// [`Refusal::WrongState`] if that state does not follow the present one.
pub fn enter(
    record: &WorktreeRecord,
    state: WorktreeState,
    why: Option<String>,
    at: WallTime,
    op_id: Uuid,
) -> Result<WorktreeRecord, Refusal> {
    use WorktreeState::{Adding, Quarantined, Ready, Removing};
    match (record.state, state) {
        (Adding, Ready | Quarantined | Removing)
        | (Ready, Quarantined | Removing)
        | (Removing, Quarantined | Removing)
        | (Quarantined, Removing) => Ok(WorktreeRecord { state, why, since: at, op_id, ..record.clone() }),
        (from, _) => Err(Refusal::WrongState(from)),
    }
}

/// How many worktrees there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// On one host.
    pub host: usize,
    /// Of one repository on one host.
    pub repository: usize,
}

/// Which limit leaves no room for one more. `others`: the repositories of all worktrees of the host that come
/// before it.
#[must_use]
pub fn exceeded<'a>(
    limits: Limits,
    repository: &str,
    others: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let (mut host, mut same) = (0, 0);
    for other in others {
        host += 1;
        same += usize::from(other == repository);
    }
    if host >= limits.host {
        Some(format!("the host has {host} worktrees; at most {} are allowed", limits.host))
    } else if same >= limits.repository {
        Some(format!("the repository has {same} worktrees here; at most {} are allowed", limits.repository))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Generation, LeaseId, OrchestratorId, PlanName, Revision,
        record::CandidateRecord,
        term::{Candidate, Successor, succeed},
    };

    fn record(guard: Option<Guard>) -> WorktreeRecord {
        WorktreeRecord {
            v: Default::default(),
            id: Uuid::nil(),
            state: WorktreeState::Ready,
            path: "/trees/a".into(),
            repository: "/repo/.git".into(),
            branch: "a".into(),
            base: "0".repeat(40),
            plan: PlanName::new("p").unwrap(),
            task: None,
            token: None,
            guard,
            by: "x".into(),
            since: WallTime(0),
            why: None,
            op_id: Uuid::nil(),
            extra: crate::extra::Extra::default(),
        }
    }

    fn owned(n: i64) -> (Queue, Guard) {
        let (lease, joined) = (LeaseId::from_wire(n).unwrap(), Revision::from_wire(n).unwrap());
        let candidate = CandidateRecord::new(OrchestratorId::new("o").unwrap(), "host", 1, WallTime(0));
        let successor = Successor { record: candidate.clone(), lease, guard: Some(joined) };
        let term = succeed(None, Generation(1), &successor, WallTime(0)).term;
        let candidates = vec![Candidate { lease, joined, record: Some(candidate) }];
        (Queue::new(candidates, Some((joined, term))), Guard::Owner { lease, revision: joined })
    }

    #[test]
    fn a_worktree_is_abandoned_without_its_term_or_its_plan() {
        let ((queue, guard), (_, other)) = (owned(7), owned(8));
        assert_eq!(tenure(&record(Some(guard.clone())), Some(&queue)), Tenure::Live);
        assert_eq!(tenure(&record(Some(other)), Some(&queue)), Tenure::TermOver);
        let of = |lease, revision| Guard::Owner {
            lease: LeaseId::from_wire(lease).unwrap(),
            revision: Revision::from_wire(revision).unwrap(),
        };
        for earlier in [of(7, 6), of(6, 6)] {
            // Also by the same session, which has lost the plan and owns it again.
            assert_eq!(tenure(&record(Some(earlier)), Some(&queue)), Tenure::TermOver);
        }
        assert_eq!(tenure(&record(Some(guard.clone())), Some(&Queue::default())), Tenure::TermOver);
        assert_eq!(tenure(&record(None), Some(&Queue::default())), Tenure::Live, "a person's");
        assert_eq!(tenure(&record(Some(guard)), None), Tenure::PlanGone);
    }

    #[test]
    fn what_holds_work_is_never_removed() {
        for state in WorktreeState::ALL {
            for tenure in [Tenure::Live, Tenure::TermOver, Tenure::PlanGone] {
                assert_ne!(tidy(state, tenure, true), Tidying::Remove, "{state} {tenure:?}");
                for own in [true, false] {
                    assert!(may_remove(state, tenure, own, true).is_err(), "{state} {tenure:?} {own}");
                }
            }
        }
    }

    #[test]
    fn what_is_in_use_is_left_alone() {
        assert_eq!(tidy(WorktreeState::Ready, Tenure::Live, false), Tidying::Keep);
        assert_eq!(may_remove(WorktreeState::Ready, Tenure::Live, false, false), Err(Refusal::InUse));
        assert_eq!(may_remove(WorktreeState::Ready, Tenure::Live, true, false), Ok(()));
        assert_eq!(tidy(WorktreeState::Ready, Tenure::TermOver, false), Tidying::Remove);
        assert_eq!(tidy(WorktreeState::Quarantined, Tenure::PlanGone, false), Tidying::Keep);
        assert_eq!(
            tidy(WorktreeState::Adding, Tenure::Live, false),
            Tidying::Remove,
            "given up by its maker"
        );
        assert_eq!(tidy(WorktreeState::Removing, Tenure::Live, true), Tidying::Quarantine);
    }

    #[test]
    fn nothing_comes_back_from_quarantine_or_removal_as_ready() {
        for from in WorktreeState::ALL {
            let record = WorktreeRecord { state: from, ..record(None) };
            let ready = enter(&record, WorktreeState::Ready, None, WallTime(1), Uuid::nil());
            assert_eq!(ready.is_ok(), from == WorktreeState::Adding, "{from}");
            let adding = enter(&record, WorktreeState::Adding, None, WallTime(1), Uuid::nil());
            assert_eq!(adding, Err(Refusal::WrongState(from)));
        }
    }

    #[test]
    fn limits_count_what_is_there() {
        let limits = Limits { host: 3, repository: 2 };
        let full = |others: &[&str]| exceeded(limits, "a", others.iter().copied());
        assert_eq!(full(&["a", "b"]), None);
        assert!(full(&["a", "a"]).unwrap().contains("repository has 2"));
        assert!(full(&["b", "b", "b"]).unwrap().contains("host has 3"));
    }
}
