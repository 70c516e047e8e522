//! Agents over MCP, each with a server of its own on standard streams: they race, they are killed, they are
//! refused.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease_tests::{
    TestEnv,
    agent::{Agent, BEFORE, PRESENT},
    case,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How many agents race, and how often.
const AGENTS: usize = 8;
const RACES: usize = 100;

/// Long enough that nothing that a test sees comes from its end.
const LONG: Duration = Duration::from_secs(120);

/// Tasks, each of which waits for the one before it.
fn chain(n: usize) -> String {
    let mut text = "title = \"Chain\"\n".to_owned();
    for id in 1..=n {
        text +=
            &format!("[[task]]\nid = \"{id}\"\ndescription = \"work {id}\"\nsteps = [\"look\", \"do it\"]\n");
        if id > 1 {
            text += &format!("depends_on = [\"{}\"]\n", id - 1);
        }
    }
    text
}

#[case(one_at_a_time)]
async fn eight_agents_race_and_one_wins_each_time(env: TestEnv) {
    let env = env.with_ttl(LONG);
    env.import("race", &chain(RACES)).await;
    let mut agents = Vec::new();
    for n in 0..AGENTS {
        let version = if n % 2 == 0 { PRESENT } else { BEFORE };
        let Some(agent) = Agent::with_server(&env, version, &format!("agent-{n}"), &[]).await else { return };
        agents.push(agent);
    }
    let mut wins = [0; AGENTS];
    for race in 1..=RACES {
        for agent in &mut agents {
            agent.ask("claim", json!({ "plan": "race" }));
        }
        let mut winners = Vec::new();
        for (n, agent) in agents.iter_mut().enumerate() {
            if let [task] = &agent.called().await.tasks()[..] {
                assert_eq!(*task, race.to_string());
                winners.push(n);
            }
        }
        let [winner] = winners[..] else { panic!("race {race} has the winners {winners:?}") };
        wins[winner] += 1;
        let ended =
            agents[winner].call("complete", json!({ "plan": "race", "task": race.to_string() })).await;
        assert_eq!(ended.document()["record"]["status"], "completed");
    }
    println!("measured: {RACES} races of {AGENTS} agents over MCP, one winner each; wins {wins:?}");
    let view = env.coordinator().await.plan(&plan_name("race")).await.unwrap();
    assert!(view.tasks().values().all(|task| task.record.attempt == 1), "each was done once");
    for agent in agents {
        agent.end().await;
    }
    env.audit().await;
}

#[case]
async fn an_agent_that_is_killed_loses_its_claims_at_once(env: TestEnv) {
    let env = env.with_ttl(LONG);
    env.import("work", &chain(1)).await;
    let Some(mut first) = Agent::with_server(&env, PRESENT, "first", &[]).await else { return };
    let Some(mut second) = Agent::with_server(&env, PRESENT, "second", &[]).await else { return };
    assert_eq!(first.call("claim", json!({ "plan": "work" })).await.tasks(), ["1"]);
    assert_eq!(second.call("claim", json!({ "plan": "work" })).await.tasks(), [""; 0]);
    first.kill();
    let killed = Instant::now();
    let coordinator = env.coordinator().await;
    until("a task that is back", SOON, async || {
        let view = coordinator.plan(&plan_name("work")).await.unwrap();
        let record = view.task(&task_id("1")).unwrap().record.clone();
        if record.claim.is_none() { Ok(()) } else { Err(record) }
    })
    .await;
    println!("measured: back {:?} after the kill of the agent; the TTL is {LONG:?}", killed.elapsed());
    let claimed = second.call("claim", json!({ "plan": "work" })).await.document();
    assert_eq!((&claimed["tasks"][0]["task"], &claimed["tasks"][0]["attempt"]), (&json!("1"), &json!(2)));
    let why = second.call("why", json!({ "plan": "work", "task": "1" })).await.document();
    assert!(why["history"][1]["why"].as_str().unwrap().contains("was lost"), "{why}");
    second.end().await;
    env.audit().await;
}

/// Where the server dies too, nothing can be revoked: the lease expires, and the next claim finds what is
/// left.
#[case]
async fn the_claims_of_a_killed_server_end_with_its_lease(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(2));
    env.import("work", &chain(1)).await;
    let Some(mut first) = Agent::with_server(&env, BEFORE, "first", &[]).await else { return };
    let Some(mut second) = Agent::with_server(&env, BEFORE, "second", &[]).await else { return };
    assert_eq!(first.call("claim", json!({ "plan": "work" })).await.tasks(), ["1"]);
    kill(Pid::from_raw(first.server()), Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + SOON;
    let task = loop {
        let claimed = second.call("claim", json!({ "plan": "work" })).await;
        if let [task] = &claimed.tasks()[..] {
            break task.clone();
        }
        assert!(Instant::now() < deadline, "{claimed:?}");
    };
    assert_eq!(task, "1");
    env.audit().await;
}

