//! The document of a state file as a plan: which tasks there are, and how far they are.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TaskId, codec, graph,
    soundness::SpecError,
    spec::{MAX_TEXT, PlanSpec, Source, TaskSpec},
};
use serde_json::{Map, Value};

use super::{
    dependencies,
    fault::Faults,
    file::StateFile,
    found::Found,
    json::{self, Json, Placed, cut},
    moment, phases, summary,
    task::{self, KEPT, TaskState},
};
use crate::{digest::sha256, text::Text};

/// The fields that every state file has.
const REQUIRED: [&str; 3] = ["planPath", "planName", "createdAt"];

/// The plan of this document; `None` if there is none in it, which is reported then.
pub(super) fn read(
    path: &str,
    bytes: &[u8],
    text: &Text<'_>,
    document: &Placed,
    faults: &mut Faults<'_>,
) -> Option<StateFile> {
    required(document, faults);
    let list = tasks(document, faults)?;
    let mut found = Vec::new();
    let mut states = BTreeMap::new();
    for item in list {
        if let Some((task, state)) = task(item, faults) {
            if states.contains_key(&task.spec.id) {
                faults.salvageable(
                    task.at,
                    format!("task {} comes more than once", task.spec.id),
                    "Its state would be two states: give one of them an id of its own, or take it out.",
                    "the first one counts, and this one is left out",
                );
                continue;
            }
            states.insert(task.spec.id.clone(), state);
            found.push(task);
        }
    }
    let phases = phases::assign(&mut found);
    let sequential = dependencies::read(document, &mut found, faults);
    let findings = findings(&found);
    let title = document.get("planName").and_then(Placed::text).filter(|title| !title.is_empty());
    let plan_path = document.get("planPath").and_then(Placed::text).map(str::to_owned);
    let mut spec = PlanSpec {
        title: codec::shorten(title.unwrap_or(path), MAX_TEXT),
        source: Some(Source { path: path.to_owned(), sha256: sha256(bytes), location: None }),
        phases,
        tasks: found.into_iter().map(|task| task.spec).collect(),
        ..PlanSpec::default()
    };
    // What contradicts the dependencies orders nothing: with it, tasks would wait for each other.
    spec.sequential.clone_from(&sequential);
    if !graph::cycles(&spec).is_empty() {
        spec.sequential.clear();
        spec.extra.insert("contradictory".to_owned(), serde_json::json!(sequential));
    }
    spec.extra.insert(KEPT.to_owned(), Value::Object(beside_tasks(document)));
    sound(&spec, document, faults);
    let derived = summary::check(text, document, states.values());
    Some(StateFile { spec, states, findings, plan_path, warnings: Vec::new(), derived })
}

fn required(document: &Placed, faults: &mut Faults<'_>) {
    for name in REQUIRED {
        match document.get(name) {
            Some(value) if value.text().is_some_and(|text| !text.is_empty()) => {}
            Some(value) => {
                let what = match value.kind() {
                    "a text" => format!("`{name}` is empty"),
                    kind => format!("`{name}` is {kind}, and should be a text"),
                };
                faults.salvageable(value.at, what, "Every state file says it.", "it is kept as it is");
            }
            None => faults.salvageable(
                document.at,
                format!("`{name}` is missing"),
                "Every state file has it: this may be another file.",
                "the plan is imported without it",
            ),
        }
    }
    for name in ["createdAt", "lastUpdatedAt"] {
        if let Some(value) =
            document.get(name).filter(|value| value.text().is_some_and(|text| !text.is_empty()))
        {
            time(value, name, faults);
        }
    }
}

/// The list of tasks.
fn tasks<'a>(document: &'a Placed, faults: &mut Faults<'_>) -> Option<&'a [Placed]> {
    let Some(tasks) = document.get("tasks") else {
        faults.fatal(document.at, "`tasks` is missing", "Without tasks this is no state file.");
        return None;
    };
    match &tasks.value {
        Json::List(items) if items.is_empty() => {
            faults.fatal(tasks.at, "the plan has no tasks", "There is nothing to import.");
            None
        }
        Json::List(items) => Some(items),
        _ => {
            let what = format!("`tasks` is {}, and should be a list", tasks.kind());
            faults.fatal(tasks.at, what, "Without tasks this is no state file.");
            None
        }
    }
}

/// One task; `None` if it does not say which it is.
fn task<'a>(item: &'a Placed, faults: &mut Faults<'_>) -> Option<(Found<'a>, TaskState)> {
    let Json::Object(fields) = &item.value else {
        let what = format!("this task is {}, and should be an object", item.kind());
        faults.salvageable(item.at, what, "A task has an `id` and a `status`.", "it is left out");
        return None;
    };
    let id = id(item, faults)?;
    let fields = json::to_map(fields);
    status(item, &id, faults);
    optional(item, &id, faults);
    let text = |name: &str| item.get(name).and_then(Placed::text).filter(|text| !text.is_empty());
    let description = text("description").or_else(|| text("title"));
    if description.is_none() {
        faults.salvageable(
            item.at,
            format!("task {id} has no `description`"),
            "It says what is to be done; files of an older shape have a `title` in its place.",
            "it is shown by its id",
        );
    }
    let description = codec::shorten(description.unwrap_or(id.as_str()), MAX_TEXT);
    let state = TaskState::of_fields(&fields);
    let mut spec = TaskSpec::new(id, description);
    spec.extra.insert(KEPT.to_owned(), Value::Object(fields));
    let at = item.get("id").map_or(item.at, |id| id.at);
    Some((Found { at, placed: item, spec }, state))
}

