//! Answers against the history: what was acknowledged happened once, what was refused never, nothing happened
//! without a client behind it, and no owner believed in its ownership when the next one had begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use planlease::core::{
    PlanName, TaskId, TermNumber,
    change::RawChangeSet,
    codec,
    keys::{Key, PlanKey},
    record::{Ending, FindingsRecord, TermRecord},
    spec::PlanSpec,
};
use serde::Serialize;

use super::{Action, Actions, Inner, Reply, What};
use crate::clients;

/// How the terms of all plans ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Deaths {
    pub(crate) clean: usize,
    pub(crate) handed_over: usize,
    pub(crate) unclean: usize,
    pub(crate) forced: usize,
}

/// What the settlement came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reconciled {
    pub(crate) done: usize,
    pub(crate) refused: usize,
    pub(crate) unknown_carried_out: usize,
    pub(crate) unknown_never: usize,
    pub(crate) unanswered: usize,
    pub(crate) terms: usize,
    pub(crate) deaths: Deaths,
    pub(crate) imports: usize,
    pub(crate) deletions: usize,
    pub(crate) violations: Vec<String>,
}

/// A term as the history has it.
struct Term {
    owner: String,
    began: i64,
    /// How it ended, by its own record or by the one that the successor wrote about it.
    ended: Option<Ending>,
}

#[derive(Default)]
struct Facts {
    terms: BTreeMap<(PlanName, TermNumber), Term>,
    /// Titles of the definitions that appeared, as often as they did.
    imports: BTreeMap<(PlanName, String), usize>,
    deletions: BTreeMap<PlanName, usize>,
    outputs: BTreeSet<(PlanName, TaskId, String)>,
    /// The present output of each task.
    output: BTreeMap<(PlanName, TaskId), (u32, String)>,
    violations: Vec<String>,
}

pub(crate) fn reconcile(sets: &[RawChangeSet], actions: &Actions) -> Reconciled {
    let facts = Facts::of(sets);
    let inner = actions.lock();
    let mut reconciled = Reconciled {
        terms: facts.terms.len(),
        deaths: facts.deaths(),
        imports: facts.imports.values().sum(),
        deletions: facts.deletions.values().sum(),
        violations: facts.violations.clone(),
        ..Reconciled::default()
    };
    // Acquisitions without an answer: the terms that no client got an answer for have to be theirs.
    let mut hopeful: BTreeMap<(PlanName, String), usize> = BTreeMap::new();
    let mut answered: BTreeSet<(PlanName, TermNumber)> = BTreeSet::new();
    let mut deletions: BTreeMap<PlanName, (usize, usize)> = BTreeMap::new();
    for action in &inner.actions {
        match &action.what {
            What::Acquire => match &action.reported {
                Some((_, Reply::Done(Some(term)))) => {
                    answered.insert((action.plan.clone(), *term));
                }
                Some((_, Reply::Refused(_))) => {}
                _ => *hopeful.entry((action.plan.clone(), action.who.clone())).or_default() += 1,
            },
            What::Delete => {
                let (certain, possible) = deletions.entry(action.plan.clone()).or_default();
                match &action.reported {
                    Some((_, Reply::Done(_))) => *certain += 1,
                    Some((_, Reply::Refused(_))) => {}
                    _ => *possible += 1,
                }
            }
            _ => {}
        }
        facts.reconcile_one(action, &mut reconciled);
    }
    facts.unexpected_terms(&answered, &mut hopeful, &mut reconciled.violations);
    for (plan, found) in &facts.deletions {
        let (certain, possible) = deletions.remove(plan).unwrap_or_default();
        if *found < certain || *found > certain + possible {
            reconciled.violations.push(format!(
                "{plan} was deleted {found} times; {certain} deletions were acknowledged, {possible} may have happened"
            ));
        }
    }
    for (plan, (certain, _)) in deletions.iter().filter(|(_, (certain, _))| *certain > 0) {
        reconciled
            .violations
            .push(format!("{plan} was never deleted, which was acknowledged {certain} times"));
    }
    reconciled.violations.extend(facts.late_believers(&inner));
    reconciled
}

