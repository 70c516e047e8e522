//! `hold`: own a plan while a program of the caller's runs.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use planlease::{Coordinator, Holder, Ownership, core::PlanName};
use planlease_orchestrator::{
    CommandSpec,
    hold::{Inherited, Lost, Notice, Patience, PlanOwnership, Work, of_owner},
};

use super::{
    holding::{self, CRASHED, Subject, Typed, describe_fate},
    metrics,
};
use crate::{
    exit::Exit, failure::Failure, invocation::Invocation, messages, names::plan_name, output::plain,
    signals::Signals,
};

/// Own a plan while your own program runs
///
/// Waits in the plan's queue first if another process owns it. When the command ends, the plan is released,
/// the next one in the queue takes over at once, and the command's exit status is passed on.
///
/// If the ownership is lost, the command and everything that it started are killed before another process can
/// own the plan, even if this process is paused or killed. If it is lost before the command was started, this
/// process joins the queue again.
///
/// Meanwhile this process keeps the plan's timers, as `planlease run` does: it puts failed and lost tasks
/// back, ends what is silent for `heartbeat_s` or takes longer than `attempt_deadline_s`, recovers what lost
/// workers leave, and hands to a person what failed too often. A task that the command has started counts as
/// a worker's: `planlease task progress` is its sign of life.
///
/// The command has `PLANLEASE_PLAN` and `PLANLEASE_FENCING_TOKEN` in its environment. `planlease task …`
/// inside it reaches the same etcd and changes tasks with the owner's authority.
///
/// A signal while waiting leaves the queue. While the command runs, Ctrl-C on a terminal goes to the command
/// alone; otherwise the first SIGINT, SIGTERM, SIGHUP or SIGQUIT asks it to end (SIGTERM, and SIGKILL after
/// the grace), the second one kills it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HoldArgs {
    /// The plan
    plan: String,
    /// Do not wait for another owner: say which one, and end with status 100. A lock delay is waited for
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// How long to wait for other owners; then status 118 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Option<Duration>,
    /// How long the plan stays free after an owner that crashed or was forced out, since it may have left
    /// something running elsewhere; counted from when this process sees the end
    /// [default: the plan's lock_delay_s]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    lock_delay: Option<Duration>,
    /// How long the command has between SIGTERM and SIGKILL
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = crate::duration::parse)]
    grace: Duration,
    /// Leave the tasks alone that the last owner left in progress
    #[arg(long)]
    no_recover: bool,
    /// Do not keep the plan's timers meanwhile: retries after a failure, deadlines, heartbeats, lost workers
    #[arg(long)]
    no_timers: bool,
    #[command(flatten)]
    metrics: metrics::ServeMetricsArgs,
    /// The command and its arguments; no shell is involved
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  planlease hold release -- ./my-agent --once
  planlease hold release --no-wait -- ./nightly.sh || echo 'another process owns the plan'
  planlease hold release --wait 10m --ttl 5s -- sh -c 'planlease task start release 1.1 && make'";

impl HoldArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let inherited = holding::inherited(invocation.environment())?;
        let variables = invocation.settings()?.for_commands(invocation.environment());
        let mut signals = Signals::take()?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect_to_hold() => connected?,
            signal = signals.which() => return Ok(Exit::Child(signal.status())),
        };
        let _metrics = self.metrics.serve(&coordinator, None).await?;
        let patience = Patience::new(!self.no_wait, self.wait);
        let wanted = PlanOwnership::new(plan.clone()).lock_delay(self.lock_delay);
        let wanted = wanted.recover(!self.no_recover).timers(!self.no_timers);
        let typed = Typed { command: self.command, variables, grace: self.grace };
        let work = OwnersCommand { plan, typed, inherited: inherited.clone() };
        holding::run(&coordinator, inherited, patience, &wanted, &work, &mut signals).await
    }
}

/// The command of a plan's owner.
struct OwnersCommand {
    plan: PlanName,
    typed: Typed,
    inherited: Inherited,
}

impl Work<Ownership> for OwnersCommand {
    fn acquired(&self, ownership: &Ownership) {
        messages::tell(&format!("holding {}, token {}", self.plan, ownership.token()));
    }

