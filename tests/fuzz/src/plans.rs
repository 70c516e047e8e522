//! Plan files: real ones, nearly valid ones, and what has to hold for everything that is read of one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bolero::TypeGenerator;
use planlease_core::{TaskId, definition, spec::PlanSpec};
use planlease_formats::{Format, Problem, Problems, Severity, parse_as};

/// Both formats, with the name of a file of each.
pub const FORMATS: [(Format, &str); 2] = [(Format::Markdown, "plan.md"), (Format::Toml, "plan.toml")];

/// What means something in a plan file.
pub const WORDS: &[&str] = &[
    "# ",
    "## Phase ",
    "\n## Phase 2: B\n",
    "- [ ] ",
    "- [x] ",
    "- [ ] 1.1 ",
    "- [~] 1.1 ",
    "- [x ] 1.2 ",
    "- [ ]* 1.3 ",
    "- 1.1 ",
    "(Depends on: ",
    "(deps: 1.1 or ",
    "depends on Task 1.1",
    "**Dependencies:** ",
    "### Phase 2: B\n",
    "1.1",
    "2b",
    "(approval: ",
    "- approval: before\n",
    "(depends: ",
    ")",
    "**",
    "**VERIFY Phase 1:**\n",
    "**Execution Note:** Tasks 1.1-1.2 are [SEQUENTIAL]",
    "[PARALLEL]",
    "(non-blocking)",
    "(pipeline-start: when 1.1 completes)",
    "```",
    "~~~",
    "<!--",
    "-->",
    "<p>",
    "`",
    "> ",
    "\t",
    "    ",
    "\r\n",
    "\n",
    "\u{feff}",
    "\0",
    "ä",
    "\u{2028}",
    "[[task]]\n",
    "[[phase]]\n",
    "[policy]\n",
    "id = ",
    "depends_on = [",
    "\"\"\"",
    "\"",
    "'''",
    "]",
    "}",
    "{",
    " = ",
    ".",
    ",",
    "title = \"T\"\n",
    "command = []\n",
    "number = ",
    "description = ",
    "max_retries = -1\n",
    "99999999999999999999",
    "nan",
    "\\u0000",
    "\\",
    "on_lost = \"ask\"\n",
];

/// The most problems that are listed of one severity.
const MAX_LISTED: usize = 100;

/// Real plan files with their formats: the examples, and those of the folder that `PLANLEASE_TEST_PLANS`
/// names, if it does.
///
/// # Panics
/// If the examples cannot be read.
#[must_use]
pub fn real() -> Vec<(Format, Vec<u8>)> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plans");
    let mut files = in_folder(&examples);
    assert!(!files.is_empty(), "the examples are in {}", examples.display());
    if let Some(folder) = std::env::var_os("PLANLEASE_TEST_PLANS") {
        files.extend(in_folder(Path::new(&folder)));
    }
    files
}

/// The plan files of a folder and of those below it, in the order of their names; none if it is not there.
fn in_folder(folder: &Path) -> Vec<(Format, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| {
        if path.is_dir() {
            return in_folder(&path);
        }
        let file = || Some((Format::of(path.to_str()?)?, std::fs::read(&path).ok()?));
        file().into_iter().collect()
    });
    files.collect()
}

/// A plan file that is nearly valid: every part is one that such files have, in any order, with names that
/// often meet.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Nearly(Vec<Part>);

#[derive(Clone, Debug, TypeGenerator)]
enum Part {
    Title,
    Phase(u8, Indent),
    Task { id: u8, on: Vec<u8>, done: bool, indent: Indent },
    Again(u8),
    Verify(u8, bool),
    Criterion(bool),
    Sequential(u8, u8),
    Parallel(u8, u8),
    Pipeline(u8),
    Fence(bool),
    Comment(bool),
    Quote,
    Text(u8),
    Policy(u8),
    Blank,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Indent {
    None,
    One,
    Two,
    Tab,
}

impl Indent {
    fn text(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::One => " ",
            Self::Two => "  ",
            Self::Tab => "\t",
        }
    }
}

impl Nearly {
    /// As a checklist.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.0.iter().map(Part::markdown).collect()
    }

    /// As a native file.
    #[must_use]
    pub fn toml(&self) -> String {
        self.0.iter().map(Part::toml).collect()
    }
}

/// A checklist whose boxes were damaged, a character each.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Damaged(Vec<(u8, u8, u8)>);

