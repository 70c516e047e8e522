//! What other processes do in the plan of a runner: workers and people that have claimed tasks, and what they
//! left behind.

use planlease::{Error, error_chain};
use planlease_core::orphan;

use super::{execution::Runner, loss::explain};
use crate::{options::Plans, report::Report};

impl Runner {
    /// Recovers what lost workers left in progress. `Err` if the ownership is lost.
    pub(super) async fn recover(&mut self) -> Result<(), String> {
        match self.ownership.recover_with(orphan::recovery_after_rest).await {
            Ok((_, view)) => {
                self.claimant_gone = false;
                self.see(view);
                Ok(())
            }
            Err(Error::AuthorityLost(loss)) => Err(explain(&self.ownership, &loss).await),
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                Ok(())
            }
        }
    }

    /// Whether to stay for what others do: while they have tasks in progress, and, for an orchestrator of
    /// named plans, as long as tasks are left to them. One that takes whatever there is leaves a plan in
    /// which only others can start something: one of them may want to own it.
    pub(super) fn waits_for_others(&mut self) -> bool {
        let news = self.left.news(self.view.ready());
        if !news.is_empty() {
            let plan = self.ownership.plan().clone();
            self.shared.reporter.send(&Report::Left { plan, tasks: news });
        }
        let for_others = self.view.ready().any(|task| self.left.has(task));
        match self.shared.options.plans {
            Plans::Named(_) => self.others_at_work() || for_others,
            Plans::All => self.others_at_work(),
            Plans::Follow => !for_others && self.others_at_work(),
        }
    }

    /// Whether a worker or a person has a task in progress: what depends on it may become ready, and if the
    /// worker is lost, the owner has to recover the task. Nothing works on a task whose result waits
    /// for approval. What was claimed under this ownership, but does not
    /// run here, is not waited for: the claim lasts as long as the ownership, whose end makes an orphan of
    /// it.
    fn others_at_work(&mut self) -> bool {
        let own = self.ownership.guard();
        let others = self.view.tasks().values().filter(|task| {
            let claim = task.record.claim.as_ref();
            claim.is_some_and(|claim| claim.guard.as_ref() != Some(&own))
                && !task.record.result_waits()
                && !self.busy.contains_key(&task.id)
        });
        let others: Vec<_> = others
            .map(|task| (task.id.clone(), task.record.claim.as_ref().map(|claim| claim.by.clone())))
            .collect();
        for (task, by) in &others {
            if self.reported_others.insert(task.clone()) {
                let plan = self.ownership.plan().clone();
                let by = by.clone().unwrap_or_default();
                self.shared.reporter.send(&Report::ClaimedBy { plan, task: task.clone(), by });
            }
        }
        !others.is_empty()
    }
}
