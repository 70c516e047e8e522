//! Logs that cannot be written, or that nothing reads: the work under them goes on.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use http::Method;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{signal::Signal, stat::Mode},
};
use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    http::Client,
    program::Process,
    test_env::{path_text, plan_name},
    wait::{SOON, until},
};

use tokio::time::Instant;

use crate::helpers::PLAN;

/// A time to live that has passed several times before a test ends.
const TTL: Duration = Duration::from_secs(3);

/// Starts the program with everything that it logs, redirected as a shell does.
fn redirected(env: &TestEnv, args: &[&str], redirection: &str, name: &str) -> Process {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$PROGRAM\" \"$@\" {redirection}"), "sh"]).args(args);
    shell.current_dir(env.folder()).envs(env.variables()).env("PLANLEASE_LOG", "trace");
    Process::start(shell, &env.path(name))
}

/// A sidecar whose log goes there.
async fn sidecar(env: &TestEnv, redirection: &str) -> (Process, Client) {
    let socket = env.path("sidecar.sock");
    let process = redirected(env, &["sidecar", "--socket", path_text(&socket)], redirection, "sidecar");
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if !socket.exists() {
            return Err("no socket".to_owned());
        }
        let answer = client.get("/readyz").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    (process, client)
}

/// Acquires the plan; while it is owned, requests are refused, which is logged. It has to be owned after
/// several TTLs, by the same token, and to be answered.
async fn works(env: &TestEnv, client: &Client) {
    let mut events = client.stream(Method::POST, "/v1/plans/release/ownership", &[], "").await;
    events.until("granted", SOON).await;
    let token =
        |answer: planlease_tests::http::Answer| answer.json["owner"]["token"].as_str().map(str::to_owned);
    let owned = token(client.get("/v1/plans/release/owner").await);
    assert!(owned.is_some());
    let began = Instant::now();
    until("several times to live", SOON, async || {
        for _ in 0..50 {
            let refused =
                client.ask(Method::DELETE, "/v1/plans/none", &[("origin", "http://evil")], "").await;
            assert_eq!(refused.problem(), "cross-site");
        }
        let owner = client.get("/v1/plans/release/owner").await.with(200);
        assert_eq!(token(owner), owned, "the plan was lost");
        if began.elapsed() > 3 * TTL { Ok(()) } else { Err(began.elapsed()) }
    })
    .await;
    events.until("trusted", SOON).await;
    let view = env.coordinator().await.plan(&plan_name("release")).await.unwrap();
    assert_eq!(view.queue().owner().map(|(_, term)| term.token().to_string()), owned);
}

#[case]
async fn a_log_on_a_full_device_costs_nothing(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.import("release", PLAN).await;
    let (mut process, client) = sidecar(&env, "2>/dev/full").await;
    works(&env, &client).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(process.until_ended(SOON).await, Some(0));
    // The others that log under an ownership, too.
    for args in [["-v", "hold", "release", "--", "true"], ["-v", "run", "release", "--exec", "true"]] {
        let mut process = redirected(&env, &args, "2>/dev/full", "full");
        assert_eq!(process.until_ended(SOON).await, Some(0), "{args:?}");
    }
    env.audit().await;
}

#[case]
async fn a_log_that_nothing_reads_costs_no_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.import("release", PLAN).await;
    let _stalled = stalled(&env.path("log"));
    let (mut process, client) = sidecar(&env, "2>log").await;
    works(&env, &client).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(process.until_ended(SOON).await, Some(0), "nor does the end wait for the reader");
    env.audit().await;
}

#[case]
async fn a_run_whose_output_nothing_reads_goes_on(env: TestEnv) {
    const TASKS: usize = 120;
    let env = env.with_ttl(TTL);
    let tasks = (1..=TASKS).map(|n| format!("[[task]]\nid = \"{n}\"\ndescription = \"work\"\n"));
    env.import("many", &format!("title = \"Many\"\n{}", tasks.collect::<String>())).await;
    let _stalled = stalled(&env.path("events"));
    let args = ["run", "many", "--jobs", "4", "--exec", "sleep 0.05"];
    let mut run = redirected(&env, &args, ">events 2>&1", "run");
    assert_eq!(run.until_ended(Duration::from_secs(120)).await, Some(0));
    let view = env.coordinator().await.plan(&plan_name("many")).await.unwrap();
    let attempts: u32 = view.tasks().values().map(|task| task.record.attempt).sum();
    assert_eq!((view.summary().completed, attempts as usize), (TASKS, TASKS), "no command was killed");
    assert!(view.tasks().values().all(|task| task.record.status == TaskStatus::Completed));
    assert_eq!(view.queue().term.as_ref().map(|(_, term)| term.number.0), Some(1), "the plan was not lost");
    env.audit().await;
}

/// A pipe of one page with a name, whose reader is there and does not read.
fn stalled(path: &Path) -> File {
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    reader
}
