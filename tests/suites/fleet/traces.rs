//! Traces, as a collector receives them: what belongs to what, over processes and over takeovers; and that
//! the work does not depend on the collector.

use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use planlease_core::spec::{PlanSpec, TaskSpec};
use planlease_tests::{
    TestEnv, case,
    collector::{Collector, SeenSpan},
    http::Client,
    program::{Process, Program},
    test_env::{path_text, plan_name, task_id, until_free},
    wait::{SOON, until},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::spec::spec;

/// How much longer a process may take for the sake of a collector that does not answer: the second that its
/// end waits for at most, and what this machine needs.
const SLACK: Duration = Duration::from_secs(4);

/// Leaves its context behind, and reports progress as a child of the attempt.
const WORK: &str = r#"
    echo "$TRACEPARENT" > "$TEST_DIR/parent-$PLANLEASE_TASK"
    "$PROGRAM" task progress "$PLANLEASE_PLAN" "$PLANLEASE_TASK" halfway"#;

fn traced(env: &TestEnv, collector: &Collector) -> Program {
    let variables = collector.variables().into_iter();
    variables.fold(env.program().clone(), |program, (name, value)| program.variable(name, value))
}

/// The only span with this name and this task.
fn the(spans: &[SeenSpan], name: &str, task: &str) -> Option<SeenSpan> {
    let mut found = spans.iter().filter(|span| span.name == name && span.attribute("task") == task);
    found.next().cloned()
}

/// The updates of a task that gave it this status, of whatever process.
fn updates<'a>(spans: &'a [SeenSpan], task: &'a str, status: &'a str) -> impl Iterator<Item = &'a SeenSpan> {
    spans.iter().filter(move |span| {
        span.name == "update" && span.attribute("task") == task && span.attribute("status") == status
    })
}

#[case]
async fn a_run_is_one_trace_over_grpc_and_http(env: TestEnv) {
    let coordinator = env.coordinator().await;
    for collector in [Collector::grpc().await, Collector::http().await] {
        let name = if collector.variables()[1].1 == "grpc" { "g" } else { "h" };
        let plan = plan_name(name);
        coordinator.admin().import(&plan, &spec(2, WORK), |_| {}).await.unwrap();
        let program = traced(&env, &collector).variable("OTEL_SERVICE_NAME", "builder");
        program.run_to(0, ["run", name, "--jobs", "2"]).await;
        let wanted = |spans: &[SeenSpan]| {
            let all = ["1", "2"].iter().all(|task| {
                the(spans, "attempt", task).is_some() && updates(spans, task, "in_progress").count() == 2
            });
            (all && spans.iter().any(|span| span.name == "ownership")).then(|| spans.to_vec())
        };
        let spans = collector.until("the spans", wanted).await;
        let acquires: Vec<_> = spans.iter().filter(|span| span.name == "acquire").collect();
        let [acquire] = &acquires[..] else { panic!("{acquires:?}") };
        assert_eq!((acquire.parent.as_str(), acquire.service.as_str()), ("", "builder"));
        let ownership = the(&spans, "ownership", "").unwrap();
        assert_eq!((&ownership.trace, &ownership.parent), (&acquire.trace, &acquire.id), "{spans:#?}");
        assert_eq!((ownership.attribute("plan"), ownership.attribute("term")), (name, "1"));
        assert!(ownership.links.is_empty(), "there was no term before: {ownership:?}");
        for task in ["1", "2"] {
            let attempt = the(&spans, "attempt", task).unwrap();
            assert_eq!((&attempt.trace, &attempt.parent), (&acquire.trace, &ownership.id), "{spans:#?}");
            assert_eq!((attempt.attribute("attempt"), attempt.attribute("result")), ("1", "completed"));
            let context = std::fs::read_to_string(env.path(&format!("parent-{task}"))).unwrap();
            assert_eq!(context.trim(), attempt.traceparent(), "what its command was given");
            let all = updates(&spans, task, "in_progress").chain(updates(&spans, task, "completed"));
            let all: Vec<_> = all.collect();
            assert_eq!(all.len(), 3, "claimed, reported by the command, completed: {all:#?}");
            for update in all {
                assert_eq!((&update.trace, &update.parent), (&attempt.trace, &attempt.id), "{update:?}");
                let revision: i64 = update.attribute("revision").parse().unwrap();
                assert!(revision > 0 && update.attribute("op_id").len() == 36, "{update:?}");
                assert_eq!((update.attribute("plan"), update.attribute("term")), (name, "1"));
            }
        }
        let view = coordinator.plan(&plan).await.unwrap();
        let (_, term) = view.queue().term.clone().unwrap();
        assert_eq!(term.trace.unwrap().to_string(), acquire.traceparent(), "what its term says");
    }
    env.audit().await;
}

