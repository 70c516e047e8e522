//! Checks on Rust source: house style, and what is absent from which crate.

use super::{
    finding::{Finding, line_of},
    mask::{after_word, closing_brace, code_only, without_tests},
};

/// A function is shorter than this many lines, signature and braces included.
const LONGEST_FUNCTION: usize = 80;

/// Words that must not occur in the code of some crates.
struct Ban {
    words: &'static [&'static str],
    /// Whether the ban holds for a file, given by its path.
    holds: fn(&str) -> bool,
    why: &'static str,
}

const BANS: [Ban; 3] = [
    Ban {
        words: &[
            "tokio",
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::env",
            "Instant",
            "SystemTime",
            "rand",
        ],
        holds: |name| in_crate(name, "planlease-core") || in_crate(name, "planlease-formats"),
        why: "this crate has no I/O, clock, randomness or runtime; take the value as an argument",
    },
    Ban {
        words: &["std::env", "env::var", "env::var_os", "env::args"],
        // The local default has to find the user's own folders, for the library's users too.
        holds: |name| !is_edge(name) && name != "crates/planlease/src/local.rs",
        why: "only the command line and the tests read the environment; take a setting",
    },
    Ban {
        words: &["println!", "eprintln!", "print!", "eprint!", "process::exit"],
        holds: |name| !is_edge(name),
        why: "only the command line prints or ends the process; return a value or an error",
    },
];

/// Where the program meets the person and the machine.
fn is_edge(name: &str) -> bool {
    in_crate(name, "planlease-cli")
        || in_crate(name, "xtask")
        || name.starts_with("tests/")
        || name.starts_with("examples/")
        || name.ends_with("build.rs")
}

fn in_crate(name: &str, package: &str) -> bool {
    name.strip_prefix("crates/")
        .and_then(|name| name.strip_prefix(package))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Files that hold tests only.
fn is_test(name: &str) -> bool {
    name.ends_with("/tests.rs")
        || name.ends_with("_test.rs")
        || name.contains("/tests/")
        || name.starts_with("tests/suites/")
        || name.contains("/examples/")
}

/// Findings on a file of Rust source.
pub(super) fn check(name: &str, source: &str) -> Vec<Finding> {
    let code = code_only(source);
    let mut findings = Vec::new();
    if !source.starts_with("//!") {
        findings.push(Finding::new(
            name,
            1,
            "does not open with `//!`; say the file's one duty and its limits",
        ));
    }
    let product = if is_test(name) { String::new() } else { without_tests(&code) };
    findings.extend(banned(name, &product));
    findings.extend(unordered_selects(name, &code));
    findings.extend(long_functions(name, &code));
    let ignored = ["#[ignore", concat!("todo", "!("), "unimplemented!("];
    for (word, offset) in ignored.iter().flat_map(|word| words(&code, word)) {
        let message = format!("`{word}` hides work that is not done; do it, or remove the test");
        findings.push(Finding::new(name, line_of(&code, offset), message));
    }
    findings
}

fn banned(name: &str, code: &str) -> Vec<Finding> {
    let in_force = BANS.iter().filter(|ban| (ban.holds)(name));
    let hits = in_force.flat_map(|ban| {
        let found = ban.words.iter().flat_map(|word| words(code, word));
        found
            .map(|(word, offset)| Finding::new(name, line_of(code, offset), format!("`{word}`: {}", ban.why)))
    });
    let mut findings: Vec<Finding> = hits.collect();
    // `std::env::var` breaks two bans in one place; one finding a line is enough.
    findings.sort();
    findings.dedup_by_key(|finding| finding.line);
    findings
}

/// `tokio::select!` polls in a random order unless it is `biased`, and the order is a decision.
fn unordered_selects(name: &str, code: &str) -> Vec<Finding> {
    let unordered = words(code, "select!").filter(|(word, offset)| {
        let inside = code[offset + word.len()..].trim_start().trim_start_matches(['{', '(']).trim_start();
        !inside.starts_with("biased;")
    });
    unordered
        .map(|(_, offset)| {
            let message =
                "`select!` without `biased;` polls in a random order; begin with it and say why this order";
            Finding::new(name, line_of(code, offset), message)
        })
        .collect()
}

fn long_functions(name: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, start) in words(code, "fn ") {
        // A type `fn (…)` has no name, a declaration in a trait no body.
        let Some(end) = end_of_signature(&code[start..]) else { continue };
        if !code[start + 3..].trim_start().starts_with(|first: char| first.is_alphabetic() || first == '_')
            || code.as_bytes()[start + end] == b';'
        {
            continue;
        }
        let Some(closing) = closing_brace(code, start + end) else { continue };
        let lines = line_of(code, closing) - line_of(code, start) + 1;
        if lines >= LONGEST_FUNCTION {
            findings.push(Finding::new(
                name,
                line_of(code, start),
                format!("a function of {lines} lines; below {LONGEST_FUNCTION} one can be read at a glance: split it by duty"),
            ));
        }
    }
    findings
}

