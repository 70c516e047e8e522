//! The output of tasks while they run: followed on the same host and from another one, over attempts and
//! deaths, and never at the cost of the task.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use planlease::clock::{Clock as _, SystemClock};
use planlease_core::{
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    program::{Process, Program},
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{measure, spec::spec};

const TTL: Duration = Duration::from_secs(15);

/// How long a run may take.
const LONG: Duration = Duration::from_secs(60);

/// How late output may be for a reader on another host.
const DELAY: Duration = Duration::from_millis(500);

/// What one attempt may take on disk: 16 MiB of output, the piece that is written, and the times.
const MOST: u64 = (16 << 20) + (4 << 20) + (64 << 10);

/// The same program on another host: it sees the store, and none of the files.
fn elsewhere(env: &TestEnv) -> Program {
    env.program().clone().variable("XDG_STATE_HOME", env.path("elsewhere"))
}

/// Imports a plan of one task, which runs this script and may be tried so often.
async fn imported(env: &TestEnv, plan: &str, script: &str, max_retries: u32) {
    let spec = PlanSpec { policy: Policy { max_retries, ..Policy::default() }, ..spec(1, script) };
    env.coordinator().await.admin().import(&plan_name(plan), &spec, |_| {}).await.unwrap();
}

/// Starts a reader whose output goes into a file of that name.
fn reader(env: &TestEnv, program: &Program, args: &[&str], output: &str) -> Process {
    Process::start(program.command([&["logs"], args].concat()), &env.path(output))
}

/// The bytes that a command prints on standard output.
async fn bytes(program: &Program, args: &[&str]) -> Vec<u8> {
    let mut command = program.command([&["logs"], args].concat());
    command.stdin(Stdio::null());
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The events of a reader that was started with `-o jsonl`.
fn events(said: &str) -> Vec<Value> {
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn texts(events: &[Value], attempt: u32) -> Vec<&str> {
    let of = |event: &&Value| event["event"] == "output" && event["attempt"] == attempt;
    events.iter().filter(of).filter_map(|event| event["text"].as_str()).collect()
}

/// How much is kept below a folder, in bytes.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of =
        |path: &Path| if path.is_dir() { size(path) } else { path.metadata().map_or(0, |about| about.len()) };
    entries.map(|entry| of(&entry.path())).sum()
}

/// Makes the files below a folder as old as can be.
fn age(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            age(&path);
        } else {
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            std::fs::File::open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

#[case]
async fn an_orchestrator_that_stays_up_removes_old_output(env: TestEnv) {
    let env = env.with_ttl(TTL);
    imported(&env, "p", "echo done", 0).await;
    env.program().run_to(0, ["run", "p"]).await;
    let kept = env.path(".local/state/planlease/output");
    assert!(size(&kept) > 0);
    age(&kept);
    let mut run = env.start(&["run", "--all"], "run");
    until("removal of old output", SOON, async || {
        let left = size(&kept);
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
    env.audit().await;
}

#[case]
async fn output_is_followed_over_attempts_from_another_host(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let script = r#"
        for n in 1 2 3; do echo "line $n of attempt $PLANLEASE_ATTEMPT"; sleep 0.5; done
        [ "$PLANLEASE_ATTEMPT" = 2 ]"#;
    imported(&env, "p", script, 1).await;
    // It may ask before the task has begun, and before there is an orchestrator.
    let far = elsewhere(&env);
    let mut follower = reader(&env, &far, &["p", "1", "-f", "-o", "jsonl"], "far");
    let mut near = reader(&env, env.program(), &["p", "1", "-f"], "near");
    let mut run = env.start(&["run", "p", "--logs", "127.0.0.1:0"], "run");
    let mut late = Vec::new();
    for n in 1..=3 {
        follower.until_said(&format!("line {n} of attempt 2"), LONG).await;
        let now = Duration::from_millis(SystemClock.wall().0.try_into().unwrap());
        let events = events(&follower.said());
        let at = events.iter().rev().find_map(|event| event["at"].as_str()).unwrap().to_owned();
        let ended = tokio::process::Command::new("date").args(["-d", &at, "+%s%3N"]).output().await.unwrap();
        let at: u64 = String::from_utf8_lossy(&ended.stdout).trim().parse().unwrap();
        late.push(now.saturating_sub(Duration::from_millis(at)));
    }
    measure::report("output seen on another host after", &env.server.to_string(), &late);
    assert!(measure::median(&late) <= DELAY, "{late:?}");
    for process in [&mut run, &mut follower, &mut near] {
        assert_eq!(process.until_ended(LONG).await, Some(0), "{}", process.said());
    }
    let events = events(&follower.said());
    for attempt in [1, 2] {
        let expected: Vec<_> = (1..=3).map(|n| format!("line {n} of attempt {attempt}")).collect();
        assert_eq!(texts(&events, attempt), expected, "{}", follower.said());
    }
    let ends: Vec<_> =
        events.iter().filter(|event| event["event"] == "ended").map(|end| &end["how"]).collect();
    assert_eq!(ends, ["exited with code 1", "exited with code 0"]);
    assert!(events.iter().any(|event| event["source"] == "host"));
    assert!(near.said().starts_with("line 1 of attempt 1\nline 2 of"), "{}", near.said());
    assert!(near.said().ends_with("line 3 of attempt 2\n"), "{}", near.said());

    // Each attempt by itself, from the files of its host; on another one etcd has the last one.
    let ended = env.program().run_to(0, ["logs", "p", "1", "--attempt", "1", "--tail", "1"]).await;
    assert_eq!(ended.stdout, "line 3 of attempt 1\n");
    let ended = far.run_to(0, ["logs", "p", "1"]).await;
    assert!(ended.stderr.contains("what etcd has of it"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    let ended = far.run_to(16, ["logs", "p", "1", "--attempt", "1"]).await;
    assert!(ended.stderr.contains("is not kept"), "{}", ended.stderr);
    env.program().run_to(16, ["logs", "p", "1", "--attempt", "3"]).await;
    env.program().run_to(105, ["logs", "p", "7"]).await;
    env.program().run_to(104, ["logs", "no", "1"]).await;
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_reader_that_does_not_read_slows_no_task(env: TestEnv) {
    let env = env.with_ttl(TTL);
    // Begins when it may, so that the readers are there.
    let script = r#"
        echo begun; until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done
        head -c 104857600 /dev/zero | tr '\0' x; echo; echo done"#;
    imported(&env, "p", script, 0).await;
    let mut run = env.start(&["run", "p", "--logs", "127.0.0.1:0"], "run");
    let far = elsewhere(&env);
    let mut readers = Vec::new();
    for n in 0..3 {
        let mut one = reader(&env, &far, &["p", "1", "-f", "-o", "jsonl"], &format!("reader-{n}"));
        one.until_said("begun", LONG).await;
        one.signal(Signal::SIGSTOP);
        readers.push(one);
    }
    std::fs::write(env.path("go"), "").unwrap();
    let begun = Instant::now();
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
    measure::report("a task that writes 100 MiB", &env.server.to_string(), &[begun.elapsed()]);
    let kept = size(&env.path(".local/state/planlease/output"));
    assert!(kept > 8 << 20 && kept < MOST, "{kept} bytes are kept");
    // A later reader sees the end of it, and how much is missing.
    let ended = env.program().run_to(0, ["logs", "p", "1", "--tail", "1"]).await;
    assert_eq!(ended.stdout, "done\n");
    let ended = env.program().run_to(0, ["logs", "p", "1", "-o", "jsonl"]).await;
    let events = events(&ended.stdout);
    let left_out =
        events.iter().find(|event| event["event"] == "left_out").unwrap()["bytes"].as_u64().unwrap();
    let shown: u64 = texts(&events, 1).iter().map(|text| u64::try_from(text.len()).unwrap()).sum();
    assert_eq!(
        left_out + shown,
        104_857_600 + "begun\n\ndone\n".len() as u64 - 2,
        "line breaks are not shown"
    );
    for one in &mut readers {
        one.signal(Signal::SIGCONT);
    }
    env.audit().await;
}

#[case]
async fn a_dead_host_is_reported_and_its_successor_followed(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(4));
    let script = r#"
        echo "attempt $PLANLEASE_ATTEMPT works"
        [ "$PLANLEASE_ATTEMPT" = 2 ] || exec sleep 1000"#;
    imported(&env, "p", script, 1).await;
    let run = |name: &str| env.start(&["run", "p", "--logs", "127.0.0.1:0"], name);
    let mut first = run("first");
    let far = elsewhere(&env);
    let mut follower = reader(&env, &far, &["p", "1", "-f", "-o", "jsonl"], "far");
    let mut near = reader(&env, env.program(), &["p", "1", "-f"], "near");
    follower.until_said("attempt 1 works", LONG).await;
    near.until_said("attempt 1 works", LONG).await;
    first.signal(Signal::SIGKILL);
    follower.until_said("\"trouble\"", LONG).await;
    near.until_said("the process that ran it is gone", LONG).await;
    // While no process has taken over, there is nothing to show but what etcd has: nothing of this attempt.
    let ended = far.run(["logs", "p", "1"]).await;
    assert_eq!(ended.code, Some(16), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("gone") || ended.stderr.contains("does not answer"), "{}", ended.stderr);
    let mut second = run("second");
    assert_eq!(second.until_ended(LONG).await, Some(0), "{}", second.said());
    for process in [&mut follower, &mut near] {
        assert_eq!(process.until_ended(LONG).await, Some(0), "{}", process.said());
        assert!(process.said().contains("attempt 2 works"), "{}", process.said());
    }
    let events = events(&follower.said());
    let end = events.iter().find(|event| event["event"] == "ended").unwrap();
    assert_eq!((&end["attempt"], &end["how"]), (&Value::from(1), &Value::Null), "its end was not recorded");
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn output_comes_back_byte_by_byte(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let wild: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(env.path("wild"), &wild).unwrap();
    imported(&env, "p", r#"cat "$TEST_DIR/wild"; until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done"#, 0).await;
    let mut run = env.start(&["run", "p", "--logs", "127.0.0.1:0"], "run");
    let far = elsewhere(&env);
    for program in [env.program(), &far] {
        until("whole output", SOON, async || {
            let ended = program.run(["logs", "p", "1"]).await;
            if ended.code == Some(0) && !ended.stdout.is_empty() { Ok(()) } else { Err(ended) }
        })
        .await;
        until("all bytes", SOON, async || {
            let read = bytes(program, &["p", "1"]).await;
            if read == wild { Ok(()) } else { Err(read.len()) }
        })
        .await;
    }
    // Where it is served is shown as long as the session lives, and its token in no message.
    let coordinator = env.coordinator().await;
    let shown = coordinator.logs().await.unwrap();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].1.token.len() == 64 && !format!("{shown:?}").contains(&shown[0].1.token));
    assert!(!run.said().contains(&shown[0].1.token), "{}", run.said());
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
    assert!(coordinator.logs().await.unwrap().is_empty());
    env.audit().await;
}

#[case]
async fn only_recent_output_is_shown_if_wanted(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let script = r#"
        echo old; sleep 3; echo new; touch "$TEST_DIR/begun"
        until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done"#;
    imported(&env, "p", script, 0).await;
    let mut run = env.start(&["run", "p", "--logs", "127.0.0.1:0"], "run");
    until("both lines", SOON, async || if env.path("begun").exists() { Ok(()) } else { Err(()) }).await;
    let far = elsewhere(&env);
    for program in [env.program(), &far] {
        let read =
            async |flags: &[&str]| program.run_to(0, [&["logs", "p", "1"], flags].concat()).await.stdout;
        until("new line", SOON, async || {
            let all = read(&[]).await;
            if all == "old\nnew\n" { Ok(()) } else { Err(all) }
        })
        .await;
        assert_eq!(read(&["--since", "10m"]).await, "old\nnew\n");
        assert_eq!(read(&["--tail", "1"]).await, "new\n");
        assert_eq!(read(&["--tail", "0"]).await, "");
        assert_eq!(read(&["--tail", "9"]).await, "old\nnew\n");
    }
    // The old line is three seconds older.
    let shown = env.program().run_to(0, ["logs", "p", "1", "-o", "jsonl"]).await.stdout;
    let first = events(&shown).into_iter().find(|event| event["text"] == "old").unwrap();
    let now = tokio::process::Command::new("sh")
        .args([
            "-c",
            "echo $(($(date +%s%3N) - $(date -d \"$1\" +%s%3N)))",
            "sh",
            first["at"].as_str().unwrap(),
        ])
        .output()
        .await
        .unwrap();
    let age: u64 = String::from_utf8_lossy(&now.stdout).trim().parse().unwrap();
    let since = format!("{}ms", age - 1_000);
    let ended = env.program().run_to(0, ["logs", "p", "1", "--since", &since]).await;
    assert_eq!(ended.stdout, "new\n", "the old line was {age} ms old");
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
}

#[case]
async fn a_disk_that_takes_nothing_stops_no_task(env: TestEnv) {
    let env = env.with_ttl(TTL);
    imported(&env, "p", "echo heard", 0).await;
    // In the place of the folder there is a file.
    let state = env.path(".local/state/planlease");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("output"), "").unwrap();
    let mut run = env.start(&["run", "p"], "run");
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
    assert!(run.said().contains("output of a command is not kept"), "{}", run.said());
    let view = env.coordinator().await.plan(&plan_name("p")).await.unwrap();
    assert_eq!(view.status(&task_id("1")), Some(TaskStatus::Completed));
    std::fs::remove_file(state.join("output")).unwrap();
    let ended = env.program().run_to(0, ["logs", "p", "1"]).await;
    assert_eq!(ended.stdout, "heard\n");
    env.audit().await;
}

#[case]
async fn output_is_kept_as_long_as_is_said(env: TestEnv) {
    let env = env.with_ttl(TTL);
    imported(&env, "p", "echo heard", 0).await;
    imported(&env, "q", "echo other; sleep 2", 0).await;
    env.program().run_to(0, ["run", "p"]).await;
    let folder = env.path(".local/state/planlease/output");
    assert!(size(&folder) > 0);
    env.program().run_to(2, ["run", "q", "--keep-output", "0s", "--logs", "127.0.0.1:0"]).await;
    let refused = env.program().run_to(6, ["run", "q", "--logs", "0.0.0.0:0"]).await;
    assert!(refused.stderr.contains("--logs-allow-remote"), "{}", refused.stderr);
    // A second run removes what is too old for it, and keeps what is being written.
    let mut run = env.start(&["run", "q", "--keep-output", "1ms"], "run");
    until("removal of the old attempt", SOON, async || {
        let ended = env.program().run(["logs", "p", "1"]).await;
        if ended.stderr.contains("what etcd has") { Ok(()) } else { Err(ended) }
    })
    .await;
    assert_eq!(run.until_ended(LONG).await, Some(0), "{}", run.said());
    assert_eq!(env.program().run_to(0, ["logs", "q", "1"]).await.stdout, "other\n");
}
