//! JSON state files: as the scripts that kept them could have written them, with anything else in them; and
//! the real ones, where there are some.

use std::{collections::BTreeMap, path::PathBuf};

use planlease_core::{PlanName, TaskId, codec, definition, record::TaskRecord, spec::PlanSpec};
use planlease_formats::state::{self, Content, Mode, StateFile};
use proptest::{collection, option, prelude::*};
use serde_json::{Map, Value, json};

/// Real files: `status`, `plans` and `registry` in this folder, named by `PLANLEASE_TEST_CORPUS`, or beside
/// the project. `None` if there is none; the test that wants it says so.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("PLANLEASE_TEST_CORPUS").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The files of a folder, in the order of their names.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("its entries can be read").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("the file can be read"))
    };
    files.into_iter().map(read).collect()
}

/// A few small files as they were written at different times.
#[must_use]
pub fn shaped() -> Vec<Vec<u8>> {
    let plain = json!({
        "_comment": "the source of truth", "planPath": "docs/plans/tea.md", "planName": "Implementation Plan: Tea",
        "createdAt": "2025-12-24T04:16:52.582Z", "lastUpdatedAt": "2025-12-24T04:46:49.598Z",
        "currentPhase": "Phase 0: Kitchen",
        "tasks": [
            {"id": "0.1", "phase": "Phase 0: Kitchen", "description": "0.1 Boil", "status": "completed",
             "startedAt": "2025-12-24T04:44:42.593Z", "completedAt": "2025-12-24T04:46:09.085Z", "duration": 86492},
            {"id": "0.2", "phase": "Phase 0: Kitchen", "description": "0.2 Brew", "status": "in_progress",
             "dependencies": ["0.1"], "retryCount": 1, "lastError": "cold"}],
        "runs": [{"runId": "run-1", "startedAt": "2025-12-24T04:44:00.000Z", "tasksCompleted": 1, "tasksFailed": 0}],
        "summary": {"totalTasks": 2, "completed": 1, "pending": 0, "in_progress": 1, "failed": 0, "skipped": 0}
    });
    let old = json!({
        "planPath": "docs/plans/tea.md", "planName": "Tea", "createdAt": "2025-12-24T05:59:13.182Z",
        "tasks": [{"id": "1.1", "title": "Serve", "phase": "1", "phaseName": "Table", "status": "failed",
                   "error": "bitter", "notes": true, "line": 82}]
    });
    let registry = json!({"instances": [{"id": "orch-1", "pid": 7, "status": "running", "port": null}]});
    [plain, old, registry].iter().map(|value| format!("{value:#}").into_bytes()).collect()
}

/// The file as a plan.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn plan(bytes: &[u8], mode: Mode) -> StateFile {
    match state::read("tea/status.json", bytes, mode) {
        Ok(Content::Plan(plan)) => *plan,
        Ok(Content::Registry(_)) => panic!("it is a registry"),
        Err(problems) => panic!("{problems:#}"),
    }
}

/// What export gives for it, after everything was stored and read back.
///
/// # Panics
/// If it cannot be stored.
#[must_use]
pub fn through_the_store(plan: &StateFile) -> Value {
    let (head, parts) = definition::encode_spec(&plan.spec).expect("it can be stored");
    let spec: PlanSpec =
        definition::decode_spec(&head, parts.iter().map(Vec::as_slice)).expect("and read back");
    let stored = |(id, record): (TaskId, TaskRecord)| {
        let bytes = codec::encode(&record).expect("it can be stored");
        (id, codec::decode(&bytes).expect("and read back"))
    };
    let records: BTreeMap<TaskId, TaskRecord> = plan.records().into_iter().map(stored).collect();
    state::export(&PlanName::new("tea").expect("a name"), &spec, &records)
}

/// Whatever JSON can say, not too much of it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            collection::btree_map(".{0,8}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn moment() -> impl Strategy<Value = String> {
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,9}"];
    let zone = prop_oneof![Just("Z".to_owned()), "[+-](0[0-9]|1[0-4]):[0-5][0-9]"];
    (
        "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
        fraction,
        zone,
    )
        .prop_map(|(day, fraction, zone)| day + &fraction + &zone)
}

