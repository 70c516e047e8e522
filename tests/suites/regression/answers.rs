//! What the program answered, held against the history at the revision that the answer names: never against
//! itself.

use planlease_tests::plain;
use std::{collections::BTreeMap, fmt::Debug, rc::Rc, slice};

use planlease_core::{
    PlanName, TaskId,
    keys::{Key, PlanKey},
    record::{Guard, Role, TaskRecord, Writer},
    transition::TaskStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::history::{Entry, History, Plan, Set, State, Stored, Task};

/// In words, what an answer says and the history does not know.
pub(crate) type Verdict = Result<(), String>;

/// How an answer is held against the state at its revision.
pub(crate) type Check = fn(&State, &Value) -> Verdict;

/// Holds answers against the history, each at the revision that it names. How many different revisions that
/// were.
pub(crate) fn check(history: &History, answers: impl IntoIterator<Item = (Check, Value)>) -> usize {
    let mut visits: Vec<_> =
        answers.into_iter().map(|(check, answer)| (revision(&answer), (check, answer))).collect();
    visits.sort_by_key(|(revision, _)| *revision);
    history.visit(&visits, |state, (check, answer)| {
        assert_eq!(check(state, answer), Ok(()), "in {} at revision {}", answer["schema"], revision(answer));
    });
    visits.dedup_by_key(|(revision, _)| *revision);
    visits.len()
}

/// The revision that an answer names; all plans of a list have the same one.
fn revision(answer: &Value) -> u64 {
    let whole = answer["revision"].as_u64();
    whole
        .or_else(|| answer["plans"][0]["revision"].as_u64())
        .unwrap_or_else(|| panic!("no revision: {answer}"))
}

/// `status PLAN`.
pub(crate) fn status(state: &State, answer: &Value) -> Verdict {
    let plan = plan_of(state, answer)?;
    counts(plan, answer)?;
    ownership(plan, answer)?;
    let with = |status| plan.tasks.iter().filter(move |(_, task)| task.record.status == status);
    let running = with(TaskStatus::InProgress).map(|(id, task)| {
        let record = &task.record;
        let by = record.claim.as_ref().map(|claim| &claim.by);
        json!([id, record.attempt, by, record.progress])
    });
    let reported = rows(&answer["in_progress"], |row| {
        json!([row["task"], row["attempt"], row["claimed_by"], row["progress"]])
    });
    same("what is in progress", &reported, &running.collect())?;
    let failed = with(TaskStatus::Failed)
        .map(|(id, task)| json!([id, task.record.attempt, task.record.error, task.record.parked]));
    let reported =
        rows(&answer["attention"], |row| json!([row["task"], row["attempt"], row["error"], row["parked"]]));
    same("what has failed", &reported, &failed.collect())?;
    // None of the plans here has dependencies.
    let mut ready: Vec<Value> = with(TaskStatus::Pending).map(|(id, _)| json!(id)).collect();
    let mut reported = rows(&answer["ready"], Value::clone);
    let text = |id: &Value| id.to_string();
    reported.sort_by_key(text);
    ready.sort_by_key(text);
    same("what is ready", &reported, &ready)
}

/// `status` of all plans.
pub(crate) fn plans(state: &State, answer: &Value) -> Verdict {
    let there = state.iter().filter(|(_, plan)| plan.there).map(|(name, _)| json!(name)).collect();
    same("which plans there are", &rows(&answer["plans"], |plan| plan["plan"].clone()), &there)?;
    for listed in answer["plans"].as_array().ok_or("no plans")? {
        same("the revision", &listed["revision"], &answer["plans"][0]["revision"])?;
        let plan = plan_of(state, listed)?;
        counts(plan, listed)?;
        ownership(plan, listed)?;
    }
    Ok(())
}

/// Nothing but the counts, of the tasks at that revision and of those in the same answer, as far as it has
/// tasks.
pub(crate) fn only_counts(state: &State, answer: &Value) -> Verdict {
    for answer in answer["plans"].as_array().map_or(slice::from_ref(answer), Vec::as_slice) {
        counts(plan_of(state, answer)?, answer)?;
        for (status, tasks) in [("in_progress", "in_progress"), ("failed", "attention")] {
            if let Some(tasks) = answer[tasks].as_array() {
                same(&format!("the count of {status}"), &answer["summary"][status], &json!(tasks.len()))?;
            }
        }
    }
    Ok(())
}

/// `task list PLAN`.
pub(crate) fn tasks(state: &State, answer: &Value) -> Verdict {
    same_tasks(plan_of(state, answer)?, &answer["tasks"])
}

/// The first line of `watch --snapshot`.
pub(crate) fn snapshot(state: &State, answer: &Value) -> Verdict {
    for listed in answer["plans"].as_array().ok_or("no plans")? {
        let plan = plan_of(state, listed)?;
        counts(plan, listed)?;
        ownership(plan, listed)?;
        same_tasks(plan, &listed["tasks"])?;
    }
    Ok(())
}

/// The counts of an answer are those of the tasks at its revision, and of the phases in it.
fn counts(plan: &Plan, answer: &Value) -> Verdict {
    same("the counts", &answer["summary"], &plan.counts())?;
    let Some(phases) = answer["phases"].as_array() else { return Ok(()) };
    for (name, count) in answer["summary"].as_object().ok_or("no counts")? {
        let sum: u64 = phases.iter().filter_map(|phase| phase["summary"][name].as_u64()).sum();
        same(&format!("the sum of {name} over all phases"), &json!(sum), count)?;
    }
    Ok(())
}

/// The plan that an answer is about.
fn plan_of<'a>(state: &'a State, answer: &Value) -> Result<&'a Plan, String> {
    let name = PlanName::new(answer["plan"].as_str().ok_or("no plan")?).map_err(|error| error.to_string())?;
    state.get(&name).filter(|plan| plan.there).ok_or_else(|| format!("{name} was not there"))
}

