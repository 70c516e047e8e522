//! Checks on features, as `cargo tree` resolves them: what users of the libraries do not build, and that a
//! build of the tests and of the command line share their libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::finding::Finding;
use crate::run::{cargo, output};

/// The published libraries that pull others' code, and what must not be switched on by them alone.
const LIBRARIES: [&str; 8] = [
    "planlease",
    "planlease-mcp",
    "planlease-watcher",
    "planlease-observe",
    "planlease-orchestrator",
    "planlease-sidecar",
    "planlease-worktree",
    "planlease-worktrees",
];

/// Features that are for programs, tests and servers, with the reason.
const FORBIDDEN: [(&str, &str, &str); 4] = [
    ("tokio", "full", "name the parts that the crate uses"),
    ("tokio", "test-util", "it belongs into `dev-dependencies`"),
    ("tokio", "rt-multi-thread", "the program chooses its runtime"),
    ("etcd-client", "build-server", "only the embedded server needs the stubs of a server"),
];

/// Two packages that are built in turn, and should need the same features of what they share.
const ALIKE: [&str; 2] = ["planlease-cli", "planlease-tests"];

/// Libraries on which little depends, so that it does not matter if they are built twice.
const MAY_DIFFER: [&str; 3] = ["num-traits", "rand", "regex-syntax"];

/// The features of each package, by its name with its version.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Findings on what cargo resolves.
pub(super) fn check() -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for library in LIBRARIES {
        findings.extend(forbidden(library, &features_of(library)?));
    }
    findings.extend(unlike(&features_of(ALIKE[0])?, &features_of(ALIKE[1])?));
    Ok(findings)
}

/// What one package needs at run time, with the features that it switches on alone.
fn features_of(package: &str) -> io::Result<Features> {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--locked",
        "--prefix=none",
        "--edges=normal",
        "--format={p}|{f}",
        "--package",
        package,
    ]);
    output(&mut tree)
        .map(|text| read(&text))
        .map_err(|failure| io::Error::other(failure.message().unwrap_or("cargo tree failed").to_owned()))
}

/// Reads lines such as `tokio v1.54.1|net,rt (*)`.
fn read(text: &str) -> Features {
    let mut features = Features::new();
    for (package, on) in text.lines().filter_map(|line| line.split_once('|')) {
        let package = package.split(" (").next().unwrap_or(package);
        let on = on.trim_end_matches(" (*)").split(',').filter(|feature| !feature.is_empty());
        features.entry(package.to_owned()).or_default().extend(on.map(str::to_owned));
    }
    features
}

fn forbidden(library: &str, features: &Features) -> Vec<Finding> {
    let hits = FORBIDDEN.iter().filter(|(package, feature, _)| {
        features.iter().any(|(one, on)| name_of(one) == *package && on.contains(*feature))
    });
    hits.map(|(package, feature, why)| {
        let message = format!("users of `{library}` would build `{package}` with `{feature}`; {why}");
        Finding::new(&format!("crates/{library}/Cargo.toml"), 1, message)
    })
    .collect()
}

fn unlike(one: &Features, other: &Features) -> Vec<Finding> {
    let shared = one.iter().filter_map(|(package, on)| Some((package, on, other.get(package)?)));
    let differing =
        shared.filter(|(package, on, others)| on != others && !MAY_DIFFER.contains(&name_of(package)));
    differing
        .map(|(package, on, others)| {
            let odd: Vec<&str> = on.symmetric_difference(others).map(String::as_str).collect();
            let message = format!(
                "`{package}` is built twice, for {} and {}, since they differ in `{}`; make them alike",
                ALIKE[0],
                ALIKE[1],
                odd.join(", ")
            );
            Finding::new("tests/Cargo.toml", 1, message)
        })
        .collect()
}

fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_library_users_should_not_build_is_found() {
        let found = forbidden("planlease", &read("planlease v0.1.0 (/x)|\ntokio v1.54.1|full,net (*)\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("crates/planlease/Cargo.toml:1: "), "{}", found[0]);
        assert_eq!(forbidden("planlease", &read("tokio v1.54.1|net,rt\ntokio-util v0.7.20|full\n")), []);
    }

    #[test]
    fn a_library_that_is_built_twice_is_found() {
        let (one, other) = (read("tonic v0.14.9|tls\nsyn v2.0.1|full\n"), read("tonic v0.14.9|gzip,tls\n"));
        let found = unlike(&one, &other);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("differ in `gzip`"), "{}", found[0]);
        assert_eq!(unlike(&one, &one), []);
    }
}