/// A field that most files write as this, and some in a way of their own.
fn field(usual: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Option<Value>> {
    option::of(prop_oneof![9 => usual, 1 => anything()])
}

fn text(pattern: &'static str) -> impl Strategy<Value = Value> {
    pattern.prop_map(Value::from)
}

/// The fields of a task beside its id and what it waits for.
fn task() -> impl Strategy<Value = Map<String, Value>> {
    let status = prop_oneof!["pending", "in_progress", "completed", "failed", "skipped"];
    let phase = prop_oneof![text("Phase [0-9]{1,2}: [A-Z][a-z]{0,8}"), text("[0-9]"), anything()];
    let usual = (
        option::of(phase),
        field(moment().prop_map(Value::from)),
        field(moment().prop_map(Value::from)),
        field(any::<u32>().prop_map(Value::from)),
        field(text(".{0,40}")),
        field(text(".{0,40}")),
        field(text(".{0,40}")),
        field(text(".{0,40}")),
        field((0_u32..4).prop_map(Value::from)),
    );
    let constraints = option::of(anything());
    let unknown = collection::btree_map("[a-z]{0,3}[A-Z].{0,6}", anything(), 0..4);
    ("[^\\p{C}]{1,60}", any::<bool>(), status, usual, constraints, unknown).prop_map(
        |(description, old, status, usual, constraints, unknown)| {
            let mut fields: Map<String, Value> = unknown.into_iter().collect();
            let (phase, started, completed, duration, notes, error, last, skip, retries) = usual;
            let known = [
                ("phase", phase),
                ("startedAt", started),
                ("completedAt", completed),
                ("duration", duration),
                ("notes", notes),
                ("error", error),
                ("lastError", last),
                ("skipReason", skip),
                ("retryCount", retries),
                ("executionConstraints", constraints),
            ];
            fields.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            fields.insert((if old { "title" } else { "description" }).to_owned(), description.into());
            fields.insert("status".to_owned(), status.into());
            fields
        },
    )
}

/// A valid file in every respect.
pub fn document() -> impl Strategy<Value = Value> {
    let beside = collection::btree_map("[a-z]{1,3}[A-Z].{0,6}", anything(), 0..5);
    let usual =
        (field(text(".{0,20}")), field(moment().prop_map(Value::from)), option::of(anything()), any::<u8>());
    (collection::vec((task(), any::<u8>()), 1..12), moment(), usual, beside).prop_map(
        |(tasks, created, (phase, updated, runs, counted), beside)| {
            let tasks: Vec<Value> = tasks
                .into_iter()
                .enumerate()
                .map(|(n, (fields, waits))| numbered(n, fields, waits))
                .collect();
            let mut document: Map<String, Value> = beside.into_iter().collect();
            let known = [
                ("currentPhase", phase),
                ("lastUpdatedAt", updated),
                ("runs", runs),
                ("summary", summary(&tasks, counted)),
            ];
            document.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            document.insert("planPath".to_owned(), "docs/plans/tea.md".into());
            document.insert("planName".to_owned(), "Tea".into());
            document.insert("createdAt".to_owned(), created.into());
            document.insert("tasks".to_owned(), tasks.into());
            Value::Object(document)
        },
    )
}

/// A task that may wait for earlier ones.
fn numbered(n: usize, mut fields: Map<String, Value>, waits: u8) -> Value {
    let name = |n: usize| format!("{}.{}", n / 4 + 1, n % 4 + 1);
    if waits & 1 == 1 {
        let on = (0..n).filter(|on| waits >> (on % 7 + 1) & 1 == 1).map(name);
        fields.insert("dependencies".to_owned(), on.collect());
    }
    fields.insert("id".to_owned(), name(n).into());
    Value::Object(fields)
}

/// The counts, or some of them.
fn summary(tasks: &[Value], which: u8) -> Option<Value> {
    let count = |status: &str| tasks.iter().filter(|task| task["status"] == status).count();
    let counts = [
        ("totalTasks", tasks.len()),
        ("completed", count("completed")),
        ("pending", count("pending")),
        ("in_progress", count("in_progress")),
        ("failed", count("failed")),
        ("skipped", count("skipped")),
    ];
    let said = counts.into_iter().enumerate().filter(|(n, _)| which >> n & 1 == 1);
    let said: Map<String, Value> = said.map(|(_, (name, count))| (name.to_owned(), count.into())).collect();
    (which != 0).then_some(Value::Object(said))
}
