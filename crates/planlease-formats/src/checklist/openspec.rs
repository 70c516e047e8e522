//! OpenSpec, `openspec/changes/*/tasks.md`: groups `## 1. Name` of tasks `1.1 Do`.

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules = Rules {
    label: Label::plain,
    dash_is_begun: false,
    is_free: false,
    phases: Phases::Numbered,
    order: Order::Free,
};
