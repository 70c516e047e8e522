//! Reads the checklists that people and their tools write in Markdown: Kiro, spec-kit, OpenSpec, Conductor,
//! and any other one.
//!
//! The text is read once, into an [outline](outline::Outline) of headings and boxes. Every box is a task;
//! what the dialects differ in are [rules](rules::Rules): what the text behind a box says, which headings are
//! phases, what waits for what without being said.

mod conductor;
mod free;
mod given;
pub(crate) mod headed;
mod heading_waits;
pub(crate) mod headings;
mod ids;
mod kiro;
mod names;
mod openspec;
pub(crate) mod outline;
mod phases;
mod restarted;
mod rules;
mod spec_kit;
mod waits;

use std::collections::{HashMap, HashSet};

use planlease_core::{approval::ApprovalOf, counted};

use self::{
    given::{Given, Shared},
    names::Names,
    outline::{Item, Outline},
    rules::{Label, Rules},
};
use crate::{
    approval,
    assemble::{self, Entry, Found},
    checkbox::{self, Mark},
    draft::Draft,
    note,
    progress::State,
    report::Report,
    text::Text,
};

const HOW_TO_WRITE_A_TASK: &str = "A task is a line `- [ ] What to do`.";

/// A kind of checklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Kiro,
    SpecKit,
    OpenSpec,
    Conductor,
    Free,
}

impl Dialect {
    fn rules(self) -> Rules {
        match self {
            Self::Kiro => kiro::RULES,
            Self::SpecKit => spec_kit::RULES,
            Self::OpenSpec => openspec::RULES,
            Self::Conductor => conductor::RULES,
            Self::Free => free::RULES,
        }
    }
}

/// Reads a checklist. `name`: what the plan is called if the file has no title.
pub(crate) fn read(dialect: Dialect, name: &str, text: &Text<'_>, report: &mut Report<'_>) -> Draft {
    let mut outline = Outline::read(text, report);
    let rules = dialect.rules();
    let is_headed = rules.is_free && headed::complete(&mut outline, text, report);
    let reader = Reader::new(&outline, rules);
    reader.report_duplicates(report);
    reader.report_mentions(report);
    if !is_headed && !outline.items.is_empty() {
        headings::report_lost(&outline, &reader.ids.iter().map(String::as_str).collect(), report);
    }
    let found = reader.found(name, report);
    assemble::draft(found, rules.order, report)
}

/// A checklist on its way from its outline to a plan.
struct Reader<'o, 'a> {
    outline: &'o Outline<'a>,
    rules: Rules,
    labels: Vec<Label>,
    parents: Vec<Option<usize>>,
    ids: Vec<String>,
    /// The ids that several texts begin with.
    shared: Vec<Shared>,
    phases: phases::Found,
}

impl<'o, 'a> Reader<'o, 'a> {
    fn new(outline: &'o Outline<'a>, rules: Rules) -> Self {
        let labels = labels(outline, rules);
        let parents = parents(outline, &labels);
        let Given { ids, shared } = given::find(outline, &labels, &parents, rules.is_free);
        let phases = phases::find(outline, rules.phases);
        Self { outline, rules, labels, parents, ids, shared, phases }
    }

    /// Warns of ids that several texts begin with, where that matters: the headings do not tell these tasks
    /// apart, or another task waits for such an id.
    fn report_duplicates(&self, report: &mut Report<'_>) {
        if self.shared.is_empty() {
            return;
        }
        let waited = self.waited();
        for shared in &self.shared {
            let (id, number) = (&shared.id, counted(shared.places.len(), "task"));
            let message = match shared.places.iter().any(|place| waited.contains(place)) {
                true => format!("{number} are called {id}: what waits for {id} waits for the first of them"),
                false if shared.is_unclear => {
                    format!("{number} are called {id}: it is the id of none of them")
                }
                false => continue,
            };
            let second = shared.places.get(1).map_or(0, |place| self.outline.items[*place].at);
            report.warning(second, message, "Give each task an id of its own.");
        }
    }

    /// The tasks that others wait for by the ids that their texts begin with.
    fn waited(&self) -> HashSet<usize> {
        let mut names = Names::default();
        for (place, label) in self.labels.iter().enumerate() {
            if let Some(id) = &label.id {
                names.add_task(id, place);
            }
        }
        for phase in &self.phases.phases {
            // The place of no task: `after phase 2` does not name the task 2.
            names.add_to_phase(&phase.number, self.labels.len());
        }
        let stated = self.outline.items.iter().flat_map(statements);
        stated.flat_map(|stated| names.resolve(&stated).tasks).collect()
    }