/// Where the signature ends: at the brace of the body, or at a semicolon that is not inside an array's type.
fn end_of_signature(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth = depth.saturating_sub(1),
            b'{' | b';' if depth == 0 => return Some(offset),
            _ => {}
        }
    }
    None
}

/// The places where a word stands in the code, not as a part of a longer one.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
    code.match_indices(word).filter_map(move |(offset, _)| {
        let last = word.as_bytes().last().copied().unwrap_or(b' ');
        let next = code.as_bytes().get(offset + word.len()).copied().unwrap_or(b' ');
        let open_end = last.is_ascii_alphanumeric() && (next.is_ascii_alphanumeric() || next == b'_');
        (!after_word(code.as_bytes(), offset) && !open_end).then_some((word, offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the findings on a file with a header.
    #[track_caller]
    fn lines(name: &str, source: &str) -> Vec<usize> {
        check(name, &format!("//! Header.\n{source}")).iter().map(|finding| finding.line).collect()
    }

    const CORE: &str = "crates/planlease-core/src/a.rs";
    const LIBRARY: &str = "crates/planlease/src/a.rs";
    const CLI: &str = "crates/planlease-cli/src/a.rs";

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(check(LIBRARY, "use x;\n").len(), 1);
        assert_eq!(check(LIBRARY, "//! Duty.\n"), []);
    }

    #[test]
    fn effects_are_found_in_the_pure_crates_only() {
        for broken in ["use std::fs;", "use tokio::time;", "fn a() { Instant::now() }", "use rand::Rng;"] {
            assert_eq!(lines(CORE, broken), [2], "{broken}");
        }
        assert_eq!(lines(CORE, "use rand_like; // std::fs\nconst A: &str = \"tokio\";"), [0; 0]);
        assert_eq!(lines(CORE, "#[cfg(test)]\nmod tests { use std::fs; }"), [0; 0]);
        assert_eq!(lines(LIBRARY, "use tokio::time;"), [0; 0]);
    }

    #[test]
    fn the_environment_and_the_terminal_belong_to_the_edges() {
        assert_eq!(lines(LIBRARY, "fn a() { std::env::var(\"X\"); }"), [2]);
        assert_eq!(lines(LIBRARY, "fn a() {\n println!(\"x\");\n std::process::exit(1) }"), [3, 4]);
        assert_eq!(lines(CLI, "fn a() { std::env::var(\"X\"); println!(\"x\"); }"), [0; 0]);
        assert_eq!(lines("tests/src/a.rs", "fn a() { std::env::var(\"X\"); }"), [0; 0]);
        assert_eq!(lines("crates/planlease/src/local.rs", "fn a() { std::env::var(\"X\"); }"), [0; 0]);
        assert_eq!(lines("crates/planlease-client/src/a.rs", "fn a() { println!(); }"), [2]);
    }

    #[test]
    fn a_select_in_random_order_is_found() {
        assert_eq!(lines(LIBRARY, "fn a() { tokio::select! {\n x = y => {} } }"), [2]);
        assert_eq!(lines(LIBRARY, "fn a() { tokio::select! {\n // Why.\n biased;\n x = y => {} } }"), [0; 0]);
    }

    #[test]
    fn a_long_function_is_found_and_a_long_file_is_not() {
        let body = "    x();\n".repeat(LONGEST_FUNCTION - 2);
        assert_eq!(lines(LIBRARY, &format!("\nfn long() {{\n{body}}}\n")), [3]);
        assert_eq!(lines(LIBRARY, &format!("fn long() -> [u8; 4] {{\n{body}}}\n")), [2]);
        let body = "    x();\n".repeat(LONGEST_FUNCTION - 3);
        assert_eq!(lines(LIBRARY, &format!("fn a() {{\n{body}}}\nfn b() {{\n{body}}}\n")), [0; 0]);
        assert_eq!(lines(LIBRARY, &format!("trait T {{ fn a();\nconst F: fn (u8) = b; }}\n{body}")), [0; 0]);
    }

    #[test]
    fn ignored_tests_and_stubs_are_found() {
        assert_eq!(lines(LIBRARY, concat!("#[ignore]\nfn a() {}\nfn b() { todo", "!() }")), [2, 4]);
        assert_eq!(lines(LIBRARY, "// #[ignore] is not used\n"), [0; 0]);
    }
}
