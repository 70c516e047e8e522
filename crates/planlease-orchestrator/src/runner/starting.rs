//! Starts: which ready tasks are started next, and what comes of each start.

use std::sync::Arc;

use futures_util::future;
use planlease::{Error, Outcome, Refused, TaskView, error_chain};
use planlease_core::{TaskId, spec::TaskSpec};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};
use tracing::{Instrument as _, Span};

use super::{
    execution::{ASK_AGAIN, Attempt, Runner},
    loss::explain,
};
use crate::{attempt, inputs::Inputs, report::Report, trace};

/// How often starts are tried in a row, on what was read again in between.
const MAX_ROUNDS: usize = 32;

impl Runner {
    /// Starts ready tasks as long as job slots are free. `Err` if the ownership is lost.
    pub(super) async fn start_ready(&mut self) -> Result<(), String> {
        let started = self.start_in_turn().await;
        self.slots.give_back();
        started
    }

    /// Starts as many at once as there are free slots: their starts travel together.
    async fn start_in_turn(&mut self) -> Result<(), String> {
        self.launch_unsure();
        for _ in 0..MAX_ROUNDS {
            let some = self.take_ready();
            if some.is_empty() {
                return Ok(());
            }
            let spans: Vec<_> = some.iter().map(|(task, _)| trace::attempt(&self.ownership, task)).collect();
            let starts = some
                .iter()
                .zip(&spans)
                .map(|((task, _), span)| self.authority.start(&self.view, task).instrument(span.clone()));
            let outcomes = future::join_all(starts).await;
            let (mut lost, mut again, mut trouble, mut paused) = (None, false, None, false);
            for (((task, permit), span), outcome) in some.into_iter().zip(spans).zip(outcomes) {
                if !matches!(outcome, Ok(Outcome::Committed(_))) {
                    span.record("result", "not_claimed");
                }
                match outcome {
                    Ok(Outcome::Committed(started)) => {
                        if self.view.graph().pools(&task).is_some() {
                            self.pools.started();
                        }
                        self.launch(started, permit, span);
                    }
                    Ok(Outcome::Refused(Refused::Pool(wait))) => {
                        self.pools.refused(Instant::now());
                        self.waits_for_pool(&task, &wait);
                    }
                    Ok(Outcome::Refused(Refused::AuthorityLost(loss))) => lost = Some(loss),
                    Ok(Outcome::Refused(Refused::Conflict(present) | Refused::NotAllowed(_, present))) => {
                        self.view.apply_task(*present);
                        again = true;
                    }
                    // Not seen here yet. Others of these starts may have happened, before or after it.
                    Ok(Outcome::Refused(Refused::FleetPaused(_))) => paused = true,
                    // Read again: what could not be read is not ready then.
                    Ok(Outcome::Refused(_)) | Err(Error::Unreadable(_)) => again = true,
                    Ok(Outcome::Unknown { op_id, reason }) => {
                        self.unsure.push((task, op_id));
                        trouble = Some(reason);
                        again = true;
                    }
                    Err(error) => trouble = Some(error_chain(&error)),
                }
            }
            if let Some(loss) = lost {
                return Err(explain(&self.ownership, &loss).await);
            }
            if again {
                self.reread().await?;
            }
            if let Some(why) = trouble {
                self.wait_for_better(why);
                self.launch_unsure();
                return Ok(());
            }
            if paused {
                self.not_before = Some(Instant::now() + ASK_AGAIN);
                return Ok(());
            }
        }
        self.wait_for_better("etcd refuses to start tasks that look ready".to_owned());
        Ok(())
    }

    /// Ready tasks, each with a job slot. Where the plan bounds how many are in progress, one: it has to be
    /// counted before the next one can start.
    fn take_ready(&mut self) -> Vec<(TaskId, OwnedSemaphorePermit)> {
        let mut some = Vec::new();
        if !self.may_start() {
            return some;
        }
        let (now, instant) = (self.now(), Instant::now());
        self.rest_while_unfit(instant);
        let most = if self.view.spec().policy.max_in_progress > 0 { 1 } else { usize::MAX };
        let most = most.min(self.short.allowance(self.busy.len(), instant));
        self.note_pools();
        let (left, pools, graph) = (&self.left, &self.pools, self.view.graph());
        let mut room = pools.room();
        let startable = |task: &&TaskId| {
            !left.has(task)
                && !pools.blocks(graph.pools(task), instant)
                && !self.busy.contains_key(*task)
                && !self.unstarted.rests(task, instant)
                && !self.timers.is_used_up(&self.view, task, now)
        };
        let ready = self.view.ready().filter(startable).filter(|task| room.take(graph.pools(task)));
        for task in ready.take(most) {
            let Some(permit) = self.slots.take() else { break };
            some.push((task.clone(), permit));
        }
        some
    }

    /// Ready tasks that did not start rest on while their program is missing: a start would count an attempt.
    fn rest_while_unfit(&mut self, now: Instant) {
        let rested = self.unstarted.rested(now);
        if rested.is_empty() && !self.wary {
            return;
        }
        let looked_for =
            |task: &&TaskId| rested.contains(task) || (self.wary && !self.unstarted.rests(task, now));
        let ready: Vec<TaskId> = self.view.ready().filter(looked_for).cloned().collect();
        for task in ready {
            let Some(spec) = self.view.spec().task(&task) else { continue };
            if let Err(why) = self.shared.options.check_task(spec) {
                self.unstarted.note(task, &why, now);
            }
        }
    }

    /// Launches the attempts whose start turns out to have happened.
    fn launch_unsure(&mut self) {
        for task in self.happened() {
            let Some(permit) = self.slots.take() else { return };
            self.unsure.retain(|(unsure, _)| *unsure != task.id);
            let span = trace::attempt(&self.ownership, &task.id);
            self.launch(task, permit, span);
        }
    }

    fn launch(&mut self, started: TaskView, permit: OwnedSemaphorePermit, span: Span) {
        self.was_of_use = true;
        span.record("attempt", started.record.attempt);
        let plan = self.ownership.plan().clone();
        let (task, attempt) = (started.id.clone(), started.record.attempt);
        self.shared.reporter.send(&Report::Started { plan, task: task.clone(), attempt });
        let spec = self.view.spec().task(&task).cloned().unwrap_or_else(|| TaskSpec::new(task.clone(), ""));
        let (overdue, ends) = watch::channel(None);
        let command = attempt::command(&self.shared.options, &self.ownership, &spec, &started, &span);
        let folder = self.shared.options.inputs.as_deref();
        let coordinator = self.ownership.session().coordinator();
        let inputs = folder.and_then(|folder| Inputs::of(coordinator, &self.view, &spec, &started, folder));
        let pulse = command.as_ref().map(|command| command.pulse.clone()).unwrap_or_default();
        let run = attempt::run(
            Arc::clone(&self.shared.commands),
            command,
            inputs,
            (started.clone(), span.clone()),
            ends,
            self.ask.subscribe(),
        );
        let run = run.instrument(span);
        self.view.apply_task(started);
        self.busy.insert(task, Attempt { overdue, pulse });
        self.running.push(Box::pin(async move { (run.await, permit) }));
    }
}