    fn spec(&self, ownership: &Ownership) -> Result<CommandSpec, serde_json::Error> {
        // The ownership itself is handed down by its delegation.
        Ok(self.typed.spec(of_owner(ownership)?, self.inherited.variable()?))
    }

    fn notice(&self, notice: Notice<'_>) {
        holding::show(self, &notice);
    }
}

impl Subject for OwnersCommand {
    fn name(&self) -> String {
        self.plan.to_string()
    }

    fn describe(&self, holder: &Holder) -> String {
        let first = plain(&holder.candidate.name());
        let owner = match (&holder.term, &holder.candidate.record) {
            (Some(term), Some(record)) => {
                format!(
                    "owned by {first} on {} (process {}), token {}",
                    plain(&record.host),
                    record.pid,
                    term.token()
                )
            }
            (None, Some(_)) => format!("about to be taken over by {first}"),
            (_, None) => format!("held by {first}"),
        };
        format!("{owner}; {}", holding::waiting(holder))
    }

    fn shown_by(&self) -> String {
        format!("planlease owner show {}", self.plan)
    }

    fn lost(&self, lost: &Lost) -> Failure {
        let plan = &self.plan;
        let explained = lost.explained.as_deref();
        let explained =
            explained.map_or_else(String::new, |why| format!(" In the plan's history: {}.", plain(why)));
        Failure::new(Exit::AuthorityLost, format!("the ownership of {plan} is over: {}", lost.loss))
            .meaning(format!("{}{explained}", describe_fate(&lost.command)))
            .remedy(format!("`planlease owner show {q_plan}` shows who owns it now.", q_plan = plan.quoted()))
    }

    fn lost_at_the_end(&self) -> Failure {
        let plan = &self.plan;
        Failure::new(Exit::AuthorityLost, format!("the ownership of {plan} was over when the command ended"))
            .meaning("The command may have gone on for a moment while another process owned the plan.")
            .remedy(format!(
                "`planlease owner history {q_plan}` shows how each ownership ended.",
                q_plan = plan.quoted()
            ))
    }

    async fn still_held(&self, coordinator: &Coordinator) -> String {
        match coordinator.queue(&self.plan).await {
            Ok(line) => match line.candidates().first() {
                Some(first) => format!("is still owned by {}", plain(&first.name())),
                None => format!("has a lock delay: {CRASHED}"),
            },
            Err(_) => "is still owned".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use planlease::core::{Generation, LeaseId, OrchestratorId, Revision, WallTime};
    use planlease_core::{
        record::CandidateRecord,
        term::{Candidate, Successor, succeed},
    };

    use planlease_orchestrator::hold::HoldError;

    use super::*;

    fn holder(waiting: usize) -> Holder {
        let record =
            CandidateRecord::new(OrchestratorId::new("ci-1").unwrap(), "host\x1b[2J-1", 42, WallTime(0));
        let lease = LeaseId::from_wire(7).unwrap();
        let joined = Revision::from_wire(5).unwrap();
        let successor = Successor { record: record.clone(), lease, guard: Some(joined) };
        let term = succeed(None, Generation(1), &successor, WallTime(0)).term;
        let candidate = Candidate { lease, joined, record: Some(record) };
        Holder { candidate, term: Some(term), others: Vec::new(), waiting }
    }

    #[test]
    fn a_refusal_names_the_owner_and_the_queue() {
        let typed = Typed { command: Vec::new(), variables: Vec::new(), grace: Duration::ZERO };
        let plan = PlanName::new("release").unwrap();
        let work = OwnersCommand { plan, typed, inherited: Inherited::default() };
        let failure = holding::failure(&work, HoldError::HeldBy(Box::new(holder(2))));
        assert_eq!(failure.exit(), Exit::OwnedByOther);
        insta::assert_snapshot!(failure.lines().collect::<Vec<_>>().join("\n"), @r"
        release is owned by ci-1 on host�[2J-1 (process 42), token 1.1; 2 waiting
        The command was not started.
        Without --no-wait it waits its turn; `planlease owner show release` shows the queue.
        ");
        let unmanaged = Candidate { record: None, ..holder(0).candidate };
        let unmanaged = Holder { candidate: unmanaged, term: None, others: Vec::new(), waiting: 1 };
        insta::assert_snapshot!(work.describe(&unmanaged), @"held by an unmanaged candidate (lease 7); 1 waiting");
    }
}
