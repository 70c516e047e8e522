//! Any other checklist, `PLAN.md`, `TODO.md`: each heading is a phase, each box a task.

use super::rules::{Label, Phases, Rules};
use crate::order::Order;

pub(super) const RULES: Rules = Rules {
    label: Label::plain,
    dash_is_begun: false,
    is_free: true,
    phases: Phases::Nearest,
    order: Order::Free,
};