#[case]
async fn the_policy_decides_about_the_tasks_of_a_killed_agent(env: TestEnv) {
    let env = env.with_ttl(LONG);
    env.import(
        "careful",
        "title = \"Careful\"\n[policy]\non_lost = \"ask\"\n[[task]]\nid = \"1\"\ndescription = \"work\"\n",
    )
    .await;
    let Some(mut agent) = Agent::with_server(&env, PRESENT, "agent", &[]).await else { return };
    assert_eq!(agent.call("claim", json!({ "plan": "careful" })).await.tasks(), ["1"]);
    agent.kill();
    let why = until("a task that waits for a person", SOON, async || {
        let why = env.json(&["why", "careful", "1"]).await;
        if why["rule"] == "parked" { Ok(why) } else { Err(why.to_string()) }
    });
    why.await;
    env.audit().await;
}

#[case]
async fn a_refusal_shows_the_record_and_what_to_do(env: TestEnv) {
    env.import("work", &chain(2)).await;
    let Some(mut first) = Agent::with_server(&env, PRESENT, "first", &[]).await else { return };
    let Some(mut second) = Agent::with_server(&env, BEFORE, "second", &[]).await else { return };
    let (what, _) = second.call("complete", json!({ "plan": "work", "task": "1" })).await.refusal();
    assert!(what.contains("has claimed no task"), "{what}");
    assert_eq!(first.call("claim", json!({ "plan": "work", "task": "1" })).await.tasks(), ["1"]);
    let (what, document) = second.call("claim", json!({ "plan": "work", "task": "1" })).await.refusal();
    assert!(what.contains("is claimed by") && what.contains("nothing was changed"), "{what}");
    assert_eq!(document["record"]["status"], "in_progress");
    let (what, document) =
        second.call("fail", json!({ "plan": "work", "task": "1", "error": "x" })).await.refusal();
    assert!(what.contains("is claimed by") && what.contains("do another task"), "{what}");
    assert_eq!(document["outcome"], "refused");
    let (what, _) = second.call("claim", json!({ "plan": "work", "task": "2" })).await.refusal();
    assert!(what.contains("waits for others"), "{what}");
    let (what, _) = second.call("claim", json!({ "plan": "no-such-plan" })).await.refusal();
    assert!(what.contains("no-such-plan") && what.contains("`plans`"), "{what}");
    let (what, _) = second.call("next", json!({ "plan": "work", "count": 101 })).await.refusal();
    assert!(what.contains("1 to 100"), "{what}");
    let (what, _) = second.call("claim", json!({ "plan": "work", "tsk": "2" })).await.refusal();
    assert!(what.contains("unknown field `tsk`"), "{what}");
    let returned = first.call("return", json!({ "plan": "work", "task": "1", "reason": "not mine" })).await;
    assert_eq!(returned.document()["record"]["status"], "pending");
    first.end().await;
    second.end().await;
    env.audit().await;
}

#[case]
async fn a_call_with_the_same_request_is_carried_out_once(env: TestEnv) {
    env.import("work", &chain(3)).await;
    for version in [BEFORE, PRESENT] {
        let Some(mut agent) = Agent::with_server(&env, version, version, &[]).await else { return };
        let claim = json!({ "plan": "work", "request": "claim-1" });
        let first = agent.call("claim", claim.clone()).await.document();
        assert_eq!(agent.call("claim", claim).await.document(), first, "the same answer");
        let task = &first["tasks"][0]["task"];
        let complete =
            json!({ "plan": "work", "task": task, "request": "end-1", "findings": "it was there" });
        let ended = agent.call("complete", complete.clone()).await.document();
        assert_eq!(agent.call("complete", complete).await.document(), ended);
        let (what, document) =
            agent.call("complete", json!({ "plan": "work", "task": task })).await.refusal();
        assert!(what.contains("completed"), "{what}");
        assert_eq!(document["record"]["op_id"], ended["record"]["op_id"]);
        agent.end().await;
    }
    env.audit().await;
}

