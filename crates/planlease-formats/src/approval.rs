//! The approval that a task in Markdown asks for: a detail `- approval: before`, or `(approval: after)` in
//! its line.

use planlease_core::approval::ApprovalOf;

use crate::{checkbox, report::Report};

/// The longest value that is looked at, in bytes.
const MAX_VALUE: usize = 100;

const HOW_TO_WRITE_IT: &str = "Write `- approval: before` below the task if a person has to approve each attempt before it \
                               starts, `after` for its result. Put the words into backticks if they mean something else.";

/// What a text says of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stated<'t> {
    /// Where the value stands.
    pub(crate) at: usize,
    value: &'t str,
}

/// What a detail of a task says, as a whole.
pub(crate) fn in_detail(detail: &str) -> Option<Stated<'_>> {
    let value = behind_word(checkbox::behind_bullets(detail.trim_start()))?;
    Some(Stated::new(detail.len() - value.len(), value))
}

/// What the line of a task says in brackets, outside of backticks and comments.
pub(crate) fn in_text(text: &str) -> Vec<Stated<'_>> {
    let text = text.split("<!--").next().unwrap_or_default();
    let (mut found, mut ticks) = (Vec::new(), 0_usize);
    let all_ticks = text.matches('`').count();
    for (at, mark) in text.match_indices(['(', '[', '`']) {
        ticks += usize::from(mark == "`");
        let is_quoted = !ticks.is_multiple_of(2) && ticks < all_ticks;
        let is_call = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if mark == "`" || is_quoted || is_call {
            continue;
        }
        let Some(value) = behind_word(&text[at + 1..]) else { continue };
        let near = &value[..value.floor_char_boundary(MAX_VALUE)];
        let inside = near.split([')', ']']).next().unwrap_or_default();
        found.push(Stated::new(text.len() - value.len(), inside));
    }
    found
}

/// The text behind `approval:`, if it begins so.
fn behind_word(text: &str) -> Option<&str> {
    const EMPHASIS: [char; 3] = ['*', '_', ' '];
    let (word, rest) = text.trim_start_matches(EMPHASIS).split_at_checked("approval".len())?;
    let rest = rest.trim_start_matches(EMPHASIS).strip_prefix([':', '='])?;
    word.eq_ignore_ascii_case("approval").then_some(rest)
}

impl<'t> Stated<'t> {
    fn new(at: usize, text: &'t str) -> Self {
        let is_around = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '"' | '\'');
        let value = text.trim_start_matches(is_around);
        let at = at + text.len() - value.len();
        let value = &value[..value.floor_char_boundary(MAX_VALUE)];
        Self { at, value: value.trim_end_matches(|c: char| is_around(c) || c == '.') }
    }

    /// The same in a text of which this is a part.
    pub(crate) fn moved(self, place: impl FnOnce(usize) -> usize) -> Self {
        Self { at: place(self.at), ..self }
    }

    fn approval(self) -> Option<ApprovalOf> {
        let known = [ApprovalOf::Before, ApprovalOf::After];
        known.into_iter().find(|of| self.value.eq_ignore_ascii_case(of.as_str()))
    }

    /// Reports a value that is none: a single word can hardly be prose.
    fn blame(self, report: &mut Report<'_>) {
        let Self { at, value } = self;
        if value.is_empty() || value.contains(char::is_whitespace) {
            report.warning(at, "this is not read as an approval", HOW_TO_WRITE_IT);
        } else {
            report.error(
                at,
                format!("{value:?} is no approval: there are before and after"),
                HOW_TO_WRITE_IT,
            );
        }
    }
}

/// What a task asks for, by all that is stated of it.
pub(crate) fn agreed(stated: &[Stated<'_>], report: &mut Report<'_>) -> Option<ApprovalOf> {
    let mut agreed: Option<ApprovalOf> = None;
    for one in stated {
        match (one.approval(), agreed) {
            (None, _) => one.blame(report),
            (Some(of), Some(other)) if of != other => {
                let message = format!("the task asks for two approvals, {other} and {of}");
                report.error(one.at, message, "A task asks for one of them: take the other out.");
            }
            (Some(of), _) => agreed = Some(of),
        }
    }
    agreed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_and_brackets_state_an_approval() {
        for (detail, value) in [
            ("  - approval: before", "before"),
            ("* **Approval:** `after`.", "after"),
            ("**Approval**: a person, before it", "a person, before it"),
            ("approval = \"after\"", "after"),
            ("1. _approval:_", ""),
        ] {
            let stated = in_detail(detail).unwrap();
            assert_eq!(stated.value, value, "{detail}");
            assert!(detail[stated.at..].starts_with(value), "{detail}");
        }
        for detail in
            ["- [ ] approval: before", "- approvals: before", "- the approval: before", "`approval: x`", ""]
        {
            assert_eq!(in_detail(detail), None, "{detail}");
        }
        let text =
            "Do (approval: before) `(approval: x)` f(approval: x) [Approval: after] <!-- (approval: y) -->";
        let stated: Vec<&str> = in_text(text).iter().map(|stated| stated.value).collect();
        assert_eq!(stated, ["before", "after"]);
        assert_eq!(&text[in_text(text)[1].at..][..5], "after");
        assert_eq!(in_text("ü` (approval: bef").len(), 1, "one that is never closed");
    }
}
