//! `lock`: what several processes must not do at once, one after the other, even if they are killed.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(4);
const PROCESSES: usize = 8;
const TIMES: usize = 5;

/// Takes its time between reading and writing.
const COUNT: &str = r#"n=$(cat "$TEST_DIR/count"); sleep 0.02; echo $((n + 1)) > "$TEST_DIR/count"; echo "$PLANLEASE_LOCK_TOKEN" >> "$TEST_DIR/tokens""#;

/// A loop of commands, each under the lock.
const LOOP: &str = r#"i=0; while [ $i -lt $TIMES ]; do "$PROGRAM" lock locked count -- sh -c "$COUNT" || exit; i=$((i + 1)); done"#;

async fn imported(env: &TestEnv) {
    env.coordinator().await.admin().import(&plan_name("locked"), &spec(1, "true"), |_| {}).await.unwrap();
}

#[case(one_at_a_time)]
async fn read_and_write_under_a_lock_loses_nothing(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    imported(&env).await;
    fs::write(env.path("count"), "0\n").unwrap();
    let shells: Vec<_> = (0..PROCESSES)
        .map(|n| {
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", LOOP])
                .envs(env.variables())
                .env("TIMES", TIMES.to_string())
                .env("COUNT", COUNT);
            planlease_tests::program::Process::start(shell, &env.path(&format!("shell-{n}")))
        })
        .collect();
    for mut shell in shells {
        assert_eq!(shell.until_ended(Duration::from_secs(60)).await, Some(0), "{}", shell.said());
    }
    assert_eq!(env.text("count").trim(), (PROCESSES * TIMES).to_string());
    let numbers: Vec<u64> =
        env.text("tokens").lines().map(|token| token.split_once('.').unwrap().1.parse().unwrap()).collect();
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "each token is greater than the one before: {numbers:?}"
    );
    assert_eq!(env.json(&["locks", "locked"]).await["locks"].as_array().unwrap().len(), 0);
}

/// Starts a holder, and one that waits behind it; each says when it begins.
async fn two_in_queue(env: &TestEnv) -> [planlease_tests::program::Process; 2] {
    imported(env).await;
    let say = r#"echo $$ >> "$TEST_DIR/begun"; sleep 1000"#;
    let first = env.start(&["lock", "locked", "one", "--", "sh", "-c", say], "first");
    until("the first to begin", SOON, async || lines(env, 1)).await;
    let look = r#"
        for process in $(cat "$TEST_DIR/begun"); do
            if grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$process/status" 2> /dev/null; then
                echo "$process still runs" >> "$TEST_DIR/overlap"
            fi
        done
        echo $$ >> "$TEST_DIR/begun""#;
    let second = env.start(&["lock", "locked", "one", "--", "sh", "-c", look], "second");
    second.until_said("waiting for lock one of locked", SOON).await;
    until("two in the queue", SOON, async || {
        let locks = env.json(&["locks", "locked"]).await;
        let waiting = locks["locks"][0]["waiting"].as_array().map_or(0, Vec::len);
        if waiting == 1 { Ok(()) } else { Err(waiting) }
    })
    .await;
    [first, second]
}

fn lines(env: &TestEnv, wanted: usize) -> Result<(), usize> {
    let found = env.text("begun").lines().count();
    if found == wanted { Ok(()) } else { Err(found) }
}

#[case(one_at_a_time)]
async fn a_killed_holder_gives_way(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let [mut first, mut second] = two_in_queue(&env).await;
    let killed = Instant::now();
    first.signal(Signal::SIGKILL);
    assert_eq!(second.until_ended(SOON).await, Some(0), "{}", second.said());
    println!("measured: lock, SIGKILL of the holder to the end of the next command: {:?}", killed.elapsed());
    assert!(killed.elapsed() < TTL + Duration::from_secs(1), "{:?}", killed.elapsed());
    assert_eq!(env.text("overlap"), "");
}

#[case(one_at_a_time)]
async fn a_paused_holder_has_no_command_left_when_the_next_one_begins(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let [mut first, mut second] = two_in_queue(&env).await;
    first.signal(Signal::SIGSTOP);
    assert_eq!(second.until_ended(SOON).await, Some(0), "{}", second.said());
    assert_eq!(env.text("overlap"), "");
    first.signal(Signal::SIGCONT);
    assert_eq!(first.until_ended(SOON).await, Some(101), "{}", first.said());
    assert!(first.said().contains("lock one of locked is lost"), "{}", first.said());
}
