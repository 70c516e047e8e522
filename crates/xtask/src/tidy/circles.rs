//! The check that no modules of a crate import each other in a circle.
//!
//! An edge goes from a file to each module whose path it names, in a `use` or elsewhere; a path below a
//! module counts as far as it names files. A child that names its parent is an edge upward. A `mod`
//! declaration is no edge, but a path through the declared child is one. Tests do not count. Not a parser:
//! inline modules and macros that write paths are not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::Finding,
    mask::{code_only, without_tests},
};

/// A module: the names on the way to it from the crate's root, whose own path is empty.
type Module = Vec<String>;

/// Findings on the sources of a crate, by their path below its `src`.
pub(super) fn check(package: &str, sources: &BTreeMap<String, String>) -> Vec<Finding> {
    let files = modules(sources);
    let edges: BTreeMap<&Module, BTreeSet<Module>> =
        files.iter().map(|(module, (_, source))| (module, named(module, source, &files))).collect();
    let mut findings = Vec::new();
    let mut done = BTreeSet::new();
    for module in files.keys() {
        if done.contains(module) {
            continue;
        }
        let circle: BTreeSet<&Module> = reached(module, &edges)
            .into_iter()
            .filter(|other| reached(other, &edges).contains(module))
            .collect();
        if circle.len() > 1 {
            let names: Vec<String> = circle.iter().map(|module| name(module)).collect();
            let message = format!(
                "{} modules import each other: {}; move what they share below them",
                names.len(),
                names.join(", ")
            );
            findings.push(Finding::new(&format!("crates/{package}/src/{}", files[module].0), 1, message));
        }
        done.extend(circle);
    }
    findings
}

fn name(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

/// The modules that are files, with their paths and their code, without tests.
fn modules(sources: &BTreeMap<String, String>) -> BTreeMap<Module, (&str, String)> {
    let mut modules = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for (path, source) in sources {
        let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || matches!(path.as_str(), "lib.rs" | "main.rs") {
            module.pop();
        }
        let code = code_only(source);
        tests.extend(test_modules(&code).map(|child| {
            let mut path = module.clone();
            path.push(child.to_owned());
            path
        }));
        modules.insert(module, (path.as_str(), without_visibilities(&without_tests(&code))));
    }
    modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    modules
}

/// The code without the paths of `pub(in path)`, which say who may see something and not what it uses.
fn without_visibilities(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left.push_str("pub");
        left.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    left
}

/// The children that are declared for tests only.
fn test_modules(code: &str) -> impl Iterator<Item = &str> {
    code.split("#[cfg(test)]").skip(1).filter_map(|after| {
        let declared = after.trim_start().strip_prefix("mod ")?;
        let (name, _) = declared.split_once(';')?;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
    })
}

/// The other modules that the code of one names.
fn named(module: &Module, code: &str, files: &BTreeMap<Module, (&str, String)>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    let mut without_uses = String::new();
    // Imports first: their braces hold the rest of several paths.
    while let Some(start) = rest.match_indices("use ").map(|(at, _)| at).find(|at| starts_word(rest, *at)) {
        let (before, after) = rest.split_at(start);
        without_uses.push_str(before);
        let (tree, behind) = after["use ".len()..].split_once(';').unwrap_or((&after["use ".len()..], ""));
        for path in paths_of(tree) {
            found.extend(resolve(module, &path, files));
        }
        rest = behind;
    }
    without_uses.push_str(rest);
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for word in without_uses.split(|c: char| !is_path(c)).filter(|word| word.contains("::")) {
        let path: Vec<String> = word.split("::").map(str::to_owned).collect();
        found.extend(resolve(module, &path, files));
    }
    found
}

fn starts_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// The paths of a tree of imports: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn paths_of(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((prefix, inside)) = tree.split_once('{') else {
        let path = tree.split_once(" as ").map_or(tree, |(path, _)| path);
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let prefix: Vec<String> =
        prefix.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut begin, mut paths) = (0_usize, 0, Vec::new());
    for (at, byte) in inside.bytes().chain(*b",").enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                let part = inside[begin..at].trim();
                if !part.is_empty() {
                    paths.extend(paths_of(part).into_iter().map(|rest| [prefix.clone(), rest].concat()));
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// The module that a path in another one leads to: the last file on its way; `None` if it leaves the crate,
/// or stays where it is.
fn resolve(module: &Module, path: &[String], files: &BTreeMap<Module, (&str, String)>) -> Option<Module> {
    let mut parts = path.iter().map(String::as_str).peekable();
    let mut to = match *parts.peek()? {
        "crate" => {
            parts.next();
            Module::new()
        }
        "self" | "super" => {
            let mut base = module.clone();
            while parts.peek().is_some_and(|part| matches!(*part, "self" | "super")) {
                if parts.next() == Some("super") {
                    base.pop();
                }
            }
            base
        }
        child => {
            let declared = [module.clone(), vec![child.to_owned()]].concat();
            files.contains_key(&declared).then(|| module.clone())?
        }
    };
    for part in parts {
        let next = [to.clone(), vec![part.to_owned()]].concat();
        if !files.contains_key(&next) {
            break;
        }
        to = next;
    }
    (to != *module).then_some(to)
}

/// The modules that one leads to, itself among them.
fn reached<'a>(from: &'a Module, edges: &'a BTreeMap<&Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        let next = edges.get(module).into_iter().flatten();
        open.extend(next.filter(|next| reached.insert(next)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned()));
        check("planlease-new", &sources.collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let found = lines(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use std::fs;\nuse crate::{b::{B, C as D}, a};\n"),
            ("b.rs", "fn b() -> crate::a::A { super::a::make() }"),
        ]);
        assert_eq!(
            found,
            [
                "crates/planlease-new/src/a.rs:1: 2 modules import each other: a, b; move what they share below them"
            ]
        );
    }

    #[test]
    fn a_child_that_imports_from_its_parent_is_an_edge_upward() {
        let child = "use super::Shared;\nfn f(_: Shared) {}";
        assert_eq!(lines(&[("a.rs", "mod child;\npub struct Shared;"), ("a/child.rs", child)]), [""; 0]);
        for parent in ["mod child;\nuse self::child::f;", "mod child;\nfn g() { child::f() }"] {
            assert_eq!(lines(&[("a.rs", parent), ("a/child.rs", child)]).len(), 1, "{parent}");
        }
        let sibling = "use super::other::Shared;";
        let files =
            [("a.rs", "mod child; mod other; use child::f;"), ("a/child.rs", sibling), ("a/other.rs", "")];
        assert_eq!(lines(&files), [""; 0], "a sibling is not the parent");
    }

    #[test]
    fn a_visibility_is_no_use() {
        let files = [("a.rs", "mod b;\nuse self::b::f;"), ("a/b.rs", "pub(in crate::a) fn f() {}")];
        assert_eq!(lines(&files), [""; 0]);
    }

    #[test]
    fn tests_comments_and_strings_make_no_circle() {
        let a = "//! See crate::b.\n#[cfg(test)]\nmod tests { use crate::b; }\n#[cfg(test)]\nmod check;\nfn a() { \"crate::b\"; }";
        assert_eq!(
            lines(&[("a.rs", a), ("a/check.rs", "use super::*;\nuse crate::b;"), ("b.rs", "use crate::a;")]),
            [""; 0]
        );
    }
}
