//! Steering a fleet of real processes: pausing it, cordoning and draining orchestrators, moving plans,
//! and an upgrade of all of its orchestrators while they work.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::{AcquireOptions, Coordinator, Reason};
use planlease_core::{OrchestratorId, PlanName, record::Ending, spec::PlanSpec, transition::TaskStatus};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{background, in_queue, plan_name, task_id, until_free},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// How long all of a test's work may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The documented exit status of a start in a paused fleet, and of a move that cannot be.
const HALTED: i32 = 121;

/// The documented exit status of a `run` that was stopped.
const STOPPED: i32 = 11;

/// Waits until a file says so, or until it is asked to end, then as if all were well.
const WAITS: &str = r#"
    trap 'exit 0' TERM
    echo "$PLANLEASE_PLAN $PLANLEASE_TASK" >> "$TEST_DIR/begun"
    while [ ! -e "$TEST_DIR/go" ]; do sleep 0.1; done
"#;

/// Never ends by itself under the first owner of its plan; under a later one as soon as a file says so.
const FOR_THE_NEXT: &str = r#"
    echo "$PLANLEASE_PLAN $PLANLEASE_TASK" >> "$TEST_DIR/begun"
    [ "${PLANLEASE_FENCING_TOKEN##*.}" = 1 ] && exec sleep 1000
    while [ ! -e "$TEST_DIR/go" ]; do sleep 0.1; done
"#;

async fn begun(env: &TestEnv, lines: usize) {
    until("begin of commands", SOON, async || {
        let begun = env.text("begun").lines().count();
        if begun >= lines { Ok(()) } else { Err(begun) }
    })
    .await;
}

/// The owner of a plan, by its term.
async fn owner(coordinator: &Coordinator, plan: &PlanName) -> Option<String> {
    let queue = coordinator.queue(plan).await.unwrap();
    queue.owner().map(|(_, term)| term.owner.orchestrator.to_string())
}

async fn owned_by(coordinator: &Coordinator, plan: &PlanName, name: &str) {
    until("owner", SOON, async || {
        let owner = owner(coordinator, plan).await;
        if owner.as_deref() == Some(name) { Ok(()) } else { Err(owner) }
    })
    .await;
}

async fn finished(coordinator: &Coordinator, plan: &PlanName) {
    until("the end of the plan", LIMIT, async || {
        let summary = coordinator.plan(plan).await.unwrap().summary();
        if summary.is_finished() { Ok(()) } else { Err(summary) }
    })
    .await;
}

/// Asks for a move as a sidecar does: the request stays until it ends by itself.
async fn asked_to_move(coordinator: &Coordinator, plan: &PlanName, to: &str, deadline: Duration) {
    let (to, reason) = (OrchestratorId::new(to).unwrap(), Reason::by("a test").because("it is to be seen"));
    coordinator.admin().request_move(plan, None, &to, deadline, &reason).await.unwrap();
}

async fn import(coordinator: &Coordinator, plan: &str, spec: &PlanSpec) -> PlanName {
    let plan = plan_name(plan);
    coordinator.admin().import(&plan, spec, |_| {}).await.unwrap();
    plan
}