#[case]
async fn access_decides_which_tools_there_are(env: TestEnv) {
    env.import("work", &chain(1)).await;
    let eight = ["plans", "next", "claim", "progress", "complete", "fail", "return", "why"];
    let all = [&eight[..], &["retry", "skip", "approve", "reject", "pause", "resume"]].concat();
    let flags = [
        (&["--read-only"][..], &["plans", "next", "why"][..]),
        (&[][..], &eight[..]),
        (&["--operator"][..], &all[..]),
    ];
    for (n, (flags, expected)) in flags.into_iter().enumerate() {
        let Some(mut agent) = Agent::with_server(&env, PRESENT, &format!("agent-{n}"), flags).await else {
            return;
        };
        agent.order(&json!({ "list": "tools" }));
        let listed = agent.answer().await;
        let names = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), expected);
        agent.ask("pause", json!({ "plan": "work", "reason": "lunch" }));
        let paused = agent.answer().await;
        if flags == ["--operator"] {
            assert_eq!(paused["error"], false, "{paused}");
            let (what, _) = agent.call("claim", json!({ "plan": "work" })).await.refusal();
            assert!(what.contains("lunch"), "{what}");
            let _ = agent.call("resume", json!({ "plan": "work" })).await.document();
            let skipped =
                agent.call("skip", json!({ "plan": "work", "task": "1", "reason": "old" })).await.document();
            assert_eq!(skipped["record"]["status"], "skipped");
        } else {
            assert!(paused["refused"].as_str().unwrap().contains("no tool"), "{paused}");
        }
        agent.end().await;
    }
}

/// An agent claims no task that waits for approval; one with `--operator` decides, and no other.
#[case]
async fn an_operator_approves_and_an_agent_does_not(env: TestEnv) {
    let plan = r#"
title = "Asks"
[[task]]
id = "1"
description = "first"
approval = "before"
[[task]]
id = "2"
description = "second"
depends_on = ["1"]
approval = "after"
policy = { budget = 2 }
"#;
    env.import("work", plan).await;
    let Some(mut agent) = Agent::with_server(&env, PRESENT, "agent", &[]).await else { return };
    let Some(mut person) = Agent::with_server(&env, PRESENT, "person", &["--operator"]).await else { return };
    let (what, _) = agent.call("claim", json!({ "plan": "work", "task": "1" })).await.refusal();
    assert!(what.contains("waits for approval"), "{what}");
    agent.ask("approve", json!({ "plan": "work", "task": "1", "reason": "mine" }));
    assert!(agent.answer().await["refused"].as_str().unwrap().contains("no tool"));
    let approve = json!({ "plan": "work", "task": "1", "reason": "fine", "attempt": 1, "request": "a" });
    let first = person.call("approve", approve.clone()).await.document();
    let again = person.call("approve", approve).await.document();
    assert_eq!(first["record"]["revision"], again["record"]["revision"], "once");
    for task in ["1", "2"] {
        let _ = agent.call("claim", json!({ "plan": "work", "task": task })).await.document();
        let spent = json!({ "plan": "work", "task": task, "spent": 1.5 });
        let reported = agent.call("progress", spent).await.document();
        assert_eq!(reported["record"]["budget"]["spent"], 1.5, "{reported}");
        let _ = agent.call("complete", json!({ "plan": "work", "task": task })).await.document();
    }
    let reject = json!({ "plan": "work", "task": "2", "reason": "too short", "then": "fail" });
    let rejected = person.call("reject", reject).await.document();
    assert_eq!(rejected["record"]["status"], "failed");
    agent.end().await;
    person.end().await;
    env.audit().await;
}

#[case]
async fn resources_and_the_prompt_are_there(env: TestEnv) {
    env.import("work", &chain(2)).await;
    let Some(mut agent) = Agent::with_server(&env, PRESENT, "agent", &[]).await else { return };
    let _ = agent.call("claim", json!({ "plan": "work" })).await.document();
    let complete = json!({ "plan": "work", "task": "1", "findings": "the registry is slow" });
    let _ = agent.call("complete", complete).await.document();
    agent.order(&json!({ "list": "resources" }));
    assert_eq!(agent.answer().await["names"], json!(["planlease://work"]));
    agent.order(&json!({ "list": "templates" }));
    assert_eq!(agent.answer().await["names"].as_array().unwrap().len(), 4);
    for (uri, schema) in [
        ("planlease://work", "planlease.plan.v1"),
        ("planlease://work/log", "planlease.why_plan.v1"),
        ("planlease://work/tasks/1", "planlease.task.v1"),
        ("planlease://work/tasks/1/findings", "planlease.findings.v1"),
    ] {
        agent.order(&json!({ "read": uri }));
        let answer = agent.answer().await;
        let text = answer["text"][0].as_str().unwrap_or_else(|| panic!("{uri}: {answer}"));
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["schema"], schema, "{uri}");
    }
    agent.order(&json!({ "read": "planlease://work/tasks/9" }));
    assert!(agent.answer().await["refused"].is_string());
    agent.order(&json!({ "prompt": "work", "with": { "plan": "work" } }));
    let prompt = agent.answer().await;
    let text = prompt["text"][0].as_str().unwrap();
    assert!(text.contains("1 of 2 tasks done") && text.contains("- 2: work 2"), "{text}");
    agent.end().await;
}

