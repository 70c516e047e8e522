//! What the dialects of checklists differ in.

use serde_json::{Map, Value};

use super::ids;
use crate::order::Order;

/// The rules of one dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// What the text behind a box says.
    pub(super) label: fn(&str) -> Label,
    /// Whether `[-]` is a task that was begun; otherwise one that was dropped.
    pub(super) dash_is_begun: bool,
    /// Whether planlease writes such files, too: a list of dependencies is then no part of what is to be
    /// done.
    pub(super) is_free: bool,
    /// Which headings are phases.
    pub(super) phases: Phases,
    /// What waits for what without being said.
    pub(super) order: Order,
}

/// Which headings are phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phases {
    /// The outermost one with a number: `## Phase 2: …`, `## 2. …`; headings below divide it. Else the
    /// outermost one.
    Numbered,
    /// The nearest one.
    Nearest,
}

/// What the text behind a box says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Label {
    /// The id that it begins with.
    pub(super) id: Option<String>,
    /// What is to be done.
    pub(super) text: String,
    pub(super) labels: Vec<String>,
    /// Whether it may be done beside the tasks around it.
    pub(super) is_parallel: bool,
    pub(super) is_optional: bool,
    /// What has no field of its own.
    pub(super) extra: Map<String, Value>,
}

impl Label {
    /// An id, if there is one, and the rest.
    pub(super) fn plain(text: &str) -> Self {
        // `Do it <!-- id: a-1 -->`: an id that a program wrote.
        let noted = text.trim_end().strip_suffix("-->").and_then(|text| text.rsplit_once("<!-- id:"));
        if let Some((text, id)) = noted.filter(|(_, id)| !id.trim().is_empty()) {
            return Self { id: Some(id.trim().to_owned()), text: text.trim().to_owned(), ..Self::default() };
        }
        match ids::explicit(text) {
            Some((id, rest)) => {
                let text = if rest.is_empty() { text.to_owned() } else { rest };
                Self { id: Some(id.to_owned()), text, ..Self::default() }
            }
            None => Self { text: text.to_owned(), ..Self::default() },
        }
    }

    /// Takes a word in brackets off the beginning of the text.
    pub(super) fn take_tag(&mut self, take: impl Fn(&str) -> bool) -> Option<String> {
        let close = match self.text.chars().next()? {
            '[' => ']',
            '(' => ')',
            _ => return None,
        };
        let (tag, rest) = self.text[1..].split_once(close)?;
        if !take(tag.trim()) {
            return None;
        }
        let tag = tag.trim().to_owned();
        self.text = rest.trim_start().to_owned();
        Some(tag)
    }
}