impl Damaged {
    /// The file, and how many of its lines stand for tasks: from the third line on, all of them.
    #[must_use]
    pub fn markdown(&self) -> (String, usize) {
        const MARKS: &[u8] = b"[]( )~-*+!{}";
        let mut text = String::from("# T\n## Phase 1: P\n- [ ] 1.1 Do\n");
        let lines = self.0.iter().take(40);
        for (task, (kind, at, mark)) in (2..).zip(lines.clone()) {
            let mut line = format!("- [ ] 1.{task} Do").into_bytes();
            let at = usize::from(*at) % "- [ ] ".len();
            match kind % 3 {
                0 => drop(line.remove(at)),
                1 => line.insert(at.max(1), MARKS[usize::from(*mark) % MARKS.len()]),
                _ => {}
            }
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
        }
        (text, 1 + lines.len())
    }
}

/// Checks that each line of a damaged checklist is a task, or an error at its place.
///
/// # Panics
/// If a line is neither.
pub fn loses_no_line(damaged: &Damaged) {
    let (text, lines) = damaged.markdown();
    let count = match parse_as(Format::Markdown, "plan.md", text.as_bytes()) {
        Ok(parsed) => parsed.spec.tasks.len(),
        Err(problems) => {
            let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error);
            let wrong: BTreeSet<usize> = errors.map(|problem| problem.line).collect();
            let right = (1..).zip(text.lines()).map(|(n, line)| if wrong.contains(&n) { "" } else { line });
            let right = right.collect::<Vec<_>>().join("\n");
            let parsed = parse_as(Format::Markdown, "plan.md", right.as_bytes());
            wrong.len() + parsed.unwrap_or_else(|problems| panic!("{problems:#}\n{right}")).spec.tasks.len()
        }
    };
    assert_eq!(count, lines, "{text}");
}

/// One of few ids, so that they often meet.
fn id(number: u8) -> String {
    format!("{}.{}", number % 3, number / 3 % 5)
}

fn ids(numbers: &[u8], quote: &str) -> String {
    let ids: Vec<String> = numbers.iter().take(6).map(|n| format!("{quote}{}{quote}", id(*n))).collect();
    ids.join(", ")
}

impl Part {
    fn markdown(&self) -> String {
        match self {
            Self::Title => "# Plan: T\n".into(),
            Self::Phase(n, indent) => format!("{}## Phase {}: P\n", indent.text(), n % 4),
            Self::Task { id: n, on, done, indent } => {
                let mark = if *done { 'x' } else { ' ' };
                let on = if on.is_empty() { String::new() } else { format!(" (depends: {})", ids(on, "")) };
                format!("{}- [{mark}] {} Do{on}\n", indent.text(), id(*n))
            }
            Self::Again(n) => match n % 4 {
                0 => format!("- [~] {} odd\n- {} without a box\n", id(*n), id(*n)),
                1 => format!("- [x ] {} (Depends on:\n  {} or phase 2)\n", id(*n), id(n.wrapping_add(7))),
                2 => format!("**Dependencies:** Task {}, phases 1-2\n", id(*n)),
                _ => format!("- [ ] **{}**: again\n  - step (depends: 1.1)\n", id(*n)),
            },
            Self::Verify(n, named) => {
                if *named {
                    format!("**VERIFY Phase {}:**\n", n % 4)
                } else {
                    "**VERIFY:** it\n".into()
                }
            }
            Self::Criterion(blocking) => {
                format!("- [ ] It works{}\n", if *blocking { "" } else { " (non-blocking)" })
            }
            Self::Sequential(a, b) => {
                format!("**Execution Note:** Tasks {}-{} are [SEQUENTIAL] - why\n", id(*a), id(*b))
            }
            Self::Parallel(a, b) => {
                format!("**Execution Note:** Phases {}–{} are [PARALLEL]\n", a % 4, b % 4)
            }
            Self::Pipeline(n) => format!("**pipeline-start:** when {} completes\n", id(*n)),
            Self::Fence(open) => if *open { "```sh\n" } else { "```\n" }.into(),
            Self::Comment(open) => if *open { "<!--\n" } else { "-->\n" }.into(),
            Self::Quote => "> - [ ] 1.1 quoted\n".into(),
            Self::Text(n) => "ä `b` (depends on 1.1)\r\n"[usize::from(n % 3 * 2)..].into(),
            Self::Policy(_) => "---\n".into(),
            Self::Blank => "\n".into(),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Title => "title = \"T\"\n".into(),
            Self::Phase(n, _) => format!("[[phase]]\nnumber = \"{}\"\nname = \"P\"\n", n % 4),
            Self::Task { id: n, on, done, .. } => {
                let command = if *done { "command = [\"true\"]\n" } else { "" };
                format!(
                    "[[task]]\nid = \"{}\"\ndescription = \"d\"\ndepends_on = [{}]\n{command}",
                    id(*n),
                    ids(on, "\"")
                )
            }
            Self::Again(n) => {
                format!("[[task]]\nid = '{}'\ndescription = '''\nä'''\nphase = \"1\"\n", id(*n))
            }
            Self::Verify(..) => "verification = [\"It works\"]\n".into(),
            Self::Criterion(_) => "command = []\n".into(),
            Self::Sequential(..) => "steps = [\"one\", 2]\n".into(),
            Self::Parallel(..) => "policy = { max_retries = 0, on_lost = \"ask\" }\n".into(),
            Self::Pipeline(_) => "task.policy.on_lost = 'retry'\n".into(),
            Self::Fence(_) => "[task]\n".into(),
            Self::Comment(_) => "# [[task]]\n".into(),
            Self::Quote => "depends-on = []\n".into(),
            Self::Text(n) => format!("a.b{n}.c = 1\n"),
            Self::Policy(n) => format!("[policy]\nmax_retries = {}\n", i64::from(*n) - 2),
            Self::Blank => "\n".into(),
        }
    }
}

