//! JSON state files: with any bytes, they are read or refused, soon, with places in
//! the file; and what is read comes back equal.

use bolero::{TypeGenerator, check};
use planlease_formats::state::{self, Content, MAX_STATE_FILE, Mode};
use planlease_fuzz::{
    INPUT_BYTES,
    confine::{MIB, is_confined},
    deadline::{Deadline, EACH},
    edit::{self, Edit},
    states,
};
use proptest::prelude::*;
use serde_json::Value;

/// Words that make an edited file nearly right.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u",
    "\\ud83d",
    "\"id\":",
    "\"tasks\":",
    "\"status\":",
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "1.1",
    "0.2",
    "\"dependencies\": [\"0.2\"]",
    "\"instances\":",
    "99999999999999999999",
    "\u{feff}",
];

/// Read or refused, the same each time, with places in the file; what is accepted is sound and can be stored.
fn look_at(bytes: &[u8]) {
    for mode in [Mode::Strict, Mode::Lenient] {
        let read = state::read("status.json", bytes, mode);
        assert_eq!(read, state::read("status.json", bytes, mode));
        match read {
            Ok(Content::Plan(plan)) => {
                assert_eq!(plan.spec.problems(), []);
                let document = states::through_the_store(&plan);
                if mode == Mode::Strict && plan.derived.is_empty() {
                    let text =
                        std::str::from_utf8(bytes).expect("it was read").trim_start_matches('\u{feff}');
                    assert_eq!(serde_json::from_str::<Value>(text).expect("it was read"), document);
                }
            }
            Ok(Content::Registry(_)) => {}
            Err(problems) => {
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
                assert!(!problems.listed.is_empty());
                for problem in &problems.listed {
                    assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem}");
                    assert!(problem.message.len() <= 1024, "{problem}");
                }
            }
        }
    }
}

#[test]
fn arbitrary_bytes_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    check!().for_each(|bytes: &[u8]| deadline.within(bytes.to_vec(), || look_at(bytes)));
}

#[derive(Clone, Debug, TypeGenerator)]
struct Edited {
    file: u8,
    edits: Vec<Edit>,
}

#[test]
fn edited_files_are_read_or_refused() {
    let (deadline, shaped) = (Deadline::of(EACH), states::shaped());
    check!().with_max_len(INPUT_BYTES).with_type::<Edited>().for_each(|edited| {
        deadline.within(edited.clone(), || {
            let mut bytes = shaped[usize::from(edited.file) % shaped.len()].clone();
            edit::make(&mut bytes, &edited.edits, WORDS);
            look_at(&bytes);
        });
    });
}

#[test]
fn no_pattern_makes_a_file_hard_to_read() {
    let deadline = Deadline::of(EACH);
    let patterns = [
        "[",
        "{",
        "{\"a\":",
        "[[],",
        "{\"a\":1,",
        "\"",
        "\\u0000",
        "0,",
        "-",
        " ",
        "\n",
        "\u{feff}",
        "{\"id\":\"1\"},",
        "{\"id\":\"1\",\"dependencies\":[\"1\"]},",
        "ä",
    ];
    let begin = "{\"planPath\":\"a\",\"planName\":\"b\",\"createdAt\":\"c\",\"tasks\":[";
    for pattern in patterns {
        for beginning in ["", begin, "{\"instances\":[", "{\"summary\":{", "\""] {
            let bytes = format!("{beginning}{}", pattern.repeat(64 * 1024 / pattern.len())).into_bytes();
            deadline.within((beginning, pattern), || look_at(&bytes));
        }
    }
}

/// How much memory reading may take for each byte of a file, and how much the process has for itself.
const MEMORY: (u64, u64) = (256, 200 * MIB);

#[test]
fn reading_takes_memory_in_proportion_to_the_file() {
    if !is_confined("reading_takes_memory_in_proportion_to_the_file", MEMORY.0 * MIB + MEMORY.1) {
        return;
    }
    for pattern in ["0,", "{},", "[],", "\"\","] {
        for beginning in ["[", "{\"tasks\":[", "{\"a\":["] {
            let bytes = format!("{beginning}{}", pattern.repeat(1024 * 1024 / pattern.len())).into_bytes();
            for mode in [Mode::Strict, Mode::Lenient] {
                drop(state::read("status.json", &bytes, mode));
            }
        }
    }
}