    /// Warns of list items without a box that begin with an id that no task has.
    fn report_mentions(&self, report: &mut Report<'_>) {
        let known: HashSet<&str> = self.labels.iter().filter_map(|label| label.id.as_deref()).collect();
        for (at, line) in &self.outline.prose {
            let trimmed = line.trim_start();
            let text = checkbox::behind_bullets(trimmed);
            let text = text.strip_prefix("[P] ").unwrap_or(text);
            let is_bulleted =
                text.len() < trimmed.len() && !trimmed.starts_with(|c: char| c.is_ascii_digit());
            let text_at = at + line.len() - trimmed.len();
            let id = Some(text).filter(|_| is_bulleted).and_then(ids::explicit).map(|(id, _)| id);
            if let Some(id) = id.filter(|id| ids::is_certain(id) && !known.contains(id)) {
                let message =
                    format!("this has no box, and no task is called {id}: it is not read as a task");
                report.warning(text_at, message, "Write `- [ ] ` in front of it to make a task of it.");
            }
        }
    }

    fn found(&self, name: &str, report: &mut Report<'_>) -> Found {
        let title = self.phases.title.map(|title| &self.outline.sections[title]);
        let names = self.names();
        let firsts: HashSet<String> =
            self.outline.items.iter().map(|item| first_word(&item.text).to_lowercase()).collect();
        let mut entries: Vec<Entry> =
            (0..self.ids.len()).map(|place| self.entry(place, &names, &firsts, report)).collect();
        let waits = heading_waits::find(self.outline, self.phases.title, names, &self.parents, report);
        for (entry, waits) in entries.iter_mut().zip(waits) {
            entry.stated.extend(waits);
        }
        Found {
            title: title.map_or(name, |title| title.text).to_owned(),
            title_at: title.map_or(0, |title| title.at),
            phases: self.phases.phases.clone(),
            phase_places: self.phases.places.clone(),
            entries,
            how_to_write_a_task: HOW_TO_WRITE_A_TASK,
            note: self
                .outline
                .note
                .clone()
                .map(|(at, noted)| note::read(at, noted, report))
                .unwrap_or_default(),
            ..Found::default()
        }
    }

    fn entry(&self, place: usize, names: &Names, firsts: &HashSet<String>, report: &mut Report<'_>) -> Entry {
        let (item, label) = (&self.outline.items[place], &self.labels[place]);
        let noted = item.note.clone().map(|(at, noted)| note::read::<note::TaskNote>(at, noted, report));
        let noted = noted.unwrap_or_default();
        let stated_priority = || ids::priority(&label.text).map(|(number, _)| number);
        let description = match self.rules.is_free {
            true => without_list(&label.text, names),
            false => &label.text,
        };
        Entry {
            at: item.at,
            id: self.ids[place].clone(),
            description: description.to_owned(),
            phase: self.phases.of_item[place],
            parent: self.parents[place],
            stated: stated(item, names, firsts, report),
            is_parallel: label.is_parallel,
            is_optional: item.is_optional || label.is_optional,
            priority: noted.priority.or_else(stated_priority).unwrap_or_default(),
            labels: label.labels.clone(),
            steps: steps(item),
            // A note that speaks of it says more than the text.
            approval: if noted.approval.is_none() { approval_of(item, report) } else { None },
            state: self.state(item.mark),
            extra: label.extra.clone(),
            note: noted,
        }
    }

    fn state(&self, mark: Mark) -> State {
        match mark {
            Mark::Open => State::Open,
            Mark::Done => State::Done,
            Mark::Dropped => State::Dropped,
            Mark::Dash if !self.rules.dash_is_begun => State::Dropped,
            Mark::Begun | Mark::Dash => State::Begun,
            Mark::Blocked => State::Blocked,
        }
    }

    fn names(&self) -> Names {
        let mut names = Names::default();
        for (place, label) in self.labels.iter().enumerate() {
            names.add_task(&self.ids[place], place);
            if let Some(id) = &label.id {
                names.add_task(id, place);
            }
            if let Some(phase) = self.phases.of_item[place] {
                names.add_to_phase(&self.phases.phases[phase].number, place);
            }
        }
        names
    }
}

