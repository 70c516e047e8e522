//! While the fleet is paused nothing starts in it: no attempt of any task, by any process, from the revision
//! of the pause to that of its end. So nothing starts after the pause was acknowledged either.

use std::collections::BTreeMap;

use planlease::core::{PlanName, TaskId, keys::SteeringKey, transition::TaskStatus};

use super::{Evidence, spans::spans};

/// What started all the same.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let pauses = spans(evidence).remove(&SteeringKey::Pause).unwrap_or_default();
    let mut attempts: BTreeMap<(PlanName, TaskId), u32> = BTreeMap::new();
    let mut violations = Vec::new();
    for write in evidence.world.history.task_writes() {
        let id = (write.plan.clone(), write.task.clone());
        let before = write.before.and_then(|_| attempts.get(&id).copied()).unwrap_or(0);
        let record = &write.record;
        attempts.insert(id, record.attempt);
        let started = record.status == TaskStatus::InProgress && record.attempt > before;
        if started && let Some(pause) = pauses.iter().find(|pause| pause.holds_at(write.revision)) {
            violations.push(format!(
                "attempt {} of {} {} started at revision {} while the fleet was paused, since revision {}",
                record.attempt, write.plan, write.task, write.revision, pause.from
            ));
        }
    }
    violations
}
