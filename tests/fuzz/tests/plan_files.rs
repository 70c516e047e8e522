//! Plan files of both formats: with any bytes, they are read or refused, soon, with places in the
//! file.

use bolero::{TypeGenerator, check};
use planlease_formats::{Format, MAX_FILE, parse_as};
use planlease_fuzz::{
    INPUT_BYTES,
    confine::{MIB, is_confined},
    deadline::{Deadline, EACH},
    edit::{self, Edit},
    plans::{self, Damaged, FORMATS, Nearly, WORDS},
};

#[test]
fn arbitrary_bytes_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    check!().for_each(|bytes: &[u8]| {
        deadline.within(bytes.to_vec(), || {
            for (format, name) in FORMATS {
                plans::check(format, name, bytes);
            }
        });
    });
}

fn name_of(format: Format) -> &'static str {
    FORMATS.iter().find(|(one, _)| *one == format).map_or("plan", |(_, name)| name)
}

#[derive(Clone, Debug, TypeGenerator)]
struct Edited {
    file: u8,
    edits: Vec<Edit>,
}

#[test]
fn edited_files_are_read_or_refused() {
    let (deadline, real) = (Deadline::of(EACH), plans::real());
    check!().with_max_len(INPUT_BYTES).with_type::<Edited>().for_each(|edited| {
        deadline.within(edited.clone(), || {
            let (format, mut bytes) = real[usize::from(edited.file) % real.len()].clone();
            edit::make(&mut bytes, &edited.edits, WORDS);
            plans::check(format, name_of(format), &bytes);
        });
    });
}

#[test]
fn nearly_valid_files_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<(Nearly, Vec<Edit>)>().for_each(|(nearly, edits)| {
        deadline.within((nearly.clone(), edits.clone()), || {
            let texts = [nearly.markdown(), nearly.toml()];
            for ((format, name), text) in FORMATS.into_iter().zip(texts) {
                plans::check(format, name, text.as_bytes());
                let mut bytes = text.into_bytes();
                edit::make(&mut bytes, &edits[..edits.len().min(3)], WORDS);
                plans::check(format, name, &bytes);
            }
        });
    });
}

#[test]
fn damaged_checklists_lose_no_line() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Damaged>().for_each(|damaged| {
        deadline.within(damaged.clone(), || plans::loses_no_line(damaged));
    });
}

#[test]
fn real_files_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    for (format, bytes) in plans::real() {
        let name = name_of(format);
        deadline.within(String::from_utf8_lossy(&bytes).into_owned(), || plans::check(format, name, &bytes));
    }
}

/// What is repeated to fill a file: each is the beginning of something whose end is missing, or something
/// that is looked for again and again.
const PATTERNS: &[&str] = &[
    "\n",
    " ",
    "\t",
    "a",
    "#",
    "# ",
    "- ",
    "> ",
    "* a\n",
    "- [ ] ",
    "`",
    "``` ",
    "```\n",
    "~",
    "<",
    "<!--",
    "<a ",
    "</",
    "&",
    "\\",
    "[",
    "![",
    "[a](",
    "](",
    "*a_ ",
    "**",
    "**a",
    "a*",
    "|",
    "a|\n",
    "(depends:",
    "(depends: 1.1) ",
    "depends: 1 ",
    "depends on ",
    "(depends on phase 1) ",
    "[deps: (",
    "after 1.1, ",
    "a\n",
    "  a (\n",
    "- 1.2 a\n",
    "- [~] 1.2 a\n",
    "**Depends on:** 1.1\n",
    "## Phase 2: a (depends on phase 1)\n",
    "  x\n",
    "- [ ] 1.1 a\n",
    "- [ ] 1.1 (depends: 1.1)\n",
    "## Phase 1: P\n",
    "## Phase 1: P\n- [ ] 1.1 a\n",
    "\u{feff}",
    "**VERIFY:**\n",
    "**VERIFY:** a\n  b\n",
    "ä",
    "1.",
    "1.1 ",
    "a.",
    "[a.",
    "[[a]]\n",
    "[[task]]\n",
    "[[phase]]\n",
    "a=1\n",
    "a.a=",
    "a={",
    "a=[",
    "a=\"",
    "'''",
    "\"\"\"",
    "\"\\u",
    "a=0x",
    "a=1979-05-27\n",
    "=",
    "= =\n",
    "\r",
    "[",
    "{",
    "[[",
    "x.x.x=1\n",
];

