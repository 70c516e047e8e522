//! `wait`: until plans are in a certain state.

mod above;
mod condition;

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use planlease::{Error, core::PlanName};
use planlease_watcher::Scope;

use self::{
    above::Above,
    condition::{Condition, Verdict},
};
use super::{
    holding,
    watch::feed::{Feed, News},
};
use crate::{
    exit::Exit, failure::Failure, invocation::Invocation, names::plan_name, output, signals::Signals,
};

/// Wait until plans are finished, owned, or have a task in a certain status
///
/// Ends with status 0 when the condition holds for every plan, and says nothing. It ends with another status
/// as soon as a plan cannot reach it: 10 if it waits for a person's decision, 121 if it is cancelled or
/// archived, 122 if it is finished. A plan that is not there is an error, also later: plans are not waited
/// for. A signal ends it with status 11.
///
/// A command of `hold` or `run` that waits for the end of its own plan, task or ownership is refused with
/// status 100: the owner waits for the command.
///
/// It reads the plans once and follows their changes, over broken connections too.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WaitArgs {
    /// The plans
    #[arg(required = true)]
    plans: Vec<String>,
    /// The condition: finished, failed (a task has), owned, unowned, or task=ID:STATUS
    #[arg(long = "for", value_name = "CONDITION", default_value = "finished")]
    condition: Condition,
    /// The longest time to wait; then it ends with status 118 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  planlease wait release
  planlease wait release --for task=3.1:completed --wait 10m
  planlease wait build test --for owned --wait 30s && ./smoke-test
  planlease wait release --for failed && ./page-the-operator";

impl WaitArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plans = self.plans.iter().map(|name| plan_name(name)).collect::<Result<_, _>>()?;
        let mut signals = Signals::take()?;
        let above = Above::of(invocation.environment(), &self.condition)?;
        tokio::select! {
            biased; // An end of its own says more than a signal.
            ended = follow(invocation, &plans, &self.condition, &above) => ended,
            () = signals.next() => Ok(Exit::Stopped),
            () = patience(self.wait) => {
                let what = format!("the time to wait is up; not every plan is {}", self.condition);
                Err(Failure::new(Exit::TimedOut, what).remedy("Give a longer --wait, or none."))
            }
        }
    }
}

async fn patience(longest: Option<Duration>) {
    match longest {
        Some(longest) => tokio::time::sleep(longest).await,
        None => std::future::pending().await,
    }
}

/// Looks at the plans after each change, until the condition holds for all of them, or cannot any more for
/// one.
async fn follow(
    invocation: &Invocation,
    plans: &BTreeSet<PlanName>,
    condition: &Condition,
    above: &Above,
) -> Result<Exit, Failure> {
    let scope = Scope::plans(plans.clone());
    let mut feed = Feed::open(invocation.connect().await?, &scope, None).await?;
    loop {
        let snapshot = feed.snapshot();
        let mut all = true;
        for name in plans {
            let plan = snapshot.plan(name).ok_or_else(|| Failure::from(Error::PlanNotFound(name.clone())))?;
            match condition.of(plan) {
                Verdict::Holds => {}
                Verdict::NotYet if above.is_waited_for(plan, condition) => {
                    return Err(holding::held_above(name.as_str()));
                }
                Verdict::NotYet => all = false,
                Verdict::Never(failure) => return Err(failure),
            }
        }
        if all {
            return Ok(Exit::Done);
        }
        if let News::Broken(why) = feed.next().await? {
            output::tell(&format!("the connection broke ({why}); waiting goes on once there is another"));
        }
    }
}
