//! Looks whether everything that is stored can be read.

use planlease::{
    Coordinator,
    core::{
        keys::{Key, PlanKey},
        unreadable::Unreadable,
    },
};

use crate::output::{Finding, plain};

/// How many records are listed one by one.
const LISTED: usize = 100;

/// One finding for each record that cannot be read.
pub(super) async fn look(coordinator: &Coordinator) -> Vec<Finding> {
    let unreadable = match coordinator.admin().unreadable().await {
        Ok(unreadable) => unreadable,
        Err(error) => {
            let remedy = "Look at what is said about the endpoints first.";
            return vec![Finding::problem("records", planlease::error_chain(&error), remedy)];
        }
    };
    if unreadable.is_empty() {
        return vec![Finding::ok("records", "all of them can be read")];
    }
    let more = unreadable.len().saturating_sub(LISTED);
    let mut findings: Vec<Finding> = unreadable.iter().take(LISTED).map(finding).collect();
    if more > 0 {
        let remedy = "Repair those that are listed, and run it again.";
        findings.push(Finding::problem("records", format!("{more} more cannot be read"), remedy));
    }
    findings
}

fn finding(unreadable: &Unreadable) -> Finding {
    Finding::problem("record", plain(&unreadable.to_string()), remedy(&unreadable.key))
}

/// What to do, if no newer planlease wrote it.
fn remedy(key: &Key) -> &'static str {
    match key {
        Key::Plan(_, PlanKey::Term) => {
            "Use a newer planlease if one wrote it. Else write the last of `terms/` over it; deleted, tokens begin again."
        }
        Key::Plan(_, PlanKey::Pause | PlanKey::Close) => {
            "Use a newer planlease if one wrote it. Else `planlease plan resume PLAN` removes it."
        }
        Key::Plan(_, PlanKey::Unknown(_)) | Key::Unknown(_) => {
            "Use a newer planlease if one wrote it. Else remove the key with etcdctl."
        }
        Key::Plan(..) => {
            "Use a newer planlease if one wrote it. Else restore the key from a backup, or delete and import the plan."
        }
        Key::Hook(_) => {
            "Use a newer planlease if one wrote it. Else remove the key with etcdctl: the hook begins with what is new."
        }
        Key::Pool(_) => {
            "Use a newer planlease if one wrote it. Else `planlease pool set NAME SIZE` writes over it."
        }
        Key::Orchestrator(_) | Key::Logs(_) | Key::HookRunner(_) | Key::Lock(..) | Key::Permit(..) => {
            "Use a newer planlease if one wrote it. It goes with its session."
        }
        Key::Steering(_) => {
            "Use a newer planlease if one wrote it. Else `planlease fleet resume` or `planlease orchestrator uncordon` \
             removes it."
        }
        Key::Store | Key::Worktree(..) => {
            "Use a newer planlease if one wrote it. Else restore the key from a backup of etcd."
        }
    }
}
