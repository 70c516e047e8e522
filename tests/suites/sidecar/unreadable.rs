//! Stored records that cannot be read: every kind of record, and every way to be unreadable, beside a healthy
//! plan. Each stops only what needs it, and is reported with its key.

use std::{collections::BTreeSet, time::Duration};

use etcd_client::{Client as Etcd, PutOptions};
use http::Method;
use nix::sys::signal::Signal;
use planlease::{Error, ImportedState};
use planlease_core::{
    HookName, HostName, LeaseId, LockName, OrchestratorId, PlanName, PoolName, TaskId, TermNumber,
    WorktreeName,
    keys::{Key, Layout, PlanKey, SteeringKey},
    spec::{PlanSpec, TaskSpec},
};
use planlease_tests::{
    TestEnv, case,
    http::Client,
    wait::{SOON, until},
};
use serde_json::Value;

use crate::helpers::{say, sidecar};

/// The flags of a sidecar that shows its metrics.
const METRICS: &[&str] = &["--metrics", "127.0.0.1:0"];

/// One key of each kind, and a match without a wildcard: a new kind does not compile until it has its row
/// here.
macro_rules! kinds {
    ($($pattern:pat => $example:expr,)*) => {
        fn kinds() -> Vec<Key> {
            let every = |key: &Key| match key { $($pattern => (),)* };
            let keys = vec![$($example,)*];
            keys.iter().for_each(every);
            keys
        }
    };
}

kinds! {
    Key::Orchestrator(_) => Key::Orchestrator(OrchestratorId::new("o").unwrap()),
    Key::Logs(_) => Key::Logs(OrchestratorId::new("o").unwrap()),
    Key::Worktree(..) => Key::Worktree(HostName::new("h").unwrap(), WorktreeName::new("w").unwrap()),
    Key::Steering(_) => Key::Steering(SteeringKey::Cordon(OrchestratorId::new("c").unwrap())),
    Key::Hook(_) => Key::Hook(HookName::new("h").unwrap()),
    Key::HookRunner(_) => Key::HookRunner(HookName::new("h").unwrap()),
    Key::Lock(..) => Key::Lock(LockName::new("l").unwrap(), LeaseId::from_wire(79).unwrap()),
    Key::Pool(_) => Key::Pool(PoolName::new("gpu").unwrap()),
    Key::Permit(..) => Key::Permit(PoolName::new("gpu").unwrap(), 0, LeaseId::from_wire(80).unwrap()),
    Key::Unknown(_) => Key::Unknown(b"news/1".to_vec()),
    Key::Plan(_, PlanKey::Spec) => of("spec", PlanKey::Spec),
    Key::Plan(_, PlanKey::SpecPart(_)) => of("part", PlanKey::SpecPart(1)),
    Key::Plan(_, PlanKey::Excerpts) => of("excerpts", PlanKey::Excerpts),
    Key::Plan(_, PlanKey::Excerpt(_)) => of("excerpt", PlanKey::Excerpt(id("2"))),
    Key::Plan(_, PlanKey::Import) => of("import", PlanKey::Import),
    Key::Plan(_, PlanKey::Pause) => of("pause", PlanKey::Pause),
    Key::Plan(_, PlanKey::Close) => of("close", PlanKey::Close),
    Key::Plan(_, PlanKey::Owner(_)) => of("owner", PlanKey::Owner(LeaseId::from_wire(77).unwrap())),
    Key::Plan(_, PlanKey::Lock(..)) => {
        of("lock", PlanKey::Lock(LockName::new("l").unwrap(), LeaseId::from_wire(78).unwrap()))
    },
    Key::Plan(_, PlanKey::Term) => of("term", PlanKey::Term),
    Key::Plan(_, PlanKey::PastTerm(_)) => of("past", PlanKey::PastTerm(TermNumber(1))),
    Key::Plan(_, PlanKey::Task(_)) => of("task", PlanKey::Task(id("2"))),
    Key::Plan(_, PlanKey::Findings(_)) => of("findings", PlanKey::Findings(id("1"))),
    Key::Plan(_, PlanKey::Late(_)) => of("late", PlanKey::Late(id("1"))),
    Key::Plan(_, PlanKey::Unknown(_)) => of("queue", PlanKey::Unknown(b"owner/zzzz".to_vec())),
    // What needs it is everything: see `the_store_record_is_needed_by_all`.
    Key::Store => Key::Store,
}

