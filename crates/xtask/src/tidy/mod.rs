//! The structural checks: what no compiler checks, and what is deliberately absent.
//!
//! Each check is a function from text to findings and has a test on an input that breaks it. This file walks
//! the repository and hands every file to the checks that concern it.

mod cases;
mod circles;
mod evidence;
mod features;
mod finding;
mod manifests;
mod mask;
mod prose;
mod rustdoc;
mod sources;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::finding::Finding;

/// Folders that hold nothing of ours; `.git` is a file in a linked worktree.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

/// All findings on the workspace at `root`: on its files, and on what cargo resolves for it.
pub(crate) fn findings(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = findings_in_files(root)?;
    findings.extend(features::check()?);
    Ok(findings)
}

/// All findings of the checks on files, in the order of the files.
fn findings_in_files(root: &Path) -> io::Result<Vec<Finding>> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    let (mut evidence, mut tests) = (None, BTreeMap::new());
    let mut crates: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        // What isn't text (a picture, say) is not checked here.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        findings.extend(text::check(&name, &text, &root.to_string_lossy()));
        findings.extend(prose::check(&name, &text));
        if name.ends_with(".rs") {
            findings.extend(sources::check(&name, &text));
            findings.extend(cases::names(&name, &text));
        }
        if is_published(&name) {
            findings.extend(rustdoc::check(&name, &text));
        }
        if name.ends_with("Cargo.toml") && name != "Cargo.toml" {
            findings.extend(manifests::check(&name, &text));
        }
        if let Some((package, file)) = source_of_a_crate(&name) {
            crates.entry(package.to_owned()).or_default().insert(file.to_owned(), text.clone());
        }
        if name == evidence::DOCUMENT {
            evidence = Some(text);
        } else if name.starts_with("tests/") && name.ends_with(".rs") {
            tests.insert(name, text);
        }
    }
    findings.extend(cases::lost_files(&tests));
    findings.extend(crates.iter().flat_map(|(package, sources)| circles::check(package, sources)));
    findings.extend(evidence.iter().flat_map(|document| evidence::check(document, &tests)));
    findings.sort();
    Ok(findings)
}

/// The crate and the path below its `src`, if this is a source of one.
fn source_of_a_crate(name: &str) -> Option<(&str, &str)> {
    let (package, file) = name.strip_prefix("crates/")?.split_once("/src/")?;
    file.ends_with(".rs").then_some((package, file))
}

/// Source of the crates that others can depend on or install.
fn is_published(name: &str) -> bool {
    name.starts_with("crates/planlease") && name.contains("/src/") && name.ends_with(".rs")
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let findings = findings(&crate::run::root()).unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn every_file_of_a_tree_is_looked_at_except_what_is_built() {
        let tree = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("crates/planlease-core/src/a.rs", "\nfn a() { std::fs::read(\"x\"); }\n");
        put(
            "crates/planlease-core/Cargo.toml",
            "[package]\nname = \"planlease-core\"\n[lints]\nworkspace = true\n",
        );
        put("target/debug/a.rs", "no header\n");
        let found = findings_in_files(tree.path()).unwrap();
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("crates/planlease-core/src/a.rs:1: does not open"), "{lines:?}");
        assert!(lines[1].contains("std::fs"), "{lines:?}");
    }
}
