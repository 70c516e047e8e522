//! From JSON state files to plans and back, with real processes: what is imported, what is refused,
//! and what readers of the files see meanwhile.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use planlease::{Coordinator, Error, Feed};
use planlease_core::{
    PlanName, Revision,
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    test_env::{acquired, path_text, plan_name, task_id},
    wait::{SOON, until},
};
use serde_json::{Value, json};

const TTL: Duration = Duration::from_secs(2);

/// A state file as it is written in the middle of a run.
fn state() -> Value {
    json!({
        "_comment": "the source of truth", "planPath": "docs/plans/tea.md", "planName": "Implementation Plan: Tea",
        "createdAt": "2025-12-24T04:16:52.582Z", "lastUpdatedAt": "2025-12-24T04:46:49.598Z",
        "currentPhase": "Phase 0: Kitchen",
        "tasks": [
            {"id": "0.1", "phase": "Phase 0: Kitchen", "description": "0.1 Boil", "status": "completed",
             "startedAt": "2025-12-24T04:44:42.593123Z", "completedAt": "2025-12-24T04:46:09.085Z", "duration": 86492.125,
             "findingsPath": "findings/boiling.md"},
            {"id": "0.2", "phase": "Phase 0: Kitchen", "description": "0.2 Brew", "status": "in_progress",
             "startedAt": "2025-12-24T04:46:49.597Z", "dependencies": ["0.1"], "dependents": ["1.1"]},
            {"id": "1.1", "phase": "Phase 1: Table", "description": "1.1 Serve", "status": "pending", "line": 82,
             "dependencies": ["0.2"]},
        ],
        "runs": [{"runId": "run-1", "startedAt": "2025-12-24T04:44:00.000Z", "tasksCompleted": 1, "tasksFailed": 0}],
        "summary": {"totalTasks": 3, "completed": 1, "pending": 1, "in_progress": 1, "failed": 0, "skipped": 0},
        "mergedAt": "2025-12-26T21:46:52-06:00",
    })
}

fn large(tasks: usize) -> Value {
    let mut large = state();
    let tasks = (0..tasks).map(|n| {
        json!({"id": format!("{}.{}", n / 100, n % 100), "description": "x".repeat(200), "status": "completed"})
    });
    large["tasks"] = tasks.collect();
    large["summary"] = json!({});
    large
}