/// A text without a list of dependencies at its end that says nothing else: `Do it (depends on 1, 2)`.
fn without_list<'t>(text: &'t str, names: &Names) -> &'t str {
    let list = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (depends on "));
    match list {
        Some((before, list)) if list.split(", ").all(|name| names.has(name)) => before,
        _ => text,
    }
}

/// The word that a text begins with, without the marks around it.
fn first_word(text: &str) -> &str {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end =
        text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', '-', '_'])
}

/// What the texts behind the boxes say. Where tasks refer to one another by what their texts begin with, or
/// most of them begin so, that is their id.
fn labels(outline: &Outline<'_>, rules: Rules) -> Vec<Label> {
    let items = &outline.items;
    let mut labels: Vec<Label> = items.iter().map(|item| (rules.label)(&item.text)).collect();
    let mut loose: Vec<(usize, &str, String)> = Vec::new();
    for (place, label) in labels.iter().enumerate().filter(|(_, label)| label.id.is_none()) {
        let found = ids::loose(&items[place].text).filter(|_| label.extra.is_empty());
        loose.extend(found.map(|(id, rest)| (place, id, rest)));
    }
    if loose.is_empty() {
        return labels;
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    let known = labels.iter().filter_map(|label| label.id.as_deref());
    for id in known.chain(loose.iter().map(|(_, id, _)| *id)) {
        *times.entry(id.to_lowercase()).or_default() += 1;
    }
    let referred: HashSet<String> =
        items.iter().flat_map(statements).flat_map(|stated| stated.words()).collect();
    let is_sure = |stated: &waits::Stated| {
        stated.opening == waits::Opening::Strong && stated.form == waits::Form::Marked
    };
    let mut sure: HashSet<String> = HashSet::new();
    for words in items.iter().flat_map(statements).filter(is_sure).map(|stated| stated.words()) {
        let of_phase = |nth: usize| nth > 0 && words[nth - 1].starts_with("phase");
        sure.extend(
            words.iter().enumerate().filter(|(nth, _)| !of_phase(*nth)).map(|(_, word)| word.clone()),
        );
    }
    let prefix = |id: &str| id.trim_end_matches(|c: char| !c.is_ascii_alphabetic()).to_lowercase();
    // `P1: tests` is no task P1, unless it is said that one waits for such a task.
    let is_named = |id: &str| sure.contains(&id.to_lowercase()) && times[&id.to_lowercase()] == 1;
    let are_priorities = !loose.iter().any(|(_, id, _)| ids::is_priority(id) && is_named(id));
    let is_lettered = |id: &&str| ids::is_loose(id) && !(are_priorities && ids::is_priority(id));
    let lettered: Vec<&str> = loose.iter().map(|(_, id, _)| *id).filter(is_lettered).collect();
    let are_alike = lettered.len() > 2 || lettered.iter().all(|id| prefix(id) == prefix(lettered[0]));
    let is_most = lettered.len() > 1 && 2 * lettered.len() > items.len() && are_alike;
    let numbers: Vec<&str> = loose.iter().map(|(_, id, _)| *id).filter(|id| ids::is_number(id)).collect();
    let is_numbered = 2 * numbers.len() > items.len()
        && numbers.iter().any(|id| sure.contains(*id))
        && numbers.iter().all(|id| times[*id] == 1);
    for (place, id, rest) in loose {
        let lower = id.to_lowercase();
        // `2 tests` is no task 2, unless it is said that one waits for 2.
        let is_id = match ids::is_number(id) {
            true => is_numbered || sure.contains(&lower),
            false => is_lettered(&id) && (is_most || referred.contains(&lower)),
        };
        if times[&lower] > 1 || !is_id {
            continue;
        }
        let label = (rules.label)(&rest);
        if label.id.is_none() {
            labels[place] = Label { id: Some(id.to_owned()), ..label };
        }
    }
    labels
}

/// What an item says that a person has to approve.
fn approval_of(item: &Item<'_>, report: &mut Report<'_>) -> Option<ApprovalOf> {
    let in_text = approval::in_text(&item.text).into_iter();
    let mut stated: Vec<_> = in_text.map(|stated| stated.moved(|offset| item.place(offset))).collect();
    let mut verbatim = outline::Verbatim::default();
    for (at, line) in item.details.iter().filter(|(at, line)| !verbatim.contains(*at, line)) {
        stated.extend(approval::in_detail(line).map(|stated| stated.moved(|offset| at + offset)));
    }
    approval::agreed(&stated, report)
}

/// What an item says that it waits for.
fn statements(item: &Item<'_>) -> Vec<waits::Stated> {
    let mut stated = waits::in_text(&item.text, |offset| item.place(offset));
    let mut verbatim = outline::Verbatim::default();
    for (at, line) in &item.details {
        let is_comment = line.trim_start().starts_with("<!--");
        if !verbatim.contains(*at, line) || is_comment && line.trim_end().ends_with("-->") {
            stated.extend(waits::in_detail(*at, line));
        }
    }
    stated
}

/// The places of what an item says that it waits for. `firsts`: the words that the texts of tasks begin
/// with, in lower case.
fn stated(item: &Item<'_>, names: &Names, firsts: &HashSet<String>, report: &mut Report<'_>) -> Vec<usize> {
    let mut places = Vec::new();
    for stated in statements(item) {
        let named = names.resolve(&stated);
        let help = "Name tasks by their ids, as `(depends on 1.1, 1.2)`.";
        // What is lost is said; of `(depends: 1)` in the line of a task, which nothing else can be meant by,
        // nothing may be lost.
        let is_sure = stated.opening == waits::Opening::Strong && stated.form == waits::Form::Marked;
        let is_in_line = item.details.iter().all(|(at, _)| stated.at < *at);
        let is_declared = is_sure && is_in_line && waits::has_colon(&stated.names);
        for unknown in &named.unknown {
            let message = format!("no task is called {unknown}: nothing waits for it");
            if firsts.contains(&unknown.to_lowercase())
                && !first_word(&item.text).eq_ignore_ascii_case(unknown)
            {
                let help = format!(
                    "The text of another task begins with {unknown}, which is not read as its id: end that line, and no \
                     other, with `<!-- id: {unknown} -->`."
                );
                lost(report, is_sure, stated.at, message, help);
            } else {
                lost(report, is_declared, stated.at, message, help);
            }
        }
        if named.is_unclear {
            lost(report, is_declared, stated.at, "this names no task, so that nothing waits for it", help);
        }
        if named.is_conditional {
            let help =
                "A task waits for all the tasks that it names: list these, as `(depends on 1.1, 1.2)`.";
            report.warning(stated.at, "the condition of this dependency is not understood", help);
        }
        if named.is_doubtful {
            report.warning(stated.at, "this is not read as a dependency", help);
        }
        places.extend(named.tasks);
    }
    places
}

/// Reports a dependency that is not kept.
fn lost(
    report: &mut Report<'_>,
    is_error: bool,
    at: usize,
    message: impl Into<String>,
    help: impl Into<String>,
) {
    if is_error { report.error(at, message, help) } else { report.warning(at, message, help) }
}

/// The id that the text of a task begins with.
pub(crate) fn id_in(text: &str) -> Option<String> {
    Label::plain(text).id
}

/// Whether each block of code and each comment in these lines ends in them.
pub(crate) fn is_closed<'l>(lines: impl Iterator<Item = &'l str>) -> bool {
    let mut verbatim = outline::Verbatim::default();
    for line in lines {
        verbatim.contains(0, line);
    }
    verbatim.is_closed()
}

/// A short number for a task without an id, made of its text.
pub(crate) fn short_id(text: &str) -> String {
    ids::hashed(&[], text, 0, 5)
}

/// What each item is nested below: another one by its columns, or by its number.
fn parents(outline: &Outline<'_>, labels: &[Label]) -> Vec<Option<usize>> {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut parents = Vec::with_capacity(labels.len());
    for (place, (item, label)) in outline.items.iter().zip(labels).enumerate() {
        let id = label.id.as_deref();
        let above = id.and_then(|id| id.rsplit_once('.')).and_then(|(above, _)| by_id.get(above).copied());
        parents.push(item.parent.or(above));
        if let Some(id) = id {
            by_id.insert(id, place);
        }
    }
    parents
}

/// The lines below an item, as far to the left as they go together.
fn steps(item: &Item<'_>) -> Vec<String> {
    let blanks = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = || item.details.iter().map(|(_, line)| *line);
    let indent = lines().filter(|line| !line.trim().is_empty()).map(blanks).min().unwrap_or_default();
    lines().map(|line| line.get(indent..).unwrap_or_default().trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests;