/// A task's record, as far as answers have it.
pub(crate) fn stored(task: &Task) -> Value {
    let record = &task.record;
    json!({
        "status": record.status, "revision": task.revision, "attempt": record.attempt,
        "failures": record.failures, "lost": record.lost, "progress": record.progress, "error": record.error,
        "parked": record.parked, "op_id": record.op_id, "claim": record.claim.as_ref().map(|claim| &claim.by),
    })
}

/// The same of an answer.
pub(crate) fn reported(answer: &Value) -> Value {
    let mut reported = json!({});
    for name in ["status", "revision", "attempt", "failures", "lost", "progress", "error", "parked", "op_id"]
    {
        reported[name] = answer[name].clone();
    }
    reported["claim"] = answer["claim"]["by"].clone();
    reported
}

fn same_tasks(plan: &Plan, answer: &Value) -> Verdict {
    let listed = answer.as_array().ok_or("no tasks")?;
    same("the number of tasks", &listed.len(), &plan.tasks.len())?;
    let listed: BTreeMap<&str, &Value> =
        listed.iter().filter_map(|task| Some((task["task"].as_str()?, task))).collect();
    for (id, task) in &plan.tasks {
        let answer = listed.get(id.as_str()).ok_or_else(|| format!("{id} is missing"))?;
        same(&format!("task {id}"), &reported(answer), &stored(task))?;
    }
    Ok(())
}

fn ownership(plan: &Plan, answer: &Value) -> Verdict {
    let owner = plan.owner().map_or(Value::Null, |term| {
        json!([term.owner.orchestrator, term.number, term.token(), term.lease.to_string()])
    });
    let reported = match &answer["owner"] {
        Value::Null => Value::Null,
        owner => json!([owner["orchestrator"], owner["term"], owner["token"], owner["lease"]]),
    };
    same("the owner", &reported, &owner)?;
    let waiting = rows(&answer["waiting"], |waiting| waiting["lease"].clone());
    same("who waits", &waiting, &plan.waiting().into_iter().map(Value::from).collect())
}

fn rows(list: &Value, row: impl Fn(&Value) -> Value) -> Vec<Value> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn same<T: PartialEq + Debug>(what: &str, reported: &T, stored: &T) -> Verdict {
    if reported == stored {
        Ok(())
    } else {
        Err(format!("{what}: {reported:?} was reported, {stored:?} was stored"))
    }
}

/// Two tasks, written at the revisions 2 and 3, and answers that mix them with the state before.
#[plain]
fn an_answer_of_two_revisions_is_found() {
    let write = |status, n: u128| {
        let guard = Guard::Import;
        let writer = Writer { who: "x".into(), role: Role::Operator, term: None, guard };
        TaskRecord { status, ..TaskRecord::new(writer, Uuid::from_u128(n)) }
    };
    let plan = PlanName::new("p").unwrap();
    let put = |key, value| (Key::Plan(plan.clone(), key), Some(Entry { created: 1, value }));
    let task = |id: &str, record: &TaskRecord| {
        put(PlanKey::Task(TaskId::new(id).unwrap()), Stored::Task(Rc::new(record.clone())))
    };
    let (before, after) = (write(TaskStatus::Pending, 1), write(TaskStatus::Skipped, 2));
    let history = History(vec![
        Set {
            revision: 1,
            changes: vec![task("a", &before), task("b", &before), put(PlanKey::Spec, Stored::Other)],
        },
        Set { revision: 2, changes: vec![task("a", &after)] },
        Set { revision: 3, changes: vec![task("b", &after)] },
    ]);
    let row = |id: &str, revision, record: &TaskRecord| {
        let mut row = stored(&Task { revision, record: Rc::new(record.clone()) });
        row["task"] = id.into();
        row
    };
    let state = history.at(2);
    let list = |rows: [Value; 2]| tasks(&state, &json!({"plan": "p", "tasks": rows}));
    assert_eq!(list([row("a", 2, &after), row("b", 1, &before)]), Ok(()));
    let mixed = list([row("a", 2, &after), row("b", 3, &after)]).unwrap_err();
    assert!(mixed.starts_with("task b"), "{mixed}");
    list([row("a", 1, &before), row("b", 1, &before)]).unwrap_err();
    list([row("a", 2, &after), row("a", 2, &after)]).unwrap_err();
    let counted = |pending, skipped| {
        let mut summary = json!({"total": 2, "in_progress": 0, "completed": 0, "failed": 0});
        (summary["pending"], summary["skipped"]) = (json!(pending), json!(skipped));
        status(&state, &json!({"plan": "p", "summary": summary, "ready": ["b"]}))
    };
    assert_eq!(counted(1, 1), Ok(()));
    counted(0, 2).unwrap_err();
}