impl Facts {
    fn of(sets: &[RawChangeSet]) -> Self {
        let mut facts = Self::default();
        for set in sets {
            let is_gone = |plan: &PlanName| {
                let spec = Key::Plan(plan.clone(), PlanKey::Spec);
                set.changes.iter().any(|change| change.key == spec && change.entry.is_none())
            };
            for change in &set.changes {
                let Key::Plan(plan, key) = &change.key else { continue };
                match (key, &change.entry) {
                    (PlanKey::Term | PlanKey::PastTerm(_), Some(entry)) => {
                        if let Ok(term) = codec::decode::<TermRecord>(&entry.value) {
                            facts.enter_term(plan, term, set.revision.to_wire());
                        }
                    }
                    (PlanKey::Spec, Some(entry)) => {
                        if let Ok(spec) = codec::decode_within::<PlanSpec>(&entry.value, codec::MAX_SPEC_PART)
                        {
                            *facts.imports.entry((plan.clone(), spec.title)).or_default() += 1;
                        }
                    }
                    (PlanKey::Spec, None) => *facts.deletions.entry(plan.clone()).or_default() += 1,
                    (PlanKey::Findings(task), Some(entry)) => {
                        if let Ok(output) =
                            codec::decode_within::<FindingsRecord>(&entry.value, codec::MAX_FINDINGS_VALUE)
                        {
                            facts.enter_output((plan.clone(), task.clone()), output, set.revision.to_wire());
                        }
                    }
                    (PlanKey::Findings(task), None) => {
                        drop(facts.output.remove(&(plan.clone(), task.clone())))
                    }
                    (PlanKey::Task(task), None) if !is_gone(plan) => {
                        // Leftovers of an import that died are cleared away under the mark of the next one.
                        let mark = Key::Plan(plan.clone(), PlanKey::Import);
                        if !set.changes.iter().any(|change| change.key == mark && change.entry.is_some()) {
                            let text =
                                format!("task {task} of {plan} vanished alone, at revision {}", set.revision);
                            facts.violations.push(text);
                        }
                    }
                    _ => {}
                }
            }
        }
        facts
    }

    fn enter_term(&mut self, plan: &PlanName, term: TermRecord, revision: i64) {
        let place = (plan.clone(), term.number);
        let owner = term.owner.orchestrator.to_string();
        let known = self.terms.entry(place).or_insert(Term { owner, began: revision, ended: None });
        if let Some(end) = term.ended {
            known.ended.get_or_insert(end.how);
        }
    }

    /// An output may be written again by the same request, but never after a later one.
    fn enter_output(&mut self, place: (PlanName, TaskId), output: FindingsRecord, revision: i64) {
        let (plan, task) = place.clone();
        let came_back = match self.output.get(&place) {
            Some((attempt, _)) if *attempt > output.attempt => true,
            Some((_, text)) => {
                *text != output.text
                    && self.outputs.contains(&(plan.clone(), task.clone(), output.text.clone()))
            }
            None => false,
        };
        if came_back {
            let text = format!(
                "an earlier output of task {task} of {plan} was written over a later one, at revision {revision}"
            );
            self.violations.push(text);
        }
        self.output.insert(place, (output.attempt, output.text.clone()));
        self.outputs.insert((plan, task, output.text));
    }

    fn deaths(&self) -> Deaths {
        let mut deaths = Deaths::default();
        for term in self.terms.values() {
            match &term.ended {
                Some(Ending::Clean) => deaths.clean += 1,
                Some(Ending::HandedOver { .. }) => deaths.handed_over += 1,
                Some(Ending::Unclean) => deaths.unclean += 1,
                Some(Ending::Forced { .. }) => deaths.forced += 1,
                None => {}
            }
        }
        deaths
    }

