//! Processes that change the same task at the same moment, and different tasks of one plan.

use std::{process::Command, time::Duration};

use planlease_tests::{TestEnv, case, program::Process, wait::SOON};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    history::History,
    processes::{STALE, audit, go, plan_file},
};

const TTL: Duration = Duration::from_secs(15);

/// How many processes change what all of them have seen, round by round.
const ROUNDS: [usize; 6] = [2, 2, 2, 2, 2, 16];

/// How many processes change one task without having looked, and then a task each.
const PROCESSES: usize = 16;

/// The ways to change a task that lead back to where it was, with what each of them needs.
const CIRCLE: [&[&str]; 3] = [&["start"], &["fail", "--error", "no luck"], &["retry"]];

/// How often each of them does that.
const TURNS: usize = 4;

/// Changes one task again and again, to anything that can follow what it is. A refused change was too late,
/// which is no mistake: another process has changed it.
const CONTENDER: &str = r#"
    read -r _
    for turn in 1 2 3 4; do
        for change in start 'fail --error luck' retry; do
            "$PROGRAM" task $change contended 002 -o jsonl >> "$TEST_DIR/contended-$1"
            case $? in 0) break ;; 106 | 107) ;; *) echo "$change: $?" >> "$TEST_DIR/wrong" ;; esac
        done
    done
"#;

/// What the holder of a plan runs: a process for each task, all at once.
const SPREAD: &str = r#"
    for n in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16; do
        {
            "$PROGRAM" task start spread "0$n" -o jsonl && "$PROGRAM" task complete spread "0$n" -o jsonl
        } >> "$TEST_DIR/spread-$n" || echo "$n" >> "$TEST_DIR/wrong" &
    done
    wait
"#;

#[case(one_at_a_time)]
async fn r01_two_processes_update_one_task(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.import("contended", &plan_file(2, "true")).await;
    env.import("spread", &plan_file(PROCESSES, "true")).await;

    let mut acknowledged = Vec::new();
    for (round, processes) in ROUNDS.into_iter().enumerate() {
        acknowledged.push(one_of_them_wins(&env, round, processes).await);
    }
    acknowledged.extend(in_circles(&env).await);
    env.program().run_to(0, ["hold", "spread", "--", "sh", "-c", SPREAD]).await;
    let spread: Vec<(u64, Uuid)> =
        (1..=PROCESSES).flat_map(|n| committed(&env.text(&format!("spread-{n:02}")))).collect();
    assert_eq!(spread.len(), 2 * PROCESSES, "a process with a task of its own is never refused");
    acknowledged.extend(spread);
    assert_eq!(env.text("wrong"), "");

    // Each exists once, at the revision of its answer, and nothing else does.
    acknowledged.sort_unstable();
    assert_eq!(History::read(&env).await.updates().into_iter().collect::<Vec<_>>(), acknowledged);
    audit(&env).await;
}

/// All have seen the same record, and all are ordered to change it: exactly one does, the others learn why
/// not.
async fn one_of_them_wins(env: &TestEnv, round: usize, processes: usize) -> (u64, Uuid) {
    let seen = env.json(&["task", "show", "contended", "001"]).await["revision"].to_string();
    let (verb, needs) = CIRCLE[round % CIRCLE.len()].split_first().unwrap();
    let mut args = vec!["task", verb, "contended", "001", "--expect-revision", &seen, "-o", "jsonl"];
    args.extend(needs);
    let start = |n| env.gated(&args, &format!("round-{round}-{n}"));
    let mut contenders: Vec<Process> = (0..processes).map(start).collect();
    go(&mut contenders);
    let mut won = Vec::new();
    for contender in &mut contenders {
        match contender.until_ended(SOON).await {
            Some(0) => won.extend(committed(&contender.said())),
            other => assert_eq!(other, Some(STALE), "{}", contender.said()),
        }
    }
    assert_eq!(won.len(), 1, "of {processes} that saw revision {seen}");
    won[0]
}

/// No process has looked before: a command that comes at the right moment changes the task, others are
/// refused.
async fn in_circles(env: &TestEnv) -> Vec<(u64, Uuid)> {
    let start = |n: usize| {
        let mut shell = Command::new("sh");
        shell.args(["-c", CONTENDER, "sh", &n.to_string()]).envs(env.variables());
        Process::start(shell, &env.path(&format!("contender-{n}")))
    };
    let mut contenders: Vec<Process> = (0..PROCESSES).map(start).collect();
    go(&mut contenders);
    for contender in &mut contenders {
        contender.until_ended(SOON).await;
    }
    let all: Vec<_> = (0..PROCESSES).flat_map(|n| committed(&env.text(&format!("contended-{n}")))).collect();
    println!(
        "measured: updates of one task by {PROCESSES} processes, {}: {} acknowledged",
        env.server,
        all.len()
    );
    assert!(all.len() >= TURNS, "each turn changes something, or another process did meanwhile");
    all
}

/// The updates that were acknowledged, with their revisions.
fn committed(said: &str) -> Vec<(u64, Uuid)> {
    let reported = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let committed = reported.filter(|reported| reported["outcome"] == "committed");
    committed
        .map(|reported| {
            let record = &reported["record"];
            (record["revision"].as_u64().unwrap(), record["op_id"].as_str().unwrap().parse().unwrap())
        })
        .collect()
}
