//! A name that is cordoned or drained takes nothing until it is uncordoned: no term of it begins, and no task
//! is claimed by it, from the revision of the cordon to that of its end. So a drain stays finished: once the
//! name owns nothing, it owns nothing until it is uncordoned.
//!
//! That a drain comes to its end is looked at during the run, when faults are over (`hosts/steering.rs`).

use std::collections::BTreeMap;

use planlease::core::{
    OrchestratorId, PlanName, Revision, TaskId, TermNumber, codec,
    keys::{Key, PlanKey, SteeringKey},
    record::{Guard, TermRecord},
    transition::TaskStatus,
};

use super::{
    Evidence,
    spans::{Spans, spans},
};

/// What was taken all the same.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let spans = spans(evidence);
    let mut violations = terms(evidence, &spans);
    let mut attempts: BTreeMap<(PlanName, TaskId), u32> = BTreeMap::new();
    for write in evidence.world.history.task_writes() {
        let id = (write.plan.clone(), write.task.clone());
        let before = write.before.and_then(|_| attempts.get(&id).copied()).unwrap_or(0);
        let record = &write.record;
        attempts.insert(id, record.attempt);
        let Some(Guard::Worker { orchestrator, .. }) =
            record.claim.as_ref().and_then(|claim| claim.guard.as_ref())
        else {
            continue;
        };
        if record.status == TaskStatus::InProgress
            && record.attempt > before
            && let Some(since) = cordoned(&spans, orchestrator, write.revision)
        {
            violations.push(format!(
                "{orchestrator} claimed {} {} at revision {}, cordoned since revision {since}",
                write.plan, write.task, write.revision
            ));
        }
    }
    violations
}

fn terms(evidence: &Evidence<'_>, spans: &Spans) -> Vec<String> {
    let mut last: BTreeMap<PlanName, TermNumber> = BTreeMap::new();
    let mut violations = Vec::new();
    for set in evidence.world.history.sets() {
        for change in &set.changes {
            let (Key::Plan(plan, PlanKey::Term), Some(entry)) = (&change.key, &change.entry) else {
                continue;
            };
            let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
            let begins = last.insert(plan.clone(), term.number).is_none_or(|last| last < term.number);
            let owner = &term.owner.orchestrator;
            if begins && let Some(since) = cordoned(spans, owner, set.revision) {
                violations.push(format!(
                    "{owner} took {plan} at revision {}, cordoned since revision {since}",
                    set.revision
                ));
            }
        }
    }
    violations
}

fn cordoned(spans: &Spans, id: &OrchestratorId, at: Revision) -> Option<Revision> {
    let spans = spans.get(&SteeringKey::Cordon(id.clone()))?;
    spans.iter().find(|span| span.holds_at(at)).map(|span| span.from)
}
