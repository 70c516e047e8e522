//! Orchestrators that start the same plan at the same moment.

use std::{collections::BTreeSet, time::Duration};

use planlease_tests::{
    TestEnv, case,
    program::Process,
    wait::{SOON, until},
};

use crate::{
    history::History,
    processes::{OWNED_BY_OTHER, audit, go, plan_file},
};

const TTL: Duration = Duration::from_secs(15);

/// How many orchestrators start a plan at once, round by round.
const ROUNDS: [usize; 6] = [2, 2, 2, 2, 2, 50];

const TASKS: usize = 3;

/// What `run` gives who owns a plan, and who waits for it.
const ACQUIRED: &str = r#""event":"acquired""#;
const WAITING: &str = r#""event":"waiting""#;

/// Leaves a line with the task and the ownership, and goes on once the test says so.
const WORK: &str = r#"
    echo "$PLANLEASE_TASK $PLANLEASE_FENCING_TOKEN" >> "$TEST_DIR/$PLANLEASE_PLAN.log"
    until [ -e "$TEST_DIR/$PLANLEASE_PLAN.go" ]; do sleep 0.05; done
"#;

#[case(one_at_a_time)]
async fn r03_two_orchestrators_start_one_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    for (round, orchestrators) in ROUNDS.into_iter().enumerate() {
        let plan = format!("wanted-{round}");
        env.import(&plan, &plan_file(TASKS, WORK)).await;
        let start = |n| env.gated(&["run", &plan, "-o", "jsonl"], &format!("{plan}.{n}"));
        let mut all: Vec<Process> = (0..orchestrators).map(start).collect();
        go(&mut all);
        let owners = until("word from all of them", SOON, async || {
            let reported = |what| all.iter().filter(|one: &&Process| one.said().contains(what)).count();
            let (owners, waiting) = (reported(ACQUIRED), reported(WAITING));
            if owners + waiting >= orchestrators { Ok(owners) } else { Err((owners, waiting)) }
        })
        .await;
        assert_eq!(owners, 1, "exactly one of {orchestrators} owns {plan}");
        let shown = env.json(&["owner", "show", &plan]).await;
        assert_eq!(shown["owner"]["term"], 1, "{shown}");
        assert_eq!(shown["waiting"].as_array().unwrap().len(), orchestrators - 1, "{shown}");
        // A command that does not want to wait is refused.
        env.program().run_to(OWNED_BY_OTHER, ["hold", &plan, "--no-wait", "--", "true"]).await;

        std::fs::write(env.path(&format!("{plan}.go")), "").unwrap();
        for one in &mut all {
            assert_eq!(one.until_ended(SOON).await, Some(0), "{}", one.said());
        }
        each_task_ran_once_and_for_the_first_owner(&env, &plan);
    }
    // At every revision there was at most one owner: the audit replays that. This is who it was.
    let report = audit(&env).await;
    assert!(report["terms"].as_u64() >= Some(ROUNDS.len() as u64), "{report}");
    let history = History::read(&env).await;
    let left = history.at(history.last()).into_values().filter(|plan| plan.owner().is_some()).count();
    assert_eq!(left, 0, "every plan was given back");
}

fn each_task_ran_once_and_for_the_first_owner(env: &TestEnv, plan: &str) {
    let log = env.text(&format!("{plan}.log"));
    let distinct: BTreeSet<&str> = log.lines().collect();
    let expected: Vec<String> = (1..=TASKS).map(|n| format!("{n:03} 1.1")).collect();
    assert_eq!(distinct, expected.iter().map(String::as_str).collect(), "in {plan}");
    assert_eq!(log.lines().count(), TASKS, "in {plan}: {log}");
}