#[case]
async fn a_takeover_links_to_the_term_before(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(3));
    let (coordinator, plan) = (env.coordinator().await, plan_name("p"));
    let work = r#"[ -e "$TEST_DIR/go" ] || { touch "$TEST_DIR/begun"; exec sleep 1000; }"#;
    coordinator.admin().import(&plan, &spec(1, work), |_| {}).await.unwrap();
    let collector = Collector::grpc().await;
    let program = traced(&env, &collector);
    let mut first = Process::start(program.command(["run", "p"]), &env.path("first"));
    until("the first attempt", SOON, async || if env.path("begun").exists() { Ok(()) } else { Err(()) })
        .await;
    let (_, before) = coordinator.plan(&plan).await.unwrap().queue().term.clone().unwrap();
    let claimed = coordinator.plan(&plan).await.unwrap().tasks()[&task_id("1")].record.claim.clone();
    let (before, attempt) = (before.trace.unwrap(), claimed.unwrap().trace.unwrap());
    assert_eq!(before.trace_id(), attempt.trace_id());
    first.signal(Signal::SIGKILL);
    until_free(&coordinator, &plan).await;
    std::fs::write(env.path("go"), "").unwrap();
    program.run_to(0, ["run", "p"]).await;
    let hex = |context: &planlease::trace::TraceContext| {
        (format!("{:032x}", context.trace_id()), format!("{:016x}", context.span_id()))
    };
    let second = |spans: &[SeenSpan]| {
        let second = |span: &&SeenSpan| span.name == "ownership" && span.attribute("term") == "2";
        spans.iter().find(second).cloned()
    };
    let ownership = collector.until("the second ownership", second).await;
    assert_eq!(ownership.links, [hex(&before)]);
    assert_ne!(ownership.trace, hex(&before).0, "each run is a trace of its own");
    let recovered = |spans: &[SeenSpan]| {
        let about = |span: &&SeenSpan| span.name == "update" && span.links.contains(&hex(&attempt));
        spans.iter().find(about).cloned()
    };
    let recovered = collector.until("the recovery", recovered).await;
    assert_eq!((recovered.attribute("task"), &recovered.trace), ("1", &ownership.trace));
    env.audit().await;
}

#[case]
async fn a_dead_or_silent_collector_changes_nothing(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let dead = {
        let gone = Collector::silent("grpc").await;
        gone.variables()
    };
    let silent = [Collector::silent("grpc").await, Collector::silent("http/protobuf").await];
    let http = [dead[0].clone(), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned())];
    let all = [dead.clone(), http, silent[0].variables(), silent[1].variables()];
    let mut usual = Duration::ZERO;
    for (n, variables) in std::iter::once(None).chain(all.into_iter().map(Some)).enumerate() {
        let name = format!("p{n}");
        coordinator.admin().import(&plan_name(&name), &spec(2, "true"), |_| {}).await.unwrap();
        let variables = variables.into_iter().flatten();
        let program =
            variables.fold(env.program().clone(), |program, (name, value)| program.variable(name, value));
        let began = Instant::now();
        let ended = program.run_to(0, ["run", &name]).await;
        let took = began.elapsed();
        if n == 0 {
            usual = took;
        }
        assert!(took < usual + SLACK, "{took:?}, and {usual:?} without a collector: {}", ended.stderr);
        let complaints = ended.stderr.lines().filter(|line| line.contains("traces are not taken")).count();
        assert!(complaints <= 1, "{}", ended.stderr);
        let view = coordinator.plan(&plan_name(&name)).await.unwrap();
        assert_eq!(view.summary().completed, 2);
    }
    env.audit().await;
}

#[case]
async fn without_an_endpoint_no_record_has_a_context(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let collector = Collector::http().await;
    let work = r#"echo "$TRACEPARENT" > "$TEST_DIR/parent"; touch "$TEST_DIR/begun"
        until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done"#;
    let outer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let off = traced(&env, &collector).variable("OTEL_SDK_DISABLED", "true");
    for (name, program) in [("unset", env.program().clone()), ("off", off)] {
        let plan = plan_name(name);
        coordinator.admin().import(&plan, &spec(1, work), |_| {}).await.unwrap();
        let program = program.variable("TRACEPARENT", outer);
        let mut run = Process::start(program.command(["run", name]), &env.path(name));
        until("the attempt", SOON, async || if env.path("begun").exists() { Ok(()) } else { Err(()) }).await;
        let view = coordinator.plan(&plan).await.unwrap();
        let claim = view.tasks()[&task_id("1")].record.claim.clone().unwrap();
        assert_eq!((claim.trace, &view.queue().term.as_ref().unwrap().1.trace), (None, &None));
        assert_eq!(env.text("parent").trim(), outer, "what the caller says is passed on");
        std::fs::write(env.path("go"), "").unwrap();
        assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
        for file in ["go", "begun"] {
            std::fs::remove_file(env.path(file)).unwrap();
        }
    }
    assert_eq!(collector.spans(), []);
    env.audit().await;
}

