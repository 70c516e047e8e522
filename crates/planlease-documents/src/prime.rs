//! What an agent has to know about a plan before it works on it, in a bounded number of bytes: the state, its
//! own claims, what is ready, and how to act.

use std::fmt::Write as _;

use planlease::{PlanView, TaskView};
use planlease_core::{
    PlanState, TaskId, counted,
    orphan::{Alive, is_orphan},
    pool::{PoolWait, PoolsView},
    record::HaltRecord,
    transition::TaskStatus,
};

use crate::printable::plain;

/// The longest text, in bytes: 1,500 tokens of 4 bytes. A model's own count differs by a third or so.
pub const MAX_PRIME: usize = 6_000;

/// How many tasks of a kind are named.
const NAMED: usize = 6;

/// How many steps of a claimed task are named.
const STEPS: usize = 6;

/// The longest description of a task, in bytes.
const LONGEST: usize = 100;

/// How its reader acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By the commands of the command line.
    Commands,
    /// By the tools of an MCP server.
    Tools,
}

/// What an agent has to know about a plan.
#[derive(Clone, Copy, Debug)]
pub struct Prime<'a> {
    view: &'a PlanView,
    alive: &'a Alive,
    /// The names under which the reader claims tasks.
    reader: &'a [String],
    /// The pause of the fleet, if it is paused.
    pause: Option<&'a HaltRecord>,
    /// The pools of the namespace, if the plan uses any.
    pools: Option<&'a PoolsView>,
}

impl<'a> Prime<'a> {
    /// Of a plan, with what its claims hang on, for the claimant of these names.
    #[must_use]
    pub const fn new(view: &'a PlanView, alive: &'a Alive, reader: &'a [String]) -> Self {
        Self { view, alive, reader, pause: None, pools: None }
    }

    /// The same in a fleet with this pause, if it is paused.
    #[must_use]
    pub const fn in_fleet(self, pause: Option<&'a HaltRecord>) -> Self {
        Self { pause, ..self }
    }

    /// The same with these pools, if the plan uses any: a task that waits for one is not ready.
    #[must_use]
    pub const fn with_pools(self, pools: Option<&'a PoolsView>) -> Self {
        Self { pools, ..self }
    }

    /// The text, of at most [`MAX_PRIME`] bytes.
    #[must_use]
    pub fn text(&self, manner: Manner) -> String {
        let plan = self.view.name();
        let mut text = format!("# Plan `{plan}`: {}\n\n", line(&self.view.spec().title));
        text.push_str(&self.state());
        self.claims(&mut text);
        let ready: Vec<String> = self.ready().map(|task| self.named(task.as_str())).collect();
        list(&mut text, "Ready, in the order in which they are handed out", &ready);
        list(&mut text, "Waits for a pool", &self.pooled());
        list(&mut text, "Waits for a person", &self.approvals());
        list(&mut text, "In progress elsewhere", &self.elsewhere());
        let failed = self.view.failed().map(|(task, why)| format!("{task}: {}", line(why)));
        list(&mut text, "Failed", &failed.collect::<Vec<_>>());
        let how = match manner {
            Manner::Commands => commands(&plan.quoted()),
            Manner::Tools => tools(plan.as_str()),
        };
        cut(&mut text, MAX_PRIME.saturating_sub(how.len()));
        text + &how
    }

    /// The counts, the owner, and what stops the plan.
    fn state(&self) -> String {
        let summary = self.view.summary();
        let mut state = format!(
            "{} of {} done, {} in progress, {} ready, {} failed.",
            summary.completed + summary.skipped,
            counted(self.view.tasks().len(), "task"),
            summary.in_progress,
            self.ready().count(),
            summary.failed,
        );
        match self.view.queue().owner() {
            Some((owner, _)) => write!(state, " Owner: {}.", line(&owner.name())),
            None => write!(state, " No process owns it; agents claim its tasks."),
        }
        .expect("a text can always be written to");
        if let Some(halt) = self.view.halt() {
            write!(
                state,
                " It was {} by {}: {}. No task can be claimed.",
                halt.how,
                line(&halt.by),
                line(&halt.why)
            )
            .expect("a text can always be written to");
        }
        if let Some(pause) = self.pause {
            let (by, why) = (line(&pause.by), line(&pause.why));
            write!(state, " Nothing starts: the fleet was paused by {by}: {why}. No task can be claimed.")
                .expect("a text can always be written to");
        }
        state.push('\n');
        state
    }

    /// The tasks that may start, and wait for no pool.
    fn ready(&self) -> impl Iterator<Item = &TaskId> {
        self.view.ready().filter(|task| self.pool_wait(task).is_none())
    }