/// Further keys that this version does not know, where they are in the way.
fn odd_keys() -> [Key; 3] {
    [
        of("halts", PlanKey::Unknown(b"halt/x".to_vec())),
        of("tasks", PlanKey::Unknown(b"tasks/%31".to_vec())),
        of("parts", PlanKey::Unknown(b"spec/x".to_vec())),
    ]
}

fn of(name: &str, key: PlanKey) -> Key {
    Key::Plan(plan(name), key)
}

fn plan(name: &str) -> PlanName {
    PlanName::new(name).unwrap()
}

fn id(task: &str) -> TaskId {
    TaskId::new(task).unwrap()
}

/// Whether any value can stand there: other programs join the queues of owners and locks.
fn takes_anything(key: &Key) -> bool {
    matches!(key, Key::HookRunner(_) | Key::Lock(..) | Key::Plan(_, PlanKey::Owner(_) | PlanKey::Lock(..)))
}

/// Whether the plan's definition cannot be read without it.
fn is_definition(key: &Key) -> bool {
    matches!(key, Key::Plan(_, PlanKey::Spec | PlanKey::SpecPart(_)))
}

fn garbage() -> Vec<u8> {
    b"\xff\x00 no record".to_vec()
}

fn newer() -> Vec<u8> {
    br#"{"v":99,"shiny":[1,2]}"#.to_vec()
}

fn huge() -> Vec<u8> {
    let text = "x".repeat(1_200_000);
    format!(r#"{{"v":1,"text":"{text}"}}"#).into_bytes()
}

/// A plan for each key, named as the key's plan, and a healthy one. Task 1 runs until the file `go` is there;
/// 2 comes after it.
async fn import(env: &TestEnv, keys: &[Key]) {
    let coordinator = env.coordinator().await;
    let script = "until [ -e $TEST_DIR/go ]; do sleep 0.1; done";
    let command = |script: &str| Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]);
    let first = TaskSpec { command: command(script), ..TaskSpec::new(id("1"), "wait") };
    let second =
        TaskSpec { command: command("true"), depends_on: vec![id("1")], ..TaskSpec::new(id("2"), "end") };
    let spec = PlanSpec { title: "p".into(), tasks: vec![first, second], ..PlanSpec::default() };
    for name in keys.iter().filter_map(Key::plan).chain([&plan("healthy")]) {
        coordinator.admin().import_with(name, &spec, &ImportedState::default(), |_| {}).await.unwrap();
    }
}

/// Spoils each key in etcd. A lease that it lives on stays.
async fn spoil(etcd: &mut Etcd, layout: &Layout, keys: &[Key], value: &[u8]) {
    for key in keys {
        let key = layout.key(key);
        let there = etcd.get(key.clone(), None).await.unwrap();
        let lease = there.kvs().first().map_or(0, |kv| kv.lease());
        etcd.put(key, value, Some(PutOptions::new().with_lease(lease))).await.unwrap();
    }
}

#[case]
async fn garbage_is_reported_and_left_out(env: TestEnv) {
    reading(env, garbage()).await;
}

#[case]
async fn a_newer_format_is_reported_and_left_out(env: TestEnv) {
    reading(env, newer()).await;
}

#[case]
async fn a_huge_value_is_reported_and_left_out(env: TestEnv) {
    reading(env, huge()).await;
}

#[case]
async fn an_empty_value_is_reported_and_left_out(env: TestEnv) {
    reading(env, Vec::new()).await;
}

