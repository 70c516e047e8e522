//! Imports that are killed, at every place of what they have to say.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::{
    PlanName,
    keys::{Key, PlanKey},
};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::path_text,
    wait::{SOON, until},
};
use serde_json::Value;

use crate::{
    processes::{audit, go, plan_file},
    proxy::Proxy,
};

/// The mark of a dead importer stays that long.
const TTL: Duration = Duration::from_secs(3);

/// Where no process is killed, renewals shall not be counted as something that every import says.
const LONG: Duration = Duration::from_secs(60);

/// Too many for one transaction, or two.
const TASKS: usize = 250;

/// The documented exit statuses.
const DONE: i32 = 0;
const EXISTS_OR_UNDER_WAY: i32 = 9;
const NO_SUCH_PLAN: i32 = 104;

/// How many imports are killed at one time: as many as the machine carries without one of them losing its
/// session.
const AT_ONCE: usize = 8;

#[case(one_at_a_time)]
async fn r06_an_import_is_killed_at_any_point(env: TestEnv) {
    let env = env.with_ttl(TTL);
    std::fs::write(env.path("plan.toml"), plan_file(TASKS, "true")).unwrap();
    let mut watcher = env.start(&["watch", "--snapshot", "-o", "jsonl"], "watcher");
    watcher.until_said("\n", SOON).await;

    // How many frames there are, without interference.
    let (whole, mut importer) = importer(&env, usize::MAX, LONG).await;
    assert_eq!(importer.until_ended(SOON).await, Some(DONE), "{}", importer.said());
    let frames = whole.passed();
    println!("measured: frames of an import of {TASKS} tasks, {}: {frames}", env.server);

    // Every place, the one behind the end included.
    let mut killed = 0;
    let places: Vec<usize> = (0..=frames).collect();
    for places in places.chunks(AT_ONCE) {
        let mut running = Vec::new();
        for place in places {
            running.push(self::importer(&env, *place, TTL).await);
        }
        for (_, importer) in &mut running {
            let ended = importer.until_ended(SOON).await;
            assert!(ended.is_none() || ended == Some(DONE), "{}", importer.said());
            killed += usize::from(ended.is_none());
        }
        all_are_whole(&env).await;
    }
    assert!(killed >= frames, "each of them was killed on its way, but the last one: {killed} of {frames}");
    until("end of the marks of the dead", SOON, async || marks(&env).await).await;
    again(&env, frames).await;

    let shown = env.json(&["status"]).await;
    assert_eq!(shown["plans"].as_array().unwrap().len(), frames + 2, "the first one, and one for each place");
    all_are_whole(&env).await;
    appeared_once_and_whole(&env, &mut watcher).await;
    audit(&env).await;
}

fn name(place: usize) -> String {
    format!("place-{place}")
}

/// Starts an import that is killed before it says more than this.
async fn importer(env: &TestEnv, place: usize, ttl: Duration) -> (Proxy, Process) {
    let proxy = Proxy::start(&env.server.endpoints()[0], place).await;
    let program = env.program().clone().variable("PLANLEASE_ENDPOINTS", &proxy.endpoint);
    let program = program.variable("PLANLEASE_TTL", format!("{}s", ttl.as_secs()));
    let (name, file) = (name(place), env.path("plan.toml"));
    let command = program.command(["plan", "import", path_text(&file), "--name", &name]);
    let process = Process::start(command, &env.path(&name));
    proxy.leads(&process); // Nothing passes before this test waits for something.
    (proxy, process)
}

/// A reader sees whole plans only; half of one is none.
async fn all_are_whole(env: &TestEnv) {
    let shown = env.json(&["status"]).await;
    let there: BTreeMap<&str, &Value> = shown["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (plan["plan"].as_str().unwrap(), &plan["summary"]))
        .collect();
    assert!(
        there.values().all(|summary| summary["total"] == TASKS && summary["pending"] == TASKS),
        "{there:?}"
    );
    let written = written(env).await;
    for (name, whole) in &written {
        assert_eq!(*whole, there.contains_key(name.as_str()), "{name}");
    }
    if let Some((half, _)) = written.iter().find(|(_, whole)| !**whole) {
        env.program().run_to(NO_SUCH_PLAN, ["task", "list", half.as_str()]).await;
    }
}

/// The plans of which anything is stored, and whether they are whole.
async fn written(env: &TestEnv) -> BTreeMap<PlanName, bool> {
    let coordinator = env.coordinator().await;
    let mut written = BTreeMap::new();
    for (key, _) in coordinator.raw().snapshot(&coordinator.layout().plans()).await.unwrap().entries {
        if let Key::Plan(name, key) = key {
            *written.entry(name).or_default() |= key == PlanKey::Spec;
        }
    }
    written
}

/// How many imports are marked as under way.
async fn marks(env: &TestEnv) -> Result<(), usize> {
    let coordinator = env.coordinator().await;
    let present = coordinator.raw().snapshot(&coordinator.layout().plans()).await.unwrap().entries;
    let marks = present.iter().filter(|(key, _)| matches!(key, Key::Plan(_, PlanKey::Import))).count();
    if marks == 0 { Ok(()) } else { Err(marks) }
}

/// The next import of each plan completes it: by one process, or by two at once, one of which may learn
/// that the other is at it.
async fn again(env: &TestEnv, frames: usize) {
    let file = env.path("plan.toml");
    for place in 0..=frames {
        let name = name(place);
        let args = ["plan", "import", path_text(&file), "--name", &name];
        let start = |n| env.gated(&args, &format!("again-{place}-{n}"));
        let mut importers: Vec<Process> = (0..=place % 2).map(start).collect();
        go(&mut importers);
        let mut ended = Vec::new();
        for importer in &mut importers {
            let status = importer.until_ended(SOON).await;
            assert!(matches!(status, Some(DONE | EXISTS_OR_UNDER_WAY)), "{}", importer.said());
            ended.push(status);
        }
        assert!(ended.contains(&Some(DONE)), "one of them completes {name}: {ended:?}");
        env.program().run_to(DONE, args).await; // And then there is nothing to be done.
    }
}

/// A process that watched all the time received each plan once, with all its tasks.
async fn appeared_once_and_whole(env: &TestEnv, watcher: &mut Process) {
    let shown = env.json(&["status"]).await;
    let plans = shown["plans"].as_array().unwrap().len();
    let appeared = until("word of all plans", SOON, async || {
        let said = watcher.said();
        let lines = said.lines().count();
        if lines <= plans {
            return Err(lines); // The snapshot is one.
        }
        let sets = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let changes = sets.flat_map(|set| set["changes"].as_array().cloned().unwrap_or_default());
        let appeared: Vec<Value> = changes.collect();
        if appeared.len() >= plans { Ok(appeared) } else { Err(appeared.len()) }
    })
    .await;
    let mut names = std::collections::BTreeSet::new();
    for change in &appeared {
        assert_eq!(change["change"], "plan_appeared", "nothing else is to be reported: {change}");
        assert_eq!(change["tasks"].as_array().unwrap().len(), TASKS, "{}", change["plan"]);
        assert!(names.insert(change["plan"].as_str().unwrap()), "{} appeared twice", change["plan"]);
    }
    watcher.signal(Signal::SIGTERM);
    watcher.until_ended(SOON).await;
}
