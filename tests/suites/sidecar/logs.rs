//! The output of tasks: as a document, and as events while it is written.

use http::Method;
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::{task, with_sidecar};

/// Each attempt writes a line, and another one when it may; the first attempt of each task fails.
const WORK: &str = r#"
    echo "attempt $PLANLEASE_ATTEMPT of $PLANLEASE_TASK: ü"
    until [ -e "$TEST_DIR/go-$PLANLEASE_TASK-$PLANLEASE_ATTEMPT" ]; do sleep 0.05; done
    echo end; [ "$PLANLEASE_ATTEMPT" = 2 ]"#;

#[case]
async fn output_of_a_task_is_a_document_and_a_stream(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let path = format!("{}/logs", task("1"));
    let refused = client.get(&path).await.with(404);
    assert!(refused.text.contains("has not begun"), "{}", refused.text);
    client.get("/v1/plans/release/tasks/9/logs").await.with(404);
    client.get("/v1/plans/no/tasks/1/logs").await.with(404);
    client.get(&format!("{path}?attempt=0")).await.with(400);
    client.get(&format!("{path}?since_s=-1")).await.with(400);
    // The stream begins before there is anything to show.
    let mut events = client.stream(Method::GET, &path, &[], "").await;
    let mut run = env.start(&["run", "release", "--shell", "--exec", WORK], "run");
    let begun = events.until("attempt", SOON).await.data;
    assert_eq!(begun["attempt"], json!(1), "{begun}");
    let output = events.until("output", SOON).await.data;
    assert_eq!((&output["text"], &output["offset"]), (&json!("attempt 1 of 1: ü\n"), &json!(0)), "{output}");
    let shown = client.get(&path).await.with(200).json;
    assert_eq!(shown["schema"], "planlease.task_logs.v1");
    assert_eq!((&shown["text"], &shown["ended"]), (&json!("attempt 1 of 1: ü\n"), &json!(false)), "{shown}");
    let go = |attempt: u32| std::fs::write(env.path(&format!("go-1-{attempt}")), "").unwrap();
    go(1);
    let ended = events.until("ended", SOON).await.data;
    assert_eq!(ended["how"], "exited with code 1", "{ended}");
    // The next attempt is followed as well; then there is no more to come.
    let output = events.until("output", SOON).await.data;
    assert_eq!((&output["attempt"], &output["text"]), (&json!(2), &json!("attempt 2 of 1: ü\n")), "{output}");
    go(2);
    let ended = events.until("ended", SOON).await.data;
    assert_eq!(ended["how"], "exited with code 0", "{ended}");
    assert!(events.next(SOON).await.is_none(), "the stream ends with the task");
    until("the whole output", SOON, async || {
        let shown = client.get(&path).await.with(200).json;
        let whole = shown["ended"] == true && shown["text"] == "attempt 2 of 1: ü\nend\n";
        if whole && shown["how"] == "exited with code 0" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    let last = client.get(&format!("{path}?attempt=1&tail=1")).await.with(200).json;
    assert_eq!((&last["attempt"], &last["text"]), (&json!(1), &json!("end\n")), "{last}");
    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.until_ended(SOON).await;
}