    /// The pool that a ready task waits for.
    fn pool_wait(&self, task: &TaskId) -> Option<PoolWait> {
        self.pools?.wait(self.view.graph().pools(task)?)
    }

    fn pooled(&self) -> Vec<String> {
        let wait = |task: &TaskId| Some(format!("{task}: {}", line(&self.pool_wait(task)?.to_string())));
        self.view.ready().filter_map(wait).collect()
    }

    /// The tasks that wait for a person's approval, with what is to be decided.
    fn approvals(&self) -> Vec<String> {
        let question = |task: &TaskView| task.record.approval_question().unwrap_or_default();
        self.view.approvals().map(|(task, _)| format!("{}: {}", task.id, line(&question(task)))).collect()
    }

    /// What the reader has claimed, with the steps.
    fn claims(&self, text: &mut String) {
        let mut own = Vec::new();
        for task in self.in_progress().filter(|task| self.is_own(task)) {
            let mut claim = format!("{} (attempt {})", self.named(task.id.as_str()), task.record.attempt);
            let steps = self.view.spec().task(&task.id).map(|spec| spec.steps.as_slice()).unwrap_or_default();
            for step in steps.iter().take(STEPS).filter(|_| own.is_empty()) {
                claim.push_str("\n  - ");
                claim.push_str(&line(step));
            }
            own.push(claim);
        }
        list(text, "Yours, in progress", &own);
    }

    fn elsewhere(&self) -> Vec<String> {
        let others = self.in_progress().filter(|task| !self.is_own(task));
        let words = others.map(|task| {
            let by = task.record.claim.as_ref().map_or("an unknown process", |claim| claim.by.as_str());
            let gone = if is_orphan(&task.record, self.alive) { ", which is gone" } else { "" };
            format!("{}: {}{gone}", task.id, line(by))
        });
        words.collect()
    }

    fn in_progress(&self) -> impl Iterator<Item = &TaskView> {
        let works =
            |task: &&TaskView| task.record.status == TaskStatus::InProgress && !task.record.result_waits();
        self.view.tasks().values().filter(works)
    }

    fn is_own(&self, task: &TaskView) -> bool {
        let by = task.record.claim.as_ref().map(|claim| &claim.by);
        by.is_some_and(|by| self.reader.contains(by)) && !is_orphan(&task.record, self.alive)
    }

    /// `2.1: Tag the release`.
    fn named(&self, task: &str) -> String {
        let spec = self.view.spec().tasks.iter().find(|spec| spec.id.as_str() == task);
        format!("{task}: {}", line(spec.map_or("", |spec| &spec.description)))
    }
}

/// What an agent has to know that was given no plan: the plans that are open, and what to do next. Of at most
/// [`MAX_PRIME`] bytes, and empty if none is open.
#[must_use]
pub fn prime_plans(open: &[&PlanView]) -> String {
    const NEXT: &str = "
If you are to work on one of them, run `planlease prime PLAN` first. `planlease status` lists all plans.
";
    if open.is_empty() {
        return String::new();
    }
    let plans: Vec<String> = open.iter().map(|view| one_of_many(view)).collect();
    let mut text = "# Plans of planlease\n".to_owned();
    list(&mut text, "Open", &plans);
    cut(&mut text, MAX_PRIME - NEXT.len());
    text + NEXT
}

/// `release: Ship it (running, 3 of 10 tasks done)`.
fn one_of_many(view: &PlanView) -> String {
    let summary = view.summary();
    let (done, tasks) = (summary.completed + summary.skipped, counted(view.tasks().len(), "task"));
    let (name, state) = (view.name().quoted(), PlanState::of(view).label());
    format!("{name}: {} ({state}, {done} of {tasks} done)", line(&view.spec().title))
}

/// A text of others in one short line, without anything that could drive a terminal.
fn line(text: &str) -> String {
    let words = plain(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if words.len() <= LONGEST {
        return words;
    }
    format!("{}…", &words[..words.floor_char_boundary(LONGEST - '…'.len_utf8())])
}

/// Cuts a text to at most so many bytes, at the end of a line. Only names that are as long as names can be
/// make it that long.
fn cut(text: &mut String, most: usize) {
    const NOTE: &str = "- …\n";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(NOTE.len())));
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text.push_str(NOTE);
    }
}

/// A heading and the first of the items, if there are any.
fn list(text: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    write!(text, "\n## {heading}\n\n").expect("a text can always be written to");
    for item in items.iter().take(NAMED) {
        writeln!(text, "- {item}").expect("a text can always be written to");
    }
    if let Some(more) = items.len().checked_sub(NAMED).filter(|more| *more > 0) {
        writeln!(text, "- and {more} more").expect("a text can always be written to");
    }
}

