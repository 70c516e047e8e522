//! The check on `docs/failure-model.md`: each test, suite and invariant that it names as evidence exists.

use std::collections::BTreeMap;

use super::finding::Finding;

/// The document.
pub(super) const DOCUMENT: &str = "docs/failure-model.md";

/// Where the suites are.
pub(super) const SUITES: &str = "tests/suites/";

/// Findings on the document, given the sources of all tests by their path.
pub(super) fn check(document: &str, sources: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in document.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| !exists(name, line, sources)) {
            let message = format!("there is no test {name}: name the one that holds this, or write it");
            findings.push(Finding::new(DOCUMENT, index + 1, message));
        }
    }
    findings
}

/// Whether what is named is there; also of what is no name of a test.
fn exists(name: &str, line: &str, sources: &BTreeMap<String, String>) -> bool {
    if is_numbered(name) && name.starts_with('f') {
        return has_function(sources, &format!("{SUITES}faults/"), name);
    }
    if is_numbered(name) {
        return has_function(sources, &format!("{SUITES}regression/"), name);
    }
    if line.contains(&format!("fuzzing (`{name}`")) {
        return sources.contains_key(&format!("tests/fuzz/tests/{name}.rs"));
    }
    let Some((suite, rest)) = name.split_once("::") else { return true };
    let folder = format!("{SUITES}{suite}/");
    if !sources.keys().any(|path| path.starts_with(&folder)) {
        return true; // A path of another crate.
    }
    match rest.split_once("::") {
        Some((module, test)) => has_function(sources, &format!("{folder}{module}.rs"), test),
        None if is_numbered(rest) => has_function(sources, &folder, rest),
        None => sources.contains_key(&format!("{folder}{rest}.rs")),
    }
}

/// `f06_…`, `r07_…`: a letter, two digits, and the rest of a name.
fn is_numbered(name: &str) -> bool {
    let bytes = name.as_bytes();
    matches!(bytes, [b'f' | b'r', tens, ones, b'_', ..] if tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// Whether a function of that name (or of that beginning, if it ends with `…`) is in one of these files.
fn has_function(sources: &BTreeMap<String, String>, path: &str, name: &str) -> bool {
    let found = |source: &String| match name.strip_suffix('…') {
        Some(beginning) => source.contains(&format!("fn {beginning}")),
        None => source.contains(&format!("fn {name}(")),
    };
    sources.iter().any(|(file, source)| file.starts_with(path) && found(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_does_not_exist_is_found() {
        let sources = [
            ("tests/suites/faults/watch.rs", "async fn f24_forgotten() {}"),
            ("tests/suites/regression/lock.rs", "async fn r07_split() {}"),
            ("tests/suites/protocol/claim.rs", "async fn one_claims(env: TestEnv) {}"),
            ("tests/fuzz/tests/records.rs", ""),
        ];
        let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let found = |line: &str| check(line, &sources).len();
        for there in [
            "`f24_…`; simulation (`history`)",
            "`regression::r07_…`, `r07_split`",
            "`protocol::claim`, `protocol::claim::one_claims`, `protocol::claim::one_…`",
            "fuzzing (`records`); `etcd/txn.rs`; `session::Timing`",
        ] {
            assert_eq!(found(there), 0, "{there}");
        }
        for missing in [
            "`f25_…`",
            "`f07_split`",
            "`regression::r08_…`",
            "`protocol::claims`",
            "`protocol::claim::two_claim`",
            "fuzzing (`record`)",
        ] {
            assert_eq!(found(missing), 1, "{missing}");
        }
    }
}