#[test]
fn a_file_that_is_larger_than_allowed_is_refused_unread() {
    let problems = state::read("status.json", &vec![0xff; MAX_STATE_FILE + 1], Mode::Lenient).unwrap_err();
    assert!(problems.to_string().contains("state files of at most"), "{problems}");
}

proptest! {
    #[test]
    fn every_file_comes_back_equal(document in states::document()) {
        let plan = states::plan(document.to_string().as_bytes(), Mode::Strict);
        prop_assert_eq!(&plan.derived, &[]);
        prop_assert_eq!(&states::through_the_store(&plan), &document);
        let again = states::plan(states::through_the_store(&plan).to_string().as_bytes(), Mode::Strict);
        prop_assert_eq!(again.states, plan.states);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is what it is run for")]
fn real_files_come_back_equal() {
    let Some(corpus) = states::corpus() else {
        println!(
            "not run: there is no corpus; PLANLEASE_TEST_CORPUS names one (with folders status, plans, registry)"
        );
        return;
    };
    let row = |name: &str, tasks: usize, phases: usize, dependencies: usize, what: &str| {
        println!("{name:<52} {tasks:>5} {phases:>6} {dependencies:>12}  {what}");
    };
    println!("{:<52} {:>5} {:>6} {:>12}  ROUND TRIP", "STATE FILE", "TASKS", "PHASES", "DEPENDENCIES");
    let mut states_of_plans = std::collections::BTreeMap::new();
    for (name, bytes) in states::files(&corpus.join("status")) {
        look_at(&bytes);
        let plan = states::plan(&bytes, Mode::Strict);
        let original: Value = serde_json::from_slice(&bytes).unwrap();
        let what = match plan.derived.len() {
            0 => "equal".to_owned(),
            n => format!("{n} counts derived again: {}", plan.derived[0].message),
        };
        if plan.derived.is_empty() {
            assert_eq!(states::through_the_store(&plan), original, "{name}");
        }
        let dependencies = plan.spec.tasks.iter().map(|task| task.depends_on.len()).sum();
        row(&name, plan.spec.tasks.len(), plan.spec.phases.len(), dependencies, &what);
        let path = plan.plan_path.unwrap_or_default();
        let ids: std::collections::BTreeSet<_> = plan.spec.tasks.iter().map(|task| task.id.clone()).collect();
        states_of_plans.entry(path.rsplit('/').next().unwrap_or_default().to_owned()).or_insert(ids);
    }
    println!("\n{:<52} {:>5} {:>6} {:>12}  STATE FILE", "PLAN FILE", "TASKS", "PHASES", "DEPENDENCIES");
    for (name, bytes) in states::files(&corpus.join("plans")) {
        match planlease_formats::parse(&name, &bytes) {
            Ok(parsed) => {
                let ids: std::collections::BTreeSet<_> =
                    parsed.spec.tasks.iter().map(|task| task.id.clone()).collect();
                let what = match states_of_plans.get(&name) {
                    None => "none".to_owned(),
                    Some(state) if *state == ids => "the same tasks".to_owned(),
                    Some(state) => format!(
                        "{} tasks more, {} fewer",
                        state.difference(&ids).count(),
                        ids.difference(state).count()
                    ),
                };
                let dependencies = parsed.spec.tasks.iter().map(|task| task.depends_on.len()).sum();
                row(&name, parsed.spec.tasks.len(), parsed.spec.phases.len(), dependencies, &what);
            }
            Err(problems) => {
                let first = problems
                    .listed
                    .iter()
                    .find(|problem| problem.severity == planlease_formats::Severity::Error);
                row(&name, 0, 0, 0, &format!("no plan: {}", first.map_or("", |problem| &problem.message)));
            }
        }
    }
    for (name, bytes) in states::files(&corpus.join("registry")) {
        let Ok(Content::Registry(registry)) = state::read(&name, &bytes, Mode::Strict) else {
            panic!("{name}")
        };
        println!("\nregistry {name}: {} entries", registry.instances.len());
    }
}