    fn reconcile_one(&self, action: &Action, reconciled: &mut Reconciled) {
        let reported = match &action.reported {
            None => return reconciled.unanswered += 1,
            Some((_, reported)) => reported,
        };
        let Some(happened) = self.happened(action, reported) else {
            // Settled with all others of its kind.
            match reported {
                Reply::Done(_) => reconciled.done += 1,
                Reply::Refused(_) => reconciled.refused += 1,
                Reply::Unknown(_) => reconciled.unanswered += 1,
            }
            return;
        };
        match (reported, happened) {
            (Reply::Done(_), true) => reconciled.done += 1,
            (Reply::Refused(_), false) => reconciled.refused += 1,
            (Reply::Unknown(_), true) => reconciled.unknown_carried_out += 1,
            (Reply::Unknown(_), false) => reconciled.unknown_never += 1,
            (reported, happened) => reconciled.violations.push(format!(
                "the answer to {} about {:?} of {} (called at {:?}) is {reported:?}, but it {}",
                action.who,
                action.what,
                action.plan,
                action.began,
                if happened { "happened" } else { "did not happen" },
            )),
        }
    }

    /// Whether it happened, once; `None` where that cannot be said of one action alone.
    fn happened(&self, action: &Action, reported: &Reply) -> Option<bool> {
        let term = |number: &TermNumber| self.terms.get(&(action.plan.clone(), *number));
        match &action.what {
            What::Acquire => match reported {
                Reply::Done(Some(number)) => Some(term(number).is_some_and(|term| term.owner == action.who)),
                _ => None,
            },
            What::Release(number) => Some(term(number).is_some_and(|term| term.ended == Some(Ending::Clean))),
            What::HandOver(number) => {
                let ended = term(number).and_then(|term| term.ended.as_ref());
                Some(matches!(ended, Some(Ending::HandedOver { .. })))
            }
            What::Force(mark) => {
                let forced = |term: &Term| matches!(&term.ended, Some(Ending::Forced { reason, .. }) if reason == mark);
                match reported {
                    Reply::Done(None) => None, // It had no owner yet: only a waiter was removed.
                    _ => Some(self.terms.values().any(forced)),
                }
            }
            What::Import(title) => {
                Some(self.imports.get(&(action.plan.clone(), title.clone())).is_some_and(|times| *times == 1))
            }
            What::Delete => None,
            What::Output(task, text) => {
                Some(self.outputs.contains(&(action.plan.clone(), task.clone(), text.clone())))
            }
        }
    }

    /// Terms of the soak's own owners that none of them got an answer for, or can have begun without one.
    fn unexpected_terms(
        &self,
        answered: &BTreeSet<(PlanName, TermNumber)>,
        hopeful: &mut BTreeMap<(PlanName, String), usize>,
        violations: &mut Vec<String>,
    ) {
        for ((plan, number), term) in &self.terms {
            if !clients::is_owner(&term.owner) || answered.contains(&(plan.clone(), *number)) {
                continue;
            }
            match hopeful.get_mut(&(plan.clone(), term.owner.clone())) {
                Some(left) if *left > 0 => *left -= 1,
                _ => violations.push(format!(
                    "term {number} of {plan} began at revision {} for {}, which got no answer, and had no call open",
                    term.began, term.owner
                )),
            }
        }
    }

    /// Owners that still believed in their ownership when the next one was known to have begun. After an end
    /// by force the owner is notified as soon as possible, and until then rightly believes its last answer.
    fn late_believers(&self, inner: &Inner) -> Vec<String> {
        let mut late = Vec::new();
        for ((plan, number), believed) in &inner.beliefs {
            let own = self.terms.get(&(plan.clone(), *number));
            let next = self.terms.get(&(plan.clone(), number.next()));
            let (Some(own), Some(next)) = (own, next) else { continue };
            if own.ended != Some(Ending::Unclean) {
                continue;
            }
            let at = inner.known.partition_point(|(_, revision)| *revision < next.began);
            if let Some((known, _)) =
                inner.known.get(at).filter(|(known, _): &&(Duration, i64)| known < believed)
            {
                late.push(format!(
                    "{} believed in term {number} of {plan} at {believed:?}, but the next one was known at {known:?}",
                    own.owner
                ));
            }
        }
        late
    }
}
