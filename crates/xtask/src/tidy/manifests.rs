//! Checks on the manifests: the arrows between crates, one place for versions, one place for lints.

use toml::{Table, Value};

use super::finding::Finding;

/// The diagram of `ARCHITECTURE.md`: which crates of ours each crate may depend on. `*` means all.
///
/// An arrow points down in this list; nothing points up. `planlease-embedded` is missing on the right-hand
/// side on purpose: it stands for etcd, and the coordinator must not be able to tell the difference.
const ARROWS: [(&str, &[&str]); 26] = [
    ("planlease-core", &[]),
    ("planlease-socket", &[]),
    ("planlease-embedded", &["planlease-socket"]),
    ("planlease-console", &[]),
    ("xtask", &[]),
    ("planlease-formats", &["planlease-core"]),
    ("planlease", &["planlease-core"]),
    ("planlease-watcher", &["planlease", "planlease-core"]),
    ("planlease-hooks", &["planlease-watcher", "planlease", "planlease-core"]),
    ("planlease-observe", &["planlease", "planlease-core"]),
    ("planlease-orchestrator", &["planlease-observe", "planlease-watcher", "planlease", "planlease-core"]),
    ("planlease-worktree", &[]),
    ("planlease-worktrees", &["planlease", "planlease-core", "planlease-worktree"]),
    ("planlease-documents", &["planlease-watcher", "planlease", "planlease-core", "planlease-formats"]),
    ("planlease-mcp", &["planlease-documents", "planlease", "planlease-core"]),
    ("planlease-top", &["planlease-documents", "planlease-watcher", "planlease", "planlease-core"]),
    (
        "planlease-sidecar",
        &[
            "planlease-documents",
            "planlease-formats",
            "planlease-mcp",
            "planlease-observe",
            "planlease-watcher",
            "planlease",
            "planlease-core",
            "planlease-socket",
        ],
    ),
    ("planlease-cli", &["*"]),
    ("planlease-examples", &["*"]),
    ("planlease-model", &["planlease-core"]),
    ("planlease-oracle", &["planlease", "planlease-core"]),
    ("planlease-bench", &["*"]),
    ("planlease-fuzz", &["*"]),
    ("planlease-simulation", &["*"]),
    ("planlease-tests", &["*"]),
    ("planlease-tests-macros", &[]),
];

/// What a crate may depend on for the examples in its documentation, which are run.
const FOR_EXAMPLES: [(&str, &str); 1] = [("planlease", "planlease-embedded")];

/// Crates that must stay pure, and what they must therefore not depend on.
const PURE: [&str; 2] = ["planlease-core", "planlease-formats"];
const IMPURE: [&str; 8] = ["etcd-client", "nix", "rand", "redb", "tokio", "tonic", "tokio-util", "jiff"];

/// Features that only one crate may enable: `tables` brings a table library, which a sidecar has no use for.
const FEATURES: [(&str, &str, &str); 1] = [("planlease-documents", "tables", "planlease-cli")];

/// Libraries for terminals, and the crates that have them: always, or only with a feature.
const TERMINAL: [&str; 2] = ["comfy-table", "crossterm"];

/// Dependencies whose version stands in the member: they carry the `protoc` binary of one platform each,
/// and a workspace dependency cannot be limited to a platform.
const OWN_VERSION: &str = "protoc-bin-vendored-";

/// Findings on the manifest of a member.
pub(super) fn check(name: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = match toml::from_str(text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(name, 1, format!("is not TOML: {}", error.message()))],
    };
    let mut findings = Vec::new();
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let Some(package) = package else {
        return vec![Finding::new(name, 1, "has no package name; every member is a package")];
    };
    let inherits_lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if inherits_lints.and_then(Value::as_bool) != Some(true) {
        findings.push(Finding::new(name, 1, "the lints are the workspace's; add `[lints] workspace = true`"));
    }
    let allowed = ARROWS.iter().find(|(from, _)| *from == package).map(|(_, to)| *to);
    if allowed.is_none() {
        let message =
            format!("`{package}` is not in the diagram; add it to ARROWS in xtask and to ARCHITECTURE.md");
        findings.push(Finding::new(name, 1, message));
    }
    for (dependency, value) in dependencies(&manifest) {
        let line = line_of_dependency(text, dependency);
        let of_example = FOR_EXAMPLES.contains(&(package, dependency)) && is_for_tests(&manifest, dependency);
        if is_ours(dependency)
            && !of_example
            && !allowed.unwrap_or(&["*"]).iter().any(|to| *to == "*" || *to == dependency)
        {
            findings.push(Finding::new(
                name,
                line,
                format!("`{package}` must not depend on `{dependency}`: the arrow is not in the diagram; move what is needed to a lower crate"),
            ));
        }
        if PURE.contains(&package) && IMPURE.contains(&dependency) {
            findings.push(Finding::new(
                name,
                line,
                format!("`{package}` is pure and must not depend on `{dependency}`; do it in the caller"),
            ));
        }
        findings.extend(
            at_terminals(package, dependency, value).map(|message| Finding::new(name, line, message)),
        );
        let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
        if !inherited && !dependency.starts_with(OWN_VERSION) {
            findings.push(Finding::new(
                name,
                line,
                format!("`{dependency}` has a version of its own; versions stand in the root: `{dependency}.workspace = true`"),
            ));
        }
    }
    findings
}