#[case]
async fn what_is_no_client_gets_a_clear_error(env: TestEnv) {
    let mut process = env.start(&["mcp"], "mcp");
    process.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    process.close_input();
    let ended = process.until_ended(SOON).await;
    assert!(ended.is_some(), "{}", process.said());
    let mut silent = env.start(&["mcp"], "silent");
    silent.close_input();
    assert_eq!(silent.until_ended(SOON).await, Some(0), "{}", silent.said());
}

#[case]
async fn setup_writes_what_starts_the_server(env: TestEnv) {
    let folder = env.path("project");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".mcp.json"), "{\n  \"mcpServers\": {\n    \"other\": {}\n  }\n}\n").unwrap();
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let before = read(".mcp.json");
    let setup = async |flags: &[&str]| {
        let args = [&["setup", "claude-code", "--dir", folder.to_str().unwrap()], flags].concat();
        env.program().run_to(0, args).await
    };
    let shown = setup(&["--print"]).await;
    assert!(shown.stdout.contains("+     \"planlease\": {"), "{}", shown.stdout);
    assert!(shown.stderr.contains("3 files would be changed"), "{}", shown.stderr);
    assert_eq!((read(".mcp.json"), read(".claude/skills/planlease/SKILL.md")), (before.clone(), None));
    assert_eq!(read(".claude/settings.json"), None);
    let written = setup(&[]).await;
    assert_eq!(written.stdout, shown.stdout, "what it shows is what it writes");
    let entry: Value = serde_json::from_str(&read(".mcp.json").unwrap()).unwrap();
    let planlease = json!({ "command": "planlease", "args": ["mcp"] });
    assert_eq!(entry["mcpServers"], json!({ "planlease": planlease, "other": {} }));
    assert!(read(".claude/skills/planlease/SKILL.md").unwrap().starts_with("---\nname: planlease\n"));
    let settings: Value = serde_json::from_str(&read(".claude/settings.json").unwrap()).unwrap();
    let hook = json!({ "hooks": [{ "type": "command", "command": "planlease prime" }] });
    assert_eq!(settings, json!({ "hooks": { "SessionStart": [hook] } }));
    let again = setup(&[]).await;
    assert!(again.stdout.is_empty() && again.stderr.contains("there already"), "{}", again.stderr);
    setup(&["--remove"]).await;
    assert_eq!((read(".mcp.json"), read(".claude/skills/planlease/SKILL.md")), (before, None));
    assert_eq!(read(".claude/settings.json"), None);
    std::fs::write(folder.join(".mcp.json"), "{ // mine\n}").unwrap();
    let args = ["setup", "claude-code", "--dir", folder.to_str().unwrap()];
    let refused = env.program().run_to(4, args).await;
    assert!(refused.stderr.contains("is no JSON"), "{}", refused.stderr);
    assert_eq!(read(".claude/skills/planlease/SKILL.md"), None, "no file was changed");
}

/// One file gets two entries, and a file of hooks that is there already keeps its own.
#[case]
async fn setup_adds_hooks_to_files_that_have_some(env: TestEnv) {
    let before = "{\n  \"hooks\": {\n    \"SessionStart\": [\n      { \"command\": \"bell\" }\n    ]\n  },\n  \"z\": 1.50\n}\n";
    for (agent, file, events) in [
        ("claude-code", ".claude/settings.json", ["hooks", "SessionStart"]),
        ("codex", ".codex/hooks.json", ["hooks", "SessionStart"]),
        ("gemini", ".gemini/settings.json", ["hooks", "SessionStart"]),
        ("cursor", ".cursor/hooks.json", ["hooks", "sessionStart"]),
    ] {
        let folder = env.path(agent);
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = before.replace("SessionStart", events[1]);
        std::fs::write(&path, &before).unwrap();
        let setup = async |flags: &[&str]| {
            let args = [&["setup", agent, "--dir", folder.to_str().unwrap()], flags].concat();
            env.program().run_to(0, args).await
        };
        setup(&[]).await;
        let written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let hooks = written[events[0]][events[1]].as_array().unwrap();
        assert!(hooks[0].to_string().contains("planlease prime"), "{agent}: {written}");
        assert_eq!(hooks[1..], [json!({ "command": "bell" })], "{agent}: {written}");
        assert_eq!(written["mcpServers"].is_object(), agent == "gemini", "{agent}: {written}");
        let again = setup(&[]).await;
        assert!(again.stderr.contains("there already"), "{agent}: {}{}", again.stdout, again.stderr);
        setup(&["--remove"]).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "{agent}");
    }
}

