//! Tests of files whose headings are their tasks.

use planlease_core::{TaskId, transition::TaskStatus};

use crate::{Format, parse};

const TEXT: &str = "# Feature\n\nIntro.\n\n## Phase 1: Core\n\n### Task 1.1: Store it\n\n**Files:** a.rs\n\n```sh\nmake\n\nmake test\n```\n\n\
                    #### Notes\n\nMore.\n\n### Task 1.2: Serve it\n\n**Depends on:** Task 1.1\n\n## Phase 2: Page\n\nText.\n\n### Task 2.1: Show it\n";

#[test]
fn headings_are_tasks_where_no_box_stands() {
    let parsed = parse("docs/plan.md", TEXT.as_bytes()).unwrap();
    assert_eq!((parsed.format, parsed.counts.agree()), (Format::Checklist, true));
    let tasks: Vec<_> =
        parsed.spec.tasks.iter().map(|task| (task.id.as_str(), task.description.as_str())).collect();
    assert_eq!(tasks, [("1.1", "Store it"), ("1.2", "Serve it"), ("2.1", "Show it")]);
    let steps = ["**Files:** a.rs", "```sh", "make", "", "make test", "```", "#### Notes", "More."];
    assert_eq!(parsed.spec.tasks[0].steps, steps);
    assert_eq!(parsed.spec.tasks[1].depends_on[0].as_str(), "1.1");
    let phases: Vec<&str> = parsed.spec.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(phases, ["Core", "Page"]);
    let [warning] = &parsed.warnings[..] else { panic!("{:?}", parsed.warnings) };
    assert_eq!(warning.line, 7);
    assert_eq!(warning.message, "the file has no boxes: 3 headings `Task …` are read as tasks");
}

#[test]
fn a_file_without_boxes_is_not_mirrored() {
    let done = |_: &TaskId| Some(TaskStatus::Completed);
    let mirrored = crate::mirrored(Format::Checklist, "plan.md", TEXT.as_bytes(), done);
    assert_eq!(mirrored.unwrap(), None);
}
