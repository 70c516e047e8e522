//! What orchestrators and the one-shot command show to monitoring.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::spec::{PlanSpec, Policy};
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// The first task fails for good, the second one runs until it may end, the third one waits for a slot.
const WORK: &str = r#"
    [ "$PLANLEASE_TASK" = 1 ] && exit 1
    touch "$TEST_DIR/begun"; until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done"#;

/// The names of metrics in a text that are not a sidecar's alone, without the endings of histograms.
fn names(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("planlease_") && !word.starts_with("planlease_sidecar_"));
    let mut names: Vec<_> = ours.collect();
    names.sort_unstable();
    names.dedup();
    names
}

async fn get(port: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The port that a process says it serves metrics on.
fn port(said: &str) -> Option<String> {
    let at = said.split_once("metrics on http://127.0.0.1:")?.1;
    Some(at.split_once('/')?.0.to_owned())
}

#[case]
async fn alerts_and_dashboard_name_metrics_that_exist(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = PlanSpec { policy: Policy { max_retries: 0, ..Policy::default() }, ..spec(3, WORK) };
    coordinator.admin().import(&plan_name("p"), &plan, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "p", "--metrics", "127.0.0.1:0"], "run");
    until("second task", SOON, async || if env.path("begun").exists() { Ok(()) } else { Err(()) }).await;
    let served = get(&port(&run.said()).unwrap()).await;
    // A task that may not be tried again is parked a moment later.
    let shown = until("a parked task", SOON, async || {
        let shown = env.program().run_to(0, ["metrics"]).await.stdout;
        if shown.contains("{need=\"decision\"} 1") { Ok(shown) } else { Err(shown) }
    })
    .await;
    let all = format!("{served}{shown}");
    let wanted = [
        include_str!("../../../charts/planlease/files/alerts.yaml"),
        include_str!("../../../charts/planlease/dashboards/planlease.json"),
    ]
    .concat();
    let wanted = names(&wanted);
    assert!(wanted.len() >= 14, "{wanted:?}");
    for name in wanted {
        let is_there = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        assert!(all.lines().any(is_there), "{name}: {all}");
    }
    for line in [
        "planlease_plans{state=\"owned\"} 1.0",
        "planlease_tasks{status=\"failed\"} 1.0",
        "planlease_tasks{status=\"in_progress\"} 1.0",
        "planlease_tasks_ready 1.0",
        "planlease_needs_person{need=\"failed\"} 0.0",
        "planlease_orchestrators 1.0",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for line in [
        "planlease_task_attempts_total{result=\"failed\"} 1",
        "planlease_ownerships_acquired_total 1",
        "planlease_ttl_seconds 15.0",
        "planlease_plans{state=\"owned\"} 1.0",
        "planlease_orchestrators 1.0",
    ] {
        assert!(served.contains(line), "{line}: {served}");
    }
    let committed =
        served.lines().find(|line| line.starts_with("planlease_updates_total{outcome=\"committed\"}"));
    assert!(committed.is_some_and(|line| !line.ends_with(" 0")), "{served}");
    let batches = served.lines().find(|line| line.starts_with("planlease_commit_batch_count"));
    assert!(batches.is_some_and(|line| !line.ends_with(" 0")), "{served}");
    let document = env.json(&["metrics"]).await;
    assert_eq!((&document["tasks"]["failed"], &document["plans"]["owned"]), (&1.into(), &1.into()));
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(10), "{}", run.said());
    // `hold` serves what its session does.
    let mut hold = env.start(&["hold", "p", "--metrics", "127.0.0.1:0", "--", "sleep", "1000"], "hold");
    hold.until_said("holding p", SOON).await;
    let served = until("a renewal", SOON, async || {
        let served = get(&port(&hold.said()).unwrap()).await;
        let renewed = served
            .lines()
            .any(|line| line.starts_with("planlease_renewal_seconds_count") && !line.ends_with(" 0"));
        if renewed { Ok(served) } else { Err(served) }
    })
    .await;
    assert!(!served.contains("planlease_task_attempts"), "{served}");
    hold.signal(Signal::SIGTERM);
    hold.until_ended(SOON).await;
    env.audit().await;
}

#[case]
async fn tasks_that_no_orchestrator_runs_are_counted(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let mut plan = spec(2, "sleep 1000");
    plan.tasks[1].needs = [String::from("gpu")].into();
    coordinator.admin().import(&plan_name("p"), &plan, |_| {}).await.unwrap();
    let none = env.program().run_to(0, ["metrics"]).await.stdout;
    assert!(none.contains("planlease_tasks_unrunnable 0.0"), "no orchestrator says what it runs: {none}");
    let counted = async |count: &str, what: &str| {
        until(what, SOON, async || {
            let shown = env.program().run_to(0, ["metrics"]).await.stdout;
            let line = format!("planlease_tasks_unrunnable {count}");
            if shown.contains(&line) { Ok(()) } else { Err(shown) }
        })
        .await;
    };
    let _without = env.start(&["run", "--all"], "without");
    counted("1.0", "a task that needs what is nowhere").await;
    let _with = env.start(&["run", "--all", "--can", "gpu"], "with");
    counted("0.0", "an orchestrator that can").await;
    env.audit().await;
}
