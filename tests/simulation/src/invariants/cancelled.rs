//! An attempt that was cancelled is never completed afterwards, whatever its claimant has seen: a task that
//! reads *completed* did not get there by an attempt that its record says was cancelled.

use std::collections::BTreeMap;

use planlease::core::{PlanName, TaskId, transition::TaskStatus};

use super::Evidence;

/// Which cancelled attempts were completed.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let mut cancelled: BTreeMap<(PlanName, TaskId), u32> = BTreeMap::new();
    let mut violations = Vec::new();
    for write in evidence.world.history.task_writes() {
        let (id, record) = ((write.plan.clone(), write.task.clone()), &write.record);
        if write.before.is_none() || cancelled.get(&id).is_some_and(|attempt| *attempt != record.attempt) {
            cancelled.remove(&id); // The task is another one, or the attempt is.
        }
        if record.cancel.is_some() {
            cancelled.insert(id.clone(), record.attempt);
        }
        if record.status == TaskStatus::Completed && cancelled.contains_key(&id) {
            violations.push(format!(
                "attempt {} of {} {} was completed at revision {} after it had been cancelled",
                record.attempt, write.plan, write.task, write.revision
            ));
        }
    }
    violations
}
