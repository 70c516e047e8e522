//! Plans as wholes: imported, listed, shown, deleted.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use planlease::core::WallTime;
use planlease_core::{TaskId, approval::ApprovalOf, counted, transition::TaskStatus};

use super::{
    status::{count, done, state},
    steering::fleet_paused,
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::{
        next::rule,
        plan::{ByOrder, DefinitionView, Demands, Import, ImportList, PlanDeleted, PlanList, Policy},
    },
};

/// The places of columns that a narrow terminal does without; `-o wide` has them.
const FOR: usize = 6;
const WAITING: usize = 7;

impl Tabular for PlanList {
    fn table(&self, now: WallTime) -> String {
        let mut table =
            Table::new(["PLAN", "STATE", "DONE", "RUNNING", "FAILED", "OWNER", "FOR", "WAITING", "TITLE"])
                .without_if_narrow(&[WAITING, FOR]);
        for plan in &self.plans {
            let owner = plan.ownership.owner.as_ref();
            table.row([
                Cell::from(&plan.plan),
                state(plan.state),
                done(&plan.summary).into(),
                count(plan.summary.in_progress),
                count(plan.summary.failed),
                Cell::text(match (owner, &plan.ownership.owner_unreadable) {
                    (Some(owner), _) => &owner.orchestrator,
                    (None, Some(_)) => "unreadable",
                    (None, None) => "-",
                }),
                owner.map_or_else(|| "-".to_owned(), |owner| owner.since.age(now)).into(),
                count(plan.ownership.waiting.len()),
                Cell::text(&plan.title),
            ]);
        }
        self.with_place(&table, now)
    }

    fn wide(&self, now: WallTime) -> String {
        self.with_place(&wide(self, now), now)
    }

    fn names(&self) -> Vec<String> {
        self.plans.iter().map(|plan| plan.plan.to_string()).collect()
    }
}

impl PlanList {
    /// The table, what stops all plans, and where they are.
    fn with_place(&self, table: &Table, now: WallTime) -> String {
        let place = self.store.as_ref().map(|store| format!(" in {store}")).unwrap_or_default();
        let none = format!("no plans{place}; `planlease plan import FILE` makes one");
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now) + &table.render(&none);
        if !self.plans.is_empty() && !place.is_empty() {
            text.push_str(&format!("\n{}{place}\n", counted(self.plans.len(), "plan")));
        }
        text
    }
}

/// The rows with more columns.
fn wide(list: &PlanList, now: WallTime) -> Table {
    let mut table = Table::new([
        "PLAN", "STATE", "DONE", "PENDING", "RUNNING", "FAILED", "SKIPPED", "REVISION", "OWNER", "FOR",
        "HOST", "TOKEN", "WAITING", "TITLE",
    ]);
    for plan in &list.plans {
        let owner = plan.ownership.owner.as_ref();
        table.row([
            Cell::from(&plan.plan),
            state(plan.state),
            done(&plan.summary).into(),
            count(plan.summary.pending),
            count(plan.summary.in_progress),
            count(plan.summary.failed),
            count(plan.summary.skipped),
            plan.revision.into(),
            Cell::text(owner.map_or("-", |owner| owner.orchestrator.as_str())),
            owner.map_or_else(|| "-".to_owned(), |owner| owner.since.age(now)).into(),
            Cell::text(owner.map_or("-", |owner| owner.host.as_str())),
            Cell::text(owner.map_or_else(|| "-".to_owned(), |owner| owner.token.to_string())),
            count(plan.ownership.waiting.len()),
            Cell::text(&plan.title),
        ]);
    }
    table
}

impl Tabular for DefinitionView {
    fn table(&self, _now: WallTime) -> String {
        let mut text = format!("{}  {}\n\n", self.plan, plain(&self.title));
        if let Some(source) = &self.source {
            writeln!(text, "source  {} (sha256 {})", plain(&source.path), source.sha256)
                .expect("a text can always be written to");
        }
        writeln!(text, "policy  {}", in_words(&self.policy)).expect("a text can always be written to");
        for task in &self.tasks {
            let (policy, approval, demands) = (task.policy.as_ref(), task.approval, &task.demands);
            text.push_str(&Particulars { policy, approval, demands }.lines(task.id.as_str()));
        }
        for phase in &self.phases {
            text.push_str(&verified(&phase.number, &phase.verification));
        }
        text.push('\n');
        let redone = self.tasks.iter().filter(|task| task.ticked && task.status == Some(TaskStatus::Pending));
        let redone: Vec<&str> = redone.map(|task| task.id.as_str()).collect();
        if !redone.is_empty() {
            writeln!(text, "ticked in the plan file, and pending here: {}\n", redone.join(", "))
                .expect("a text can always be written to");
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "STATUS", "WAITS FOR", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "STATUS", "WAITS FOR", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::from(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                task.status.map_or("-", TaskStatus::as_str).into(),
                Cell::text(waits_for(&task.depends_on, &task.waits_by_order)),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        text + &table.render("no tasks")
    }
}

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

impl Tabular for ImportList {
    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        for import in &self.imports {
            let Import { plan, file, tasks, .. } = import;
            let (file, tasks) = (plain(file), counted(*tasks, "task"));
            let line = match import.outcome {
                "created" => format!("imported {plan} ({tasks}) from {file}"),
                "unchanged" => {
                    format!("{plan} is there already, imported from the same {file}; nothing was changed")
                }
                _ => format!("{plan} ({tasks}) would be imported from {file}"),
            };
            writeln!(text, "{line}").expect("a text can always be written to");
            let ticked: Vec<&str> = import.ticked.iter().map(TaskId::as_str).collect();
            if !ticked.is_empty() && import.outcome != "unchanged" {
                let are = if import.ticked_are_done { "recorded as done" } else { "pending all the same" };
                writeln!(text, "  ticked, and {are}: {}", ticked.join(", "))
                    .expect("a text can always be written to");
            }
        }
        text
    }
}

impl Tabular for PlanDeleted {
    fn table(&self, _now: WallTime) -> String {
        match self.dry_run {
            true => format!("{} would be deleted; dry run, nothing was changed\n", self.deleted),
            false => format!("deleted {}\n", self.deleted),
        }
    }
}
