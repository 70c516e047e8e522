//! What time does to the tasks of a plan: attempts that take too long are ended, and what has become due is
//! put back, given up or handed over.

use std::{collections::BTreeSet, time::Duration};

use planlease::{Hands, TaskView, error_chain};
use planlease_core::{
    BootTime, TaskId,
    overdue::{Circumstances, Due, Ours},
};
use tokio::time::Instant;

use super::{
    execution::{ASK_AGAIN, Runner, Stop},
    loss::explain,
};
use crate::report::Report;

/// How long reading a record may take if nothing stands still.
const PROMPT: Duration = Duration::from_secs(1);

impl Runner {
    /// Looks what is due.
    pub(super) fn look(&mut self, stop: Stop) -> Due {
        let in_touch = self.in_touch && self.not_before.is_none();
        let free = stop == Stop::Run && in_touch && self.may_start() && self.slots.is_free();
        let instant = Instant::now();
        let rested = self.view.ready().filter(|task| {
            free && !self.unstarted.rests(task, instant)
                && !self.pools.blocks(self.view.graph().pools(task), instant)
        });
        let ready: BTreeSet<&TaskId> = rested.collect();
        // What a command of ours has claimed by our authority is timed while we wait for that command; later
        // it is left to the next owner, who finds an orphan.
        let claims = if self.busy.is_empty() { Hands::Other } else { Hands::Delegated };
        let own = self.ownership.guard();
        let hands = |task: &TaskView| match self.busy.get(&task.id) {
            Some(attempt) => Hands::Ours(Ours { output: attempt.pulse.last() }),
            None if task.record.claim.as_ref().is_some_and(|claim| claim.guard.as_ref() == Some(&own)) => {
                claims
            }
            None => Hands::Other,
        };
        let now = Circumstances { now: self.now(), in_touch, halted: self.is_halted() };
        let startable = |task: &TaskId| ready.contains(task) && !self.left.has(task);
        self.timers.look(&self.view, now, startable, hands)
    }

    /// The present moment on the clock that decides.
    pub(super) fn now(&self) -> BootTime {
        self.ownership.session().coordinator().clock().boot()
    }

    /// How much of its total time a task has used up, if it is bounded.
    pub(super) fn spent(&self, task: &TaskId) -> Option<Duration> {
        self.timers.spent(task, self.now())
    }

    /// Ends the attempts whose time is up.
    pub(super) async fn end_overdue(&mut self, due: &Due) {
        for end in &due.ends {
            let known = self.busy.get(&end.task).is_some_and(|attempt| attempt.overdue.borrow().is_some());
            if known || (end.silent && !(self.in_touch && self.is_silent(&end.task).await)) {
                continue;
            }
            if let Some(attempt) = self.busy.get(&end.task) {
                attempt.end(&end.why);
            }
        }
    }

    /// Whether the last note of a task's command is really the last one. A note can be held up by an etcd
    /// that stands still: only a record that is read without delay proves the silence. Else the silence
    /// begins again as soon as etcd is heard again.
    async fn is_silent(&mut self, task: &TaskId) -> bool {
        self.due = Some(self.now()); // Unless it is ended, its time is to be counted again.
        let coordinator = self.ownership.session().coordinator().clone();
        let read = coordinator.task(self.ownership.plan(), task);
        match tokio::time::timeout(PROMPT, read).await {
            Ok(Ok(Some(present))) => {
                let noted =
                    self.view.tasks().get(task).is_some_and(|known| known.revision < present.revision);
                self.view.apply_task(present);
                !noted
            }
            Ok(Ok(None)) => false,
            Ok(Err(_)) | Err(_) => {
                self.in_touch = false;
                false
            }
        }
    }

    /// Puts back, gives up and hands over what the time has come for. `Err` if the ownership is lost.
    pub(super) async fn do_what_is_due(&mut self, due: Due) -> Result<(), String> {
        if due.changes.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.due = Some(now); // What comes of it is to be looked at, and what is not done stays due.
        if self.not_before.is_some() {
            return Ok(());
        }
        let carried = match self.timers.carry_out(&self.authority, &mut self.view, due.changes, now).await {
            Ok(carried) => carried,
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                return Ok(());
            }
        };
        for (task, change) in &carried.written {
            self.was_of_use = true;
            if let Some(why) = change.reason() {
                let (plan, why) = (self.ownership.plan().clone(), why.to_owned());
                let (task, status) = (task.id.clone(), task.record.status);
                self.shared.reporter.send(&Report::Overdue { plan, task, status, why });
            }
        }
        if let Some(loss) = carried.lost {
            return Err(explain(&self.ownership, &loss).await);
        }
        if !carried.again {
            return Ok(());
        }
        self.due = Some(self.now().plus(ASK_AGAIN));
        self.reread().await
    }
}