/// Reads the file twice and checks everything that has to hold for what comes of it.
///
/// # Panics
/// If something does not.
pub fn check(format: Format, name: &str, bytes: &[u8]) {
    let read = parse_as(format, name, bytes);
    assert_eq!(read, parse_as(format, name, bytes), "it depends on something else than the bytes");
    match read {
        Ok(parsed) => {
            assert!(parsed.warnings.len() <= MAX_LISTED);
            assert!(parsed.warnings.iter().all(|problem| problem.severity == Severity::Warning));
            parsed.warnings.iter().for_each(|problem| points_into_the_file(problem, name, bytes));
            is_sound(&parsed.spec);
            can_be_stored(&parsed.spec);
        }
        Err(Problems { listed, .. }) => {
            assert!(listed.len() <= 2 * MAX_LISTED);
            assert!(listed.iter().any(|problem| problem.severity == Severity::Error), "it does not say why");
            listed.iter().for_each(|problem| points_into_the_file(problem, name, bytes));
        }
    }
}

fn points_into_the_file(problem: &Problem, name: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let line = problem.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let line = line.unwrap_or_else(|| panic!("there is no such line: {problem}"));
    assert!((1..=line.chars().count() + 1).contains(&problem.column), "no such column: {problem}");
    assert_eq!(problem.file, name);
    assert!(!problem.message.is_empty());
}

/// By definition, rather than by the checks of the product: every id once, every dependency known, no circle.
fn is_sound(spec: &PlanSpec) {
    assert!(!spec.tasks.is_empty());
    let mut waiting: BTreeMap<&TaskId, BTreeSet<&TaskId>> = BTreeMap::new();
    for task in &spec.tasks {
        let before = waiting.insert(&task.id, task.depends_on.iter().collect());
        assert!(before.is_none(), "task {} is there twice", task.id);
        let phase = task.phase.as_ref();
        assert!(phase.is_none_or(|phase| spec.phases.iter().any(|one| one.number == *phase)));
    }
    let known: BTreeSet<&TaskId> = waiting.keys().copied().collect();
    assert!(waiting.values().flatten().all(|id| known.contains(id)), "a dependency is not known");
    while !waiting.is_empty() {
        let ready: BTreeSet<&TaskId> =
            waiting.iter().filter(|(_, on)| on.is_empty()).map(|(id, _)| *id).collect();
        assert!(!ready.is_empty(), "these wait for each other: {:?}", waiting.keys());
        waiting.retain(|id, _| !ready.contains(id));
        waiting.values_mut().for_each(|on| on.retain(|id| !ready.contains(id)));
    }
}

fn can_be_stored(spec: &PlanSpec) {
    let (head, parts) = definition::encode_spec(spec).expect("what is accepted can be stored");
    let read = definition::decode_spec(&head, parts.iter().map(Vec::as_slice));
    assert_eq!(&read.expect("what was stored can be read"), spec);
}
