//! An orchestrator that is stopped in the middle of its work, and goes on later.

use std::{collections::BTreeSet, time::Duration};

use nix::sys::signal::Signal;
use planlease::{Outcome, Refused, TaskView};
use planlease_core::transition::{Change, TaskStatus};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{in_queue, plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(4);
const PAUSES: usize = 20;
const TASKS: usize = 2;

/// How long until the successor has taken over and done everything.
const LIMIT: Duration = Duration::from_secs(60);

/// The documented exit status of a change for an attempt that is over.
const STALE: i32 = 108;

/// The first attempt leaves its number, those of its children (one of which has left its session), and its
/// authority, and never ends. The second one, which the next owner starts, looks itself whether one of them
/// is still there.
const WORK: &str = r#"
    mine="$TEST_DIR/$PLANLEASE_PLAN-$PLANLEASE_TASK"
    if [ "$PLANLEASE_ATTEMPT" = 1 ]; then
        sleep 1000 &
        first=$!
        setsid sleep 1000 &
        printenv PLANLEASE_OWNERSHIP > "$mine.right"
        echo $$ $first $! >> "$TEST_DIR/$PLANLEASE_PLAN.processes"
        wait
    fi
    for process in $(cat "$TEST_DIR/$PLANLEASE_PLAN.processes"); do
        if grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$process/status" 2> /dev/null; then
            echo "$PLANLEASE_TASK began while $process ran" >> "$TEST_DIR/overlaps"
        fi
    done
    echo "$PLANLEASE_TASK" >> "$TEST_DIR/$PLANLEASE_PLAN.second"
"#;

#[case]
async fn a_stopped_orchestrators_children_end_before_the_next_owner(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let names: Vec<String> = (0..PAUSES).map(|n| format!("paused-{n}")).collect();
    let mut first = Vec::new();
    for name in &names {
        coordinator.admin().import(&plan_name(name), &spec(TASKS, WORK), |_| {}).await.unwrap();
        first.push(env.start(&["run", name, "--jobs", "2", "-o", "jsonl"], &format!("{name}.first")));
    }
    for name in &names {
        until("work in progress", SOON, async || working(&env, name)).await;
    }
    let mut seen = Vec::new();
    for name in &names {
        seen.push(coordinator.plan(&plan_name(name)).await.unwrap().tasks()[&task_id("1")].clone());
    }
    let jobs = (PAUSES * TASKS).to_string();
    let mut args = vec!["run", "--id", "next", "--jobs", &jobs, "-o", "jsonl"];
    args.extend(names.iter().map(String::as_str));
    let mut next = env.start(&args, "next");
    for name in &names {
        in_queue(&coordinator, &plan_name(name), 2).await;
    }

    first.iter_mut().for_each(|first| first.signal(Signal::SIGSTOP));
    assert_eq!(next.until_ended(LIMIT).await, Some(0), "{}", next.said());
    assert_eq!(std::fs::read_to_string(env.path("overlaps")).unwrap_or_default(), "");
    for name in &names {
        let done = std::fs::read_to_string(env.path(&format!("{name}.second"))).unwrap();
        assert_eq!(
            done.lines().collect::<BTreeSet<_>>(),
            BTreeSet::from(["1", "2"]),
            "the second attempts looked"
        );
        for task in coordinator.plan(&plan_name(name)).await.unwrap().tasks().values() {
            let record = &task.record;
            let found = (record.status, record.attempt, record.lost);
            assert_eq!(found, (TaskStatus::Completed, 2, 1), "task {} of {name}", task.id);
        }
    }

    let before = env.audit().await.until;
    first.iter_mut().for_each(|first| first.signal(Signal::SIGCONT));
    for ((name, first), seen) in names.iter().zip(&mut first).zip(&seen) {
        says_why(first, name).await;
        late_writes_are_refused(&env, name, seen).await;
    }
    env.until_empty().await;
    let after = env.audit().await;
    let expected = u64::try_from(PAUSES * TASKS * 5).unwrap();
    assert_eq!(
        after.report.updates, expected,
        "creation, start, recovery, start, completion; nothing after {before}"
    );
}

/// Whether both tasks of a plan have left the numbers of their processes.
fn working(env: &TestEnv, plan: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(env.path(&format!("{plan}.processes"))).unwrap_or_default();
    if text.ends_with('\n') && text.lines().count() == TASKS { Ok(()) } else { Err(text) }
}

/// It notices that its plan is lost, reports why and to whom, and ends, since the plan is finished.
async fn says_why(first: &mut Process, plan: &str) {
    let said = first.until_said(r#""event":"lost""#, SOON).await;
    let lost = said.lines().find(|line| line.contains(r#""event":"lost""#)).unwrap();
    assert!(lost.contains(plan) && lost.contains("expired") && lost.contains("next"), "{lost}");
    assert!(said.contains(r#""event":"not_recorded""#), "{said}");
    assert_eq!(first.until_ended(SOON).await, Some(0), "{}", first.said());
}

/// What a child of the stopped one would write, under the authority that it was given: on the task as it is
/// now, and on the task as it was before the pause, on which etcd itself decides.
async fn late_writes_are_refused(env: &TestEnv, plan: &str, seen: &TaskView) {
    let authority = std::fs::read_to_string(env.path(&format!("{plan}-1.right"))).unwrap();
    let program = env.program().clone().variable("PLANLEASE_OWNERSHIP", authority.trim());
    let program = program.variable("PLANLEASE_TASK", "1").variable("PLANLEASE_ATTEMPT", "1");
    let refused = program.run_to(STALE, ["task", "fail", plan, "1", "--error", "late"]).await;
    assert!(refused.stderr.contains("attempt 1; the present attempt is 2"), "{}", refused.stderr);

    let authority = env.coordinator().await.delegated(&serde_json::from_str(&authority).unwrap());
    let outcome = authority.update_attempt(seen, 1, &Change::Complete(None)).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
}
