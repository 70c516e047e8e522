//! Conductor, `conductor/tracks/*/plan.md`: `Task: Do <commit>` in phases, with sub-tasks.

use serde_json::Value;

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules =
    Rules { label, dash_is_begun: false, is_free: false, phases: Phases::Numbered, order: Order::Free };

fn label(text: &str) -> Label {
    let bare = ["Task:", "**Task:**", "Sub-task:", "Subtask:"];
    let text = bare.iter().find_map(|word| text.strip_prefix(word)).map_or(text, str::trim_start);
    let (text, commit) = split_commit(text);
    let mut label = Label::plain(text);
    if let Some(commit) = commit {
        label.extra.insert("commit".to_owned(), Value::from(commit));
    }
    label
}

/// The commit that did it stands at the end: `Do abc1234`, `[abc1234]`, `[checkpoint: abc1234]`.
fn split_commit(text: &str) -> (&str, Option<&str>) {
    let Some((before, last)) = text.rsplit_once(' ') else { return (text, None) };
    let hash = last.trim_matches(['[', ']', '(', ')', '`', '<', '>', '*']);
    let is_hash = (7..=40).contains(&hash.len())
        && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && hash.bytes().any(|byte| byte.is_ascii_digit());
    if !is_hash {
        return (text, None);
    }
    let before = before.trim_end();
    let before = ["[checkpoint:", "(checkpoint:", "[commit:", "(commit:"]
        .iter()
        .find_map(|word| before.strip_suffix(word))
        .unwrap_or(before);
    (before.trim_end(), Some(hash))
}