fn write(env: &TestEnv, name: &str, text: &str) -> PathBuf {
    let path = env.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

async fn exported(env: &TestEnv, plan: &str) -> Value {
    serde_json::from_str(&env.program().run_to(0, ["export", plan]).await.stdout).unwrap()
}

async fn revision(coordinator: &Coordinator) -> Revision {
    coordinator.raw().snapshot(&coordinator.layout().everything()).await.unwrap().revision
}

#[case(alone, one_at_a_time)] // It counts the revisions of its server.
async fn a_state_file_comes_back_equal_and_is_imported_once(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let file = write(&env, "tea/status.json", &format!("\u{feff}{:#}", state()));
    let dry = env.json(&["import", path_text(&file), "--dry-run"]).await;
    assert_eq!(
        (&dry["schema"], &dry["imports"][0]["outcome"]),
        (&json!("planlease.state_imports.v1"), &json!("checked"))
    );
    assert!(coordinator.plans().await.unwrap().is_empty(), "a dry run has made a plan");
    let made = env.json(&["import", path_text(&file)]).await;
    assert_eq!(
        (&made["imports"][0]["outcome"], &made["imports"][0]["plan"]),
        (&json!("created"), &json!("tea"))
    );
    assert_eq!(exported(&env, "tea").await, state());
    let before = (keys(&coordinator).await, revision(&coordinator).await);
    let again = env.json(&["import", path_text(&file)]).await;
    assert_eq!(again["imports"][0]["outcome"], "unchanged");
    // The same, but for how it is written.
    let other = write(&env, "other/tea.json", &state().to_string());
    let again = env.json(&["import", path_text(&other)]).await;
    assert_eq!(again["imports"][0]["outcome"], "unchanged");
    let after = (keys(&coordinator).await, revision(&coordinator).await);
    assert_eq!(after, before, "the second import has written something");
    let named = env.json(&["import", path_text(&file), "--plan", "coffee"]).await;
    assert_eq!(named["imports"][0]["plan"], "coffee");
    env.audit().await;
}

/// Every key below this store's root with the revision that wrote it; other tests write elsewhere meanwhile.
async fn keys(coordinator: &Coordinator) -> Vec<(String, Revision)> {
    let all = coordinator.raw().snapshot(&coordinator.layout().everything()).await.unwrap();
    all.entries.iter().map(|(key, entry)| (format!("{key:?}"), entry.modified)).collect()
}

#[case]
async fn a_plan_file_is_not_taken_for_a_damaged_state_file(env: TestEnv) {
    let path = write(&env, "tea.md", "# Tea\n\n- [ ] 1.1 Boil\n");
    let refused = env.program().run_to(3, ["import", path_text(&path)]).await;
    assert!(refused.stderr.contains("planlease plan import"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("--lenient"), "{}", refused.stderr);
}

#[case]
async fn a_bad_file_changes_nothing(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let good = write(&env, "good/status.json", &state().to_string());
    let before = keys(&coordinator).await;
    let whole = format!("{:#}", state());
    let mut twice = state();
    twice["tasks"][1]["id"] = json!("0.1");
    let mut odd = state();
    odd["tasks"][1]["status"] = json!("done");
    let no_tasks = json!({"planPath": "a", "planName": "b", "createdAt": "2025-12-24T04:16:52.582Z"});
    for (what, text, place) in [
        ("half-written", whole[..whole.len() / 2].to_owned(), "the file ends in the middle"),
        ("over-written", format!("{whole}\n  }}\n}}"), "something follows the end"),
        ("not JSON", "# Plan\n".to_owned(), ":1:1: error"),
        ("empty", String::new(), "the file is empty"),
        ("a duplicate id", format!("{twice:#}"), "task 0.1 comes more than once"),
        ("a status that there is not", format!("{odd:#}"), "the status \"done\""),
        ("another schema", no_tasks.to_string(), "`tasks` is missing"),
        ("NaN", whole.replace("86492.125", "NaN"), "NaN is no value"),
    ] {
        let bad = write(&env, "bad/status.json", &text);
        let ended = env.program().run_to(3, ["import", path_text(&good), path_text(&bad)]).await;
        assert!(
            ended.stderr.contains(place) && ended.stderr.contains("bad/status.json:"),
            "{what}: {}",
            ended.stderr
        );
        assert_eq!(keys(&coordinator).await, before, "{what}");
    }
    env.program().run_to(4, ["import", path_text(&env.path("no/status.json"))]).await;
    std::fs::create_dir(env.path("empty")).unwrap();
    env.program().run_to(4, ["import", path_text(&env.path("empty"))]).await;
}

#[case]
async fn a_bad_file_is_imported_leniently_on_request(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let whole = format!("{:#}", state());
    let cut = whole.find("\"1.1 Serve\"").unwrap();
    let file = write(&env, "cut/status.json", &whole[..cut]);
    env.program().run_to(3, ["import", path_text(&file)]).await;
    let made = env.json(&["import", path_text(&file), "--lenient"]).await;
    let warnings = made["imports"][0]["warnings"].to_string();
    assert!(warnings.contains("what was not finished is left out"), "{warnings}");
    assert!(made["imports"][0]["warnings"][0]["line"].as_u64().unwrap() > 1, "{warnings}");
    let ids: Vec<Value> = exported(&env, "cut").await["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].clone())
        .collect();
    assert_eq!(ids, ["0.1", "0.2"]);
    let nothing = write(&env, "nothing/status.json", "{]");
    let good = write(&env, "good/status.json", &whole);
    env.program().run_to(3, ["import", path_text(&nothing), path_text(&good), "--lenient"]).await;
    assert_eq!(
        exported(&env, "good").await,
        state(),
        "one file that is lost is no reason to lose the others"
    );
    env.audit().await;
}

#[case]
async fn a_file_that_says_something_else_is_refused_with_what_differs(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let file = write(&env, "tea/status.json", &state().to_string());
    env.program().run_to(0, ["import", path_text(&file)]).await;
    let mut newer = state();
    newer["tasks"][1]["status"] = json!("completed");
    std::fs::write(&file, newer.to_string()).unwrap();
    let before = keys(&coordinator).await;
    let ended = env.program().run_to(9, ["import", path_text(&file)]).await;
    assert!(
        ended.stdout.contains("tasks[0.2].status: \"in_progress\" is there, \"completed\" in the file"),
        "{}",
        ended.stdout
    );
    assert_eq!(keys(&coordinator).await, before);
    let mut wrong = state();
    wrong["summary"]["completed"] = json!(7);
    let file = write(&env, "wrong/status.json", &wrong.to_string());
    let ended = env.program().run_to(0, ["import", path_text(&file)]).await;
    assert!(
        ended.stdout.contains("derived again: the summary says completed: 7, and the tasks 1"),
        "{}",
        ended.stdout
    );
    assert_eq!(exported(&env, "wrong").await, state());
}

#[case]
async fn tasks_in_progress_are_recovered_by_the_first_owner(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let file = write(&env, "tea/status.json", &state().to_string());
    let said = env.program().run_to(0, ["import", path_text(&file)]).await.stdout;
    assert!(said.contains("no live process works on it: 0.2"), "{said}");
    let status = env.json(&["status", "tea"]).await;
    assert_eq!(status["in_progress"][0]["claimed_by"], "nobody alive (imported)");
    let session = env.session("first").await;
    let owner = acquired(&session, &plan_name("tea")).await;
    let (recovered, view) = owner.recover().await.unwrap();
    assert_eq!(recovered.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["0.2"]);
    assert_eq!(view.status(&task_id("0.2")), Some(TaskStatus::Pending));
    owner.release().await.unwrap();
    // And so can an operator, where the plan has no owner.
    env.program().run_to(0, ["import", path_text(&file), "--plan", "by-hand"]).await;
    env.program().run_to(0, ["task", "retry", "by-hand", "0.2"]).await;
    env.audit().await;
}

#[case]
async fn a_folder_is_imported_with_findings_and_registry(env: TestEnv) {
    let env = env.with_ttl(TTL);
    write(&env, "outputs/tea/status.json", &state().to_string());
    write(&env, "outputs/tea/findings/boiling.md", "# It boils\n");
    write(&env, "outputs/tea/findings/0.2-brewing.md", "# It brews\n");
    write(&env, "outputs/tea/findings/summary.md", "# All in all\n");
    write(&env, "outputs/tea/findings/long.md", &"long ".repeat(20_000));
    write(&env, "outputs/coffee/status.json", &large(250).to_string());
    let registry = json!({"instances": [{"id": "orch-1", "pid": 1, "plan_path": "docs/plans/tea.md", "status": "running",
        "last_heartbeat": "2025-12-27T07:21:55.611030Z"}]});
    write(&env, "outputs/orchestrator-registry.json", &registry.to_string());
    let outputs = env.path("outputs");
    let made = env.json(&["import", path_text(&outputs)]).await;
    let outcomes: Vec<_> = made["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|import| (&import["plan"], &import["outcome"]))
        .collect();
    assert_eq!(outcomes, [(&json!("coffee"), &json!("created")), (&json!("tea"), &json!("created"))]);
    assert_eq!(made["imports"][1]["findings"], 4);
    assert_eq!(made["registries"][0]["instances"][0]["last_status"], "running");
    assert_eq!(made["registries"][0]["history"], true);
    assert!(env.coordinator().await.orchestrators().await.unwrap().is_empty(), "an entry of a file is alive");
    for (task, text) in [("0.1", "# It boils\n"), ("0.2", "# It brews\n"), ("summary", "# All in all\n")] {
        assert_eq!(env.program().run_to(0, ["findings", "read", "tea", task]).await.stdout, text);
    }
    let list = env.json(&["findings", "list", "tea"]).await;
    let long = list["findings"].as_array().unwrap().iter().find(|found| found["task"] == "long").unwrap();
    assert_eq!((&long["cut"], &long["bytes"]), (&json!(true), &json!(100_000)));
    assert!(long["reference"].as_str().unwrap().ends_with("findings/long.md"), "{long}");
    assert_eq!(exported(&env, "coffee").await, large(250));
    env.audit().await;
}

#[case]
async fn links_that_lead_out_of_a_folder_are_not_followed(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let link = |to: &str, name: &str| {
        let path = env.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
    };
    let (coordinator, outside) = (env.coordinator().await, env.path("outside"));
    std::fs::create_dir(&outside).unwrap();
    write(&env, "outside/secret.md", "secret");
    write(&env, "outside/status.json", &state().to_string());
    let outside = path_text(&outside).to_owned();

    // Beside a plan's state: files, folders and the folder of the findings itself.
    let file = write(&env, "tea/status.json", &state().to_string());
    write(&env, "tea/findings/boiling.md", "hot");
    link(&format!("{outside}/secret.md"), "tea/findings/absolute.md");
    link("../../outside/secret.md", "tea/findings/relative.md");
    link("boiling.md", "tea/findings/inside.md");
    link("nowhere", "tea/findings/broken.md");
    link(&outside, "tea/findings/folder");
    let reported = env.program().run_to(0, ["import", path_text(&file)]).await.stderr;
    for name in ["absolute.md", "relative.md", "broken.md", "folder"] {
        let line = reported.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(line.contains("leads out of its folder"), "{reported}");
    }
    let found = coordinator.all_findings(&plan_name("tea")).await.unwrap();
    let texts: Vec<&str> = found.items.iter().map(|(_, found)| found.text.as_str()).collect();
    assert_eq!(texts, ["hot", "hot"], "what the links lead to was taken");

    let file = write(&env, "pot/status.json", &state().to_string());
    link(&outside, "pot/findings");
    let reported = env.program().run_to(0, ["import", path_text(&file)]).await.stderr;
    assert!(reported.contains("leads out of"), "{reported}");
    assert!(coordinator.all_findings(&plan_name("pot")).await.unwrap().items.is_empty());

    // In a folder of many: whole plans, and their states.
    write(&env, "many/cup/status.json", &state().to_string());
    link(&outside, "many/away");
    link(&format!("{outside}/status.json"), "many/half/status.json");
    link(&format!("{outside}/status.json"), "many/single.json");
    let reported = env.program().run_to(0, ["import", path_text(&env.path("many"))]).await.stderr;
    for name in ["away", "half", "single.json"] {
        assert!(
            reported.lines().any(|line| line.contains(name) && line.contains("leads out of")),
            "{reported}"
        );
    }
    let plans = coordinator.plans().await.unwrap();
    let names: Vec<&str> = plans.items.iter().map(|plan| plan.name().as_str()).collect();
    assert_eq!(names, ["cup", "pot", "tea"]);
    link(&format!("{outside}/status.json"), "lone/status.json");
    let refused = env.program().run_to(4, ["import", path_text(&env.path("lone"))]).await.stderr;
    assert!(refused.contains("leads out of the folder"), "{refused}");
    // A link that the caller names is followed.
    link(&format!("{outside}/status.json"), "named.json");
    env.program().run_to(0, ["import", path_text(&env.path("named.json"))]).await;
}

#[case]
async fn findings_are_written_and_read(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let file = write(&env, "tea/status.json", &state().to_string());
    env.program().run_to(0, ["import", path_text(&file)]).await;
    env.program().run_to(0, ["findings", "write", "tea", "1.1", "--content", "hot"]).await;
    assert_eq!(env.program().run_to(0, ["findings", "read", "tea", "1.1"]).await.stdout, "hot");
    let large = write(&env, "large.md", &"x".repeat(48 * 1024 + 1));
    let ended =
        env.program().run_to(4, ["findings", "write", "tea", "1.1", "--file", path_text(&large)]).await;
    assert!(ended.stderr.contains("more than 48 KiB") && ended.stderr.contains("--ref"), "{}", ended.stderr);
    env.program()
        .run_to(0, ["findings", "write", "tea", "1.1", "--ref", "large.md", "--content", "see there"])
        .await;
    let read = env.json(&["findings", "read", "tea", "1.1"]).await;
    assert_eq!((&read["reference"], &read["text"]), (&json!("large.md"), &json!("see there")));
    env.program().run_to(16, ["findings", "read", "tea", "0.2"]).await;
    env.program().run_to(105, ["findings", "write", "tea", "9.9", "--content", "x"]).await;
    env.program().run_to(104, ["findings", "list", "coffee"]).await;
    env.program().run_to(2, ["findings", "write", "tea", "1.1"]).await;
}

#[case]
async fn an_import_that_is_killed_is_completed_by_the_next_one(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let file = write(&env, "status.json", &large(1500).to_string());
    let mut left_half = 0;
    for n in 0..5_u64 {
        let name = format!("killed-{n}");
        let plan = plan_name(&name);
        let keys = coordinator.layout().plan(&plan);
        let before = coordinator.raw().snapshot(&keys).await.unwrap().revision;
        let mut changes = coordinator.raw().changes(keys, before.next());
        while !matches!(changes.next().await.unwrap(), Feed::Connected) {}
        let mut import = env.start(&["import", path_text(&file), "--plan", &name], "import");
        // The moment that the first key is there, while a dozen transactions are still to come, and up to
        // some of them later.
        while !matches!(changes.next().await.unwrap(), Feed::Changes(_)) {}
        tokio::time::sleep(Duration::from_millis(n * 4)).await;
        import.signal(Signal::SIGKILL);
        import.until_ended(SOON).await;
        match coordinator.plan(&plan).await {
            Ok(view) => assert_eq!(view.tasks().len(), 1500, "half a plan"),
            Err(Error::PlanNotFound(_)) => left_half += 1,
            Err(error) => panic!("{error}"),
        }
        until("an import that comes through", SOON, async || {
            let ended = env.program().run(["import", path_text(&file), "--plan", &name]).await;
            if ended.code == Some(0) { Ok(()) } else { Err(ended.stderr) }
        })
        .await;
        assert_eq!(coordinator.plan(&plan).await.unwrap().tasks().len(), 1500);
    }
    assert!(left_half > 0, "every import was done before it was killed");
    assert_eq!(exported(&env, "killed-0").await, large(1500));
    env.audit().await;
}

#[case]
async fn a_file_that_is_rewritten_meanwhile_is_taken_whole_or_refused(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let file = write(&env, "status.json", &large(600).to_string());
    // Of one length, so that a mixture of both is a document too.
    let a = large(600);
    let b: Value = serde_json::from_str(&a.to_string().replace("xxx", "yyy")).unwrap();
    let texts = [a.to_string(), b.to_string()];
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, file) = (Arc::clone(&stop), file.clone());
        move || {
            // In place, as a writer without any care does it, with a moment of rest now and then.
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::fs::write(&file, &texts[n % 2]).unwrap();
                std::thread::park_timeout(Duration::from_millis(if n % 8 == 0 { 40 } else { 3 }));
            }
        }
    });
    let mut taken = 0;
    for n in 0..12 {
        let name = format!("moving-{n}");
        let ended = env.program().run(["import", path_text(&file), "--plan", &name]).await;
        match ended.code {
            Some(0) => {
                let document = exported(&env, &name).await;
                assert!(document == a || document == b, "a mixture was imported");
                taken += 1;
            }
            Some(3 | 4) => assert!(env.coordinator().await.plan(&plan_name(&name)).await.is_err()),
            _ => panic!("{}", ended.stderr),
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    println!("measured: {taken} of 12 imports of a file that is rewritten all the time came through");
}

#[case]
async fn readers_of_a_mirror_never_see_half_a_file(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("tea"));
    let file = write(&env, "tea/status.json", &state().to_string());
    env.program().run_to(0, ["import", path_text(&file)]).await;
    let mirrored = env.path("tea/mirror.json");
    let mut mirror = env.start(&["mirror", "tea", path_text(&mirrored)], "mirror");
    until("a first write", SOON, async || mirrored.is_file().then_some(()).ok_or("no file")).await;
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&mirrored).unwrap()).unwrap(), state());

    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = std::thread::spawn({
        let (stop, reads, mirrored) = (Arc::clone(&stop), Arc::clone(&reads), mirrored.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                let bytes = std::fs::read(&mirrored).expect("it is always there");
                let seen: Value = serde_json::from_slice(&bytes).expect("a whole document");
                let tasks = seen["tasks"].as_array().unwrap();
                let completed = tasks.iter().filter(|task| task["status"] == "completed").count();
                assert_eq!(seen["summary"]["completed"], completed, "the counts of another moment");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for n in 0..40 {
        let change = if n % 2 == 0 { Change::Skip("no".into()) } else { Change::Retry("yes".into()) };
        by_operator(&coordinator, &plan, "1.1", &change).await;
        if n % 10 == 0 {
            let now = exported(&env, "tea").await;
            until("the change in the file", SOON, async || {
                let seen: Value = serde_json::from_slice(&std::fs::read(&mirrored).unwrap()).unwrap();
                if seen == now { Ok(()) } else { Err(seen["lastUpdatedAt"].clone()) }
            })
            .await;
        }
    }
    // A second mirror of the file would overwrite it, by whichever name.
    let link = env.path("link.json");
    std::os::unix::fs::symlink(&mirrored, &link).unwrap();
    for (name, how) in [(&mirrored, None), (&link, Some("--once"))] {
        let args = ["mirror", "tea", path_text(name)].into_iter().chain(how);
        let refused = env.program().run_to(26, args).await;
        assert!(refused.stderr.contains("is kept by the mirror of tea (process"), "{}", refused.stderr);
    }
    env.program().run_to(2, ["mirror", "tea", "/dev/null"]).await;
    // What was changed at the last moment is in the file when the mirror has ended.
    by_operator(&coordinator, &plan, "0.1", &Change::Retry("reopened".into())).await;
    mirror.signal(Signal::SIGTERM);
    assert_eq!(mirror.until_ended(SOON).await, Some(0), "{}", mirror.said());
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    let last: Value = serde_json::from_slice(&std::fs::read(&mirrored).unwrap()).unwrap();
    assert_eq!(last, exported(&env, "tea").await);
    assert_eq!(last["tasks"][0]["status"], "pending");
    assert_eq!(
        std::fs::read_dir(mirrored.parent().unwrap()).unwrap().count(),
        2,
        "something was left behind"
    );
    println!("measured: {} reads beside 41 changes, each of a whole document", reads.load(Ordering::Relaxed));
    write(&env, "other/status.json", &json!({"planPath": "other.md"}).to_string());
    env.program().run_to(9, ["mirror", "tea", path_text(&env.path("other/status.json")), "--once"]).await;
}

async fn by_operator(coordinator: &Coordinator, plan: &PlanName, task: &str, change: &Change) {
    let view = coordinator.plan(plan).await.unwrap();
    let authority = coordinator.operator(&view, "a person").unwrap();
    let outcome = authority.update(&view.tasks()[&task_id(task)], change).await.unwrap();
    assert!(matches!(outcome, planlease::Outcome::Committed(_)), "{outcome:?}");
}

#[case]
async fn a_plan_of_our_own_is_a_document_of_the_same_schema(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let plan = "title = \"Tea\"\n[[phase]]\nnumber = \"1\"\nname = \"Kitchen\"\n[[task]]\nid = \"1.1\"\nphase = \"1\"\n\
                description = \"Boil\"\ncommand = [\"true\"]\n[[task]]\nid = \"1.2\"\nphase = \"1\"\ndescription = \"Brew\"\n\
                depends_on = [\"1.1\"]\ncommand = [\"false\"]\n[policy]\nmax_retries = 0\n";
    env.import("own", plan).await;
    env.program().run_to(10, ["run", "own", "--jobs", "1"]).await;
    let document = exported(&env, "own").await;
    assert_eq!(
        document["summary"],
        json!({"totalTasks": 2, "completed": 1, "pending": 0, "in_progress": 0, "failed": 1, "skipped": 0})
    );
    let [done, failed] = [&document["tasks"][0], &document["tasks"][1]];
    assert_eq!((&done["status"], &done["phase"]), (&json!("completed"), &json!("Phase 1: Kitchen")));
    assert!(
        done["startedAt"].is_string() && done["completedAt"].is_string() && done["duration"].is_u64(),
        "{done}"
    );
    assert_eq!((&failed["status"], &failed["dependencies"]), (&json!("failed"), &json!(["1.1"])));
    assert!(failed["error"].is_string(), "{failed}");
    assert!(
        document["createdAt"].as_str().unwrap() <= document["lastUpdatedAt"].as_str().unwrap(),
        "{document}"
    );
    // It is a state file: another store takes it.
    let file = write(&env, "copy.json", &document.to_string());
    env.program().run_to(0, ["import", path_text(&file)]).await;
    assert_eq!(exported(&env, "copy").await, document);
}

/// Real files, where there are some: in `../shared/corpus` beside the project, or where
/// `PLANLEASE_TEST_CORPUS` says.
#[case]
async fn real_files_come_back_equal(env: TestEnv) {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let corpus = std::env::var_os("PLANLEASE_TEST_CORPUS").map_or_else(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(corpus.join("status")) else {
        println!(
            "not run: there is no {}; PLANLEASE_TEST_CORPUS names a folder with real files",
            corpus.display()
        );
        return;
    };
    let env = env.with_ttl(TTL);
    let folder = corpus.join("status");
    env.program().run_to(0, ["import", path_text(&folder)]).await;
    for entry in entries {
        let path = entry.unwrap().path();
        let original: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let plan = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(exported(&env, plan).await, original, "{plan}");
    }
    let coordinator = env.coordinator().await;
    let before = keys(&coordinator).await;
    env.program().run_to(0, ["import", path_text(&folder)]).await;
    assert_eq!(keys(&coordinator).await, before);
    env.audit().await;
}
