//! What was done under which term: counted from the transitions that the tasks remember, never stored.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{record::TaskRecord, revision::TermNumber, transition::TaskStatus};

/// How many attempts began and ended under a term, by owner and workers alike. Each task remembers its last
/// [`TRANSITIONS_KEPT`](crate::record::TRANSITIONS_KEPT) transitions, so for tasks that were tried more often
/// these are the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deeds {
    /// Attempts that began.
    pub started: usize,
    /// Attempts that ended well.
    pub completed: usize,
    /// Attempts that ended badly, or whose claimant was lost for good.
    pub failed: usize,
    /// Attempts that neither completed nor failed: given back, or recovered from a lost claimant.
    pub given_back: usize,
}

impl Deeds {
    /// Of each term that the records of a plan's tasks know of.
    pub fn by_term<'a>(records: impl IntoIterator<Item = &'a TaskRecord>) -> BTreeMap<TermNumber, Self> {
        let mut terms: BTreeMap<TermNumber, Self> = BTreeMap::new();
        for transition in records.into_iter().flat_map(|record| &record.transitions) {
            let Some(term) = transition.term else { continue };
            let deeds = terms.entry(term).or_default();
            match (transition.from, transition.to) {
                (TaskStatus::Pending, TaskStatus::InProgress) => deeds.started += 1,
                (TaskStatus::InProgress, TaskStatus::Completed) => deeds.completed += 1,
                (TaskStatus::InProgress, TaskStatus::Failed) => deeds.failed += 1,
                (TaskStatus::InProgress, TaskStatus::Pending) => deeds.given_back += 1,
                _ => {} // Retried, skipped, approved: no attempt began or ended.
            }
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        WallTime,
        record::{Guard, Role, Writer},
        transition::{Change, Write, apply},
    };

    fn changed(record: &TaskRecord, term: Option<u64>, change: &Change) -> TaskRecord {
        let role = if term.is_some() { Role::Owner } else { Role::Operator };
        let writer = Writer { who: "o".into(), role, term: term.map(TermNumber), guard: Guard::Unowned };
        apply(record, change, &Write { writer, attempt: None, at: WallTime(0), op_id: Uuid::nil() }).unwrap()
    }

    #[test]
    fn attempts_are_counted_under_the_term_that_wrote_them() {
        let writer = Writer { who: "o".into(), role: Role::Operator, term: None, guard: Guard::Import };
        let new = TaskRecord::new(writer, Uuid::nil());
        let mut one = changed(&new, Some(1), &Change::Start);
        one = changed(&one, Some(1), &Change::Return("x".into()));
        one = changed(&one, Some(2), &Change::Start);
        one = changed(&one, Some(2), &Change::Fail("x".into()));
        one = changed(&one, Some(2), &Change::Retry("x".into()));
        one = changed(&one, Some(3), &Change::Start);
        one = changed(&one, Some(3), &Change::Complete(None));
        let by_hand = changed(&changed(&new, None, &Change::Start), None, &Change::Complete(None));
        let deeds = Deeds::by_term([&one, &by_hand]);
        let of = |term: u64| deeds[&TermNumber(term)];
        assert_eq!(of(1), Deeds { started: 1, given_back: 1, ..Deeds::default() });
        assert_eq!(of(2), Deeds { started: 1, failed: 1, ..Deeds::default() });
        assert_eq!(of(3), Deeds { started: 1, completed: 1, ..Deeds::default() });
        assert_eq!(deeds.len(), 3, "what was done by hand is nobody's term");
    }
}
