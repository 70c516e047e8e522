//! Gives each task its id: the one that its text begins with, if no other text of the file does; else a short
//! number that stays when the file is edited.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{ids, outline::Outline, phases, restarted, rules::Label};

/// The ids of the tasks of a file.
#[derive(Debug)]
pub(super) struct Given {
    /// The id of each task.
    pub(super) ids: Vec<String>,
    /// The ids that several texts begin with, in their order.
    pub(super) shared: Vec<Shared>,
}

/// An id that several texts begin with, so that it is the id of none of them.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: String,
    /// The tasks whose texts begin with it.
    pub(super) places: Vec<usize>,
    /// Whether the headings do not tell all of them apart.
    pub(super) is_unclear: bool,
}

/// Gives ids. `parents`: what each task is nested below; `restarts`: whether the numbers of tasks may begin
/// again below each heading.
pub(super) fn find(
    outline: &Outline<'_>,
    labels: &[Label],
    parents: &[Option<usize>],
    restarts: bool,
) -> Given {
    let mut holders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, label) in labels.iter().enumerate() {
        if let Some(id) = &label.id {
            holders.entry(id).or_default().push(place);
        }
    }
    let mut clear = if restarts { restarted::complete(outline, labels) } else { vec![None; labels.len()] };
    for (id, places) in &holders {
        if let [place] = places[..] {
            clear[place].get_or_insert_with(|| (*id).to_owned());
        }
    }
    let shared = holders.iter().filter(|(_, places)| places.len() > 1).map(|(id, places)| Shared {
        id: (*id).to_owned(),
        places: places.clone(),
        is_unclear: places.iter().any(|place| clear[*place].is_none()),
    });
    let shared = shared.collect();
    let written = labels.iter().filter_map(|label| label.id.as_ref());
    let taken = written.chain(clear.iter().flatten()).cloned().collect();
    let mut short = Short { outline, labels, parents, taken, times: HashMap::new() };
    let ids = clear.into_iter().enumerate();
    let ids = ids.map(|(place, id)| id.unwrap_or_else(|| short.number(place))).collect();
    Given { ids, shared }
}

/// Gives short numbers to tasks without an id of their own.
struct Short<'o, 'a> {
    outline: &'o Outline<'a>,
    labels: &'o [Label],
    parents: &'o [Option<usize>],
    taken: HashSet<String>,
    /// How many tasks of the same words there were.
    times: HashMap<String, usize>,
}

impl Short<'_, '_> {
    fn number(&mut self, place: usize) -> String {
        let text = self.text(place);
        let mut path: Vec<String> =
            path(self.outline, self.outline.items[place].section).into_iter().map(str::to_owned).collect();
        let mut nth = self.nth(&path, &text);
        if let (1.., Some(parent)) = (nth, self.parents[place]) {
            // The same words below several tasks: each is known by the task above it.
            path.push(self.text(parent));
            nth = self.nth(&path, &text);
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let hashed = |digits| ids::hashed(&path, &text, nth, digits);
        let free = (5..=17).map(hashed).find(|id| !self.taken.contains(id));
        let id = free.unwrap_or_else(|| hashed(17));
        self.taken.insert(id.clone());
        id
    }

    /// What a task says, whatever its priority.
    fn text(&self, place: usize) -> String {
        let text = &self.labels[place].text;
        ids::priority(text).map_or_else(|| text.clone(), |(_, rest)| rest)
    }

    /// How many tasks of these words there were before at this place.
    fn nth(&mut self, path: &[String], text: &str) -> usize {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let times = self.times.entry(ids::hashed(&path, text, 0, 17)).or_default();
        *times += 1;
        *times - 1
    }
}

/// The headings above a task, without the numbers that say where they stand.
fn path<'o>(outline: &'o Outline<'_>, section: Option<usize>) -> Vec<&'o str> {
    let name = |section: usize| {
        let text = outline.sections[section].text;
        phases::number(text).map_or(text, |(_, name)| if name.is_empty() { text } else { name })
    };
    outline.path(section).into_iter().map(name).collect()
}

#[cfg(test)]
mod tests;