async fn reading(env: TestEnv, value: Vec<u8>) {
    let mut etcd = env.client.clone();
    let env = env.with_ttl(Duration::from_secs(15));
    let keys: Vec<Key> = kinds().into_iter().chain(odd_keys()).filter(|key| *key != Key::Store).collect();
    import(&env, &keys).await;
    let before = sidecar(&env, "before", METRICS).await; // Its watcher sees the records change.
    let mut watching = before.client.stream(Method::GET, "/v1/events", &[], "").await;
    watching.until("snapshot", SOON).await;
    spoil(&mut etcd, env.coordinator().await.layout(), &keys, &value).await;
    let unreadable: BTreeSet<String> =
        keys.iter().filter(|key| !takes_anything(key)).map(ToString::to_string).collect();
    lists_leave_out_what_they_cannot_read(&env, &keys).await;
    plans_are_displayed_as_far_as_possible(&env, &keys).await;
    let found = env.coordinator().await.admin().unreadable().await.unwrap();
    assert_eq!(found.iter().map(|one| one.key.to_string()).collect::<BTreeSet<_>>(), unreadable);
    let after = sidecar(&env, "after", METRICS).await; // Its watcher lists the records as they are.
    let _listing = after.client.stream(Method::GET, "/v1/events", &[], "").await;
    for sidecar in [&before, &after] {
        routes_answer(&sidecar.client, &keys).await;
        until("the metric", SOON, async || {
            let port = sidecar.port("metrics and probes").ok_or_else(|| sidecar.process.said())?;
            let metrics = say(port, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            let gauge =
                metrics.lines().find(|line| line.starts_with("planlease_sidecar_unreadable_records "));
            let count = gauge.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            // Excerpts decide nothing, and are not watched.
            let watched = unreadable.iter().filter(|key| !key.starts_with("excerpts/")).count();
            // A list finds the whole definition unreadable besides its part.
            let wanted = [watched, watched + 1].map(|count| u32::try_from(count).unwrap());
            match count {
                Some(count) if wanted.iter().any(|wanted| f64::from(*wanted) == count) => Ok(()),
                _ => Err(format!("{count:?} of {wanted:?}")),
            }
        })
        .await;
    }
    let doctor = env.program().run(["doctor", "-o", "json"]).await;
    assert_eq!(doctor.code, Some(5), "{}", doctor.stderr);
    for key in &unreadable {
        assert!(doctor.stdout.contains(&format!("`{key}`")), "{key}: {}", doctor.stdout);
    }
}

/// The plan names of a list, and the keys that it could not read.
fn listed(document: &Value, list: &str, name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let texts = |list: &Value, field: &str| {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    (texts(&document[list], name), texts(&document["unreadable"], "key"))
}

async fn lists_leave_out_what_they_cannot_read(env: &TestEnv, keys: &[Key]) {
    let all = keys.iter().filter(|key| !is_definition(key)).filter_map(Key::plan);
    let plans: BTreeSet<String> = all.map(ToString::to_string).chain(["healthy".to_owned()]).collect();
    for args in [&["plan", "list", "--all"][..], &["status"]] {
        let (shown, unreadable) = listed(&env.json(args).await, "plans", "plan");
        assert_eq!(shown, plans);
        let said = env.program().run_to(0, args).await.stderr;
        for key in ["plans/spec/spec", "plans/task/tasks/2", "plans/term/term", "plans/queue/owner/zzzz"] {
            assert!(unreadable.contains(key) && said.contains(&format!("`{key}`")), "{key}: {said}");
        }
    }
    let (orchestrators, unreadable) =
        listed(&env.json(&["orchestrator", "list"]).await, "orchestrators", "orchestrator");
    assert!(unreadable.contains("orchestrators/o") && !orchestrators.contains("o"), "{unreadable:?}");
    let (worktrees, unreadable) = listed(&env.json(&["worktree", "list"]).await, "worktrees", "name");
    assert!(unreadable.contains("worktrees/h/w") && worktrees.is_empty(), "{unreadable:?}");
    env.program().run_to(0, ["worktree", "clean"]).await;
    let audit = env.program().run(["audit"]).await;
    assert!(audit.stdout.contains("readable"), "{}{}", audit.stdout, audit.stderr);
}

/// Every way to look at a plan: of the healthy one, and of all that are not.
async fn plans_are_displayed_as_far_as_possible(env: &TestEnv, keys: &[Key]) {
    for args in [
        &["status", "healthy"][..],
        &["plan", "show", "healthy"],
        &["task", "list", "healthy"],
        &["task", "show", "healthy", "1"],
        &["next", "healthy"],
        &["deps", "healthy"],
        &["phases", "healthy"],
        &["estimate", "healthy"],
        &["why", "healthy"],
        &["why", "healthy", "2"],
        &["owner", "show", "healthy"],
        &["owner", "history", "healthy"],
        &["locks", "healthy"],
        &["findings", "list", "healthy"],
        &["export", "healthy"],
    ] {
        let ended = env.program().run_to(0, args).await;
        assert_eq!(ended.stderr, "", "{args:?}");
    }
    for key in keys.iter().filter(|key| key.plan().is_some()) {
        let name = key.plan().unwrap().as_str();
        let wanted = if is_definition(key) { 120 } else { 0 };
        let status = env.program().run_to(wanted, ["status", name, "-o", "json"]).await;
        if is_definition(key) {
            // The part that is damaged is named, and not the definition's head.
            assert!(status.stderr.contains(&format!("`{key}` cannot be read")), "{}", status.stderr);
            assert!(!status.stderr.contains("Spec>"), "{}", status.stderr);
        } else if matches!(key, Key::Plan(_, PlanKey::Task(_))) {
            assert!(status.stderr.contains(&format!("`{key}`")), "{}", status.stderr);
            let status: Value = serde_json::from_str(&status.stdout).unwrap();
            assert_eq!(status["summary"]["unreadable"], 1);
            assert_eq!(status["finished"], false);
            let export = env.program().run_to(120, ["export", name]).await;
            assert!(export.stdout.is_empty() && export.stderr.contains(&format!("`{key}`")));
            env.program().run_to(120, ["task", "show", name, "2"]).await;
        }
    }
}

/// Every route that only reads, of every plan: 200, or the problem of what it needs.
async fn routes_answer(client: &Client, keys: &[Key]) {
    let described = client.get("/openapi.json").await.with(200).json;
    let paths = described["paths"].as_object().unwrap().iter();
    let read: Vec<&String> = paths.filter(|(_, of)| of.get("get").is_some()).map(|(path, _)| path).collect();
    assert!(read.len() > 15, "{read:?}");
    let names: Vec<&str> =
        keys.iter().filter_map(Key::plan).map(PlanName::as_str).chain(["healthy"]).collect();
    for path in read.iter().filter(|path| path.contains("{plan}")) {
        for name in &names {
            let path = path.replace("{plan}", name).replace("{task}", "1").replace("{lock}", "l");
            let answer = client.get(&path).await;
            let broken = ["spec", "part"].contains(name);
            let about_findings = path.ends_with("/findings");
            match answer.status.as_u16() {
                200 => {}
                404 if about_findings && *name != "findings" => {} // It has none.
                404 if path.ends_with("/logs") => {}               // It has not begun.
                503 if path.ends_with("/owned-here") => {}         // No session owns it.
                500 => {
                    let needed = broken
                        || (*name == "findings" && about_findings)
                        || (["term", "queue"].contains(name) && path.ends_with("/owner"));
                    assert!(needed && answer.problem() == "unreadable", "{path}: {}", answer.text);
                }
                other => panic!("{path}: {other} {}", answer.text),
            }
        }
    }
    for path in read.iter().filter(|path| !path.contains('{') && !path.ends_with("/events")) {
        client.get(path).await.with(200);
    }
    let (_, unreadable) = listed(&client.get("/v1/plans").await.json, "plans", "plan");
    assert!(unreadable.contains("plans/spec/spec") && unreadable.contains("plans/task/tasks/2"));
}

#[case]
async fn garbage_stops_no_other_plan_of_a_run(env: TestEnv) {
    running(env, garbage()).await;
}

#[case]
async fn a_newer_format_stops_no_other_plan_of_a_run(env: TestEnv) {
    running(env, newer()).await;
}

#[case]
async fn a_huge_value_stops_no_other_plan_of_a_run(env: TestEnv) {
    running(env, huge()).await;
}

#[case]
async fn an_empty_value_stops_no_other_plan_of_a_run(env: TestEnv) {
    running(env, Vec::new()).await;
}

/// One orchestrator finds half of the plans spoilt; the other half is spoilt under it.
async fn running(env: TestEnv, value: Vec<u8>) {
    let mut etcd = env.client.clone();
    let env = env.with_ttl(Duration::from_secs(15));
    let coordinator = env.coordinator().await;
    let layout = coordinator.layout().clone();
    // Keys of queues are candidates, for which all others wait: they would only make the run wait.
    let keys: Vec<Key> = kinds()
        .into_iter()
        .chain(odd_keys())
        .filter(|key| *key != Key::Store && !matches!(key, Key::Plan(_, PlanKey::Owner(_))))
        .collect();
    let (early, late): (Vec<_>, Vec<_>) = keys.iter().cloned().enumerate().partition(|(n, _)| n % 2 == 0);
    let [early, late] = [early, late].map(|half| half.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    import(&env, &keys).await;
    spoil(&mut etcd, &layout, &early, &value).await;
    let mut run = env.start(&["run", "--all", "--until-idle", "--jobs", "60", "--id", "runner"], "run");
    run.until_said("healthy 1 started", SOON).await;
    spoil(&mut etcd, &layout, &late, &value).await;
    tokio::time::sleep(Duration::from_secs(4)).await; // Long enough for a loop without pauses to show itself.
    assert!(run.ended().is_none(), "{}", run.said());
    std::fs::write(env.path("go"), "").unwrap();
    let healthy = plan("healthy");
    until("the healthy plan", SOON, async || {
        let summary = coordinator.plan(&healthy).await.unwrap().summary();
        if summary.is_done() { Ok(()) } else { Err(format!("{summary:?}\n{}", run.said())) }
    })
    .await;
    for task in coordinator.plan(&healthy).await.unwrap().tasks().values() {
        assert_eq!((task.record.attempt, task.record.lost), (1, 0), "{task:?}");
    }
    for name in keys.iter().filter_map(Key::plan) {
        match coordinator.find_queue(name).await.unwrap().unwrap().term {
            Some((_, term)) => assert!(term.number <= TermNumber(8), "{name} was acquired {}", term.number),
            // Those that cannot be owned, and those that were paused before there was a run.
            None => assert!(
                ["term", "spec", "part", "close", "queue", "pause", "halts"].contains(&name.as_str()),
                "{name}"
            ),
        }
    }
    run.signal(Signal::SIGTERM);
    let code = run.until_ended(SOON).await;
    assert!([Some(11), Some(10), Some(120), Some(121)].contains(&code), "{code:?}: {}", run.said());
    assert!(run.said().contains("`plans/spec/spec`") || late.contains(&of("spec", PlanKey::Spec)));
    assert!(matches!(coordinator.plan(&plan("spec")).await, Err(Error::Unreadable(_))));
}

/// Without it a process cannot know which store it talks to. So each new one ends and names the key; what is
/// connected goes on.
#[case]
async fn the_store_record_is_needed_by_all(env: TestEnv) {
    let mut etcd = env.client.clone();
    let env = env.with_ttl(Duration::from_secs(15));
    import(&env, &[]).await;
    let layout = env.coordinator().await.layout().clone();
    let good = etcd.get(layout.key(&Key::Store), None).await.unwrap().kvs()[0].value().to_vec();
    let before = sidecar(&env, "before", METRICS).await;
    let mut run = env.start(&["run", "healthy", "--id", "runner"], "run");
    run.until_said("1 started", SOON).await;
    for value in [garbage(), newer(), huge(), Vec::new()] {
        spoil(&mut etcd, &layout, &[Key::Store], &value).await;
        for args in [
            &["plan", "list"][..],
            &["status"],
            &["status", "healthy"],
            &["task", "list", "healthy"],
            &["run", "--all", "--until-idle"],
            &["watch"],
            &["audit"],
            &["worktree", "list"],
            &["sidecar", "--socket", "another"],
        ] {
            let ended = env.program().run_to(120, args).await;
            assert!(ended.stderr.contains("`store`"), "{args:?}: {}", ended.stderr);
        }
        let doctor = env.program().run(["doctor"]).await;
        assert!(doctor.code != Some(0), "{}", doctor.stdout);
        assert!(format!("{}{}", doctor.stdout, doctor.stderr).contains("`store`"), "{}", doctor.stdout);
        before.client.get("/v1/plans").await.with(200);
        before.client.get("/v1/plans/healthy").await.with(200);
        before.client.get("/readyz").await.with(200);
        assert!(run.ended().is_none(), "{}", run.said());
    }
    etcd.put(layout.key(&Key::Store), good, None).await.unwrap();
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    env.program().run_to(0, ["plan", "list"]).await;
}