/// What stands before it in each of the formats, so that it is looked at as a part of a plan.
const BEGINNINGS: [&str; 2] =
    ["# T\n## Phase 1: P\n- [ ] 1.1 a\n", "title = \"T\"\n[[task]]\nid = \"1\"\ndescription = \"a\"\n"];

fn filled(beginning: &str, pattern: &str, size: usize) -> Vec<u8> {
    let mut bytes = beginning.as_bytes().to_vec();
    while bytes.len() + pattern.len() <= size {
        bytes.extend_from_slice(pattern.as_bytes());
    }
    bytes
}

/// Big enough that what is done for each byte again for each other byte takes minutes, and small enough for
/// everything else to be done at once.
const FILLED: usize = 64 * 1024;

#[test]
fn no_pattern_makes_a_file_hard_to_read() {
    let deadline = Deadline::of(EACH);
    for ((format, name), beginning) in FORMATS.into_iter().zip(BEGINNINGS) {
        for pattern in PATTERNS {
            for beginning in ["", beginning] {
                let bytes = filled(beginning, pattern, FILLED);
                deadline.within((beginning, pattern, name), || drop(parse_as(format, name, &bytes)));
            }
        }
    }
}

/// How much memory reading may take for each byte of a file, and how much the process has for itself. What
/// takes the most is a file of nothing but mistakes, of which each is remembered until they are counted.
const MEMORY: (u64, u64) = (256, 200 * MIB);

#[test]
fn reading_takes_memory_in_proportion_to_the_file() {
    if !is_confined("reading_takes_memory_in_proportion_to_the_file", MEMORY.0 * MIB + MEMORY.1) {
        return;
    }
    for pattern in ["\r", "= =\n", "* a\n", "- [ ] 1.1 a\n"] {
        for (format, name) in FORMATS {
            drop(parse_as(format, name, &filled("", pattern, 1024 * 1024)));
        }
    }
}

#[test]
fn a_file_that_is_larger_than_allowed_is_refused_unread() {
    for (format, name) in FORMATS {
        let problems = parse_as(format, name, &filled("", "a", MAX_FILE + 1)).unwrap_err();
        assert!(problems.to_string().contains("plan files of at most"), "{problems}");
    }
}

/// Many texts, none of them too long.
fn large_plan(format: Format, what: &str) -> String {
    let text = "x".repeat(16 * 1024);
    let many = |line: &str| line.repeat(100);
    match (format, what) {
        (Format::Markdown, "steps") => {
            format!("# T\n## Phase 1: P\n- [ ] 1.1 A\n{}", many(&format!("  {text}\n")))
        }
        (Format::Markdown, _) => {
            format!("# T\n## Phase 1: P\n- [ ] 1.1 A\n**VERIFY:**\n{}", many(&format!("- {text}\n")))
        }
        (_, what) => {
            let list = many(&format!("{text:?},\n"));
            let (steps, criteria) = if what == "steps" { (&*list, "") } else { ("", &*list) };
            format!(
                "title = \"T\"\n[[phase]]\nnumber = \"1\"\nname = \"P\"\nverification = [{criteria}]\n[[task]]\nid = \"1\"\ndescription = \"A\"\nsteps = [{steps}]\n"
            )
        }
    }
}

#[test]
fn accepted_plans_of_any_size_can_be_stored() {
    for (format, name) in FORMATS {
        for what in ["steps", "criteria"] {
            plans::check(format, name, large_plan(format, what).as_bytes());
        }
    }
}
