//! spec-kit, `specs/*/tasks.md`: `T001 [P] [US1] Do` in phases. Phases are done in order, and tasks within a
//! phase too, unless they are parallel.

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules =
    Rules { label, dash_is_begun: false, is_free: false, phases: Phases::Numbered, order: Order::ByPhase };

/// The longest story that is taken for a label, in bytes.
const MAX_STORY: usize = 24;

fn label(text: &str) -> Label {
    let mut label = Label::plain(text);
    let is_story = |tag: &str| {
        let number = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic() || matches!(c, '-' | ' '));
        let is_number =
            number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-'));
        tag.len() <= MAX_STORY && tag.starts_with(|c: char| c.is_ascii_uppercase()) && is_number
    };
    loop {
        if label.take_tag(|tag| tag == "P").is_some() {
            label.is_parallel = true;
        } else if label.id.is_none() && label.text.starts_with("[T") {
            let rest = Label::plain(&label.text);
            (label.id, label.text) = (rest.id, rest.text);
            if label.id.is_none() {
                return label;
            }
        } else if let Some(story) = label.take_tag(is_story) {
            label.labels.push(story);
        } else {
            return label;
        }
    }
}
