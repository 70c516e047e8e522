//! Taskmaster, `.taskmaster/tasks/tasks.json`: tasks with sub-tasks, in one list or in one for each tag.

use serde_json::{Map, Value, json};

use super::fields::{self, Ids, Shape};
use crate::{
    assemble::{Entry, Found},
    format::Format,
    note::{self, KEPT, TAG},
    report::Report,
    state::json::{Field, Json, Placed},
};

const SHAPE: Shape = Shape {
    format: Format::Taskmaster,
    own: &["id", "title", "subtasks"],
    steps: &["description", "details", "testStrategy", "acceptanceCriteria"],
    state: &["status"],
};

/// The deepest nesting of sub-tasks that is read.
const MAX_NESTING: usize = 8;

/// One list of tasks of a file.
pub(super) struct Tagged<'a> {
    /// What it is called; nothing for the only list of an untagged file.
    pub(super) tag: Option<&'a str>,
    /// The object that the list is a field of.
    object: Option<&'a Placed>,
    list: &'a Placed,
}

/// The lists of a file: one, or one for each tag.
pub(super) fn lists(root: &Placed) -> Vec<Tagged<'_>> {
    if is_list(root) {
        return vec![Tagged { tag: None, object: None, list: root }];
    }
    if let Some(list) = root.get("tasks").filter(|list| is_list(list)) {
        return vec![Tagged { tag: None, object: Some(root), list }];
    }
    tagged_lists(root)
}

fn is_list(value: &Placed) -> bool {
    matches!(value.value, Json::List(_))
}

/// The lists of an object that has one for each tag.
fn tagged_lists(root: &Placed) -> Vec<Tagged<'_>> {
    let Json::Object(fields) = &root.value else { return Vec::new() };
    let tagged = |field: &'_ Field| field.value.get("tasks").is_some_and(is_list);
    let lists = fields.iter().filter(|field| tagged(field));
    let tagged = lists.filter_map(|field| {
        let (tag, object) = (Some(field.name.as_str()), Some(&field.value));
        Some(Tagged { tag, object, list: field.value.get("tasks")? })
    });
    let tagged: Vec<Tagged<'_>> = tagged.collect();
    if !tagged.is_empty() {
        return tagged;
    }
    let bare = fields.iter().filter(|field| is_list_of_tasks(&field.value));
    bare.map(|field| Tagged { tag: Some(&field.name), object: None, list: &field.value }).collect()
}

/// Whether a value is a list of objects with an id and a title each: a tag without the object around it.
fn is_list_of_tasks(value: &Placed) -> bool {
    let items = fields::items(Some(value));
    !items.is_empty() && items.iter().all(|item| item.get("id").is_some() && item.get("title").is_some())
}

/// Whether a list has no tasks.
pub(super) fn is_empty(list: &Tagged<'_>) -> bool {
    fields::items(Some(list.list)).is_empty()
}