#[case]
async fn a_context_of_the_caller_is_continued(env: TestEnv) {
    let (coordinator, plan) = (env.coordinator().await, plan_name("p"));
    let two = PlanSpec {
        tasks: vec![TaskSpec::new(task_id("1"), "work"), TaskSpec::new(task_id("2"), "work")],
        ..spec(0, "")
    };
    coordinator.admin().import(&plan, &two, |_| {}).await.unwrap();
    let collector = Collector::http().await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let program = traced(&env, &collector).variable("TRACEPARENT", format!("00-{trace}-{span}-01"));
    program.run_to(0, ["task", "start", "p", "1"]).await;
    let claimed = collector.until("the claim", |spans| the(spans, "update", "1")).await;
    assert_eq!((claimed.trace.as_str(), claimed.parent.as_str()), (trace, span));
    let program =
        program.variable("PLANLEASE_LOG_FORMAT", "json").variable("PLANLEASE_LOG", "planlease=info");
    let held = program.run_to(0, ["hold", "p", "--", "sh", "-c", "echo $TRACEPARENT"]).await;
    let ownership = collector.until("the ownership", |spans| the(spans, "ownership", "")).await;
    assert_eq!((ownership.trace.as_str(), held.stdout.trim()), (trace, ownership.traceparent().as_str()));
    let mut lines = held.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let acquired = lines.find(|line| line["message"] == "acquired").unwrap();
    assert_eq!((&acquired["trace_id"], &acquired["span_id"]), (&trace.into(), &ownership.id.as_str().into()));
    assert!(acquired["timestamp"].is_string() && acquired["level"] == "INFO", "{acquired}");
    env.audit().await;
}

#[case]
async fn a_sidecar_continues_the_trace_of_a_request(env: TestEnv) {
    let (coordinator, plan) = (env.coordinator().await, plan_name("p"));
    coordinator.admin().import(&plan, &spec(2, "true"), |_| {}).await.unwrap();
    let collector = Collector::grpc().await;
    let program = traced(&env, &collector);
    let socket = env.path("sidecar.sock");
    let mut sidecar =
        Process::start(program.command(["sidecar", "--socket", path_text(&socket)]), &env.path("sidecar"));
    let client = Client::of(&socket);
    until("a socket", SOON, async || if socket.exists() { Ok(()) } else { Err(sidecar.said()) }).await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let context = format!("00-{trace}-{span}-01");
    let start = r#"{"change":"start"}"#;
    let headers = [("if-match", "*"), ("traceparent", context.as_str()), ("tracestate", "a=b")];
    client.ask(Method::PATCH, "/v1/plans/p/tasks/1", &headers, start).await.with(200);
    let broken = [("if-match", "*"), ("traceparent", "00-nonsense")];
    client.ask(Method::PATCH, "/v1/plans/p/tasks/2", &broken, start).await.with(200);
    let both = |spans: &[SeenSpan]| Some((the(spans, "update", "1")?, the(spans, "update", "2")?));
    let (update, other) = collector.until("both updates", both).await;
    let requests = |spans: &[SeenSpan]| {
        let mut found = spans.iter().filter(|span| span.name == "request");
        let continued = found.find(|span| span.id == update.parent).cloned()?;
        found.find(|span| span.id == other.parent).map(|_| continued)
    };
    let request = collector.until("the request", requests).await;
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (trace, span));
    assert_eq!((request.attribute("method"), request.attribute("status")), ("PATCH", "200"));
    assert_eq!(update.trace, trace);
    assert_ne!(other.trace, trace, "a context that cannot be read is none");
    let claim = coordinator.plan(&plan).await.unwrap().tasks()[&task_id("1")].record.claim.clone().unwrap();
    let stored = claim.trace.unwrap();
    assert_eq!((format!("{:032x}", stored.trace_id()).as_str(), stored.state()), (trace, Some("a=b")));
    sidecar.signal(Signal::SIGTERM);
    sidecar.until_ended(SOON).await;
    env.audit().await;
}
