//! The predecessor's registry of orchestrators: what was running once. Nothing of it is alive by being in a
//! file.

use super::{
    fault::Faults,
    json::{Json, Placed, to_map},
};

/// An entry of the registry, as it stands there. It does not show whether the process lives: it says what
/// its owner last wrote, and an owner that crashed wrote nothing any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// What it called itself.
    pub id: String,
    /// The process it was.
    pub pid: Option<u64>,
    /// The plan file it worked on.
    pub plan_path: Option<String>,
    /// The working tree it worked in.
    pub worktree_path: Option<String>,
    /// When it began, as the file says it.
    pub started_at: Option<String>,
    /// When it was last heard of, as the file says it.
    pub last_heartbeat: Option<String>,
    /// What it last said about itself.
    pub status: Option<String>,
}

/// Whether a document is a registry rather than the state of a plan.
pub(super) fn is_one(document: &Placed) -> bool {
    document.get("instances").is_some() && document.get("tasks").is_none()
}

/// The entries of a registry.
pub(super) fn read(document: &Placed, faults: &mut Faults<'_>) -> Vec<Instance> {
    let Some(instances) = document.get("instances") else { return Vec::new() };
    let Json::List(items) = &instances.value else {
        let what = format!("`instances` is {}, and should be a list", instances.kind());
        faults.fatal(instances.at, what, "This is no registry of orchestrators.");
        return Vec::new();
    };
    items.iter().filter_map(|item| instance(item, faults)).collect()
}

fn instance(item: &Placed, faults: &mut Faults<'_>) -> Option<Instance> {
    let (Json::Object(fields), Some(id)) = (&item.value, item.get("id").and_then(Placed::text)) else {
        faults.salvageable(
            item.at,
            "this entry is no object with an `id`",
            "Without an id it tells nothing.",
            "it is left out",
        );
        return None;
    };
    let fields = to_map(fields);
    let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    Some(Instance {
        id: id.to_owned(),
        pid: fields.get("pid").and_then(serde_json::Value::as_u64),
        plan_path: text("plan_path"),
        worktree_path: text("worktree_path"),
        started_at: text("started_at"),
        last_heartbeat: text("last_heartbeat"),
        status: text("status"),
    })
}
