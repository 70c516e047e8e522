//! What differs between two states of one plan. Whether a change set or a new list led from one to the other
//! makes no difference, so the two cannot tell different stories. Pure.

use std::{collections::BTreeSet, sync::Arc};

use planlease_core::{TaskId, change::Entry, keys::PlanKey, view::PlanView};

use crate::{
    change::Change,
    line::{self, PastTerms},
};

/// A key of one plan, with what it holds now.
pub(crate) type PlanKeyChange<'a> = (&'a PlanKey, Option<&'a Entry>);

/// Which tasks and findings of a plan may differ.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) tasks: BTreeSet<TaskId>,
    pub(crate) findings: BTreeSet<TaskId>,
}

impl Touched {
    pub(crate) fn of(keys: &[PlanKeyChange<'_>]) -> Self {
        let mut touched = Self::default();
        for (key, _) in keys {
            match key {
                PlanKey::Task(id) => touched.tasks.insert(id.clone()),
                PlanKey::Findings(id) => touched.findings.insert(id.clone()),
                _ => false,
            };
        }
        touched
    }

    pub(crate) fn between(before: Option<&Arc<PlanView>>, after: Option<&Arc<PlanView>>) -> Self {
        let (Some(before), Some(after)) = (before, after) else { return Self::default() };
        let (before, after) = (before.parts(), after.parts());
        let tasks =
            differing(before.tasks.iter(), after.tasks.iter(), |one, other| one.revision == other.revision);
        let findings = differing(before.findings.iter(), after.findings.iter(), |one, other| one == other);
        Self { tasks, findings }
    }
}

/// The keys of two sorted maps whose values are not the same.
fn differing<'a, K: Ord + Clone + 'a, V: 'a>(
    before: impl Iterator<Item = (&'a K, &'a V)>,
    after: impl Iterator<Item = (&'a K, &'a V)>,
    same: impl Fn(&V, &V) -> bool,
) -> BTreeSet<K> {
    let (mut before, mut after) = (before.peekable(), after.peekable());
    let mut keys = BTreeSet::new();
    while let (Some((one, old)), Some((other, new))) = (before.peek(), after.peek()) {
        // Nearly all keys are in both maps, and telling that is cheaper than comparing them.
        if one == other {
            if !same(old, new) {
                keys.insert((*one).clone());
            }
            before.next();
            after.next();
        } else if one < other {
            keys.extend(before.next().map(|(key, _)| key.clone()));
        } else {
            keys.extend(after.next().map(|(key, _)| key.clone()));
        }
    }
    keys.extend(before.chain(after).map(|(key, _)| key.clone()));
    keys
}

/// What differs between two states of one plan.
pub(crate) fn compare(
    before: Option<&Arc<PlanView>>,
    after: Option<&Arc<PlanView>>,
    touched: Touched,
    past: &PastTerms,
    changes: &mut Vec<Change>,
) {
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) if before.since() == after.since() => (before, after),
        (before, after) => {
            changes.extend(before.map(|before| Change::PlanGone { plan: before.name().clone() }));
            changes.extend(after.cloned().map(Change::PlanAppeared));
            return;
        }
    };
    let plan = || after.name().clone();
    if before.defined() != after.defined() {
        changes.push(Change::Redefined(Arc::clone(after)));
    }
    for id in touched.tasks {
        match (before.tasks().shared(&id).cloned(), after.tasks().shared(&id).cloned()) {
            (before, Some(task)) => changes.push(Change::Task { plan: plan(), task, before }),
            (Some(before), None) => changes.push(Change::TaskGone { plan: plan(), before }),
            (None, None) => {}
        }
    }
    for task in touched.findings {
        let revision = after.findings(&task);
        changes.push(Change::Findings { plan: plan(), task, revision });
    }
    if before.halts() != after.halts() {
        changes.push(Change::Halted { plan: plan(), halts: after.halts().clone() });
    }
    for what in line::changes(before.queue(), after.queue(), past) {
        changes.push(Change::Ownership { plan: plan(), what, queue: after.queue().clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn two_maps_differ_in_missing_and_in_changed_entries() {
        let map = |pairs: &[(u8, u8)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        for (before, after, expected) in [
            (map(&[]), map(&[]), vec![]),
            (map(&[(1, 1), (2, 2)]), map(&[(1, 1), (2, 2)]), vec![]),
            (map(&[(1, 1), (2, 2), (3, 3)]), map(&[(2, 9), (4, 4)]), vec![1, 2, 3, 4]),
            (map(&[(5, 5)]), map(&[(1, 1), (5, 5), (9, 9)]), vec![1, 9]),
            (map(&[]), map(&[(1, 1)]), vec![1]),
            (map(&[(1, 1)]), map(&[]), vec![1]),
        ] {
            let keys = differing(before.iter(), after.iter(), |one, other| one == other);
            assert_eq!(keys.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