/// Why this crate must not have the dependency like this, if it brings a terminal's libraries along.
fn at_terminals(package: &str, dependency: &str, value: &Value) -> Option<String> {
    let enabled = value.get("features").and_then(Value::as_array).into_iter().flatten();
    let enabled: Vec<&str> = enabled.filter_map(Value::as_str).collect();
    let feature = FEATURES
        .iter()
        .find(|(of, feature, by)| *of == dependency && *by != package && enabled.contains(feature))
        // The tests need what the command line needs: see `features.rs`.
        .filter(|_| package != "planlease-tests");
    if let Some((_, feature, by)) = feature {
        return Some(format!("only `{by}` may enable the feature `{feature}` of `{dependency}`"));
    }
    let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
    (TERMINAL.contains(&dependency) && !["planlease-cli", "planlease-tests"].contains(&package) && !optional)
        .then(|| {
            format!("`{dependency}` is for terminals; make it optional, behind a feature of the command line")
        })
}

/// Whether a dependency is one of tests and documentation only.
fn is_for_tests(manifest: &Table, dependency: &str) -> bool {
    let stands_in = |table: &str| manifest.get(table).is_some_and(|table| table.get(dependency).is_some());
    stands_in("dev-dependencies") && !stands_in("dependencies")
}

fn is_ours(dependency: &str) -> bool {
    dependency == "xtask" || dependency == "planlease" || dependency.starts_with("planlease-")
}

/// All dependencies of a manifest: normal, for tests and for build scripts, for all platforms.
fn dependencies(manifest: &Table) -> Vec<(&str, &Value)> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table);
    let platforms = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(|table| TABLES.iter().filter_map(|name| table.get(*name).and_then(Value::as_table)))
        .flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value)))
        .collect()
}

fn line_of_dependency(text: &str, dependency: &str) -> usize {
    let at = text.lines().position(|line| {
        line.trim_start()
            .strip_prefix(dependency)
            .is_some_and(|rest| rest.trim_start().starts_with(['.', '=']))
            || line.contains(&format!("dependencies.{dependency}]"))
    });
    at.map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(package: &str, rest: &str) -> String {
        format!("[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n{rest}")
    }

    fn only(package: &str, rest: &str) -> String {
        let findings = check("Cargo.toml", &manifest(package, rest));
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].to_string()
    }

    #[test]
    fn an_arrow_that_points_up_is_found_with_its_line() {
        let message = only("planlease-core", "[dependencies]\nplanlease.workspace = true\n");
        assert!(
            message.starts_with("Cargo.toml:6: `planlease-core` must not depend on `planlease`"),
            "{message}"
        );
        only("planlease", "[dependencies]\nplanlease-embedded.workspace = true\n");
        only("planlease-watcher", "[dev-dependencies]\nplanlease-embedded.workspace = true\n");
        only("planlease-embedded", "[dependencies.planlease-core]\nworkspace = true\n");
        only("xtask", "[target.'cfg(unix)'.dependencies]\nplanlease-core = { workspace = true }\n");
    }

    #[test]
    fn arrows_of_the_diagram_are_fine() {
        let rest = "[dependencies]\nplanlease.workspace = true\nplanlease-core.workspace = true\n";
        assert_eq!(check("Cargo.toml", &manifest("planlease-watcher", rest)), []);
        let rest = "[dependencies]\nplanlease-embedded.workspace = true\n";
        assert_eq!(check("Cargo.toml", &manifest("planlease-cli", rest)), []);
        let rest = "[dev-dependencies]\nplanlease-embedded.workspace = true\n";
        assert_eq!(check("Cargo.toml", &manifest("planlease", rest)), []);
    }

    #[test]
    fn a_crate_without_a_place_in_the_diagram_is_found() {
        assert!(only("planlease-utils", "").contains("not in the diagram"));
    }

    #[test]
    fn a_runtime_in_a_pure_crate_is_found() {
        assert!(only("planlease-formats", "[dependencies]\ntokio.workspace = true\n").contains("pure"));
    }

    #[test]
    fn only_the_command_line_has_the_libraries_of_terminals() {
        let rest = "[dependencies]\nplanlease-documents = { workspace = true, features = [\"tables\"] }\n";
        assert!(
            only("planlease-sidecar", rest).contains("only `planlease-cli` may enable the feature `tables`")
        );
        assert_eq!(check("Cargo.toml", &manifest("planlease-cli", rest)), []);
        let rest = "[dependencies]\ncomfy-table.workspace = true\n";
        assert!(only("planlease-documents", rest).contains("is for terminals"));
        let rest = "[dependencies]\ncomfy-table = { workspace = true, optional = true }\n";
        assert_eq!(check("Cargo.toml", &manifest("planlease-documents", rest)), []);
    }

    #[test]
    fn versions_and_lints_come_from_the_workspace() {
        assert!(only("planlease", "[dependencies]\nserde = \"1\"\n").contains("a version of its own"));
        only("planlease", "[dependencies]\nserde = { version = \"1\", features = [\"rc\"] }\n");
        let carrier = "[target.'cfg(unix)'.build-dependencies]\nprotoc-bin-vendored-linux-x86_64 = \"3\"\n";
        assert_eq!(check("Cargo.toml", &manifest("planlease", carrier)), []);
        let findings = check("Cargo.toml", "[package]\nname = \"planlease\"\n");
        assert!(findings[0].message.contains("lints"), "{findings:?}");
    }

    #[test]
    fn what_is_no_manifest_is_said_to_be_none() {
        assert!(check("Cargo.toml", "][")[0].message.contains("not TOML"));
        assert!(check("Cargo.toml", "[lints]\nworkspace = true\n")[0].message.contains("no package name"));
    }
}
