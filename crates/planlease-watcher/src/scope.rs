//! Which part of a namespace a watcher covers, and the range of keys that it asks etcd for.

use std::collections::BTreeSet;

use planlease::RawSnapshot;
use planlease_core::{
    PlanName,
    change::RawChangeSet,
    keys::{Key, KeyRange, Layout},
};

/// Which part of a namespace a watcher covers. etcd sends nothing of what lies outside of its range of keys.
///
/// The range of one plan has nothing else. That of several reaches from the first to the last of them in the
/// order of keys: what lies between is received, and dropped before it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// `None` for all. Never empty.
    plans: Option<BTreeSet<PlanName>>,
}

impl Scope {
    /// The whole namespace.
    #[must_use]
    pub fn namespace() -> Self {
        Self::default()
    }

    /// One plan, whether it is there yet or not.
    #[must_use]
    pub fn plan(plan: PlanName) -> Self {
        Self { plans: Some(BTreeSet::from([plan])) }
    }

    /// These plans, whether they are there yet or not; the whole namespace if there is none.
    #[must_use]
    pub fn plans(plans: BTreeSet<PlanName>) -> Self {
        Self { plans: Some(plans).filter(|plans| !plans.is_empty()) }
    }

    /// Whether it covers this plan.
    #[must_use]
    pub fn has(&self, plan: &PlanName) -> bool {
        self.plans.as_ref().is_none_or(|plans| plans.contains(plan))
    }

    /// Whether it covers the whole namespace.
    #[must_use]
    pub fn is_namespace(&self) -> bool {
        self.plans.is_none()
    }

    /// The keys that a watcher of it asks etcd for.
    #[must_use]
    pub fn range(&self, layout: &Layout) -> KeyRange {
        let ranges = || self.plans.iter().flatten().map(|plan| layout.plan(plan));
        let (first, last) = (ranges().map(|range| range.start).min(), ranges().map(|range| range.end).max());
        match first.zip(last) {
            Some((start, end)) => KeyRange { start, end },
            None => layout.watched(),
        }
    }

    /// Whether everything in its range belongs to it.
    fn is_whole_range(&self) -> bool {
        self.plans.as_ref().is_none_or(|plans| plans.len() == 1)
    }

    fn has_key(&self, key: &Key) -> bool {
        self.is_namespace() || key.plan().is_some_and(|plan| self.has(plan))
    }

    /// A page of its range without what lies between its plans.
    pub(crate) fn of_page(&self, mut page: RawSnapshot) -> RawSnapshot {
        if !self.is_whole_range() {
            page.entries.retain(|(key, _)| self.has_key(key));
        }
        page
    }

    /// Changes of its range without what lies between its plans.
    pub(crate) fn of_sets(&self, mut sets: Vec<RawChangeSet>) -> Vec<RawChangeSet> {
        if !self.is_whole_range() {
            for set in &mut sets {
                set.changes.retain(|change| self.has_key(&change.key));
            }
        }
        sets
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::{Namespace, TaskId, keys::PlanKey};

    use super::*;

    fn plan(name: &str) -> PlanName {
        PlanName::new(name).unwrap()
    }

    #[test]
    fn a_plans_range_has_that_plan_alone() {
        let layout = Layout::new("/planlease", &Namespace::new("n").unwrap());
        let task = |name: &str| layout.of(&plan(name), &PlanKey::Task(TaskId::new("1").unwrap()));
        let has = |scope: &Scope, name| scope.range(&layout).contains(&task(name));
        let one = Scope::plan(plan("b"));
        let several = Scope::plans(BTreeSet::from(["b", "d"].map(plan)));
        assert!(has(&one, "b") && !["a", "ba", "b.1", "c"].iter().any(|name| has(&one, name)));
        assert!(["b", "c", "d"].iter().all(|name| has(&several, name)) && !has(&several, "e"));
        assert!(several.has(&plan("d")) && !several.has(&plan("c")));
        assert!(has(&Scope::plans(BTreeSet::new()), "e"), "no plan named: all of them");
    }

    #[test]
    fn what_lies_between_several_plans_is_dropped() {
        let scope = Scope::plans(BTreeSet::from(["b", "d"].map(plan)));
        assert!(!scope.has_key(&Key::Plan(plan("c"), PlanKey::Term)) && !scope.has_key(&Key::Store));
        assert!(scope.has_key(&Key::Plan(plan("d"), PlanKey::Term)));
        assert!(Scope::namespace().has_key(&Key::Store));
    }
}
