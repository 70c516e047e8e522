//! What a plan says of its tasks, in words: the policies in force, an order, and what single tasks ask for.

use std::{collections::BTreeMap, fmt::Display};

use planlease_core::{approval::ApprovalOf, counted};

use crate::{
    printable::plain,
    wire::{
        next::rule,
        policy::{ByOrder, Demands, Policy},
    },
};

/// How many of those that a task waits for by an order are named.
const NAMED: usize = 5;

/// What a task waits for: `1.1, 1.2 (in sequence)`.
pub(crate) fn waits_for<T: Display>(depends_on: &[T], order: &[ByOrder]) -> String {
    let is_ordered = |on: &String| order.iter().any(|before| before.on.as_str() == on.as_str());
    let mut words: Vec<String> = depends_on.iter().map(T::to_string).filter(|on| !is_ordered(on)).collect();
    let ordered = order.iter().take(NAMED).map(|before| format!("{} ({})", before.on, rule(before.why)));
    words.extend(ordered);
    let more = order.len().saturating_sub(NAMED);
    words.extend((more > 0).then(|| format!("{more} more")));
    words.join(", ")
}

/// What a plan says of a single task.
pub(crate) struct Particulars<'a> {
    pub(crate) policy: Option<&'a Policy>,
    pub(crate) approval: Option<ApprovalOf>,
    pub(crate) demands: &'a Demands,
}

impl Particulars<'_> {
    /// A line for each kind of it.
    pub(crate) fn lines(&self, task: &str) -> String {
        let approval = self.approval.map(|of| format!("approval {of} each attempt"));
        let said = [self.policy.map(in_words), approval, self.demands.words()];
        said.into_iter().flatten().map(|words| format!("  of {}  {}\n", plain(task), plain(&words))).collect()
    }
}

impl Demands {
    /// `priority 5, labels gpu, needs cuda`. Pools are said with the policy.
    fn words(&self) -> Option<String> {
        let named = |name: &str, of: &[String]| (!of.is_empty()).then(|| format!("{name} {}", of.join(" ")));
        let priority = (self.priority != 0).then(|| format!("priority {}", self.priority));
        let words = [priority, named("labels", &self.labels), named("needs", &self.needs)];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// `gpu: 2, licence: 1`
    pub(crate) fn pools_in_words(&self) -> String {
        permits(&self.pools)
    }
}

fn permits(pools: &BTreeMap<String, u32>) -> String {
    let permits: Vec<String> = pools.iter().map(|(pool, permits)| format!("{pool}: {permits}")).collect();
    permits.join(", ")
}

/// What has to hold at the end of a phase, a line each.
pub(crate) fn verified(phase: &str, verification: &[String]) -> String {
    verification
        .iter()
        .map(|what| format!("  at the end of phase {}  {}\n", plain(phase), plain(what)))
        .collect()
}

/// What a policy says: the usual part always, the rest where it bounds or decides something.
pub(crate) fn in_words(policy: &Policy) -> String {
    let Policy { max_retries, max_lost, attempt_deadline_s, on_lost, lock_delay_s, .. } = policy;
    let mut words = vec![
        counted(*max_retries, "retry"),
        format!("{attempt_deadline_s} s per attempt"),
        format!("if lost: {on_lost} ({max_lost} at most)"),
        format!("lock delay {lock_delay_s} s"),
    ];
    let mut add = |says: bool, text: String| words.extend(says.then_some(text));
    let (delay, most) = (policy.retry_delay_s, policy.retry_delay_max_s);
    add(delay > 0, format!("retry delay {delay} s, {most} s at most"));
    add(policy.max_attempts > 0, format!("{} at most", counted(policy.max_attempts, "attempt")));
    add(!policy.budget.is_zero(), format!("budget {}", policy.budget));
    add(policy.total_deadline_s > 0, format!("{} s per task", policy.total_deadline_s));
    add(policy.queue_deadline_s > 0, format!("{} s until it starts", policy.queue_deadline_s));
    add(policy.heartbeat_s > 0, format!("heartbeat {} s ({})", policy.heartbeat_s, policy.heartbeat_on));
    add(policy.max_in_progress > 0, format!("{} in progress at most", policy.max_in_progress));
    for (name, exits) in [("retry", &policy.retry_on), ("fail", &policy.fail_on), ("ask", &policy.ask_on)] {
        add(!exits.is_empty(), format!("{name} on {}", exits.join(" ")));
    }
    let failed = &policy.on_dependency_failed;
    add(failed != "wait", format!("if a dependency failed: {failed}"));
    add(!policy.pools.is_empty(), format!("pools {}", permits(&policy.pools)));
    words.join(", ")
}
