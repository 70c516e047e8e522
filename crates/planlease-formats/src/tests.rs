//! Tests of both formats together: the shipped examples, the published schema, arbitrary input, and speed.

use std::{fmt::Write as _, time::Duration};

use planlease_core::spec::PlanSpec;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const PLANS: [(&str, &str); 2] = [
    ("release-service.md", include_str!("../../../examples/plans/release-service.md")),
    ("host-checkup.toml", include_str!("../../../examples/plans/host-checkup.toml")),
];
const SCHEMA: &str = include_str!("../../../docs/schema/plan.schema.json");
const GUIDE: &str = include_str!("../../../docs/plan-file.md");

/// A plan as a few lines, for snapshots.
pub(crate) fn show(spec: &PlanSpec) -> String {
    let mut shown = format!("{}\n", spec.title);
    let mut line = |text: String| writeln!(shown, "{text}").unwrap();
    // What has no line of its own.
    let more = |of: serde_json::Value, shown: &[&str]| {
        let serde_json::Value::Object(mut of) = of else { unreachable!("a definition is an object") };
        of.retain(|key, _| !shown.contains(&key.as_str()));
        if of.is_empty() { String::new() } else { format!(" {}", serde_json::Value::from(of)) }
    };
    let of_plan = more(json!(spec), &["title", "source", "phases", "tasks", "policy", "in_file_order"]);
    if !of_plan.is_empty() {
        line(of_plan);
    }
    for phase in &spec.phases {
        let more = more(json!(phase), &["number", "name", "verification"]);
        line(format!("phase {}: {}{more}", phase.number, phase.name));
        for criterion in &phase.verification {
            line(format!("  verify {criterion:?}"));
        }
    }
    for task in &spec.tasks {
        let phase = task.phase.as_deref().unwrap_or("none");
        let known = ["id", "phase", "description", "depends_on", "steps", "command", "policy"];
        line(format!("task {} in {phase}: {}{}", task.id, task.description, more(json!(task), &known)));
        for id in &task.depends_on {
            line(format!("  after {id}"));
        }
        for step in &task.steps {
            line(format!("  step {step:?}"));
        }
    }
    shown
}

/// The plan in a few lines, with what its author is warned of.
pub(crate) fn read(path: &str, text: &str) -> String {
    let Parsed { spec, warnings, .. } =
        parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#}"));
    let mut shown = show(&spec);
    for warning in warnings {
        writeln!(shown, "{warning:#}").unwrap();
    }
    shown
}

/// What is said of a plan that cannot be used.
pub(crate) fn refuse(path: &str, text: impl AsRef<[u8]>) -> String {
    format!("{:#}", parse(path, text.as_ref()).expect_err("this plan is wrong"))
}

