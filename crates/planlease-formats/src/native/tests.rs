//! Tests of the native plans: each key, each message.

use planlease_core::spec::OnLost;

use crate::tests::{read, refuse};

const PLAN: &str = r#"
title = "Release 1.4"

[policy]
max_retries = 5
on_lost = "ask"
lock_delay_s = 10

[[phase]]
number = "1"
name = "Build"
verification = ["all green"]

[[task]]
id = "1.1"
phase = "1"
description = "Compile"
command = ["cargo", "build"]
steps = ["fetch", "compile"]
policy = { attempt_deadline_s = 60 }

[[task]]
id = "test"
description = "Test"
depends_on = ["1.1", "1.1"]
"#;

#[test]
fn everything_can_be_said() {
    insta::assert_snapshot!(read("plan.toml", PLAN), @r#"
    Release 1.4
    phase 1: Build
      verify "all green"
    task 1.1 in 1: Compile
      step "fetch"
      step "compile"
    task test in none: Test
      after 1.1
    "#);
    let spec = crate::parse("plan.toml", PLAN.as_bytes()).unwrap().spec;
    let policy = &spec.policy;
    assert_eq!((policy.max_retries, policy.attempt_deadline_s, policy.lock_delay_s), (5, 1800, 10));
    assert_eq!(policy.on_lost, OnLost::Ask);
    assert_eq!(spec.tasks[0].command.as_deref().unwrap(), ["cargo", "build"]);
    let own = spec.policy_of(&spec.tasks[0]);
    assert_eq!((own.max_retries, own.attempt_deadline_s), (5, 60));
}

#[test]
fn tasks_use_the_pools_of_the_policy_unless_they_name_their_own() {
    let text = "title = 'T'\n[policy]\npools = ['gpu']\n[[task]]\nid = '1'\ndescription = 'd'\n\
                [[task]]\nid = '2'\ndescription = 'd'\npools = { gpu = 2, net = 1 }\n\
                [[task]]\nid = '3'\ndescription = 'd'\npools = []\npolicy = { max_retries = 0 }\n";
    let spec = crate::parse("plan.toml", text.as_bytes()).unwrap().spec;
    let pools = spec.tasks.iter().map(|task| spec.policy_of(task).pools.to_string());
    assert_eq!(pools.collect::<Vec<_>>(), ["gpu", "gpu (2 permits), net", ""]);
    let wrong = text.replace("gpu = 2", "gpu = 13");
    assert!(refuse("plan.toml", &wrong).contains("at most 12 permits"), "{}", refuse("plan.toml", &wrong));
}

#[test]
fn the_order_of_execution_can_be_said() {
    insta::assert_snapshot!(read("plan.toml", r#"
title = "T"
sequential = [{ tasks = ["b", "a"], reason = "one file" }]
parallel = [{ phases = ["1", "2"] }]
[[phase]]
number = "1"
name = "P"
[[phase]]
number = "2"
name = "Q"
pipeline_start = "a"
[[task]]
id = "a"
description = "A"
priority = -1
labels = ["gpu", "big"]
[[task]]
id = "b"
description = "B"
"#), @r#"
    T
     {"parallel":[{"phases":["1","2"]}],"sequential":[{"reason":"one file","tasks":["b","a"]}]}
    phase 1: P
    phase 2: Q {"pipeline_start":{"after":"a"}}
    task a in none: A {"labels":["big","gpu"],"priority":-1}
    task b in none: B
    "#);
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
sequential = [{ tasks = ["a", "b"] }, { phases = ["9"] }]
[[task]]
id = "a"
description = "A"
depends_on = ["b"]
[[task]]
id = "b"
description = "B"
"#), @r"
    plan.toml:1:1: error: the order of execution names phase 9, which the plan does not have
      help: Name tasks by their ids, and phases by their numbers.
    plan.toml:7:15: error: the dependencies form a cycle: a → b → a
      help: Each waits for the next, so that none of them could ever start: take one of these dependencies out, or a note about the order.
    ");
}

#[test]
fn unknown_keys_are_refused_with_their_place_and_what_was_meant() {
    insta::assert_snapshot!(refuse("plan.toml", r#"
titel = "T"
title = "T"
[policy]
max_retry = 1
[[phase]]
number = "1"
name = "P"
colour = "red"
[[tasks]]
[[task]]
id = "1"
descripton = "D"
description = "D"
policy = { deadline = 3 }
"#), @r"
    plan.toml:2:1: error: a plan has no key `titel`
      help: Did you mean `title`?
    plan.toml:5:1: error: a policy has no key `max_retry`
      help: Did you mean `max_retries`?
    plan.toml:9:1: error: a phase has no key `colour`
      help: Known are `name`, `number`, `pipeline_start`, `verification`.
    plan.toml:10:3: error: a plan has no key `tasks`
      help: Did you mean `task`?
    plan.toml:13:1: error: a task has no key `descripton`
      help: Did you mean `description`?
    plan.toml:15:12: error: a policy has no key `deadline`
      help: Did you mean `total_deadline_s`?
    ");
}

#[test]
fn what_has_the_wrong_type_is_refused_in_each_task() {
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
[policy]
max_retries = -1
[[phase]]
number = 1
name = "P"
[[task]]
id = 1.10
description = "D"
[[task]]
id = "2"
description = "D"
command = "cargo build"
[[task]]
id = "3"
depends_on = ["2"]
[[task]]
id = " 4"
description = "D"
[[task]]
id = "5"
description = "D"
policy = { on_lost = "forget" }
"#), @r#"
    plan.toml:4:15: error: invalid value: integer `-1`, expected u32
      help: docs/plan-file.md says what is allowed here.
    plan.toml:6:10: error: invalid type: integer `1`, expected a string
      help: Put it in quotes: without them 1.10 would be the same as 1.1.
    plan.toml:9:6: error: invalid type: floating point `1.1`, expected a string
      help: Put it in quotes: without them 1.10 would be the same as 1.1.
    plan.toml:14:11: error: invalid type: string "cargo build", expected a sequence
      help: Write a list, as ["cargo", "build"]. A command is a program and its arguments; no shell is used.
    plan.toml:15:1: error: missing field `description`
      help: A plan needs a `title`; a phase a `number` and a `name`; a task an `id` and a `description`.
    plan.toml:19:6: error: task id " 4" begins or ends with a blank
      help: Use a short id without blanks, such as "1.1" or "build".
    plan.toml:24:22: error: unknown variant `forget`, expected one of `retry`, `fail`, `ask`
      help: docs/plan-file.md says what is allowed here.
    "#);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
[[phase]]
number = "1"
name = "P"
[[phase]]
number = "1"
name = "Q"
[[phase]]
number = ""
name = "R"
[[task]]
id = "a"
description = "D"
phase = "2"
depends_on = [
  "b",
  "c",
]
command = []
[[task]]
id = "b"
description = "D"
depends_on = ["a", "x y", "/"]
[[task]]
id = "a"
description = "D"
"#), @r#"
    plan.toml:6:1: error: phase 1 is defined more than once
      help: Give each phase a number of its own.
    plan.toml:9:1: error: the number of the phase is empty
      help: Give it one, such as "1" or "2b".
    plan.toml:15:9: error: task a is in phase "2", which the plan does not have
      help: Define the phase, or put the task into one that is defined.
    plan.toml:18:3: error: task a depends on c, which the plan does not have
      help: It could never start. Correct the id, or take the dependency out.
    plan.toml:20:11: error: the command of task a is empty
      help: Name the program and its arguments, or leave the command out for that of the orchestrator.
    plan.toml:24:20: error: task b depends on x y, which the plan does not have
      help: Name the tasks one by one, with commas between them.
    plan.toml:24:27: error: task id "/" contains a `/`, which is kept for separating a plan from a task
      help: Name the tasks by their ids.
    plan.toml:26:6: error: task a is defined more than once
      help: Give each task an id of its own.
    "#);
}

#[test]
fn what_is_not_toml_is_refused_with_all_its_mistakes() {
    insta::assert_snapshot!(refuse("plan.toml", "title = Release\n[policy\nmax_retries = 1\n[[task]\n"), @r"
    plan.toml:1:9: error: string values must be quoted, expected literal string
      help: The file is not valid TOML: see https://toml.io. Texts stand in quotes, tables in brackets.
    plan.toml:2:8: error: unclosed table, expected `]`
      help: The file is not valid TOML: see https://toml.io. Texts stand in quotes, tables in brackets.
    plan.toml:4:8: error: unclosed array table, expected `]`
      help: The file is not valid TOML: see https://toml.io. Texts stand in quotes, tables in brackets.
    ");
}

#[test]
fn what_is_no_list_of_tables_is_refused() {
    insta::assert_snapshot!(refuse("plan.toml", "title = 'T'\ntask = 1\nphase = {}\n"), @r"
    plan.toml:2:8: error: `task` has to be a list of tables, and is of type integer
      help: Begin each task with a line [[task]], in double brackets.
    plan.toml:3:9: error: `phase` has to be a list of tables, and is of type table
      help: Begin each phase with a line [[phase]], in double brackets.
    ");
    insta::assert_snapshot!(refuse("plan.toml", "title = 'T'\n"), @r"
    plan.toml:1:1: error: the plan has no tasks
      help: There would be nothing to do. A task is a table `[[task]]` with an `id` and a `description`.
    ");
}

#[test]
fn references_to_unreadable_parts_are_no_second_error() {
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
[[phase]]
number = "1"
[[task]]
id = "a"
[[task]]
id = "b"
description = "D"
phase = "1"
depends_on = ["a", "c"]
"#), @r"
    plan.toml:3:1: error: missing field `name`
      help: A plan needs a `title`; a phase a `number` and a `name`; a task an `id` and a `description`.
    plan.toml:5:1: error: missing field `description`
      help: A plan needs a `title`; a phase a `number` and a `name`; a task an `id` and a `description`.
    plan.toml:11:20: error: task b depends on c, which the plan does not have
      help: It could never start. Correct the id, or take the dependency out.
    ");
}

#[test]
fn a_duration_that_cannot_be_meant_is_refused_with_its_place() {
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
[policy]
attempt_deadline_s = 9223372036854775807
[[task]]
id = "1"
description = "D"
policy = { heartbeat_s = 315360001 }
"#), @r"
    plan.toml:3:1: error: attempt_deadline_s of the policy is 9223372036854775807 s; at most 315360000 s (10 years) are allowed
      help: Durations are in seconds; 0 stands for no limit.
    plan.toml:8:10: error: heartbeat_s of task 1 is 315360001 s; at most 315360000 s (10 years) are allowed
      help: Durations are in seconds; 0 stands for no limit.
    ");
}

#[test]
fn approvals_and_budgets_are_read_and_checked() {
    let plan = r#"
title = "T"
[policy]
max_attempts = 4
budget = 0.000001
[[task]]
id = "1"
description = "D"
approval = "before"
policy = { budget = 12.5, max_attempts = 2 }
[[task]]
id = "2"
description = "D"
approval = "after"
[[task]]
id = "3"
description = "D"
policy = { budget = 7 }
"#;
    let spec = crate::parse("plan.toml", plan.as_bytes()).unwrap().spec;
    let of = |n: usize| {
        let policy = spec.policy_of(&spec.tasks[n]);
        (spec.tasks[n].approval.map(|of| of.as_str()), policy.max_attempts, policy.budget.to_string())
    };
    assert_eq!(of(0), (Some("before"), 2, "12.5".to_owned()));
    assert_eq!(of(1), (Some("after"), 4, "0.000001".to_owned()));
    assert_eq!(of(2), (None, 4, "7".to_owned()));
    insta::assert_snapshot!(refuse("plan.toml", r#"
title = "T"
[policy]
budget = nan
[[task]]
id = "1"
description = "D"
approval = "always"
[[task]]
id = "2"
description = "D"
policy = { budget = -0.5 }
[[task]]
id = "3"
description = "D"
policy = { budget = 1e10, max_attempts = 1.5 }
"#), @"
    plan.toml:4:10: error: `NaN` is not an amount: a number from 0 to 1000000000, with at most 6 decimal places
      help: docs/plan-file.md says what is allowed here.
    plan.toml:8:12: error: unknown variant `always`, expected `before` or `after`
      help: docs/plan-file.md says what is allowed here.
    plan.toml:12:21: error: `-0.5` is not an amount: a number from 0 to 1000000000, with at most 6 decimal places
      help: docs/plan-file.md says what is allowed here.
    plan.toml:16:21: error: `10000000000` is not an amount: a number from 0 to 1000000000, with at most 6 decimal places
      help: docs/plan-file.md says what is allowed here.
    ");
}
