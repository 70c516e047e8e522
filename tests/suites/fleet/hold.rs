//! `hold`, between its turn and its command.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::Outcome;
use planlease_core::{
    record::Ending,
    spec::{PlanSpec, Policy},
};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    proxy::Proxy,
    test_env::{acquired, in_queue, plan_name, task_id, until_free},
    wait::SOON,
};
use tokio::time::Instant;

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(5);

/// After a SIGKILL and after a forced end; also where the caller does not want to wait for other owners.
#[case]
async fn every_hold_waits_for_the_end_of_the_lock_delay(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let delay = Duration::from_secs(2);
    for (n, (forced, flags)) in [
        (false, &["--no-wait"][..]),
        (false, &["--no-wait", "--lock-delay", "2s"]),
        (true, &["--wait", "100ms"]),
        (true, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let plan = plan_name(&format!("delayed-{n}"));
        let seconds = if flags.contains(&"--lock-delay") { 0 } else { delay.as_secs() };
        let policy = Policy { lock_delay_s: seconds, ..Policy::default() };
        coordinator.admin().import(&plan, &PlanSpec { policy, ..spec(1, "true") }, |_| {}).await.unwrap();
        let mut first = env.start(&["hold", plan.as_str(), "--", "sleep", "60"], &format!("first-{n}"));
        first.until_said("holding", SOON).await;
        let mut ended = Instant::now();
        if forced {
            env.program()
                .run_to(0, ["owner", "release", plan.as_str(), "--reason", "it hangs", "--yes"])
                .await;
        } else {
            first.signal(Signal::SIGKILL);
            until_free(&coordinator, &plan).await;
            ended = Instant::now() - Duration::from_millis(500); // It may have been free for as long as it takes to look.
        }
        let args = [&["hold", plan.as_str()], flags, &["--", "true"]].concat();
        let next = env.program().run_to(0, args).await;
        assert!(ended.elapsed() >= delay - Duration::from_millis(500), "{flags:?}: {}", next.stderr);
        assert!(next.stderr.contains("lock delay"), "{}", next.stderr);
        let again = env.program().run_to(0, ["hold", plan.as_str(), "--no-wait", "--", "true"]).await;
        assert!(!again.stderr.contains("lock delay"), "after a release: {}", again.stderr);
    }
    env.audit().await;
}

#[case]
async fn a_holder_cut_off_before_its_command_queues_again(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("cut-off"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let session = env.session("first").await;
    let first = acquired(&session, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let started = first.authority().start(&view, &task_id("1")).await.unwrap();
    assert!(matches!(started, Outcome::Committed(_)), "{started:?}");

    let server = env.server.endpoints()[0].trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::before(server);
    let program = env.program().clone().variable("PLANLEASE_ENDPOINTS", proxy.endpoint());
    let mut hold = Process::start(
        program.command(["hold", plan.as_str(), "--", "sh", "-c", "echo begun"]),
        &env.path("hold"),
    );
    in_queue(&coordinator, &plan, 2).await;
    // From now on its first transaction is the takeover, and the second one recovers the task.
    let cut = proxy.crash_at("KV/Txn", 2);
    first.release().await.unwrap();
    cut.sprung().await;
    hold.until_said("waiting in the queue again", SOON).await;
    proxy.heal();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    assert_eq!(hold.said().matches("begun").count(), 1, "{}", hold.said());

    let terms = coordinator.history(&plan).terms().await.unwrap();
    let ended: Vec<_> = terms.into_iter().map(|term| term.ended.map(|end| end.how)).collect();
    assert_eq!(ended, [Ending::Clean, Ending::Unclean, Ending::Clean].map(Some));
    env.audit().await;
}

#[case]
async fn nothing_waits_for_the_command_that_started_it(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for plan in ["outer", "inner"] {
        coordinator.admin().import(&plan_name(plan), &spec(1, "true"), |_| {}).await.unwrap();
    }
    let program = planlease_tests::program::planlease();
    let program = program.to_str().unwrap();
    let own = |args: &[&str]| {
        [&["hold", "outer", "--", program], args].concat().into_iter().map(str::to_owned).collect()
    };
    let nested: [Vec<String>; 5] = [
        own(&["hold", "outer", "--", "true"]),
        own(&["run", "outer"]),
        own(&["run", "--all", "--until-idle"]),
        // Also over what is between.
        own(&["hold", "inner", "--", program, "hold", "outer", "--", "true"]),
        ["lock", "outer", "git", "--", program, "lock", "outer", "git", "--", "true"]
            .map(str::to_owned)
            .into(),
    ];
    for args in nested {
        let refused = env.program().run_to(100, &args).await;
        assert!(refused.stderr.contains("a command that waits for this one has it"), "{}", refused.stderr);
    }
    let left: Vec<String> = own(&["lock", "outer", "git", "--", program, "hold", "inner", "--", "true"]);
    env.program().run_to(0, &left).await;
    // What was handed down is of no account once that ownership is over.
    let shell = format!("printenv PLANLEASE_OWNERSHIP > '{}'", env.path("right").display());
    env.program().run_to(0, ["hold", "outer", "--", "sh", "-c", &shell]).await;
    let former = env.program().clone().variable("PLANLEASE_OWNERSHIP", env.text("right").trim());
    former.run_to(0, ["hold", "outer", "--", "true"]).await;
    env.audit().await;
}

#[case]
async fn a_child_in_another_folder_finds_the_files_of_the_settings(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.coordinator().await.admin().import(&plan_name("release"), &spec(1, "true"), |_| {}).await.unwrap();
    std::fs::write(env.path("settings.toml"), "[contexts.unused]\nendpoints = \"a:1\"\n").unwrap();
    let program = planlease_tests::program::planlease();
    let shell = format!("cd / && '{}' status release", program.display());
    let mut command = env.program().command(["hold", "release", "--", "sh", "-c", &shell]);
    command.current_dir(env.folder()).env("PLANLEASE_CONFIG", "settings.toml");
    let mut hold = Process::start(command, &env.path("hold"));
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
}