fn id(item: &Placed, faults: &mut Faults<'_>) -> Option<TaskId> {
    const HELP: &str = "A task is known by its id alone: give it one, such as \"1.2\".";
    let Some(id) = item.get("id") else {
        faults.salvageable(item.at, "this task has no `id`", HELP, "it is left out");
        return None;
    };
    let text = match &id.value {
        Json::Text(text) => text.clone(),
        Json::Number(number) => {
            let what = format!("the `id` of this task is the number {number}, and should be a text");
            faults.salvageable(id.at, what, "1.10 and 1.1 are the same number.", "it is taken as it reads");
            number.to_string()
        }
        _ => {
            let what = format!("the `id` of this task is {}, and should be a text", id.kind());
            faults.salvageable(id.at, what, HELP, "the task is left out");
            return None;
        }
    };
    match TaskId::new(&text) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.salvageable(id.at, error.to_string(), HELP, "the task is left out");
            None
        }
    }
}

fn status(item: &Placed, id: &TaskId, faults: &mut Faults<'_>) {
    const HELP: &str = "It is one of pending, in_progress, completed, failed, skipped.";
    const LOSS: &str = "the task is taken as pending";
    match item.get("status") {
        None => faults.salvageable(item.at, format!("task {id} has no `status`"), HELP, LOSS),
        Some(value) => match value.text() {
            Some(text) if task::status(text).is_some() => {}
            Some(text) => {
                let what = format!("task {id} has the status {:?}, which there is not", cut(text));
                faults.salvageable(value.at, what, HELP, LOSS);
            }
            None => {
                let what = format!("the status of task {id} is {}, and should be a text", value.kind());
                faults.salvageable(value.at, what, HELP, LOSS);
            }
        },
    }
}

/// What a task can say besides. Real files have odd things there, which stay as they are and mean nothing.
fn optional(item: &Placed, id: &TaskId, faults: &mut Faults<'_>) {
    for name in ["startedAt", "completedAt"] {
        if let Some(value) = item.get(name).filter(|value| value.value != Json::Null) {
            time(value, name, faults);
        }
    }
    for name in ["notes", "error", "lastError", "skipReason", "findingsPath", "description", "title"] {
        let odd = item.get(name).filter(|value| value.text().is_none() && value.value != Json::Null);
        if let Some(value) = odd {
            let what = format!("`{name}` of task {id} is {}, and should be a text", value.kind());
            faults.note(value.at, what, "It is kept as it is, and not shown.");
        }
    }
    let count = item.get("retryCount").filter(|count| match &count.value {
        Json::Number(number) => number.as_u64().is_none(),
        Json::Null => false,
        _ => true,
    });
    if let Some(count) = count {
        let what = format!("`retryCount` of task {id} is no count");
        faults.note(count.at, what, "It is kept as it is, and counts as 0.");
    }
}

fn time(value: &Placed, name: &str, faults: &mut Faults<'_>) {
    if value.text().and_then(moment::read).is_none() {
        let what = format!("`{name}` is no moment such as 2025-12-24T04:16:52.582Z");
        faults.note(value.at, what, "It is kept as it is, and not shown.");
    }
}

/// The files that tasks name.
fn findings(found: &[Found<'_>]) -> BTreeMap<TaskId, String> {
    let named = found.iter().filter_map(|task| {
        let path = task.placed.get("findingsPath")?.text()?;
        Some((task.spec.id.clone(), path.to_owned()))
    });
    named.collect()
}

/// Everything that the document says beside its tasks.
fn beside_tasks(document: &Placed) -> Map<String, Value> {
    let Json::Object(fields) = &document.value else { return Map::new() };
    let beside = fields.iter().filter(|field| field.name != "tasks");
    beside.map(|field| (field.name.clone(), field.value.to_value())).collect()
}

/// What is left to complain about: bounds, and what no leniency mends.
fn sound(spec: &PlanSpec, document: &Placed, faults: &mut Faults<'_>) {
    let mut told = BTreeSet::new();
    for problem in spec.problems() {
        if matches!(problem, SpecError::Graph(_)) && !faults.is_lenient() {
            continue; // Reported already, with its place.
        }
        let text = problem.to_string();
        let help = match problem {
            SpecError::NoTasks => "None of its tasks could be understood.",
            _ => "It cannot be kept like that.",
        };
        if told.insert(text.clone()) {
            faults.fatal(document.at, text, help);
        }
    }
}
