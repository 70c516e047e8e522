//! Kiro, `.kiro/specs/*/tasks.md`: numbered tasks, nested by their numbers, in the order of the file.

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules = Rules {
    label,
    dash_is_begun: true,
    is_free: false,
    phases: Phases::Numbered,
    order: Order::WithinParent,
};

/// `1.2 Do`; `(P)` behind the number, or at the end, takes a task out of the order.
fn label(text: &str) -> Label {
    let mut label = Label::plain(text);
    label.is_parallel = label.take_tag(|tag| tag == "P").is_some();
    if let Some(text) = label.text.trim_end().strip_suffix("(P)").filter(|text| !text.trim().is_empty()) {
        (label.text, label.is_parallel) = (text.trim_end().to_owned(), true);
    }
    label.is_optional = label.text.ends_with("(optional)") || label.text.ends_with("(Optional)");
    label
}
