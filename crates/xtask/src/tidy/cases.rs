//! Checks on tests: their names are short, and each file of a suite is part of its binary.
//!
//! That each test of a suite runs is the compiler's to check: one without its attribute is dead code.

use std::collections::BTreeMap;

use super::{
    evidence::SUITES,
    finding::{Finding, line_of},
    mask::code_only,
};

/// The longest name of a test.
const LONGEST_NAME: usize = 60;

/// What stands before a test.
const ATTRIBUTES: [&str; 5] = ["#[test]", "#[tokio::test", "#[case]", "#[case(", "#[plain"];

/// Tests with long names.
pub(super) fn names(name: &str, source: &str) -> Vec<Finding> {
    let code = code_only(source);
    let mut findings = Vec::new();
    for attribute in ATTRIBUTES {
        for (offset, _) in code.match_indices(attribute) {
            let Some(test) = function_after(&code[offset..]) else { continue };
            if test.len() > LONGEST_NAME {
                let long = test.len();
                let message =
                    format!("`{test}` has {long} characters; name the property in at most {LONGEST_NAME}");
                findings.push(Finding::new(name, line_of(&code, offset), message));
            }
        }
    }
    findings
}

/// The name of the next function.
fn function_after(code: &str) -> Option<&str> {
    let at = code.match_indices("fn ").find(|(at, _)| code[..*at].ends_with(char::is_whitespace))?.0;
    code[at + 3..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// Files of suites that no other file declares: their tests would not run. Given the sources of all tests.
pub(super) fn lost_files(sources: &BTreeMap<String, String>) -> Vec<Finding> {
    let lost = sources.keys().filter(|path| {
        let Some((suite, file)) = path.strip_prefix(SUITES).and_then(|path| path.split_once('/')) else {
            return false; // A suite of one file is named in the manifest.
        };
        let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, module) = stem.rsplit_once('/').unwrap_or(("main", stem));
        let parents = [format!("{SUITES}{suite}/{folder}.rs"), format!("{SUITES}{suite}/{folder}/mod.rs")];
        let declared = |parent: &String| {
            sources.get(parent).is_some_and(|source| code_only(source).contains(&format!("mod {module};")))
        };
        stem != "main" && !parents.iter().any(declared)
    });
    lost.map(|path| Finding::new(path, 1, "no file declares this module, so its tests do not run")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_of_tests_are_found() {
        let long = "a".repeat(61);
        for attribute in
            ["#[test]", "#[tokio::test(start_paused = true)]", "#[case(alone)]", "#[plain(on_etcd)]"]
        {
            let found = |name: &str| names("a.rs", &format!("{attribute}\nasync fn {name}() {{}}")).len();
            assert_eq!((found(&long), found(&long[1..])), (1, 0), "{attribute}");
        }
        assert_eq!(names("a.rs", &format!("#[test]\nfn short() {{}}\nfn {long}() {{}}")), []);
        assert_eq!(names("a.rs", &format!("#[test]\nfn {long}() {{}}")).len(), 1);
    }

    #[test]
    fn a_file_that_no_other_declares_is_found() {
        let sources = [
            ("tests/suites/costs.rs", ""),
            ("tests/suites/fleet/main.rs", "mod crash; // mod lost;\n"),
            ("tests/suites/fleet/crash.rs", ""),
            ("tests/suites/fleet/lost.rs", ""),
            ("tests/suites/conformance/main.rs", "mod differential;"),
            ("tests/suites/conformance/differential/mod.rs", "mod wire;"),
            ("tests/suites/conformance/differential/wire.rs", ""),
            ("tests/suites/conformance/differential/other.rs", ""),
        ];
        let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let found: Vec<String> = lost_files(&sources).into_iter().map(|finding| finding.file).collect();
        assert_eq!(found, ["tests/suites/conformance/differential/other.rs", "tests/suites/fleet/lost.rs"]);
    }
}
