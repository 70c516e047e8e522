//! `planlease top` on a real terminal: what it shows follows the store, what it orders is done, and the shell
//! gets its terminal back.

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::{
    approval::ApprovalOf,
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    terminal::Terminal,
    test_env::{committed, plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

/// A shell on a terminal, for the store of this test.
fn shell(env: &TestEnv, size: (u16, u16)) -> Terminal {
    let program = planlease_tests::program::planlease();
    let path = format!("{}:/bin:/usr/bin", program.parent().unwrap().display());
    Terminal::start(
        |command| {
            command.current_dir(env.folder()).envs(env.variables()).env("PATH", path);
        },
        size,
    )
}

async fn until_seen(terminal: &Terminal, text: &str) {
    until("the screen", SOON, async || {
        let seen = terminal.seen();
        if seen.contains(text) { Ok(()) } else { Err(format!("{text:?} is not on it:\n{seen}")) }
    })
    .await;
}

async fn change(coordinator: &Coordinator, plan: &str, task: &str, change: Change) {
    let plan = plan_name(plan);
    let view = coordinator.task(&plan, &task_id(task)).await.unwrap().unwrap();
    committed(coordinator.as_operator(&plan, "kim").update(&view, &change).await.unwrap());
}

#[case]
async fn the_screen_follows_the_store_and_acts_on_it(env: TestEnv) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("release"), &spec(2, "true"), |_| {}).await.unwrap();
    let mut terminal = shell(&env, (100, 24));
    terminal.press("planlease top\r");
    until_seen(&terminal, "live, revision").await;
    until_seen(&terminal, "0/2").await;
    change(&coordinator, "release", "1", Change::Start).await;
    change(&coordinator, "release", "1", Change::Complete(None)).await;
    until_seen(&terminal, "1/2").await;
    change(&coordinator, "release", "2", Change::Start).await;
    change(&coordinator, "release", "2", Change::Fail("the disk is full".to_owned())).await;
    terminal.press("\r");
    until_seen(&terminal, "plans › release").await;
    until_seen(&terminal, "failed").await;
    terminal.press("j");
    terminal.press("w");
    until_seen(&terminal, "the disk is full").await;
    terminal.press("\u{1b}");
    until_seen(&terminal, "TASK ").await;
    terminal.press("r");
    until_seen(&terminal, "the reason, which others read").await;
    terminal.press("there is room again\r");
    until_seen(&terminal, "Enter does it").await;
    terminal.press("\r");
    until("retry", SOON, async || {
        let task = coordinator.task(&plan_name("release"), &task_id("2")).await.unwrap().unwrap();
        if task.record.status == TaskStatus::Pending { Ok(()) } else { Err(task.record.status) }
    })
    .await;
    until_seen(&terminal, "2 is pending").await;
    terminal.press("q");
    until_seen(&terminal, "shell> ").await;
}

#[case]
async fn what_waits_for_approval_is_approved_on_the_screen(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let mut gated = spec(1, "true");
    gated.tasks[0].approval = Some(ApprovalOf::Before);
    coordinator.admin().import(&plan_name("release"), &gated, |_| {}).await.unwrap();
    let mut terminal = shell(&env, (100, 24));
    terminal.press("planlease top\r");
    until_seen(&terminal, "release 1: attempt 1 may start only when it is approved").await;
    terminal.press("\r");
    until_seen(&terminal, "a approve   x reject").await;
    terminal.press("a");
    until_seen(&terminal, "approve: the reason, which others read").await;
    terminal.press("looked at it\r");
    until_seen(&terminal, "Enter does it").await;
    terminal.press("\r");
    until("approval", SOON, async || {
        let task = coordinator.task(&plan_name("release"), &task_id("1")).await.unwrap().unwrap();
        let why = task.record.approved().map(|approved| approved.why.clone());
        if why.as_deref() == Some("looked at it") { Ok(()) } else { Err(why) }
    })
    .await;
    until_seen(&terminal, "ready").await;
    terminal.press("q");
    until_seen(&terminal, "shell> ").await;
}

#[case]
async fn the_output_of_a_task_is_followed_on_the_screen(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let script = "echo before; until [ -e $TEST_DIR/go ]; do sleep 0.05; done; echo behind; exec sleep 600";
    coordinator.admin().import(&plan_name("release"), &spec(1, script), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "release"], "run");
    let mut terminal = shell(&env, (100, 24));
    terminal.press("planlease top\r");
    until_seen(&terminal, "running").await;
    terminal.press("\r");
    until_seen(&terminal, "in progress").await;
    terminal.press("l");
    until_seen(&terminal, "plans › release › output of 1").await;
    until_seen(&terminal, "before").await;
    assert!(!terminal.seen().contains("behind"), "{}", terminal.seen());
    std::fs::write(env.path("go"), "").unwrap();
    until_seen(&terminal, "behind").await;
    run.signal(Signal::SIGKILL);
    run.until_ended(SOON).await;
    terminal.press("\u{1b}");
    until_seen(&terminal, "TASK ").await;
    terminal.press("q");
    until_seen(&terminal, "shell> ").await;
}

#[case]
async fn the_shell_gets_its_terminal_back(env: TestEnv) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("release"), &spec(1, "true"), |_| {}).await.unwrap();
    let mut terminal = shell(&env, (80, 24));
    until_seen(&terminal, "shell> ").await;
    let before = terminal.settings();
    terminal.press("planlease top\r");
    until_seen(&terminal, "release").await;
    assert!(terminal.is_taken(), "the shell's screen is kept");
    terminal.resize((60, 12));
    until_seen(&terminal, "release").await;
    terminal.resize((80, 24));
    until_seen(&terminal, "changes").await;
    terminal.press("\u{1a}"); // Ctrl-Z
    until_seen(&terminal, "Stopped").await;
    assert!(!terminal.is_taken());
    terminal.press("fg\r");
    until_seen(&terminal, "live, revision").await;
    assert!(terminal.is_taken(), "it has its screen again");
    assert!(terminal.settings().contains("-icanon"), "and each key");
    for end in ["q", "\u{3}"] {
        terminal.press(end);
        until("shell", SOON, async || if terminal.is_taken() { Err("taken") } else { Ok(()) }).await;
        until("settings", SOON, async || {
            let now = terminal.settings();
            if now == before { Ok(()) } else { Err(now) }
        })
        .await;
        terminal.press("planlease top\r");
        until_seen(&terminal, "live, revision").await;
    }
    terminal.press("q");
    until("settings", SOON, async || {
        let now = terminal.settings();
        if now == before { Ok(()) } else { Err(now) }
    })
    .await;
}

#[case]
async fn without_a_terminal_there_is_a_message(env: TestEnv) {
    let ended = env.program().run_to(2, ["top"]).await;
    assert!(ended.stderr.contains("`top` needs a terminal"), "{}", ended.stderr);
    assert!(ended.stderr.contains("planlease status"), "{}", ended.stderr);
}
