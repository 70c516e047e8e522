//! Checks on the documentation of public items that no lint of rustc makes.

use super::{
    finding::{Finding, line_of},
    mask::{code_only, without_tests},
};

/// What the doc comment of a public `async fn` contains, in any case: as a heading or as a sentence.
const PROMISE: &str = "cancel safe";

/// Findings on a file of a published crate: each public `async fn` says what happens if its future is
/// dropped.
pub(super) fn check(name: &str, source: &str) -> Vec<Finding> {
    let code = without_tests(&code_only(source));
    let lines: Vec<&str> = source.lines().collect();
    let silent = code.match_indices("pub async fn ").filter_map(|(offset, declaration)| {
        let line = line_of(&code, offset);
        let above = lines[..line - 1].iter().rev();
        let docs = above.map(|line| line.trim_start()).take_while(|line| is_above_a_function(line));
        let mut docs: Vec<&str> = docs.collect();
        docs.reverse();
        // A sentence goes on in the next line.
        let docs = docs.join(" ").replace(" /// ", " ").to_lowercase();
        let promised = docs.contains(PROMISE);
        let item: String = code[offset + declaration.len()..]
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect();
        let message = format!(
            "`{item}` does not say what happens if its future is dropped; add a section `# Cancel safety`"
        );
        (!promised).then(|| Finding::new(name, line, message))
    });
    silent.collect()
}

/// Doc comments, and attributes of any length.
fn is_above_a_function(line: &str) -> bool {
    line.starts_with("///") || line.starts_with("#[") || line.ends_with(")]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<usize> {
        check("crates/planlease/src/a.rs", source).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_public_future_without_cancel_safety_is_found() {
        assert_eq!(lines("/// Waits.\n#[must_use]\npub async fn wait() {}\n"), [3]);
        assert_eq!(lines("/// Cancel safe.\npub fn other() {}\n/// Waits.\npub async fn wait() {}\n"), [4]);
        assert_eq!(lines("    /// Waits. Cancel\n    /// safe.\n    pub async fn wait() {}\n"), [0; 0]);
        assert_eq!(lines("/// Waits. Cancel safe.\npub async fn wait() {}\n"), [0; 0]);
        assert_eq!(
            lines("/// Waits.\n///\n/// # Cancel safety\n/// Yes.\n#[x]\npub async fn wait() {}\n"),
            [0; 0]
        );
    }

    #[test]
    fn private_futures_and_tests_are_not_looked_at() {
        assert_eq!(lines("pub(crate) async fn wait() {}\nasync fn other() {}\n"), [0; 0]);
        assert_eq!(lines("#[cfg(test)]\nmod tests {\n    pub async fn wait() {}\n}\n"), [0; 0]);
        assert_eq!(lines("// pub async fn wait() {}\n"), [0; 0]);
    }
}