#[case]
async fn a_paused_fleet_starts_nothing_until_it_is_resumed(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "paused", &spec(2, WAITS)).await;
    import(&coordinator, "other", &spec(1, "true")).await;
    let mut run = env.start(&["run", "paused"], "run");
    begun(&env, 1).await;
    env.program().run_to(0, ["fleet", "pause", "--reason", "registry is down"]).await;
    run.until_said("the fleet is paused", SOON).await;
    std::fs::write(env.path("go"), "").unwrap();
    until("end of the first task", SOON, async || {
        let completed = coordinator.plan(&plan).await.unwrap().summary().completed;
        if completed == 1 { Ok(()) } else { Err(completed) }
    })
    .await;
    let refused = env.program().run_to(HALTED, ["task", "start", "other", "1"]).await;
    assert!(refused.stderr.contains("registry is down"), "{}", refused.stderr);
    env.program().run_to(HALTED, ["task", "claim", "other"]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(coordinator.plan(&plan).await.unwrap().summary().pending, 1, "{}", run.said());
    assert_eq!(env.json(&["fleet", "status"]).await["now"], "paused");
    let views: [&[&str]; 6] = [
        &["why", "other"],
        &["why", "other", "1"],
        &["status", "other"],
        &["status"],
        &["plan", "list"],
        &["next", "other"],
    ];
    for view in views {
        let shown = env.json(view).await;
        assert_eq!(shown["fleet_paused"]["why"], "registry is down", "{view:?}: {shown}");
    }
    let prime = env.program().run_to(0, ["prime", "other"]).await.stdout;
    assert!(prime.contains("Nothing starts: the fleet was paused by "), "{prime}");

    env.program().run_to(0, ["fleet", "resume"]).await;
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_cordoned_orchestrator_takes_no_new_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let (kept, new) = (
        import(&coordinator, "kept", &spec(2, WAITS)).await,
        import(&coordinator, "new", &spec(1, "true")).await,
    );
    let mut other = env.start(
        &["hold", "new", "--", "sh", "-c", "while [ ! -e \"$TEST_DIR/free\" ]; do sleep 0.1; done"],
        "hold",
    );
    in_queue(&coordinator, &new, 1).await;
    let mut run = env.start(&["run", "kept", "new", "--id", "one"], "run");
    owned_by(&coordinator, &kept, "one").await;
    in_queue(&coordinator, &new, 2).await;
    begun(&env, 1).await;
    env.program().run_to(0, ["orchestrator", "cordon", "one", "--reason", "disk"]).await;
    run.until_said("cordoned", SOON).await;
    std::fs::write(env.path("free"), "").unwrap();
    assert_eq!(other.until_ended(SOON).await, Some(0), "{}", other.said());
    // It finishes what it has, and leaves alone what is free.
    std::fs::write(env.path("go"), "").unwrap();
    until("end of the kept plan", LIMIT, async || {
        let summary = coordinator.plan(&kept).await.unwrap().summary();
        if summary.is_finished() { Ok(()) } else { Err(summary) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(coordinator.queue(&new).await.unwrap().candidates().is_empty(), "{}", run.said());
    let list = env.json(&["orchestrator", "list"]).await;
    assert_eq!(list["orchestrators"][0]["state"], "cordoned", "{list}");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(STOPPED), "{}", run.said());

    // The cordon belongs to the name.
    let mut again = env.start(&["run", "new", "--id", "one"], "again");
    again.until_said("cordoned", SOON).await;
    env.program().run_to(0, ["orchestrator", "uncordon", "one"]).await;
    assert_eq!(again.until_ended(LIMIT).await, Some(0), "{}", again.said());
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_drained_orchestrator_gives_its_plans_away(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "drained", &spec(1, WAITS)).await;
    let mut first = env.start(&["run", "drained", "--id", "first"], "first");
    begun(&env, 1).await;
    let mut second = env.start(&["run", "drained", "--id", "second"], "second");
    in_queue(&coordinator, &plan, 2).await;
    let drain = ["orchestrator", "drain", "first", "--deadline", "1s", "--reason", "kernel"];
    let drained = env.program().run_to(0, drain).await;
    assert!(drained.stdout.contains("drained"), "{}", drained.stdout);
    let fleet = env.json(&["fleet", "status"]).await;
    assert_eq!(fleet["cordons"][0]["state"], "cordoned", "it owns nothing any more: {fleet}");
    let never = env.program().run_to(0, ["orchestrator", "uncordon", "third"]).await;
    assert!(never.stdout.contains("third was not cordoned"), "{}", never.stdout);
    assert!(never.stderr.contains("no orchestrator third is registered"), "{}", never.stderr);
    owned_by(&coordinator, &plan, "second").await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(second.until_ended(LIMIT).await, Some(0), "{}", second.said());
    let record = coordinator.plan(&plan).await.unwrap().tasks()[&task_id("1")].record.clone();
    assert_eq!(
        (record.attempt, record.failures, record.lost),
        (2, 0, 0),
        "ended at the deadline, and given back"
    );
    let terms = coordinator.history(&plan).terms().await.unwrap();
    assert!(
        terms.iter().all(|term| matches!(&term.ended, Some(end) if end.how == Ending::Clean)),
        "{terms:?}"
    );
    first.signal(Signal::SIGTERM);
    assert_eq!(first.until_ended(SOON).await, Some(STOPPED), "{}", first.said());
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_plan_moves_to_a_named_orchestrator(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "moves", &spec(30, "sleep 0.5")).await;
    let mut runs = Vec::new();
    for (n, name) in ["one", "two", "three"].into_iter().enumerate() {
        runs.push(env.start(&["run", "moves", "--id", name], name));
        in_queue(&coordinator, &plan, n + 1).await;
    }
    let nowhere = ["owner", "move", "moves", "--to", "nobody-there", "--deadline", "1s"];
    let refused = env.program().run_to(HALTED, nowhere).await;
    assert!(refused.stderr.contains("no live process"), "{}", refused.stderr);
    env.program().run_to(0, ["orchestrator", "cordon", "three"]).await;
    env.program().run_to(HALTED, ["owner", "move", "moves", "--to", "three"]).await;
    env.program().run_to(0, ["orchestrator", "uncordon", "three"]).await;
    let moved =
        env.program().run_to(0, ["owner", "move", "moves", "--to", "three", "--deadline", "20s"]).await;
    assert!(moved.stdout.contains("moved from one to three"), "{}", moved.stdout);
    assert_eq!(owner(&coordinator, &plan).await.as_deref(), Some("three"));
    for run in &mut runs {
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    }
    let view = coordinator.plan(&plan).await.unwrap();
    let attempts: u32 = view.tasks().values().map(|task| task.record.attempt).sum();
    assert_eq!((view.summary().completed, attempts), (30, 30), "no attempt was lost or ended");
    let terms = coordinator.history(&plan).terms().await.unwrap();
    let handed = terms.iter().filter(|term| {
        matches!(&term.ended, Some(end) if matches!(&end.how, Ending::HandedOver { to } if to.as_str() == "three"))
    });
    assert_eq!(handed.count(), 1, "{terms:?}");
    env.until_empty().await;
    env.audit().await;
}

/// An orchestrator that stays up stands in no queue; it joins one for a plan that is to move to it.
#[case]
async fn a_plan_moves_to_an_orchestrator_that_stays_up(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "moves", &spec(30, "sleep 0.5")).await;
    let mut runs = vec![env.start(&["run", "--all", "--id", "one"], "one")];
    owned_by(&coordinator, &plan, "one").await;
    runs.push(env.start(&["run", "--all", "--id", "two"], "two"));
    runs[1].until_said("two", SOON).await;
    let moved = env.program().run_to(0, ["owner", "move", "moves", "--to", "two", "--deadline", "20s"]).await;
    assert!(moved.stdout.contains("moved from one to two"), "{}", moved.stdout);
    assert_eq!(owner(&coordinator, &plan).await.as_deref(), Some("two"));
    until("the end of the plan", LIMIT, async || {
        let completed = coordinator.plan(&plan).await.unwrap().summary().completed;
        if completed == 30 { Ok(()) } else { Err(completed) }
    })
    .await;
    for run in &mut runs {
        run.signal(Signal::SIGTERM);
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    }
    let view = coordinator.plan(&plan).await.unwrap();
    let attempts: u32 = view.tasks().values().map(|task| task.record.attempt).sum();
    assert_eq!(attempts, 30, "no attempt was lost or ended");
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_plan_that_has_moved_is_not_taken_again(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "moved", &spec(2, FOR_THE_NEXT)).await;
    let mut runs = vec![env.start(&["run", "--all", "--id", "one"], "one")];
    begun(&env, 1).await;
    runs.push(env.start(&["run", "--all", "--id", "two"], "two"));
    runs[1].until_said("two", SOON).await;
    asked_to_move(&coordinator, &plan, "two", Duration::from_secs(1)).await;
    owned_by(&coordinator, &plan, "two").await;
    std::fs::write(env.path("go"), "").unwrap();
    finished(&coordinator, &plan).await;
    until_free(&coordinator, &plan).await;
    // Whatever is still asked for is looked at before the next plan is executed.
    let later = import(&coordinator, "later", &spec(1, "true")).await;
    finished(&coordinator, &later).await;
    for run in &mut runs {
        run.signal(Signal::SIGTERM);
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    }
    let (_, term) = coordinator.queue(&plan).await.unwrap().term.unwrap();
    assert_eq!(term.number.0, 2, "{}", runs[1].said());
    env.until_empty().await;
    env.audit().await;
}

/// `hold` does not give its plan away, so the first of the two moves comes to nothing.
#[case]
async fn a_move_that_waits_holds_up_no_other(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let (held, moves) = (
        import(&coordinator, "a-held", &spec(1, "true")).await,
        import(&coordinator, "b-moves", &spec(1, FOR_THE_NEXT)).await,
    );
    let script = "while [ ! -e \"$TEST_DIR/free\" ]; do sleep 0.1; done";
    let mut hold = env.start(&["hold", "a-held", "--", "sh", "-c", script], "hold");
    in_queue(&coordinator, &held, 1).await;
    let mut one = env.start(&["run", "b-moves", "--id", "one"], "one");
    begun(&env, 1).await;
    let mut two = env.start(&["run", "--all", "--id", "two"], "two");
    two.until_said("two", SOON).await;
    asked_to_move(&coordinator, &held, "two", Duration::from_secs(3600)).await;
    in_queue(&coordinator, &held, 2).await;
    let moved =
        env.program().run_to(0, ["owner", "move", "b-moves", "--to", "two", "--deadline", "1s"]).await;
    assert!(moved.stdout.contains("moved from one to two"), "{}", moved.stdout);
    in_queue(&coordinator, &held, 2).await; // It waits for the other one all the while.
    for file in ["go", "free"] {
        std::fs::write(env.path(file), "").unwrap();
    }
    for plan in [&held, &moves] {
        finished(&coordinator, plan).await;
    }
    two.signal(Signal::SIGTERM);
    for process in [&mut hold, &mut one, &mut two] {
        assert_eq!(process.until_ended(LIMIT).await, Some(0), "{}", process.said());
    }
    env.until_empty().await;
    env.audit().await;
}

/// The candidate leaves the queue when the deadline has passed. A task with inputs is what could not be
/// started again.
#[case]
async fn a_failed_move_lets_the_plan_go_on(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let script = r#"
        echo "$PLANLEASE_TASK" >> "$TEST_DIR/begun"
        [ "$PLANLEASE_TASK $PLANLEASE_ATTEMPT" = "2 1" ] || exit 0
        trap 'touch "$TEST_DIR/asked"' TERM
        until [ -e "$TEST_DIR/asked" ] && [ -e "$TEST_DIR/go" ]; do sleep 0.1; done
    "#;
    let mut chain = spec(2, script);
    chain.tasks[1].depends_on = vec![task_id("1")];
    let plan = import(&coordinator, "stays", &chain).await;
    let mut run = env.start(&["run", "stays", "--grace", "2m"], "run");
    begun(&env, 2).await;
    let two = env.session("two").await;
    let waiting = {
        let (two, plan) = (two.clone(), plan.clone());
        background(async move { two.acquire(&plan, AcquireOptions::default()).await.map(drop) })
    };
    in_queue(&coordinator, &plan, 2).await;
    asked_to_move(&coordinator, &plan, "two", Duration::from_secs(1)).await;
    until("the deadline", LIMIT, async || if env.path("asked").exists() { Ok(()) } else { Err(run.said()) })
        .await;
    waiting.abort();
    in_queue(&coordinator, &plan, 1).await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    let record = coordinator.plan(&plan).await.unwrap().tasks()[&task_id("2")].record.clone();
    assert_eq!((record.status, record.attempt, record.failures), (TaskStatus::Completed, 2, 0));
    two.close().await.unwrap();
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_bounded_drain_gives_back_what_remains(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "bounded", &spec(1, WAITS)).await;
    let mut run = env.start(&["run", "bounded", "--drain-timeout", "1s"], "run");
    begun(&env, 1).await;
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(STOPPED), "{}", run.said());
    let record = coordinator.plan(&plan).await.unwrap().tasks()[&task_id("1")].record.clone();
    assert_eq!((record.status, record.failures, record.lost), (TaskStatus::Pending, 0, 0), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

/// Three orchestrators with twenty busy plans; one after the other is drained, ended, and replaced by
/// another one.
#[case]
async fn a_rolling_upgrade_loses_no_attempt(env: TestEnv) {
    const PLANS: usize = 20;
    const TASKS: usize = 12;
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let names: Vec<String> = (0..PLANS).map(|n| format!("busy-{n}")).collect();
    for name in &names {
        let mut chain = spec(TASKS, "sleep 1");
        for n in 1..TASKS {
            chain.tasks[n].depends_on = vec![chain.tasks[n - 1].id.clone()];
        }
        import(&coordinator, name, &chain).await;
    }
    let start = |id: &str| -> Process {
        let mut args = vec!["run", "--id", id, "--jobs", "8", "--max-plans", "8", "--drain-timeout", "20s"];
        args.extend(names.iter().map(String::as_str));
        env.start(&args, id)
    };
    let mut old: Vec<Process> = ["old-0", "old-1", "old-2"].map(&start).into();
    until("work in progress", SOON, async || {
        let plans = coordinator.plans().await.unwrap();
        let busy = plans.iter().filter(|plan| plan.summary().in_progress > 0).count();
        if busy >= PLANS - 2 { Ok(()) } else { Err(busy) }
    })
    .await;
    let began = Instant::now();
    let mut new = Vec::new();
    for (n, run) in old.iter_mut().enumerate() {
        let id = format!("old-{n}");
        new.push(start(&format!("new-{n}")));
        env.program().run_to(0, ["orchestrator", "drain", &id, "--deadline", "20s"]).await;
        run.signal(Signal::SIGTERM);
        assert_eq!(run.until_ended(SOON).await, Some(STOPPED), "{id}: {}", run.said());
    }
    let took = began.elapsed();
    for run in &mut new {
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    }
    let (mut terms, mut unclean, mut lost, mut attempts) = (0, 0, 0, 0);
    for name in &names {
        let plan = plan_name(name);
        let view = coordinator.plan(&plan).await.unwrap();
        assert_eq!(view.summary().completed, TASKS, "{name}");
        lost += view.tasks().values().map(|task| task.record.lost + task.record.failures).sum::<u32>();
        attempts += view.tasks().values().map(|task| task.record.attempt).sum::<u32>();
        let past = coordinator.history(&plan).terms().await.unwrap();
        terms += past.len();
        let clean = |how: &Ending| matches!(how, Ending::Clean | Ending::HandedOver { .. });
        unclean += past.iter().filter(|term| !term.ended.as_ref().is_some_and(|end| clean(&end.how))).count();
    }
    println!(
        "measured: rolling upgrade of 3 orchestrators with {PLANS} plans of {TASKS} tasks on {}: {:.1} s, {terms} terms, \
         {unclean} unclean, {attempts} attempts, {lost} lost or failed",
        env.server,
        took.as_secs_f64()
    );
    assert_eq!((unclean, lost), (0, 0));
    assert_eq!(attempts, u32::try_from(PLANS * TASKS).unwrap(), "no attempt was ended before its time");
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_forced_release_keeps_the_former_owner_off(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for (plan, args) in
        [("named", &["run", "named"][..]), ("served", &["run", "--all", "--select", "!x"][..])]
    {
        let plan = import(&coordinator, plan, &spec(1, WAITS)).await;
        let begun_before = env.text("begun").lines().count();
        let mut run = env.start(&[args, &["--id", "former"]].concat(), &format!("run-{plan}"));
        owned_by(&coordinator, &plan, "former").await;
        begun(&env, begun_before + 1).await;
        let release = ["owner", "release", plan.as_str(), "--reason", "broken host", "--yes"];
        let released = env.program().run_to(0, release).await;
        assert!(released.stdout.contains("leaves the plan to others for 60 s"), "{}", released.stdout);
        run.until_said("left to others for 60s", SOON).await;
        // Another process has it at once, while the former owner is alive.
        let held = env.program().run_to(0, ["hold", plan.as_str(), "--", "true"]).await;
        let terms = coordinator.history(&plan).terms().await.unwrap();
        let owners = terms.iter().map(|term| term.owner.orchestrator.to_string()).collect::<Vec<_>>();
        assert_eq!(owners.iter().filter(|owner| *owner == "former").count(), 1, "{owners:?} {}", held.stderr);
        assert!(run.ended().is_none(), "{}", run.said());
        assert_eq!(owner(&coordinator, &plan).await, None, "{}", run.said());
        run.signal(Signal::SIGTERM);
        run.until_ended(SOON).await;
        // The next orchestrator would take this plan, too.
        env.program().run_to(0, ["plan", "cancel", plan.as_str(), "--reason", "over", "--yes"]).await;
    }
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn run_says_that_a_plan_is_paused_and_what_to_do(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let plan = import(&coordinator, "halted", &spec(1, "true")).await;
    env.program().run_to(0, ["plan", "pause", "halted", "--reason", "audit of the database"]).await;
    let mut run = env.start(&["run", "halted"], "run");
    run.until_said("is paused by", SOON).await;
    let said = run.until_said("planlease plan resume halted", SOON).await;
    assert!(said.contains("audit of the database"), "{said}");
    env.program().run_to(0, ["plan", "resume", "halted"]).await;
    run.until_said("was resumed", SOON).await;
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    assert_eq!(run.said().matches("is paused").count(), 1, "{}", run.said());
    assert!(coordinator.plan(&plan).await.unwrap().summary().is_finished());
    // The cordon of a name is said by the process that has it, with the way out.
    import(&coordinator, "kept", &spec(1, "true")).await;
    let cordon = ["orchestrator", "cordon", "one", "--reason", "kernel"];
    env.program().run_to(0, cordon).await;
    let mut cordoned = env.start(&["run", "kept", "--id", "one"], "cordoned");
    let said = cordoned.until_said("planlease orchestrator uncordon", SOON).await;
    assert!(said.contains("kernel"), "{said}");
    env.program().run_to(0, ["orchestrator", "uncordon", "one"]).await;
    assert_eq!(cordoned.until_ended(LIMIT).await, Some(0), "{}", cordoned.said());
}
