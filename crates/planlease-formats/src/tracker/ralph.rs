//! Ralph, `prd.json`: stories that pass or do not.

use planlease_core::spec::PhaseSpec;

use super::fields::{self, Ids, Shape};
use crate::{
    assemble::{Entry, Found},
    checklist,
    format::Format,
    progress::State,
    report::Report,
    state::json::{Json, Placed},
};

const SHAPE: Shape = Shape {
    format: Format::Ralph,
    own: &["id", "title"],
    steps: &["description", "acceptanceCriteria", "acceptance_criteria", "acceptance", "steps", "notes"],
    state: &STATE,
};

/// The fields that say how far a story is: the first one that is true or false, else `status`.
const STATE: [&str; 6] = ["passes", "passed", "completed", "complete", "done", "status"];

/// What a list of stories is called.
const LISTS: [&str; 7] =
    ["userStories", "user_stories", "stories", "features", "requirements", "tasks", "items"];

/// Reads the stories: of the outermost list, or of one for each phase.
pub(super) fn read(root: &Placed, report: &mut Report<'_>) -> Found {
    let root = root.get("prd").unwrap_or(root);
    let mut found = Found {
        title: fields::first(root, &["title", "project", "name", "feature", "projectName"])
            .unwrap_or_default(),
        title_at: root.at,
        ..Found::default()
    };
    let mut lists: Vec<(Option<usize>, &Placed)> = Vec::new();
    if let Some(list) = stories(root) {
        lists.push((None, list));
        report_others(root, list, report);
    }
    for (nth, phase) in fields::items(root.get("phases").or(root.get("epics"))).iter().enumerate() {
        let Some(list) = stories(phase) else { continue };
        let name = fields::first(phase, &["name", "title", "id"]).unwrap_or_default();
        found.phases.push(PhaseSpec { number: (nth + 1).to_string(), name, ..PhaseSpec::default() });
        found.phase_places.push(phase.at);
        lists.push((Some(found.phases.len() - 1), list));
    }
    if lists.is_empty() {
        report.error(root.at, "the file has no list of stories", "Ralph's files have a list `userStories`.");
    }
    let (mut ids, mut read) = (Ids::default(), Vec::new());
    for (phase, list) in lists {
        for story in fields::items(Some(list)) {
            let place = found.entries.len();
            found.entries.push(entry(story, place, phase, &mut ids, report));
            read.push(story);
        }
    }
    for (place, story) in read.into_iter().enumerate() {
        for (id, at) in fields::dependencies(story, report) {
            found.entries[place].stated.extend(ids.wanted(&id, at, report));
        }
    }
    found
}

/// The field that says how far a story is.
pub(crate) fn state_field(story: &Placed) -> &'static str {
    let is_flag = |name: &&str| match story.get(name).map(|value| &value.value) {
        Some(Json::Bool(_)) => true,
        Some(Json::Text(text)) => fields::flag(text).is_some(),
        _ => false,
    };
    let is_said = |name: &&str| story.get(name).is_some_and(|value| value.value != Json::Null);
    let status = ["status", "passes"].into_iter().find(is_said);
    STATE.into_iter().find(is_flag).or(status).unwrap_or("passes")
}

/// Warns of lists besides the one that is read whose items have a state, too.
fn report_others(root: &Placed, read: &Placed, report: &mut Report<'_>) {
    for list in LISTS.iter().filter_map(|name| root.get(name)).filter(|list| list.at != read.at) {
        let has_state = |item: &Placed| STATE.iter().any(|name| item.get(name).is_some());
        let number = fields::items(Some(list)).iter().filter(|item| has_state(item)).count();
        if number > 0 {
            let message = format!("this list is not read: {}", planlease_core::counted(number, "entry"));
            report.warning(list.at, message, "Of several lists the first is read: join them.");
        }
    }
}

fn stories(object: &Placed) -> Option<&Placed> {
    let is_list = |list: &&Placed| matches!(&list.value, Json::List(_));
    let all_objects =
        |list: &&Placed| fields::items(Some(list)).iter().all(|item| matches!(item.value, Json::Object(_)));
    if is_list(&object) {
        return Some(object);
    }
    LISTS.iter().filter_map(|name| object.get(name)).filter(is_list).find(all_objects)
}

fn entry(
    story: &Placed,
    place: usize,
    phase: Option<usize>,
    ids: &mut Ids,
    report: &mut Report<'_>,
) -> Entry {
    let text = fields::first(story, &["title", "name", "story", "description"]).unwrap_or_default();
    let id = story.get("id").and_then(fields::scalar).unwrap_or_else(|| checklist::short_id(&text));
    let flag = |name: &str| match story.get(name).map(|value| &value.value) {
        Some(Json::Bool(flag)) => Some(*flag),
        Some(Json::Text(text)) => fields::flag(text),
        _ => None,
    };
    let passes = flag(state_field(story));
    let state = match passes {
        Some(true) => State::Done,
        Some(false) if flag("blocked") == Some(true) => State::Blocked,
        Some(false) => State::Open,
        None => fields::state_of(story, state_field(story), report),
    };
    let mut entry = Entry {
        at: story.at,
        id: ids.give(place, story.at, id, report),
        description: text,
        phase,
        priority: priority(story),
        labels: fields::texts(story.get("tags").or(story.get("labels"))),
        state,
        ..Entry::default()
    };
    fields::keep(story, SHAPE, &mut entry, report);
    entry
}

/// A lower number comes first; words are as everywhere.
fn priority(story: &Placed) -> i32 {
    let priority = story.get("priority").and_then(fields::scalar);
    match priority.as_deref().and_then(|priority| priority.parse::<i32>().ok()) {
        Some(number) => number.clamp(-1_000_000, 1_000_000).saturating_neg(),
        None => fields::priority(priority.as_deref()),
    }
}
