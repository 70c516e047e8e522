//! Processes that change the same task at the same moment, and different tasks of one plan.

use std::{process::Command, time::Duration};

use planlease_tests::{program::Process, room::Room, suite::Fixture, wait::SOON};
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

/// Changes one task again and again, to whatever can follow what it is. Whoever is refused was too late,
/// which is no mistake: somebody else has changed it.
const CONTENDER: &str = r#"
    read -r _
    for turn in 1 2 3 4; do
        for change in start 'fail --error luck' retry; do
            "$PROGRAM" task $change contended 002 -o jsonl >> "$ROOM/contended-$1"
            case $? in 0) break ;; 106 | 107) ;; *) echo "$change: $?" >> "$ROOM/wrong" ;; esac
        done
    done
"#;

/// What the holder of a plan runs: a process for each task, all at once.
const SPREAD: &str = r#"
    for n in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16; do
        {
            "$PROGRAM" task start spread "0$n" -o jsonl && "$PROGRAM" task complete spread "0$n" -o jsonl
        } >> "$ROOM/spread-$n" || echo "$n" >> "$ROOM/wrong" &
    done
    wait
"#;

pub(crate) async fn r01_two_processes_update_one_task(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    room.import("contended", &plan_file(2, "true")).await;
    room.import("spread", &plan_file(PROCESSES, "true")).await;

    let mut acknowledged = Vec::new();
    for (round, processes) in ROUNDS.into_iter().enumerate() {
        acknowledged.push(one_of_them_wins(&room, round, processes).await);
    }
    acknowledged.extend(in_circles(&room).await);
    room.program().run_to(0, ["hold", "spread", "--", "sh", "-c", SPREAD]).await;
    let spread: Vec<(u64, Uuid)> =
        (1..=PROCESSES).flat_map(|n| committed(&room.text(&format!("spread-{n:02}")))).collect();
    assert_eq!(spread.len(), 2 * PROCESSES, "nobody is in the way of a process with a task of its own");
    acknowledged.extend(spread);
    assert_eq!(room.text("wrong"), "");

    // Each is there once, at the revision that was told, and nothing else is.
    acknowledged.sort_unstable();
    assert_eq!(History::read(&room).await.updates().into_iter().collect::<Vec<_>>(), acknowledged);
    audit(&room).await;
}

/// All have seen the same record, and all are told to change it: exactly one does, the others are told why
/// not.
async fn one_of_them_wins(room: &Room, round: usize, processes: usize) -> (u64, Uuid) {
    let seen = room.json(&["task", "show", "contended", "001"]).await["revision"].to_string();
    let (verb, needs) = CIRCLE[round % CIRCLE.len()].split_first().unwrap();
    let mut args = vec!["task", verb, "contended", "001", "--expect-revision", &seen, "-o", "jsonl"];
    args.extend(needs);
    let start = |n| room.gated(&args, &format!("round-{round}-{n}"));
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

/// Nobody has looked before: whoever comes at the right moment changes the task, whoever does not is refused.
async fn in_circles(room: &Room) -> Vec<(u64, Uuid)> {
    let start = |n: usize| {
        let mut shell = Command::new("sh");
        shell.args(["-c", CONTENDER, "sh", &n.to_string()]).envs(room.variables());
        Process::start(shell, &room.path(&format!("contender-{n}")))
    };
    let mut contenders: Vec<Process> = (0..PROCESSES).map(start).collect();
    go(&mut contenders);
    for contender in &mut contenders {
        contender.until_ended(SOON).await;
    }
    let all: Vec<_> = (0..PROCESSES).flat_map(|n| committed(&room.text(&format!("contended-{n}")))).collect();
    println!(
        "measured: updates of one task by {PROCESSES} processes, {}: {} acknowledged",
        room.fixture.server,
        all.len()
    );
    assert!(all.len() >= TURNS, "each turn changes something, or somebody else did meanwhile");
    all
}

/// The updates that were acknowledged, with their revisions.
fn committed(said: &str) -> Vec<(u64, Uuid)> {
    let told = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let committed = told.filter(|told| told["outcome"] == "committed");
    committed
        .map(|told| {
            let record = &told["record"];
            (record["revision"].as_u64().unwrap(), record["op_id"].as_str().unwrap().parse().unwrap())
        })
        .collect()
}