/// How to act by commands.
fn commands(plan: &str) -> String {
    format!(
        "
## How to work on it

Claim a task before you work on it, and end each claim. No two claimants get the same task.

    planlease next {plan} 5                           what is ready, and what the rest waits for
    planlease task claim {plan} -o json               claims the next ready task; status 13: none is ready
    planlease task progress {plan} TASK 'text'        extends the claim; report every few minutes
    planlease task complete {plan} TASK --notes '…'   ends it well
    planlease task fail {plan} TASK --error '…'       ends it badly: say what is wrong
    planlease why {plan} [TASK]                       why it is where it is, and what comes next

If a command is refused, nothing was changed: read the message, and stop working on a task whose claim is over.
"
    )
}

/// How to act by tools.
fn tools(plan: &str) -> String {
    format!(
        "
## How to work on it

1. `claim` with plan `{plan}`: the next ready task becomes yours, with its steps. No other agent gets it. If none is
   ready, the answer says what the plan waits for.
2. Do what the task says, and nothing else. Report with `progress` every few minutes.
3. End it: `complete` with notes, `fail` with what is wrong, or `return` if you cannot do it now.
4. Claim the next one, until none is left.

If a call is refused, nothing was changed: read the reason, and stop working on a task whose claim is over. `why`
explains the state of the plan or of a task. Your claims end with your session.
"
    )
}

#[cfg(test)]
#[cfg(feature = "tables")]
mod tests {
    use std::collections::BTreeMap;

    use planlease_core::{
        PoolName,
        approval::{Approval, ApprovalOf},
        pool::Pools,
    };

    use super::*;
    use crate::fixture::{alive, plan, ready_and_unowned, redefined, wide, with_record};

    #[test]
    fn what_an_agent_reads_first() {
        let (view, reader) = (plan(), ["ci-1".to_owned()]);
        insta::assert_snapshot!(Prime::new(&view, &alive(&view), &reader).text(Manner::Commands));
    }

    #[test]
    fn what_waits_for_a_pool_or_a_person_is_not_ready() {
        let id = |id| TaskId::new(id).unwrap();
        let view = redefined(ready_and_unowned(), |spec| {
            spec.policy.pools = Pools::new(BTreeMap::from([(PoolName::new("gpu").unwrap(), 1)])).unwrap();
        });
        let view = with_record(view, &id("2.2"), |record| {
            (record.status, record.skip_reason) = (TaskStatus::Pending, None);
            let of = Some(ApprovalOf::Before);
            record.approval = Some(Box::new(Approval { of, ..Approval::default() }));
        });
        let (alive, pools) = (alive(&view), PoolsView::default());
        let text = Prime::new(&view, &alive, &[]).with_pools(Some(&pools)).text(Manner::Commands);
        assert!(text.contains(" 0 ready,") && !text.contains("## Ready"), "{text}");
        assert!(text.contains("\n## Waits for a pool\n\n- 1.10: pool gpu is not defined"), "{text}");
        assert!(text.contains("\n## Waits for a person\n\n- 2.2: "), "{text}");
        let text = Prime::new(&view, &alive, &[]).text(Manner::Commands);
        assert!(text.contains("- 1.10: Do 1.10") && !text.contains("Waits for a pool"), "{text}");
    }

    #[test]
    fn a_large_plan_costs_no_more_than_the_bound() {
        let view = wide(5_000);
        for manner in [Manner::Commands, Manner::Tools] {
            let text = Prime::new(&view, &alive(&view), &[]).text(manner);
            assert!(text.len() < MAX_PRIME / 2, "{} bytes", text.len());
        }
    }

    #[test]
    fn several_plans_are_listed_with_what_comes_next() {
        let (one, other) = (plan(), wide(3));
        let text = prime_plans(&[&one, &other]);
        assert_eq!(text.lines().filter(|line| line.starts_with("- ")).count(), 2, "{text}");
        assert!(text.contains(" of 3 tasks done)") && text.contains("planlease prime PLAN"), "{text}");
        let many = prime_plans(&[&one; 5_000]);
        assert!(many.len() < MAX_PRIME && many.contains("- and 4994 more"), "{many}");
        assert_eq!(prime_plans(&[]), "");
    }

    #[test]
    fn the_longest_names_stay_below_the_bound() {
        let mut text = String::new();
        let items = vec![format!("{}: {}", "9".repeat(200), line(&"ü".repeat(500))); 20];
        for _ in 0..4 {
            list(&mut text, "A heading", &items);
        }
        let how = commands(&"p".repeat(200));
        assert!(text.len() + how.len() > MAX_PRIME);
        cut(&mut text, MAX_PRIME - how.len());
        assert!(text.len() + how.len() <= MAX_PRIME && text.ends_with("\n- …\n"), "{text}");
    }
}
