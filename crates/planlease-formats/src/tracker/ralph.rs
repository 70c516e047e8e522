//! Ralph, `prd.json`: stories that pass or do not.

use planlease_core::spec::PhaseSpec;

use super::fields::{self, Ids, Shape};
use crate::{
    assemble::{Entry, Found, State},
    checklist,
    report::Report,
    state::json::{Json, Placed},
};

const SHAPE: Shape = Shape {
    own: &["id", "title"],
    steps: &["description", "acceptanceCriteria", "acceptance_criteria", "acceptance", "steps", "notes"],
};

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
        let on = ["dependencies", "dependsOn", "depends_on", "blockedBy"]
            .into_iter()
            .find_map(|name| story.get(name));
        for on in fields::items(on) {
            if let Some(id) = fields::scalar(on) {
                found.entries[place].stated.extend(ids.wanted(&id, on.at, report));
            }
        }
    }
    found
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
        _ => None,
    };
    let passes = ["passes", "passed", "completed", "complete", "done"].into_iter().find_map(flag);
    let state = match passes {
        Some(true) => State::Done,
        Some(false) if flag("blocked") == Some(true) => State::Blocked,
        Some(false) => State::Open,
        None => fields::state_of(story, "status", report),
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
    fields::keep(story, SHAPE, &mut entry);
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
