//! A change of a text file as people read it: the lines that go and come, with a few around them.

use std::{fmt::Write as _, path::Path};

/// How many lines are shown around a change.
const AROUND: usize = 2;

/// The change of one file. Edits are in one place, so one hunk is enough.
pub(super) fn describe(path: &Path, before: Option<&str>, after: Option<&str>) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.unwrap_or_default().lines().collect(), after.unwrap_or_default().lines().collect());
    let same_head = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let most = old.len().min(new.len()) - same_head;
    let tails = old.iter().rev().zip(new.iter().rev());
    let same_tail = tails.take(most).take_while(|(one, other)| one == other).count();
    let title = match (before, after) {
        (None, _) => "new file",
        (_, None) => "file removed",
        _ => "changed",
    };
    let mut text = format!("{}: {title}\n", path.display());
    let mut show = |mark: &str, lines: &[&str]| {
        for line in lines {
            writeln!(text, "{mark} {line}").expect("a text can always be written to");
        }
    };
    show(" ", &old[same_head.saturating_sub(AROUND)..same_head]);
    show("-", &old[same_head..old.len() - same_tail]);
    show("+", &new[same_head..new.len() - same_tail]);
    let tail = new.len() - same_tail;
    show(" ", &new[tail..new.len().min(tail + AROUND)]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let path = Path::new("a");
        assert_eq!(
            describe(path, Some("1\n2\n3\n4\n5\n"), Some("1\n2\n3\nx\n4\n5\n")),
            "a: changed\n  2\n  3\n+ x\n  4\n  5\n"
        );
        assert_eq!(describe(path, None, Some("x\n")), "a: new file\n+ x\n");
        assert_eq!(describe(path, Some("x\n"), None), "a: file removed\n- x\n");
        assert_eq!(describe(path, Some("x\nx\n"), Some("x\nx\nx\n")), "a: changed\n  x\n  x\n+ x\n");
    }
}
