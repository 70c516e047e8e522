//! Deeds against the history: what was acknowledged happened once, what was refused never, nothing happened
//! that nobody answers for, and nobody believed in an ownership when the next one had begun.

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

use super::{Deed, Deeds, Inner, Told, What};
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
pub(crate) struct Settled {
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

pub(crate) fn settle(sets: &[RawChangeSet], deeds: &Deeds) -> Settled {
    let facts = Facts::of(sets);
    let inner = deeds.lock();
    let mut settled = Settled {
        terms: facts.terms.len(),
        deaths: facts.deaths(),
        imports: facts.imports.values().sum(),
        deletions: facts.deletions.values().sum(),
        violations: facts.violations.clone(),
        ..Settled::default()
    };
    // Who acquired without being told: the terms that nobody was told of have to be theirs.
    let mut hopeful: BTreeMap<(PlanName, String), usize> = BTreeMap::new();
    let mut told_of: BTreeSet<(PlanName, TermNumber)> = BTreeSet::new();
    let mut deletions: BTreeMap<PlanName, (usize, usize)> = BTreeMap::new();
    for deed in &inner.deeds {
        match &deed.what {
            What::Acquire => match &deed.told {
                Some((_, Told::Done(Some(term)))) => {
                    told_of.insert((deed.plan.clone(), *term));
                }
                Some((_, Told::Refused(_))) => {}
                _ => *hopeful.entry((deed.plan.clone(), deed.who.clone())).or_default() += 1,
            },
            What::Delete => {
                let (certain, possible) = deletions.entry(deed.plan.clone()).or_default();
                match &deed.told {
                    Some((_, Told::Done(_))) => *certain += 1,
                    Some((_, Told::Refused(_))) => {}
                    _ => *possible += 1,
                }
            }
            _ => {}
        }
        facts.settle_one(deed, &mut settled);
    }
    facts.unexpected_terms(&told_of, &mut hopeful, &mut settled.violations);
    for (plan, found) in &facts.deletions {
        let (certain, possible) = deletions.remove(plan).unwrap_or_default();
        if *found < certain || *found > certain + possible {
            settled.violations.push(format!(
                "{plan} was deleted {found} times; {certain} deletions were acknowledged, {possible} may have happened"
            ));
        }
    }
    for (plan, (certain, _)) in deletions.iter().filter(|(_, (certain, _))| *certain > 0) {
        settled.violations.push(format!("{plan} was never deleted, which was acknowledged {certain} times"));
    }
    settled.violations.extend(facts.late_believers(&inner));
    settled
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

    fn settle_one(&self, deed: &Deed, settled: &mut Settled) {
        let told = match &deed.told {
            None => return settled.unanswered += 1,
            Some((_, told)) => told,
        };
        let Some(happened) = self.happened(deed, told) else {
            // Settled with all others of its kind.
            match told {
                Told::Done(_) => settled.done += 1,
                Told::Refused(_) => settled.refused += 1,
                Told::Unknown(_) => settled.unanswered += 1,
            }
            return;
        };
        match (told, happened) {
            (Told::Done(_), true) => settled.done += 1,
            (Told::Refused(_), false) => settled.refused += 1,
            (Told::Unknown(_), true) => settled.unknown_carried_out += 1,
            (Told::Unknown(_), false) => settled.unknown_never += 1,
            (told, happened) => settled.violations.push(format!(
                "{} was told of {:?} of {} (called at {:?}) {told:?}, but it {}",
                deed.who,
                deed.what,
                deed.plan,
                deed.began,
                if happened { "happened" } else { "did not happen" },
            )),
        }
    }

    /// Whether it happened, once; `None` where that cannot be said of one deed alone.
    fn happened(&self, deed: &Deed, told: &Told) -> Option<bool> {
        let term = |number: &TermNumber| self.terms.get(&(deed.plan.clone(), *number));
        match &deed.what {
            What::Acquire => match told {
                Told::Done(Some(number)) => Some(term(number).is_some_and(|term| term.owner == deed.who)),
                _ => None,
            },
            What::Release(number) => Some(term(number).is_some_and(|term| term.ended == Some(Ending::Clean))),
            What::HandOver(number) => {
                let ended = term(number).and_then(|term| term.ended.as_ref());
                Some(matches!(ended, Some(Ending::HandedOver { .. })))
            }
            What::Force(mark) => {
                let forced = |term: &Term| matches!(&term.ended, Some(Ending::Forced { reason, .. }) if reason == mark);
                match told {
                    Told::Done(None) => None, // Nobody owned it yet: only a place in line was taken away.
                    _ => Some(self.terms.values().any(forced)),
                }
            }
            What::Import(title) => {
                Some(self.imports.get(&(deed.plan.clone(), title.clone())).is_some_and(|times| *times == 1))
            }
            What::Delete => None,
            What::Output(task, text) => {
                Some(self.outputs.contains(&(deed.plan.clone(), task.clone(), text.clone())))
            }
        }
    }

    /// Terms of the soak's own owners that none of them was told of, or can have begun without being told.
    fn unexpected_terms(
        &self,
        told_of: &BTreeSet<(PlanName, TermNumber)>,
        hopeful: &mut BTreeMap<(PlanName, String), usize>,
        violations: &mut Vec<String>,
    ) {
        for ((plan, number), term) in &self.terms {
            if !clients::is_owner(&term.owner) || told_of.contains(&(plan.clone(), *number)) {
                continue;
            }
            match hopeful.get_mut(&(plan.clone(), term.owner.clone())) {
                Some(left) if *left > 0 => *left -= 1,
                _ => violations.push(format!(
                    "term {number} of {plan} began at revision {} for {}, who was not told, and had no call open",
                    term.began, term.owner
                )),
            }
        }
    }

    /// Owners that still believed in their ownership when the next one was known to have begun. After an end
    /// by force the owner is told as soon as can be, and until then believes rightly what it was told last.
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
