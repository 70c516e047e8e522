//! What a task has found out, and what its command wrote: each is kept, in any order.

use planlease::Findings;
use std::time::Duration;

use planlease_core::record::FindingsRecord;
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// The first task stores findings, the second one where they are, the third one nothing; all of them write.
const WORK: &str = r#"
    echo "noise of $PLANLEASE_TASK"
    case "$PLANLEASE_TASK" in
        1) "$PROGRAM" findings write found 1 --content 'the answer' ;;
        2) "$PROGRAM" findings write found 2 --ref https://example.org/2 ;;
    esac"#;

#[case]
async fn findings_of_a_task_stay_beside_its_output(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("found"));
    coordinator.admin().import(&plan, &spec(3, WORK), |_| {}).await.unwrap();
    env.program().run_to(0, ["run", "found"]).await;
    let read = async |task: &str, flags: &[&str]| {
        let args = [&["findings", "read", "found", task], flags].concat();
        env.program().run_to(0, args).await.stdout
    };
    assert_eq!(read("1", &[]).await, "the answer");
    assert!(read("1", &["--command-output"]).await.starts_with("noise of 1\n"));
    let second = env.json(&["findings", "read", "found", "2"]).await;
    assert_eq!(second["reference"], "https://example.org/2");
    assert!(second["output"]["text"].as_str().unwrap().starts_with("noise of 2\n"), "{second}");
    assert_eq!(read("3", &[]).await, "noise of 3\n", "a task without findings is read by its output");
    let shown = env.program().run_to(0, ["task", "show", "found", "1"]).await.stdout;
    assert!(shown.contains("the answer") && shown.contains("noise of 1"), "{shown}");

    // What is written later takes the place of its own kind only.
    env.program().run_to(0, ["findings", "write", "found", "3", "--content", "by a person"]).await;
    assert_eq!(read("3", &[]).await, "by a person");
    assert_eq!(read("3", &["--command-output"]).await, "noise of 3\n");
    // As large as they may be, and hard to escape.
    let large = "\u{1}".repeat(planlease_core::codec::MAX_FINDINGS);
    let session = env.session("owner").await;
    let owner = planlease_tests::test_env::acquired(&session, &plan).await;
    owner.authority().write_findings(&task_id("3"), &Findings::of_attempt(1, &large)).await.unwrap();
    let FindingsRecord { text, output, .. } =
        coordinator.findings(&plan, &task_id("3")).await.unwrap().unwrap();
    assert_eq!((text.len(), output.unwrap().text.as_str()), (large.len(), "noise of 3\n"));
    env.audit().await;
}
