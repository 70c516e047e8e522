//! Kiro, `.kiro/specs/*/tasks.md`: numbered tasks, nested by their numbers, in order within a parent.

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules =
    Rules { label, dash_is_begun: true, phases: Phases::Numbered, order: Order::WithinParent };

/// `1.2 Do`; `(P)` behind the number takes a task out of the order.
fn label(text: &str) -> Label {
    let mut label = Label::plain(text);
    label.is_parallel = label.take_tag(|tag| tag == "P").is_some();
    label.is_optional = label.text.ends_with("(optional)") || label.text.ends_with("(Optional)");
    label
}
