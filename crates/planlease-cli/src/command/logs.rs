//! `logs`: what the command of a task writes, as it writes it.

mod keep;
mod lines;
pub(crate) mod words;

use std::time::Duration;

use clap::Args;
use planlease::{PlanName, TaskId, TaskStatus, core::WallTime};
use planlease_observe::{Event, Outputs, TaskOutput, Wanted};

pub(crate) use self::keep::KeepArgs;
use self::lines::Shown;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{self, Format, StreamOutputArgs},
    signals::Signals,
};

/// Show what the command of a task writes, also while it runs
///
/// Shows the present attempt, or the last one. The output is read from the files of this host, or from the
/// host on which the task runs, if its `run` serves it (`--logs`). If neither can be had, the beginning and
/// the end of the last attempt that is over are shown, which etcd keeps.
///
/// With -f, waits for more: for the next attempt as well, until none comes without a person's decision.
///
/// As JSON: one object a line (`planlease.logs.v1`), each with an `event`. A line of the command is an event
/// `output` with `at` and `text`; what is no UTF-8 is replaced there, and comes unchanged without -o.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    /// The plan
    plan: String,
    /// The task
    task: String,
    /// Wait for more
    #[arg(short, long)]
    follow: bool,
    /// Which attempt, from 1 [default: the present one, or the last one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Only what was written in this time before now, to 50 ms
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    since: Option<Duration>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    #[command(flatten)]
    output: StreamOutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  planlease logs release 3.1                    what it has written
  planlease logs release 3.1 -f --tail 20       the last lines, and what comes
  planlease logs release 3.1 --attempt 1 > attempt-1.log
  planlease logs release 3.1 -f --since 5m -o jsonl | jq -r 'select(.event == \"output\").text'

Exit status: 0 also if the task has failed; 16 if there is no output that is kept, 105 if there is no such task.";

impl LogsArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let mut signals = Signals::take()?;
        tokio::select! {
            biased; // An end of its own says more than a signal.
            ended = self.stream(invocation, plan, task) => ended,
            () = super::watch::reader::gone() => Ok(Exit::Done),
            () = signals.next() => Ok(Exit::Done),
        }
    }

    async fn stream(&self, invocation: &Invocation, plan: PlanName, task: TaskId) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let kept = Outputs::of(&coordinator);
        let mut wanted = Wanted::of(plan.clone(), task.clone());
        wanted.attempt = self.attempt;
        wanted.follow = self.follow;
        wanted.from.tail = self.tail;
        wanted.from.since = self.since.map(|since| earlier(invocation.now(), since));
        let mut shown = Shown::new(self.output.format, &plan, &task);
        let mut output = TaskOutput::new(coordinator, kept, wanted);
        let mut missing = None;
        while let Some(event) = output.next().await? {
            missing = match &event {
                Event::NotKept { attempt, why } => {
                    let what = format!("the output of attempt {attempt} of {plan} task {task} is not kept");
                    let meaning =
                        format!("{}. `run --logs` serves output to other hosts.", output::plain(why));
                    Some((what, meaning))
                }
                Event::NotBegun { attempt, status } => Some((
                    format!("attempt {attempt} of {plan} task {task} has not begun"),
                    not_begun(*status, self.follow),
                )),
                _ => None,
            };
            let said_at_the_end = missing.is_some() && !self.follow && self.output.format == Format::Table;
            if !said_at_the_end {
                shown.show(&event)?;
            }
        }
        shown.finish()?;
        match missing {
            Some((what, meaning)) => Err(Failure::new(Exit::NothingStored, what)
                .meaning(meaning)
                .remedy(format!("`planlease task show {plan} {task}` shows what is known of its attempts."))),
            None => Ok(Exit::Done),
        }
    }
}

/// Where a task stands of which an attempt has not begun, and whether -f would wait for it.
fn not_begun(status: TaskStatus, follow: bool) -> String {
    let hint = match status {
        TaskStatus::Pending | TaskStatus::InProgress if !follow => "; -f waits for it",
        TaskStatus::Failed if !follow => "; -f waits for it if the plan tries the task again by itself",
        _ => "",
    };
    format!("The task is {status}{hint}.")
}

/// The time so long ago, in milliseconds since 1970.
fn earlier(now: WallTime, since: Duration) -> u64 {
    let now = u64::try_from(now.0).unwrap_or(0);
    now.saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_waited_for_only_if_it_can_come() {
        assert_eq!(not_begun(TaskStatus::Pending, false), "The task is pending; -f waits for it.");
        assert_eq!(not_begun(TaskStatus::Pending, true), "The task is pending.");
        assert_eq!(not_begun(TaskStatus::Completed, false), "The task is completed.");
        assert!(not_begun(TaskStatus::Failed, false).contains("tries the task again"));
    }
}
