//! `planlease wait`: it ends when the condition holds, and as soon as it cannot any more.

use planlease::{PlanName, Reason};
use planlease_core::transition::Change;
use planlease_tests::{
    TestEnv, case,
    test_env::{acquired, committed, plan_name, task_id},
    wait::SOON,
};

use crate::spec::spec;

/// The documented exit statuses.
const FAILED: i32 = 10;
const NO_SUCH_PLAN: i32 = 104;
const TIMED_OUT: i32 = 118;
const HALTED: i32 = 121;
const FINISHED: i32 = 122;

#[case]
async fn waiting_ends_when_the_condition_holds_everywhere(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let plans = [plan_name("one"), plan_name("two")];
    for plan in &plans {
        coordinator.admin().import(plan, &spec(1, "true"), |_| {}).await.unwrap();
    }
    let mut both = env.start(&["wait", "one", "two"], "both");
    let mut task = env.start(&["wait", "two", "--for", "task=1:in_progress"], "task");
    let change = async |plan: &PlanName, change: Change| {
        let view = coordinator.task(plan, &task_id("1")).await.unwrap().unwrap();
        committed(coordinator.as_operator(plan, "kim").update(&view, &change).await.unwrap());
    };
    change(&plans[0], Change::Start).await;
    change(&plans[0], Change::Complete(None)).await;
    change(&plans[1], Change::Start).await;
    assert_eq!(task.until_ended(SOON).await, Some(0));
    assert_eq!(both.ended(), None, "one of two plans is finished");
    change(&plans[1], Change::Complete(None)).await;
    assert_eq!(both.until_ended(SOON).await, Some(0));
}

#[case]
async fn waiting_ends_when_the_condition_cannot_hold(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let ends_with = async |args: &[&str], status: i32| {
        let wait = [&["wait"], args].concat();
        env.program().run_to(status, &wait).await.stderr
    };
    for name in ["stuck", "cancelled", "done"] {
        coordinator.admin().import(&plan_name(name), &spec(1, "false"), |_| {}).await.unwrap();
    }
    ends_with(&["nothing"], NO_SUCH_PLAN).await;
    let said = ends_with(&["stuck", "--for", "owned", "--wait", "50ms"], TIMED_OUT).await;
    assert!(said.contains("not every plan is owned"), "{said}");
    env.program().run_to(FAILED, ["run", "stuck"]).await;
    ends_with(&["stuck"], FAILED).await;
    ends_with(&["stuck", "--for", "failed"], 0).await;
    ends_with(&["stuck", "--for", "unowned"], 0).await;
    coordinator.admin().cancel(&plan_name("cancelled"), &Reason::by("kim").because("x")).await.unwrap();
    ends_with(&["cancelled"], HALTED).await;
    let plan = plan_name("done");
    let owner = acquired(&env.session("owner").await, &plan).await;
    ends_with(&["done", "--for", "owned"], 0).await;
    let view = coordinator.task(&plan, &task_id("1")).await.unwrap().unwrap();
    committed(owner.authority().update(&view, &Change::Skip("x".to_owned())).await.unwrap());
    owner.release().await.unwrap();
    ends_with(&["done"], 0).await;
    ends_with(&["done", "--for", "task=1:completed"], FINISHED).await;
}
