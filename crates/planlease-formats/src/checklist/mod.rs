//! Reads the checklists that people and their tools write in Markdown: Kiro, spec-kit, OpenSpec, Conductor,
//! and any other one.
//!
//! The text is read once, into an [outline](outline::Outline) of headings and boxes. Every box is a task;
//! what the dialects differ in are [rules](rules::Rules): what the text behind a box says, which headings are
//! phases, what waits for what without being said.

mod conductor;
mod free;
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

use planlease_core::approval::ApprovalOf;

use self::{
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
    /// The items whose own ids were taken already.
    duplicates: Vec<usize>,
    phases: phases::Found,
}

impl<'o, 'a> Reader<'o, 'a> {
    fn new(outline: &'o Outline<'a>, rules: Rules) -> Self {
        let mut labels = labels(outline, rules);
        if rules.is_free {
            let waited = outline.items.iter().flat_map(statements).flat_map(|stated| stated.words());
            restarted::complete(outline, &mut labels, &waited.collect());
        }
        let parents = parents(outline, &labels);
        let (ids, duplicates) = ids_of(outline, &labels, &parents);
        let phases = phases::find(outline, rules.phases);
        Self { outline, rules, labels, parents, ids, duplicates, phases }
    }

    fn report_duplicates(&self, report: &mut Report<'_>) {
        for &place in &self.duplicates {
            let id = self.labels[place].id.as_deref().unwrap_or_default();
            let message = format!("there is a task {id} already: this one is {}", self.ids[place]);
            report.warning(self.outline.items[place].at, message, "Give each task an id of its own.");
        }
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
            priority: noted.priority.unwrap_or_default(),
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
    let lettered: Vec<&str> = loose.iter().map(|(_, id, _)| *id).filter(|id| ids::is_loose(id)).collect();
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
            false => is_most || referred.contains(&lower),
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

/// The ids of all items, and which of them have one that was taken already.
fn ids_of(outline: &Outline<'_>, labels: &[Label], parents: &[Option<usize>]) -> (Vec<String>, Vec<usize>) {
    let mut taken: HashSet<String> = labels.iter().filter_map(|label| label.id.clone()).collect();
    let mut given: HashSet<&str> = HashSet::new();
    let mut nths: HashMap<String, usize> = HashMap::new();
    let (mut ids, mut duplicates) = (Vec::with_capacity(labels.len()), Vec::new());
    for (place, label) in labels.iter().enumerate() {
        let id = match &label.id {
            Some(id) if given.insert(id) => id.clone(),
            Some(id) => {
                duplicates.push(place);
                let nth = nths.entry(id.clone()).or_insert(1);
                loop {
                    *nth += 1;
                    let next = format!("{id}-{nth}");
                    if taken.insert(next.clone()) {
                        break next;
                    }
                }
            }
            None => {
                let mut path = path(outline, outline.items[place].section);
                let first = ids::hashed(&path, &label.text, 0, 17);
                let mut nth = *nths.entry(first).and_modify(|nth| *nth += 1).or_insert(0);
                if let (1.., Some(parent)) = (nth, parents[place]) {
                    // The same words below several tasks: each is known by the task above it.
                    path.push(&labels[parent].text);
                    let first = ids::hashed(&path, &label.text, 0, 17);
                    nth = *nths.entry(first).and_modify(|nth| *nth += 1).or_insert(0);
                }
                let hashed = |digits| ids::hashed(&path, &label.text, nth, digits);
                let free = (5..=17).map(hashed).find(|id| !taken.contains(id));
                let id = free.unwrap_or_else(|| hashed(17));
                taken.insert(id.clone());
                id
            }
        };
        ids.push(id);
    }
    (ids, duplicates)
}

/// The headings above a task, without the numbers that say where they stand.
fn path<'o>(outline: &'o Outline<'_>, section: Option<usize>) -> Vec<&'o str> {
    let name = |section: usize| {
        let text = outline.sections[section].text;
        phases::number(text).map_or(text, |(_, name)| if name.is_empty() { text } else { name })
    };
    outline.path(section).into_iter().map(name).collect()
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
