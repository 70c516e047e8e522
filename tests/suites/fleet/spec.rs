//! What the tests of this suite have their processes do.

use planlease_core::spec::{PlanSpec, Policy, TaskSpec};
use planlease_tests::test_env::task_id;

/// A plan of `count` tasks without dependencies, 1 and up, which run `script`.
pub(crate) fn spec(count: usize, script: &str) -> PlanSpec {
    let command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
    let task =
        |n: usize| TaskSpec { command: command.clone(), ..TaskSpec::new(task_id(&n.to_string()), "work") };
    PlanSpec {
        title: "work".into(),
        tasks: (1..=count).map(task).collect(),
        policy: Policy { max_retries: 0, ..Policy::default() },
        ..PlanSpec::default()
    }
}