/// Which list is read: the one that is named, else `master`, else the first one with tasks. The only list
/// with tasks goes before an empty `master`; of several none does, since an update of the plan of `master`
/// would take over the tasks of another plan.
fn choose(lists: &[Tagged<'_>], tag: Option<&str>) -> Option<usize> {
    let position = |tag| lists.iter().position(|list| list.tag == Some(tag));
    if let Some(tag) = tag {
        return position(tag);
    }
    let full: Vec<usize> = (0..lists.len()).filter(|nth| !is_empty(&lists[*nth])).collect();
    let first = full.first().copied().or((!lists.is_empty()).then_some(0));
    match position("master") {
        Some(master) if full.len() != 1 => Some(master),
        _ => first,
    }
}

/// Warns of each list without tasks, once if all lists of a file are read: with the first one that has some.
fn report_empty(lists: &[Tagged<'_>], chosen: usize, tag: Option<&str>, report: &mut Report<'_>) {
    let first = lists.iter().position(|list| !is_empty(list));
    if first.is_none() || tag.is_some() && first != Some(chosen) {
        return;
    }
    for list in lists.iter().filter(|list| is_empty(list)) {
        let message = format!("the tag {} has no tasks: no plan is made of it", list.tag.unwrap_or_default());
        report.warning(list.list.at, message, "Add tasks to it, or take it out of the file.");
    }
}

/// Reads the tasks of one tag, see [`choose`]. How many tasks the others have.
pub(super) fn read(root: &Placed, tag: Option<&str>, report: &mut Report<'_>) -> (Found, usize) {
    let lists = lists(root);
    let nth = choose(&lists, tag);
    let names: Vec<&str> = lists.iter().filter_map(|list| list.tag).collect();
    let Some(nth) = nth else {
        match tag {
            Some(tag) => report.error(
                root.at,
                format!("the file has no tag {tag}"),
                format!("Its tags are {}.", names.join(", ")),
            ),
            None => report.error(
                root.at,
                "the file has no list of tasks",
                "Taskmaster's files have a field `tasks`.",
            ),
        }
        return (Found::default(), 0);
    };
    let Tagged { tag: name, object, list } = &lists[nth];
    for other in
        tagged_lists(root).iter().filter(|other| name.is_none() && other.object.is_some() && !is_empty(other))
    {
        let message = format!("the tag {} is not read", other.tag.unwrap_or_default());
        report.warning(
            other.list.at,
            message,
            "A file has a list `tasks`, or one for each tag: move the tasks.",
        );
    }
    report_empty(&lists, nth, tag, report);
    let others = lists.iter().filter(|list| !is_empty(list)).filter_map(|list| list.tag);
    let others: Vec<&str> = others.filter(|other| Some(*other) != *name).collect();
    if tag.is_none() && !others.is_empty() {
        let message = format!("the file has more lists of tasks: {}", others.join(", "));
        report.warning(list.at, message, "Each is a plan of its own: name it with --tag.");
    }
    let mut reader = Reader::default();
    reader.list(list, None, 0, report);
    reader.resolve(report);
    let mut extra = Map::new();
    extra.extend(name.map(|name| (TAG.to_owned(), Value::from(name))));
    if let Some(Placed { value: Json::Object(fields), .. }) = object {
        let kept = fields.iter().filter(|field| !["tasks", note::NAME].contains(&field.name.as_str()));
        let kept: Map<_, _> = kept.map(|field| (field.name.clone(), field.value.to_value())).collect();
        if !kept.is_empty() {
            extra.insert(KEPT.to_owned(), json!({ Format::Taskmaster.name(): kept }));
        }
    }
    let noted = object.and_then(|object| object.get(note::NAME));
    let note = noted.map(|noted| note::read(noted.at, noted.to_value(), report)).unwrap_or_default();
    let others = lists.iter().enumerate().filter(|(other, _)| *other != nth);
    let others = others.map(|(_, list)| count(list.list, 0)).sum();
    (Found { entries: reader.entries, extra, note, ..Found::default() }, others)
}

/// How many tasks and sub-tasks a list has.
fn count(list: &Placed, depth: usize) -> usize {
    let tasks = fields::items(Some(list)).iter();
    let below = |task: &Placed| match task.get("subtasks") {
        Some(list) if depth < MAX_NESTING => count(list, depth + 1),
        _ => 0,
    };
    tasks.map(|task| 1 + below(task)).sum()
}

/// How many tasks all lists of a file have.
pub(super) fn count_all(root: &Placed) -> usize {
    lists(root).iter().map(|list| count(list.list, 0)).sum()
}

#[derive(Default)]
struct Reader<'a> {
    entries: Vec<Entry>,
    tasks: Vec<&'a Placed>,
    ids: Ids,
}

impl<'a> Reader<'a> {
    fn list(&mut self, list: &'a Placed, parent: Option<usize>, depth: usize, report: &mut Report<'_>) {
        for task in fields::items(Some(list)) {
            let Some(id) = task.get("id").and_then(fields::scalar) else {
                report.error(task.at, "this task has no id", "Give it an \"id\", a number or a text.");
                continue;
            };
            let above = parent.map(|parent| self.entries[parent].id.clone());
            let id = match above {
                Some(above) if !id.starts_with(&format!("{above}.")) => format!("{above}.{id}"),
                _ => id,
            };
            let place = self.entries.len();
            let mut entry = Entry {
                at: task.at,
                id: self.ids.give(place, task.at, id, report),
                description: fields::first(task, &["title", "name", "description"]).unwrap_or_default(),
                parent,
                priority: priority(task),
                labels: fields::texts(task.get("labels").or(task.get("tags"))),
                state: fields::state_of(task, "status", report),
                ..Entry::default()
            };
            fields::keep(task, SHAPE, &mut entry, report);
            self.entries.push(entry);
            self.tasks.push(task);
            match task.get("subtasks") {
                Some(list) if depth < MAX_NESTING => self.list(list, Some(place), depth + 1, report),
                Some(list) if !fields::items(Some(list)).is_empty() => {
                    report.error(list.at, "sub-tasks are nested too deep", "Make tasks of them.");
                }
                _ => {}
            }
            if let Some(other) =
                task.get("subtasks").filter(|list| !is_list(list) && list.value != Json::Null)
            {
                let message = format!("the sub-tasks are {}, and not read: a list is expected", other.kind());
                report.error(other.at, message, "Write them as `\"subtasks\": [{ \"id\": 1, … }]`.");
            }
        }
    }

    /// A sub-task names its siblings by their own ids, and other tasks by their whole ones.
    fn resolve(&mut self, report: &mut Report<'_>) {
        for place in 0..self.entries.len() {
            for (id, at) in fields::dependencies(self.tasks[place], report) {
                let sibling = self.sibling(place, &id);
                let found = sibling.or_else(|| self.ids.wanted(&id, at, report));
                self.entries[place].stated.extend(found);
            }
        }
    }

    /// The sub-task of this id beside another one. A later one that has the id of a task which the parent
    /// waits for is not meant: the other task is.
    fn sibling(&self, place: usize, id: &str) -> Option<usize> {
        let parent = self.entries[place].parent?;
        let found = self.ids.get(&format!("{}.{id}", self.entries[parent].id))?;
        let of_parent = fields::items(self.tasks[parent].get("dependencies"));
        let is_other = found > place && of_parent.iter().filter_map(fields::scalar).any(|on| on == id);
        (!is_other).then_some(found)
    }
}

fn priority(task: &Placed) -> i32 {
    fields::priority(task.get("priority").and_then(fields::scalar).as_deref())
}