#[test]
fn the_shipped_plans_are_sound_and_without_warnings() {
    for (name, text) in PLANS {
        let parsed = parse(name, text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert_eq!(parsed.warnings, [], "{name}");
        assert_eq!(parsed.spec.problems(), [], "{name}");
        assert!(parsed.spec.tasks.iter().any(|task| !task.depends_on.is_empty()), "{name}");
    }
}

#[test]
fn the_shipped_plan_has_a_twin_in_the_native_format() {
    let markdown = include_str!("../../../examples/plans/host-checkup.md");
    let twin = parse("host-checkup.md", markdown.as_bytes()).unwrap();
    assert_eq!(twin.warnings, []);
    let native = parse("host-checkup.toml", PLANS[1].1.as_bytes()).unwrap().spec;
    let essence = |spec: &PlanSpec| {
        let phases: Vec<_> =
            spec.phases.iter().map(|phase| (phase.number.clone(), phase.name.clone())).collect();
        let tasks: Vec<_> = spec.tasks.iter().map(|task| (task.id.clone(), task.phase.clone())).collect();
        let depends_on: Vec<_> = spec.tasks.iter().map(|task| task.depends_on.clone()).collect();
        (spec.title.clone(), phases, tasks, depends_on)
    };
    assert_eq!(essence(&twin.spec), essence(&native));
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let published: serde_json::Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    assert!(
        published == schema(),
        "docs/schema/plan.schema.json is stale. Write it again:\n  \
         cargo run -p planlease-formats --example schema > docs/schema/plan.schema.json"
    );
}

/// Whether the published schema accepts a native plan.
fn satisfies_schema(toml: &str) -> bool {
    let value: serde_json::Value = toml::from_str(toml).unwrap();
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::validator_for(&schema).unwrap().is_valid(&value)
}

#[test]
fn the_published_schema_agrees_with_the_parser() {
    assert!(satisfies_schema(PLANS[1].1));
    let plan = "title = 'T'\n[policy]\non_lost = 'ask'\n[[task]]\nid = '1'\ndescription = 'D'\n";
    assert!(satisfies_schema(plan));
    for (right, wrong) in [
        ("title = 'T'\n", ""),
        ("id = '1'", "id = 1"),
        ("id = '1'", "id = ''"),
        ("'ask'", "'perhaps'"),
        ("description = 'D'", "descripton = 'D'"),
        ("description = 'D'", "description = 'D'\ncommand = []"),
        ("description = 'D'", "description = 'D'\ncommand = 'ls'"),
        ("description = 'D'", "description = 'D'\npolicy = { max_retries = -1 }"),
    ] {
        let plan = plan.replace(right, wrong);
        assert!(!satisfies_schema(&plan), "the schema accepts\n{plan}");
        assert!(parse("plan.toml", plan.as_bytes()).is_err(), "the parser accepts\n{plan}");
    }
}

#[test]
fn the_examples_of_the_guide_are_plans() {
    for (language, path) in [("markdown", "guide.md"), ("toml", "guide.toml")] {
        let fence = format!("````{language}\n");
        let examples: Vec<&str> =
            GUIDE.split(&fence).skip(1).map(|rest| rest.split("\n````").next().unwrap()).collect();
        assert!(!examples.is_empty(), "{language}");
        for example in examples {
            let parsed = parse(path, example.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#}"));
            assert_eq!(parsed.warnings, []);
        }
    }
}

#[test]
fn the_guide_shows_each_format_of_others() {
    for (format, name) in [
        (Format::Kiro, "markdown kiro"),
        (Format::SpecKit, "markdown spec-kit"),
        (Format::OpenSpec, "markdown openspec"),
        (Format::Conductor, "markdown conductor"),
        (Format::Checklist, "markdown checklist"),
        (Format::Backlog, "markdown backlog"),
        (Format::Taskmaster, "json taskmaster"),
        (Format::Beads, "json beads"),
        (Format::Ralph, "json ralph"),
    ] {
        let fence = format!("```{name}\n");
        let example = GUIDE.split(&fence).nth(1).and_then(|rest| rest.split("\n```").next());
        let example = example.unwrap_or_else(|| panic!("there is no example {name}"));
        let parsed =
            parse_as(format, "guide", example.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert!(parsed.counts.agree() && !parsed.spec.tasks.is_empty(), "{name}: {:?}", parsed.counts);
    }
}

#[test]
fn a_plan_says_from_which_bytes_it_was_read() {
    let text = "# T\n## Phase 1: P\n- [ ] 1.1 D\n";
    let source = |text: &str| parse("a/plan.md", text.as_bytes()).unwrap().spec.source.unwrap();
    assert_eq!(source(text).path, "a/plan.md");
    assert_eq!(source(text).sha256, "45565b09cffba2b5421d59ea6f2ba39dd2180046b5a81c4c3f8407205d5f4775");
    assert_ne!(source(text).sha256, source(&text.replace('\n', "\r\n")).sha256);
}

#[test]
fn an_unknown_format_is_not_guessed() {
    insta::assert_snapshot!(refuse("plans/release.yaml", "title: T"), @r#"
    plans/release.yaml:1:1: error: "release.yaml" does not say which format it has
      help: Plan files end in .md or .markdown (checklists), in .toml (native), or in .json or .jsonl (those of other tools): rename the file.
    "#);
    let plan = "# T\n## Phase 1: P\n- [ ] 1.1 D\n";
    assert_eq!(parse_as(Format::Markdown, "-", plan.as_bytes()).unwrap().spec.title, "T");
}

#[test]
fn very_many_problems_are_counted_rather_than_listed() {
    let mut plan = String::from("# T\n## Phase 1: P\n");
    for i in 0..1_000 {
        writeln!(plan, "- [ ] 1.{i} D (depends: 2.{i})").unwrap();
    }
    let problems = parse("plan.md", plan.as_bytes()).unwrap_err();
    assert_eq!((problems.listed.len(), problems.left_out), (100, 900));
    assert!(problems.to_string().ends_with("\n… and 900 more problems"));
}

/// A plan of 10,000 tasks with about 30,000 dependencies, in both formats.
fn large() -> [(&'static str, String); 2] {
    let mut markdown = String::from("# Large\n");
    let mut native = String::from("title = 'Large'\n");
    for phase in 0..100 {
        writeln!(markdown, "\n## Phase {phase}: P\n").unwrap();
        writeln!(native, "[[phase]]\nnumber = '{phase}'\nname = 'P'").unwrap();
    }
    for i in 0..10_000_u32 {
        let (phase, task) = (i / 100, i % 100);
        let before: Vec<String> = [1, 7, 90]
            .iter()
            .filter_map(|d| i.checked_sub(*d))
            .map(|j| format!("{}.{}", j / 100, j % 100))
            .collect();
        if task == 0 {
            writeln!(markdown, "\n## Phase {}: Q\n", 100 + phase).unwrap();
        }
        writeln!(markdown, "- [ ] {phase}.{task} Do `it` (depends: {})\n  - step", before.join(", "))
            .unwrap();
        let before: Vec<String> = before.iter().map(|id| format!("'{id}'")).collect();
        writeln!(native, "[[task]]\nid = '{phase}.{task}'\ndescription = 'Do'\nphase = '{phase}'").unwrap();
        writeln!(native, "depends_on = [{}]", before.join(", ")).unwrap();
    }
    [("large.md", markdown), ("large.toml", native)]
}

/// Texts that are costly for parsers with a quadratic spot, each of about `size` bytes.
fn hostile(size: usize) -> Vec<(&'static str, String)> {
    let repeat = |text: &str| text.repeat(size / text.len());
    let task = |text: String| format!("# T\n## Phase 1: P\n- [ ] 1.1 {text}\n");
    let mut hostile: Vec<(&str, String)> = Vec::new();
    for part in [
        "(depends: ",
        "(depends: 9.9) ",
        "(depends on ",
        "depends on ",
        "deps: 9.9 ",
        "after 9.9, ",
        "[deps: (",
        "(depends on phase 1) ",
        "`",
        "[",
        "*a ",
        "<",
        "<!--",
        "((",
        "> ",
    ] {
        hostile.push(("plan.md", task(repeat(part))));
    }
    for part in [
        "depends on ",
        "(depends on 9.9) ",
        "(depends on ",
        "(after ;",
        "(after 9;",
        ", after 9",
        "**deps: ",
        "A1 ",
        "`",
        "<!-- deps: 9 -->",
    ] {
        hostile.push(("TODO.md", format!("# T\n- [ ] {}\n", repeat(part))));
    }
    hostile.push(("TODO.md", format!("# T\n{}", repeat("- [ ] A1 a (after A1)\n"))));
    hostile.push((
        "plan.md",
        task(format!("(depends: {})", (0..size / 5).map(|i| format!("9.{i},")).collect::<String>())),
    ));
    for line in [
        "- ",
        "a\n",
        "  a (\n",
        "**Depends on:** 1.1\n",
        "## Phase 2: a (depends on phase 1)\n",
        "  - [ ] 1.1 a\n",
        "- [ ] 1.1 a\n",
        "# a\n",
        "## Phase 1: a\n",
        "```\n",
        "**VERIFY:** a\nb\n",
    ] {
        hostile.push(("plan.md", format!("# T\n## Phase 1: P\n{}", repeat(line))));
    }
    hostile.push(("plan.md", (0..size / 120).map(|i| format!("{}- a\n", " ".repeat(i % 240))).collect()));
    // After five notes that name all of them there is room for all but a few: the worst for each further
    // note.
    let tasks: String = (0..16_700).map(|i| format!("- [ ] 1.{i} a\n")).collect();
    let notes = repeat("**Execution Note:** 1.0-1.16699 [PARALLEL]\n");
    hostile.push(("plan.md", format!("# T\n## Phase 1: P\n{tasks}{notes}")));
    for part in ["[", "a.", "a = 1\n", "[[task]]\n", "[[task]]\nid = '1'\n", "a = {", "'''"] {
        hostile.push(("plan.toml", repeat(part)));
    }
    hostile.push(("plan.toml", format!("a = {}", repeat("["))));
    let depends_on: String = (0..size / 8).map(|i| format!("'9.{i}',")).collect();
    hostile.push((
        "plan.toml",
        format!("title='T'\n[[task]]\nid='1'\ndescription='D'\ndepends_on=[{depends_on}]"),
    ));
    hostile
}

/// How much of a processor reading one of these texts may take, without optimisation. All of them take a
/// small part of it; a step that is quadratic in half a megabyte takes much more.
const LIMIT: Duration = Duration::from_secs(10);

/// Measured by what this thread alone has used, so that it does not depend on what else goes on.
fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let used = || {
        // Nanoseconds on a processor come first: proc(5).
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let before = used();
    let result = run();
    let took = used() - before;
    assert!(took < LIMIT, "{what}… took {took:?}");
    result
}

#[test]
fn large_plans_are_read_fast() {
    for (name, text) in large() {
        let parsed =
            timed(name, || parse(name, text.as_bytes())).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert_eq!(parsed.spec.tasks.len(), 10_000);
        assert!(parsed.spec.tasks.iter().map(|task| task.depends_on.len()).sum::<usize>() > 29_000);
    }
}

#[test]
fn nothing_takes_time_out_of_proportion() {
    for (name, text) in hostile(500_000) {
        let start: String = text.chars().take(60).collect();
        drop(timed(&start, || parse(name, text.as_bytes())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for name in ["plan.md", "plan.toml"] {
            drop(parse(name, &bytes));
        }
    }

    #[test]
    fn text_of_the_words_of_plans_never_panics(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..80),
    ) {
        let text = words.concat();
        for name in ["plan.md", "plan.toml"] {
            check_result(parse(name, text.as_bytes()))?;
        }
    }

    #[test]
    fn plans_with_a_piece_missing_or_doubled_never_panic(
        which in 0..PLANS.len(), from in 0..6_000_usize, length in 0..300_usize, doubled: bool,
    ) {
        let (name, text) = PLANS[which];
        let mut bytes = text.as_bytes().to_vec();
        let from = from.min(bytes.len());
        let piece = from..(from + length).min(bytes.len());
        if doubled {
            let again = bytes[piece].to_vec();
            bytes.extend(again);
        } else {
            bytes.drain(piece);
        }
        check_result(parse(name, &bytes))?;
    }
}

/// What the grammars are made of.
const WORDS: &[&str] = &[
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    "- [ ] ",
    "- [x] ",
    "1.1",
    "1.2 ",
    "1.1.1",
    "(approval: ",
    "- approval: after",
    "(depends: ",
    ", ",
    ")",
    "# Plan: T\n",
    "## Phase 1: P\n",
    "## Phase 2: (pipeline-start: when 1.1 completes)\n",
    "### S\n",
    "**VERIFY 1:**",
    "**Execution Note:** Tasks ",
    "Phases 2-1",
    " are [SEQUENTIAL] - ",
    "[PARALLEL]",
    "1.2-1.1",
    "(non-blocking)",
    "`",
    "```\n",
    "~~~",
    "<!-- ",
    "-->",
    "<p>",
    "> ",
    "**",
    "ä",
    "–",
    "\u{2028}",
    "\0",
    "title",
    " = ",
    "'T'",
    "[[task]]\n",
    "[[phase]]\n",
    "id",
    "depends_on",
    "[",
    "]",
    "{",
    "}",
    "number",
    "description",
    "policy",
    "'1.1'",
    "\"",
    "\\",
    "#",
];

/// A plan that is returned is sound; one that is refused has an error, and every problem a place.
fn check_result(result: Result<Parsed, Problems>) -> Result<(), TestCaseError> {
    match result {
        Ok(Parsed { spec, warnings, .. }) => {
            prop_assert_eq!(spec.problems(), vec![]);
            prop_assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning));
        }
        Err(Problems { listed, .. }) => {
            prop_assert!(listed.iter().any(|problem| problem.severity == Severity::Error));
            prop_assert!(listed.iter().all(|problem| problem.line > 0 && problem.column > 0));
            prop_assert!(listed.iter().all(|problem| problem.help.is_some()));
        }
    }
    Ok(())
}
