//! Whether a plan goes on by itself, and what is wrong with one that does not.

use planlease::{
    Error, PlanView,
    core::{counted, record::HaltRecord, standing::Outlook, transition::TaskStatus},
};

use crate::{exit::Exit, failure::Failure, output};

/// Whether nothing more comes of the plan by itself: what only an owner would go on with counts if there is
/// one.
pub(super) fn has_ended(plan: &PlanView) -> bool {
    plan.halts().closed.is_some()
        || match plan.outlook() {
            Outlook::Done | Outlook::Stuck => true,
            Outlook::Retries => plan.queue().candidates().is_empty(),
            Outlook::Open => false,
        }
}

/// What is wrong with a plan that has ended; `None` if every task is completed or skipped.
pub(super) fn unfinished(plan: &PlanView) -> Option<Failure> {
    let name = plan.name();
    if plan.outlook() == Outlook::Done {
        return None;
    }
    if let Some((_, HaltRecord { how, by, why, .. })) = &plan.halts().closed {
        let (plan, by, why) = (name.clone(), by.clone(), why.clone());
        return Some(Error::PlanClosed { plan, how: *how, by, why }.into());
    }
    let summary = plan.summary();
    let failed = plan.tasks().values().find(|task| task.record.status == TaskStatus::Failed);
    let failed = failed.map(|task| {
        let why = task.record.parked.as_deref().or(task.record.error.as_deref()).unwrap_or_default();
        format!("; task {}: {}", task.id, output::plain(why))
    });
    let mut approvals = plan.approvals().map(|(task, _)| task.id.as_str());
    if let (None, Some(first)) = (&failed, approvals.next()) {
        let more = approvals.count();
        let others = if more == 0 { String::new() } else { format!(" and {}", counted(more, "other task")) };
        let what = format!("plan {name} cannot go on: task {first}{others} waits for approval");
        return Some(Failure::new(Exit::TasksFailed, what).remedy(format!(
            "`planlease why {q_name} {first}` shows what is to be decided; `planlease approve` or `reject` decides.",
            q_name = name.quoted()
        )));
    }
    let what = format!(
        "plan {name} cannot go on: {} failed, {} waiting{}",
        counted(summary.failed, "task"),
        summary.pending,
        failed.unwrap_or_default()
    );
    Some(Failure::new(Exit::TasksFailed, what).remedy(format!(
        "`planlease why {q_name}` shows what holds it up; `planlease task retry` puts a task back.",
        q_name = name.quoted()
    )))
}
