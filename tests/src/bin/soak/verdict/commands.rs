//! What the commands of the fleet left behind, against the history: no attempt ran twice, what is recorded as
//! completed came to its end, and none began under an authority that a successor had already begun to use
//! after it.

use std::collections::{BTreeMap, BTreeSet};

use planlease::core::{
    change::RawChangeSet,
    codec,
    keys::{Key, PlanKey},
    record::{Ending, Role, TermRecord},
    transition::TaskStatus,
};
use planlease_oracle::history::TaskWrite;

use crate::{clients, world::World};

/// `plan token task attempt`
type Attempt<'a> = &'a str;

/// How many commands began, and what must not be.
pub(crate) fn check(world: &World, sets: &[RawChangeSet], writes: &[TaskWrite]) -> (usize, Vec<String>) {
    let log = std::fs::read_to_string(world.path("commands")).unwrap_or_default();
    let mut violations = Vec::new();
    let mut begun: BTreeSet<Attempt<'_>> = BTreeSet::new();
    let mut ended: BTreeSet<Attempt<'_>> = BTreeSet::new();
    let mut greatest: BTreeMap<&str, u64> = BTreeMap::new();
    let forced = forced(sets);
    for line in log.lines() {
        match line.split_once(' ') {
            Some(("begin", attempt)) => {
                if !begun.insert(attempt) {
                    violations.push(format!("an attempt began twice: {attempt}"));
                }
                let mut words = attempt.split(' ');
                let (plan, token) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let term: u64 =
                    token.rsplit('.').next().and_then(|term| term.parse().ok()).unwrap_or_default();
                let greatest = greatest.entry(plan).or_default();
                if term < *greatest && !forced.contains(&(plan.to_owned(), term)) {
                    violations.push(format!("{attempt} began after a command of term {greatest}"));
                }
                *greatest = term.max(*greatest);
            }
            Some(("end", attempt)) => {
                if !ended.insert(attempt) {
                    violations.push(format!("an attempt ended twice: {attempt}"));
                }
            }
            _ => violations.push(format!("a torn line of a command: {line:?}")),
        }
    }
    let completed = writes.iter().filter(|write| {
        let writer = &write.record.writer;
        write.record.status == TaskStatus::Completed
            && writer.role == Role::Owner
            && !clients::is_own(&writer.who)
    });
    for write in completed {
        let term = write.record.writer.term.map_or(0, |term| term.0);
        let attempt = format!("{} 1.{term} {} {}", write.plan, write.task, write.record.attempt);
        if !ended.contains(attempt.as_str()) {
            violations.push(format!(
                "{attempt} was recorded as completed, but its command did not come to its end"
            ));
        }
    }
    (begun.len(), violations)
}

/// Terms that an operator ended: their owners learn it as soon as possible, and not before the next one
/// begins.
fn forced(sets: &[RawChangeSet]) -> BTreeSet<(String, u64)> {
    let mut forced = BTreeSet::new();
    for change in sets.iter().flat_map(|set| &set.changes) {
        let (Key::Plan(plan, PlanKey::Term), Some(entry)) = (&change.key, &change.entry) else { continue };
        let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
        if term.ended.is_some_and(|end| matches!(end.how, Ending::Forced { .. })) {
            forced.insert((plan.to_string(), term.number.0));
        }
    }
    forced
}
