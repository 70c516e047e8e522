//! `lock`: what several processes must not do at once, one after the other, whatever becomes of them.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use planlease_tests::{
    cases,
    room::{Room, plan_name},
    suite::{Case, Fixture},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        what_is_read_and_written_under_a_lock_is_not_lost,
        a_killed_holder_gives_way,
        a_paused_holder_has_no_command_left_when_the_next_one_begins,
    ]
}

const TTL: Duration = Duration::from_secs(4);
const PROCESSES: usize = 8;
const TIMES: usize = 5;

/// Takes its time between reading and writing.
const COUNT: &str = r#"n=$(cat "$ROOM/count"); sleep 0.02; echo $((n + 1)) > "$ROOM/count"; echo "$PLANLEASE_LOCK_TOKEN" >> "$ROOM/tokens""#;

/// A loop of commands, each under the lock.
const LOOP: &str = r#"i=0; while [ $i -lt $TIMES ]; do "$PROGRAM" lock locked count -- sh -c "$COUNT" || exit; i=$((i + 1)); done"#;

async fn imported(room: &Room) {
    room.coordinator().await.import(&plan_name("locked"), &spec(1, "true"), |_| {}).await.unwrap();
}

async fn what_is_read_and_written_under_a_lock_is_not_lost(fixture: Fixture) {
    let room = Room::new(fixture, Duration::from_secs(15));
    imported(&room).await;
    fs::write(room.path("count"), "0\n").unwrap();
    let shells: Vec<_> = (0..PROCESSES)
        .map(|n| {
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", LOOP])
                .envs(room.variables())
                .env("TIMES", TIMES.to_string())
                .env("COUNT", COUNT);
            planlease_tests::program::Process::start(shell, &room.path(&format!("shell-{n}")))
        })
        .collect();
    for mut shell in shells {
        assert_eq!(shell.until_ended(Duration::from_secs(60)).await, Some(0), "{}", shell.said());
    }
    assert_eq!(room.text("count").trim(), (PROCESSES * TIMES).to_string());
    let numbers: Vec<u64> =
        room.text("tokens").lines().map(|token| token.split_once('.').unwrap().1.parse().unwrap()).collect();
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "each token is greater than the one before: {numbers:?}"
    );
    assert_eq!(room.json(&["locks", "locked"]).await["locks"].as_array().unwrap().len(), 0);
}

/// Starts a holder, and one that waits behind it; each says when it begins.
async fn two_in_line(room: &Room) -> [planlease_tests::program::Process; 2] {
    imported(room).await;
    let say = r#"echo $$ >> "$ROOM/begun"; sleep 1000"#;
    let first = room.start(&["lock", "locked", "one", "--", "sh", "-c", say], "first");
    until("the first to begin", SOON, async || lines(room, 1)).await;
    let look = r#"
        for process in $(cat "$ROOM/begun"); do
            if grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$process/status" 2> /dev/null; then
                echo "$process still runs" >> "$ROOM/overlap"
            fi
        done
        echo $$ >> "$ROOM/begun""#;
    let second = room.start(&["lock", "locked", "one", "--", "sh", "-c", look], "second");
    second.until_said("waiting for lock one of locked", SOON).await;
    until("two in line", SOON, async || {
        let locks = room.json(&["locks", "locked"]).await;
        let waiting = locks["locks"][0]["waiting"].as_array().map_or(0, Vec::len);
        if waiting == 1 { Ok(()) } else { Err(waiting) }
    })
    .await;
    [first, second]
}

fn lines(room: &Room, wanted: usize) -> Result<(), usize> {
    let found = room.text("begun").lines().count();
    if found == wanted { Ok(()) } else { Err(found) }
}

async fn a_killed_holder_gives_way(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let [mut first, mut second] = two_in_line(&room).await;
    let killed = Instant::now();
    first.signal(Signal::SIGKILL);
    assert_eq!(second.until_ended(SOON).await, Some(0), "{}", second.said());
    println!("measured: lock, SIGKILL of the holder to the end of the next command: {:?}", killed.elapsed());
    assert!(killed.elapsed() < TTL + Duration::from_secs(1), "{:?}", killed.elapsed());
    assert_eq!(room.text("overlap"), "");
}

async fn a_paused_holder_has_no_command_left_when_the_next_one_begins(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let [mut first, mut second] = two_in_line(&room).await;
    first.signal(Signal::SIGSTOP);
    assert_eq!(second.until_ended(SOON).await, Some(0), "{}", second.said());
    assert_eq!(room.text("overlap"), "");
    first.signal(Signal::SIGCONT);
    assert_eq!(first.until_ended(SOON).await, Some(101), "{}", first.said());
    assert!(first.said().contains("lock one of locked is lost"), "{}", first.said());
}
