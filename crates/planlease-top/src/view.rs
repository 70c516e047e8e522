//! One view: what it lists, which row is selected, and what is filtered.

use planlease_core::PlanName;

use crate::log::Log;

/// What a view lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All plans.
    Plans,
    /// The tasks of one plan.
    Tasks(PlanName),
    /// The registered orchestrators.
    Orchestrators,
    /// The last changes.
    Changes,
    /// The output of a task, followed.
    Log(Log),
    /// What a command printed.
    Text {
        /// The heading.
        title: String,
        /// The lines.
        lines: Vec<String>,
        /// The command, to print it again.
        args: Vec<String>,
    },
}

impl Content {
    /// The name in the line of views.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Plans => "plans".to_owned(),
            Self::Tasks(plan) => plan.to_string(),
            Self::Orchestrators => "orchestrators".to_owned(),
            Self::Changes => "changes".to_owned(),
            Self::Log(log) => format!("output of {}", log.of().1),
            Self::Text { title, .. } => title.clone(),
        }
    }
}

/// A view. The selected row is known by its key, so that it stays selected while others come and go.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) content: Content,
    pub(crate) filter: String,
    selected: Option<String>,
    /// Where the selected row was seen last: if it goes, the one in its place is selected.
    at: usize,
    /// The first row that is seen.
    first: usize,
    /// Whether the last row is selected, whatever comes: an output is followed.
    at_end: bool,
}

impl View {
    pub(crate) fn new(content: Content) -> Self {
        let at_end = matches!(content, Content::Log(_));
        Self { content, filter: String::new(), selected: None, at: 0, first: 0, at_end }
    }

    /// The place of the selected row among these keys.
    pub(crate) fn place(&self, keys: &[&str]) -> usize {
        if self.at_end {
            return keys.len().saturating_sub(1);
        }
        let found =
            self.selected.as_deref().and_then(|selected| keys.iter().position(|key| *key == selected));
        found.unwrap_or(self.at).min(keys.len().saturating_sub(1))
    }

    /// Selects the row that is so many below the selected one, or above it.
    pub(crate) fn step(&mut self, by: isize, keys: &[&str]) {
        self.select(self.place(keys).saturating_add_signed(by), keys);
    }

    /// Selects a row by its place; the last one if there are fewer.
    pub(crate) fn select(&mut self, place: usize, keys: &[&str]) {
        self.at = place.min(keys.len().saturating_sub(1));
        self.at_end = matches!(self.content, Content::Log(_)) && self.at + 1 >= keys.len();
        self.selected = keys.get(self.at).map(ToString::to_string);
    }

    /// The first of so many rows that are seen: as before, as long as the selected one is among them.
    pub(crate) fn first_seen(&mut self, keys: &[&str], height: usize) -> usize {
        let place = self.place(keys);
        let last_first = keys.len().saturating_sub(height);
        self.first = self.first.min(place).max((place + 1).saturating_sub(height)).min(last_first);
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_stays_selected_while_others_come() {
        let mut view = View::new(Content::Plans);
        view.step(1, &["a", "b", "c"]);
        assert_eq!(view.place(&["0", "a", "b", "c"]), 2);
        assert_eq!(view.place(&["a", "c"]), 1, "one that has gone leaves its place");
        assert_eq!(view.place(&["a"]), 0);
        assert_eq!(view.place(&[]), 0);
        view.step(-5, &["a", "b", "c"]);
        assert_eq!(view.place(&["a", "b", "c"]), 0);
        view.select(usize::MAX, &["a", "b", "c"]);
        assert_eq!(view.place(&["a", "b", "c"]), 2);
    }

    #[test]
    fn an_output_is_followed_until_another_row_is_selected() {
        let (plan, task) = (PlanName::new("p").unwrap(), planlease_core::TaskId::new("1").unwrap());
        let mut view = View::new(Content::Log(Log::new(plan, task)));
        assert_eq!(view.place(&["0", "1"]), 1);
        assert_eq!(view.place(&["0", "1", "2"]), 2);
        view.step(-1, &["0", "1", "2"]);
        assert_eq!(view.place(&["0", "1", "2", "3"]), 1, "it stays where it is looked at");
        view.select(usize::MAX, &["0", "1", "2", "3"]);
        assert_eq!(view.place(&["0", "1", "2", "3", "4"]), 4);
    }

    #[test]
    fn the_selected_row_is_always_seen() {
        let keys: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut view = View::new(Content::Plans);
        assert_eq!(view.first_seen(&keys, 10), 0);
        view.step(15, &keys);
        assert_eq!(view.first_seen(&keys, 10), 6);
        view.step(-3, &keys);
        assert_eq!(view.first_seen(&keys, 10), 6, "no more than needed is scrolled");
        view.select(99, &keys);
        assert_eq!(view.first_seen(&keys, 10), 90);
        assert_eq!(view.first_seen(&keys[..5], 10), 0);
    }
}
