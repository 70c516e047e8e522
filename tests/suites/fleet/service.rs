//! `run --all` as a service: it follows plans, selects them, leaves tasks to others, and ends on a signal.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::{spec::PlanSpec, transition::TaskStatus};
use planlease_tests::{
    TestEnv, case,
    test_env::{in_queue, plan_name, task_id, until_free},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

async fn import(coordinator: &Coordinator, name: &str, spec: &PlanSpec) {
    coordinator.admin().import(&plan_name(name), spec, |_| {}).await.unwrap();
}

async fn done(coordinator: &Coordinator, name: &str, said: impl Fn() -> String) {
    until(&format!("the end of {name}"), SOON, async || {
        let summary = coordinator.plan(&plan_name(name)).await.unwrap().summary();
        if summary.is_done() { Ok(()) } else { Err(format!("{summary:?}\n{}", said())) }
    })
    .await;
}

fn labelled(mut spec: PlanSpec, labels: &[(&str, &str)]) -> PlanSpec {
    spec.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    spec
}

#[case]
async fn a_service_takes_plans_that_come_later(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    import(&coordinator, "first", &spec(3, "true")).await;
    let mut run = env.start(&["run", "--all", "--jobs", "2", "--id", "service"], "run");
    done(&coordinator, "first", || run.said()).await;
    import(&coordinator, "second", &spec(3, "true")).await;
    done(&coordinator, "second", || run.said()).await;
    // What one task waits for comes by an edit.
    let mut edited = spec(4, "true");
    edited.title = "edited".into();
    let name = plan_name("second");
    until_free(&coordinator, &name).await;
    coordinator.admin().edit(&name, &edited).await.unwrap();
    done(&coordinator, "second", || run.said()).await;
    assert!(run.ended().is_none(), "{}", run.said());
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_service_finishes_what_runs_and_releases(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    import(&coordinator, "long", &spec(2, r#"until [ -e "$TEST_DIR/go" ]; do sleep 0.1; done"#)).await;
    let mut run = env.start(&["run", "--all"], "run");
    run.until_said("long 1 started", SOON).await;
    run.signal(Signal::SIGTERM);
    run.until_said("finishing running tasks", SOON).await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    let view = coordinator.plan(&plan_name("long")).await.unwrap();
    assert_eq!((view.summary().completed, view.summary().pending), (1, 1), "{}", run.said());
    assert!(view.queue().candidates().is_empty());
    env.audit().await;
}

#[case]
async fn plans_and_tasks_are_selected_by_label(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    import(&coordinator, "theirs", &labelled(spec(1, "true"), &[("team", "billing")])).await;
    import(&coordinator, "prod", &labelled(spec(1, "true"), &[("team", "payments"), ("env", "prod")])).await;
    let mut ours = labelled(spec(3, "true"), &[("team", "payments")]);
    ours.tasks[1].labels = ["manual".to_owned()].into();
    ours.tasks[2].depends_on = vec![task_id("2")];
    import(&coordinator, "ours", &ours).await;
    let select = ["--select", "team=payments,env!=prod", "--task-select", "!manual"];
    let mut run = env.start(&[&["run", "--all"], &select[..]].concat(), "run");
    run.until_said("ours leaves 1 task to others", SOON).await;
    let name = plan_name("ours");
    until_free(&coordinator, &name).await;
    let view = coordinator.plan(&name).await.unwrap();
    assert_eq!(view.tasks()[&task_id("2")].record.attempt, 0, "no attempt was used up: {}", run.said());

    // A worker's part; the rest goes on by itself.
    let program = env.program();
    program.run_to(0, ["task", "start", "ours", "2"]).await;
    in_queue(&coordinator, &name, 1).await; // The service keeps the claim's time limits: task 3 waits for it.
    program.run_to(0, ["task", "complete", "ours", "2"]).await;
    done(&coordinator, "ours", || run.said()).await;
    for name in ["theirs", "prod"] {
        assert!(coordinator.queue(&plan_name(name)).await.unwrap().term.is_none(), "{name}: {}", run.said());
    }
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    env.audit().await;
}

#[case]
async fn a_task_goes_to_an_orchestrator_that_can_run_it(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    env.import(
        "mixed",
        "title = \"Mixed\"\npriority = 3\nlabels = { team = \"a\" }\n\
         [[task]]\nid = \"1\"\ndescription = \"anywhere\"\ncommand = [\"true\"]\n\
         [[task]]\nid = \"2\"\ndescription = \"gpu\"\ncommand = [\"true\"]\nneeds = [\"gpu\"]\ndepends_on = [\"1\"]\n\
         [[task]]\nid = \"3\"\ndescription = \"anywhere\"\ncommand = [\"true\"]\ndepends_on = [\"2\"]\n",
    )
    .await;
    let mut plain = env.start(&["run", "--all", "--id", "plain"], "plain");
    plain.until_said("mixed leaves 1 task to others", SOON).await;
    until_free(&coordinator, &plan_name("mixed")).await;
    let next = env.json(&["next", "mixed"]).await;
    assert_eq!(
        (&next["ready"][0]["task"], &next["ready"][0]["not_run"]),
        (&"2".into(), &"it needs gpu".into())
    );
    let why = env.json(&["why", "mixed", "2"]).await;
    assert_eq!(why["rule"], "not_run", "{why}");
    let said = env.program().run_to(0, ["next", "mixed"]).await.stdout;
    assert!(said.contains("it needs gpu"), "{said}");

    let mut gpu =
        env.start(&["run", "--all", "--can", "gpu,docker", "--id", "gpu", "--label", "zone=b"], "gpu");
    done(&coordinator, "mixed", || plain.said() + &gpu.said()).await;
    assert!(gpu.said().contains("mixed 2 started"), "{}", gpu.said());
    let list = until("their loads", SOON, async || {
        let list = env.json(&["orchestrator", "list"]).await;
        if list["orchestrators"].as_array().unwrap().iter().all(|one| one["load"]["free"] == 1) {
            Ok(list)
        } else {
            Err(list)
        }
    })
    .await;
    let list = list["orchestrators"].as_array().unwrap();
    let of = |id: &str| list.iter().find(|one| one["orchestrator"] == id).unwrap();
    assert_eq!(of("gpu")["runs"]["can"], serde_json::json!(["docker", "gpu"]), "{list:?}");
    assert_eq!((&of("gpu")["labels"]["zone"], &of("plain")["load"]["running"]), (&"b".into(), &0.into()));
    for process in [&mut plain, &mut gpu] {
        process.signal(Signal::SIGTERM);
        assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
    }
    env.audit().await;
}

/// Tasks without a command are left alone, and no attempt of theirs is used up.
#[case]
async fn a_task_without_a_command_is_left_to_claimants(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut half = spec(3, "true");
    half.tasks[1].command = None;
    import(&coordinator, "half", &half).await;
    let mut bare = spec(2, "true");
    bare.tasks.iter_mut().for_each(|task| task.command = None);
    import(&coordinator, "bare", &bare).await;
    let mut run = env.start(&["run", "--all"], "run");
    run.until_said("half leaves 1 task to others: 2", SOON).await;
    until_free(&coordinator, &plan_name("half")).await;
    let claimed = env.json(&["task", "claim", "half"]).await;
    assert_eq!(claimed["tasks"][0]["task"], "2", "{claimed}");
    env.program().run_to(0, ["task", "complete", "half", "2"]).await;
    done(&coordinator, "half", || run.said()).await;
    let view = coordinator.plan(&plan_name("half")).await.unwrap();
    assert!(view.tasks().values().all(|task| task.record.attempt == 1), "{}", run.said());
    assert!(coordinator.queue(&plan_name("bare")).await.unwrap().term.is_none(), "{}", run.said());
    let bare = coordinator.plan(&plan_name("bare")).await.unwrap();
    assert!(bare.tasks().values().all(|task| task.record.status == TaskStatus::Pending));
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    env.audit().await;
}
