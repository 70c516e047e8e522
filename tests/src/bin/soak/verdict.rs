//! The verdict: history, journals, actions, watchers' copies and what commands left behind, each against the
//! others.

mod commands;

use std::{collections::BTreeMap, fmt};

use planlease::core::{
    PlanName, TaskId,
    audit::Report,
    change::{KeyChange, RawChangeSet},
};
use planlease_oracle::{
    history::TaskWrite,
    journal::{Call, What},
    order,
    reconcile::{Settlement, reconcile},
    search,
};
use serde_json::{Value, json};

use crate::{
    Args,
    actions::{self, Reconciled},
    world::World,
};

/// The most violations that are printed; the JSON has all of them.
const PRINTED: usize = 40;

/// The result of a soak.
pub(crate) struct Verdict {
    minutes: u64,
    seed: u64,
    members: usize,
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
    report: Report,
    updates: Settlement,
    actions: Reconciled,
    searched: usize,
    checkpoints: usize,
    commands: usize,
    violations: Vec<String>,
    kept: Option<String>,
}

impl Verdict {
    pub(crate) fn of(world: &World, args: &Args) -> Self {
        let sets = world.history.sets();
        let writes = world.history.task_writes();
        let calls = world.journal.calls();
        let report = world.history.audit().report();
        let mut violations = world.figures.violations();
        violations.extend(world.history.problems());
        violations.extend(report.violations.iter().map(|violation| {
            let plan = violation.plan.as_ref().map_or_else(String::new, |plan| format!("{plan}: "));
            format!("{} at revision {}: {plan}{}", violation.rule.name(), violation.revision, violation.text)
        }));
        let updates = reconcile_each(&writes, &calls);
        violations.extend(updates.violations.iter().cloned());
        violations.extend(order::check(&writes, &calls));
        let (searched, unordered) = search_each(&writes, &calls);
        violations.extend(unordered);
        let actions = actions::reconcile(&sets, &world.actions);
        violations.extend(actions.violations.iter().cloned());
        let (checkpoints, differences) = world.checkpoints.compare(&sets);
        violations.extend(differences);
        let (commands, misdeeds) = commands::check(world, &sets, &writes);
        violations.extend(misdeeds);
        let kept = (!violations.is_empty()).then(|| world.folder().display().to_string());
        match &kept {
            Some(_) => {
                world.cluster.keep_data();
                keep(world, &sets, &calls);
            }
            None => world.forget(),
        }
        Self {
            minutes: args.minutes,
            seed: world.seed,
            members: args.members,
            counts: world.figures.counted(),
            report,
            updates,
            actions,
            searched,
            checkpoints,
            commands,
            violations,
            kept,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn json(&self) -> Value {
        let checks: BTreeMap<&str, u64> =
            self.report.checks.iter().map(|(rule, times)| (rule.name(), *times)).collect();
        json!({
            "minutes": self.minutes,
            "seed": self.seed,
            "members": self.members,
            "counts": self.counts,
            "history": {
                "revisions": self.report.revisions,
                "task_updates": self.report.updates,
                "terms": self.report.terms,
                "takeovers_after_unclean_ends": self.report.unclean,
                "checks": checks,
            },
            "updates": self.updates,
            "plans_and_ownerships": self.actions,
            "tasks_searched_for_an_order": self.searched,
            "watchers_checkpoints": self.checkpoints,
            "commands": self.commands,
            "violations": self.violations,
            "kept_in": self.kept,
        })
    }

    fn command(&self) -> String {
        format!(
            "cargo run -p planlease-tests --bin soak -- --minutes {} --seed {} --members {}",
            self.minutes, self.seed, self.members
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, outcomes) in &self.counts {
            for (outcome, times) in outcomes {
                writeln!(f, "{kind:<38} {outcome:<42} {times:>8}")?;
            }
        }
        let mut row = |what: &str, times: u64| writeln!(f, "{what:<81} {times:>8}");
        row("revisions", self.report.revisions)?;
        row("task updates in the history", self.report.updates)?;
        row("terms", self.report.terms)?;
        let deaths = self.actions.deaths;
        let reconciled = [
            ("terms that ended by a release", deaths.clean),
            ("terms that ended by a hand-over", deaths.handed_over),
            ("terms that ended without one (takeovers after a crash or a loss)", deaths.unclean),
            ("terms that ended by force", deaths.forced),
            ("plans that appeared", self.actions.imports),
            ("plans that were deleted", self.actions.deletions),
            ("updates that were acknowledged, each found once", self.updates.committed),
            ("updates that were refused, none found", self.updates.refused),
            ("updates of unknown outcome: carried out", self.updates.unknown_carried_out),
            ("updates of unknown outcome: never", self.updates.unknown_never),
            ("updates without an answer", self.updates.unanswered),
            ("other requests that were acknowledged", self.actions.done),
            ("other requests that were refused", self.actions.refused),
            ("other requests of unknown outcome: carried out", self.actions.unknown_carried_out),
            ("other requests of unknown outcome: never", self.actions.unknown_never),
            ("other requests without an answer", self.actions.unanswered),
            ("tasks whose calls were searched for an order", self.searched),
            ("watchers' copies compared", self.checkpoints),
            ("commands that were run", self.commands),
            ("violations", self.violations.len()),
        ];
        for (what, times) in reconciled {
            row(what, times as u64)?;
        }
        for violation in self.violations.iter().take(PRINTED) {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        if self.violations.len() > PRINTED {
            writeln!(f, "… and {} more", self.violations.len() - PRINTED)?;
        }
        match &self.kept {
            None => write!(f, "all is well: {}", self.command()),
            Some(kept) => write!(f, "again: {}\nlogs, history, calls and deeds: {kept}", self.command()),
        }
    }
}

/// Everything that the verdict was reached from, for people to look at: a line for each change, call and
/// action.
fn keep(world: &World, sets: &[RawChangeSet], calls: &[Call]) {
    let change = |set: &RawChangeSet, change: &KeyChange| {
        let value = change.entry.as_ref().map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
        format!("{} {:?} {}", set.revision, change.key, value.unwrap_or_else(|| "deleted".to_owned()))
    };
    let changes = sets.iter().flat_map(|set| set.changes.iter().map(move |one| change(set, one)));
    let calls = calls.iter().map(|call| format!("{:?} {call:?}", call.began));
    let files = [
        ("history", changes.collect::<Vec<_>>()),
        ("calls", calls.collect()),
        ("deeds", world.actions.lines()),
    ];
    for (name, lines) in files {
        if let Err(error) = std::fs::write(world.path(name), lines.join("\n")) {
            eprintln!("cannot keep {name}: {error}");
        }
    }
}

/// What was written, and what was called.
type Happened = (Vec<TaskWrite>, Vec<Call>);

/// Plan by plan: the answers about one can be checked by what happened to it.
fn reconcile_each(writes: &[TaskWrite], calls: &[Call]) -> Settlement {
    let mut plans: BTreeMap<&PlanName, Happened> = BTreeMap::new();
    for write in writes {
        plans.entry(&write.plan).or_default().0.push(write.clone());
    }
    for call in calls {
        plans.entry(&call.plan).or_default().1.push(call.clone());
    }
    let mut sum = Settlement::default();
    for (writes, calls) in plans.values() {
        let one = reconcile(writes, calls);
        sum.committed += one.committed;
        sum.refused += one.refused;
        sum.unknown_carried_out += one.unknown_carried_out;
        sum.unknown_never += one.unknown_never;
        sum.unanswered += one.unanswered;
        sum.violations.extend(one.violations);
    }
    sum
}

/// How many tasks' calls were searched for an order, and those that have none.
fn search_each(writes: &[TaskWrite], calls: &[Call]) -> (usize, Vec<String>) {
    let mut tasks: BTreeMap<(&PlanName, &TaskId), Happened> = BTreeMap::new();
    for write in writes {
        tasks.entry((&write.plan, &write.task)).or_default().0.push(write.clone());
    }
    for call in calls {
        if let What::Read(task) | What::Write { task, .. } = &call.what {
            tasks.entry((&call.plan, task)).or_default().1.push(call.clone());
        }
    }
    let (mut searched, mut unordered) = (0, Vec::new());
    for ((plan, task), (writes, calls)) in &tasks {
        let Some(consistent) = search::check(writes, calls, plan, task) else { continue };
        searched += 1;
        if !consistent {
            unordered.push(format!("the calls on task {task} of {plan} cannot be put in any order"));
        }
    }
    (searched, unordered)
}
