//! Everything that can be said about a run, in one.

use std::collections::BTreeSet;

use planlease_core::audit::Report;

use crate::{
    history::History,
    journal::{Journal, What},
    order,
    reconcile::{Settlement, reconcile},
    search,
};

/// The result of all judges.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was wrong with the recording itself.
    pub history: Vec<String>,
    /// The audit of the history.
    pub report: Report,
    /// The answers to clients, against it.
    pub settlement: Settlement,
    /// Answers in an order in which things cannot have happened.
    pub order: Vec<String>,
    /// How many tasks' calls were searched for an order.
    pub searched: usize,
}

impl Verdict {
    /// Everything that must not be.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let audit = self.report.violations.iter().map(|violation| {
            let plan = violation.plan.as_ref().map_or_else(String::new, |plan| format!("{plan}: "));
            format!("{} at revision {}: {plan}{}", violation.rule.name(), violation.revision, violation.text)
        });
        let reported = self.settlement.violations.iter().chain(&self.order).cloned();
        self.history.iter().cloned().chain(audit).chain(reported).collect()
    }
}

/// Judges a run by its history and its journal.
#[must_use]
pub fn judge(history: &History, journal: &Journal) -> Verdict {
    let calls = journal.calls();
    let writes = history.task_writes();
    let report = history.audit().report();
    let settlement = reconcile(&writes, &calls);
    let mut order = order::check(&writes, &calls);
    let tasks: BTreeSet<_> = calls
        .iter()
        .filter_map(|call| match &call.what {
            What::Read(task) | What::Write { task, .. } => Some((&call.plan, task)),
            What::ReadPlan | What::Recover(_) => None,
        })
        .collect();
    let mut searched = 0;
    for (plan, task) in tasks {
        if let Some(consistent) = search::check(&writes, &calls, plan, task) {
            searched += 1;
            if !consistent {
                order.push(format!("the calls on task {task} of {plan} cannot be put in any order"));
            }
        }
    }
    Verdict { history: history.problems(), report, settlement, order, searched }
}