#[case]
async fn prime_without_a_plan_finds_the_open_one(env: TestEnv) {
    let prime = async |flags: &[&str]| env.program().run_to(0, [&["prime"], flags].concat()).await;
    let none = prime(&[]).await;
    assert!(none.stdout.is_empty() && none.stderr.contains("no plan is open"), "{}", none.stderr);
    assert_eq!(prime(&["--hook", "gemini"]).await.stdout, "{}\n");
    env.import("work", &chain(2)).await;
    let one = prime(&[]).await.stdout;
    assert_eq!(one, prime(&["work"]).await.stdout);
    assert!(one.starts_with("# Plan `work`"), "{one}");
    let answer: Value = serde_json::from_str(&prime(&["--hook", "gemini"]).await.stdout).unwrap();
    let answer = &answer["hookSpecificOutput"];
    assert_eq!(
        (&answer["hookEventName"], &answer["additionalContext"]),
        (&json!("SessionStart"), &json!(one))
    );
    let answer: Value = serde_json::from_str(&prime(&["--hook", "cursor"]).await.stdout).unwrap();
    assert_eq!(answer, json!({ "additional_context": one }));
    env.import("other", &chain(3)).await;
    let several = prime(&[]).await.stdout;
    for part in ["- other: ", "- work: ", "0 of 3 tasks done", "planlease prime PLAN"] {
        assert!(several.contains(part), "{part}: {several}");
    }
    env.program().run_to(0, ["plan", "cancel", "other", "--reason", "no", "--yes"]).await;
    assert_eq!(prime(&[]).await.stdout, one, "the one that is left");
}

#[case]
async fn prime_says_what_an_agent_must_know(env: TestEnv) {
    env.import("work", &chain(40)).await;
    env.program().run_to(0, ["task", "claim", "work"]).await;
    let prime = env.program().run_to(0, ["prime", "work"]).await.stdout;
    assert!(prime.len() < 6_000, "{} bytes", prime.len());
    for part in
        ["0 of 40 tasks done, 1 in progress", "## Yours, in progress", "- 1: work 1 (attempt 1)", "  - do it"]
    {
        assert!(prime.contains(part), "{part}: {prime}");
    }
    env.program().run_to(104, ["prime", "no-such-plan"]).await;
}

/// Every line that is no message of the protocol gets JSON-RPC's error, and the next one its answer.
#[case]
async fn a_line_that_is_no_message_gets_the_error_of_json_rpc(env: TestEnv) {
    let mut process = env.start(&["mcp"], "mcp");
    let hello = json!({ "protocolVersion": BEFORE, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }).to_string();
    for (line, code, id) in [
        ("hello", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600, Value::Null),
        (hello.as_str(), 0, json!(1)),
        ("{", -32700, Value::Null),
        (r#"{"jsonrpc":"2.0","id":"two"}"#, -32600, json!("two")),
        (r#"{"jsonrpc":"2.0","id":3,"method":"tasks/steal","params":{}}"#, -32601, json!(3)),
        (r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":7}}"#, -32602, json!(4)),
        (r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#, 0, json!(5)),
    ] {
        let before = process.said().lines().count();
        process.say(line);
        let answer = until("an answer", SOON, async || {
            let said = process.said();
            let complete = said.rfind('\n').map_or("", |end| &said[..end]);
            complete.lines().nth(before).map(str::to_owned).ok_or(said)
        })
        .await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
        assert_eq!(answer["error"]["code"].as_i64().unwrap_or_default(), code, "{line}: {answer}");
        assert_eq!(answer["id"], id, "{line}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            !message.contains("::") && !message.contains("struct") && !message.contains("Request("),
            "{message}"
        );
    }
    process.close_input();
    assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
}
