//! How a key is written below the namespace, and what is read from that.
//!
//! Names are percent-encoded: whatever they contain, a key has the same number of `/`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::key::{Key, PlanKey, SteeringKey};
use crate::{
    id::{HookName, HostName, LockName, OrchestratorId, PlanName, PoolName, TaskId, WorktreeName},
    revision::TermNumber,
};

/// Everything but letters, digits and `-_.~` is written as `%XX`, as in the unreserved set of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The key as it is written below the namespace, as `plans/release/tasks/1.2`.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&written(self)))
    }
}

/// The key that is written so below the namespace, if this version knows it.
pub(super) fn known(rest: &[u8]) -> Option<Key> {
    let mut parts = std::str::from_utf8(rest).ok()?.split('/');
    let key = match (parts.next()?, parts.next()) {
        ("store", None) => Key::Store,
        ("orchestrators", Some(id)) => Key::Orchestrator(OrchestratorId::new(decode(id)?).ok()?),
        ("logs", Some(id)) => Key::Logs(OrchestratorId::new(decode(id)?).ok()?),
        ("plans", Some(plan)) => {
            let plan = PlanName::new(decode(plan)?).ok()?;
            let key = match (parts.next()?, parts.next()) {
                ("spec", None) => PlanKey::Spec,
                ("spec", Some(part)) => PlanKey::SpecPart(part.parse().ok()?),
                ("import", None) => PlanKey::Import,
                ("halt", Some("pause")) => PlanKey::Pause,
                ("halt", Some("close")) => PlanKey::Close,
                ("owner", Some(lease)) => PlanKey::Owner(lease.parse().ok()?),
                ("locks", Some(name)) => {
                    PlanKey::Lock(LockName::new(decode(name)?).ok()?, parts.next()?.parse().ok()?)
                }
                ("term", None) => PlanKey::Term,
                ("terms", Some(number)) => PlanKey::PastTerm(TermNumber(number.parse().ok()?)),
                ("tasks", Some(task)) => PlanKey::Task(TaskId::new(decode(task)?).ok()?),
                ("findings", Some(task)) => PlanKey::Findings(TaskId::new(decode(task)?).ok()?),
                ("late", Some(task)) => PlanKey::Late(TaskId::new(decode(task)?).ok()?),
                _ => return None,
            };
            Key::Plan(plan, key)
        }
        ("excerpts", Some(plan)) => {
            let plan = PlanName::new(decode(plan)?).ok()?;
            let key = match (parts.next()?, parts.next()) {
                ("of", None) => PlanKey::Excerpts,
                ("tasks", Some(task)) => PlanKey::Excerpt(TaskId::new(decode(task)?).ok()?),
                _ => return None,
            };
            Key::Plan(plan, key)
        }
        ("worktrees", Some(host)) => {
            let name = WorktreeName::new(decode(parts.next()?)?).ok()?;
            Key::Worktree(HostName::new(decode(host)?).ok()?, name)
        }
        ("steering", Some("pause")) => Key::Steering(SteeringKey::Pause),
        ("steering", Some("orchestrators")) => {
            Key::Steering(SteeringKey::Cordon(OrchestratorId::new(decode(parts.next()?)?).ok()?))
        }
        ("steering", Some("moves")) => {
            Key::Steering(SteeringKey::Move(PlanName::new(decode(parts.next()?)?).ok()?))
        }
        ("hooks", Some(name)) => {
            let name = HookName::new(decode(name)?).ok()?;
            match parts.next() {
                None => Key::Hook(name),
                Some("runner") => Key::HookRunner(name),
                Some(_) => return None,
            }
        }
        ("locks", Some(name)) => Key::Lock(LockName::new(decode(name)?).ok()?, parts.next()?.parse().ok()?),
        ("pools", Some(name)) => {
            let name = PoolName::new(decode(name)?).ok()?;
            match parts.next() {
                None => Key::Pool(name),
                Some("permits") => {
                    Key::Permit(name, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
                }
                Some(_) => return None,
            }
        }
        _ => return None,
    };
    // In its only form: else two keys in etcd would be one here.
    (parts.next().is_none() && written(&key) == rest).then_some(key)
}

/// The key that this version does not know, with the plan that it is below, if it is below one.
pub(super) fn unknown(rest: &[u8]) -> Key {
    let of_plan = || {
        let below = rest.strip_prefix(b"plans/")?;
        let slash = below.iter().position(|byte| *byte == b'/')?;
        let (name, rest) = (std::str::from_utf8(&below[..slash]).ok()?, &below[slash + 1..]);
        let plan = PlanName::new(decode(name)?).ok()?;
        (encode(plan.as_str()) == name).then(|| Key::Plan(plan, PlanKey::Unknown(rest.to_vec())))
    };
    of_plan().unwrap_or_else(|| Key::Unknown(rest.to_vec()))
}

/// The bytes of a key below the namespace.
pub(super) fn written(key: &Key) -> Vec<u8> {
    match key {
        Key::Store => b"store".to_vec(),
        Key::Orchestrator(id) => format!("orchestrators/{}", encode(id.as_str())).into_bytes(),
        Key::Logs(id) => format!("logs/{}", encode(id.as_str())).into_bytes(),
        Key::Plan(plan, key) => [above(key), encode(plan.as_str()).as_bytes(), b"/", &plan_key(key)].concat(),
        Key::Worktree(host, name) => {
            format!("worktrees/{}/{}", encode(host.as_str()), encode(name.as_str())).into_bytes()
        }
        Key::Steering(SteeringKey::Pause) => b"steering/pause".to_vec(),
        Key::Steering(SteeringKey::Cordon(id)) => {
            format!("steering/orchestrators/{}", encode(id.as_str())).into_bytes()
        }
        Key::Steering(SteeringKey::Move(plan)) => {
            format!("steering/moves/{}", encode(plan.as_str())).into_bytes()
        }
        Key::Hook(name) => format!("hooks/{}", encode(name.as_str())).into_bytes(),
        Key::HookRunner(name) => format!("hooks/{}/runner", encode(name.as_str())).into_bytes(),
        Key::Lock(name, lease) => format!("locks/{}/{lease}", encode(name.as_str())).into_bytes(),
        Key::Pool(name) => format!("pools/{}", encode(name.as_str())).into_bytes(),
        Key::Permit(name, number, lease) => {
            format!("pools/{}/permits/{number:06}/{lease}", encode(name.as_str())).into_bytes()
        }
        Key::Unknown(rest) => rest.clone(),
    }
}

/// What stands before the name of the plan.
pub(super) fn above(key: &PlanKey) -> &'static [u8] {
    match key {
        PlanKey::Excerpts | PlanKey::Excerpt(_) => b"excerpts/",
        _ => b"plans/",
    }
}

/// The bytes of a key behind the name of its plan.
pub(super) fn plan_key(key: &PlanKey) -> Vec<u8> {
    let text: String = match key {
        PlanKey::Spec => "spec".into(),
        PlanKey::SpecPart(part) => format!("spec/{part:06}"),
        PlanKey::Excerpts => "of".into(),
        PlanKey::Excerpt(task) => format!("tasks/{}", encode(task.as_str())),
        PlanKey::Import => "import".into(),
        PlanKey::Pause => "halt/pause".into(),
        PlanKey::Close => "halt/close".into(),
        PlanKey::Owner(lease) => format!("owner/{lease}"),
        PlanKey::Lock(name, lease) => format!("locks/{}/{lease}", encode(name.as_str())),
        PlanKey::Term => "term".into(),
        PlanKey::PastTerm(number) => format!("terms/{:012}", number.0),
        PlanKey::Task(task) => format!("tasks/{}", encode(task.as_str())),
        PlanKey::Findings(task) => format!("findings/{}", encode(task.as_str())),
        PlanKey::Late(task) => format!("late/{}", encode(task.as_str())),
        PlanKey::Unknown(rest) => return rest.clone(),
    };
    text.into_bytes()
}

/// How a task's id is written in keys: keys are in the order of these texts, and not in that of ids.
#[must_use]
pub fn written_id(task: &TaskId) -> Cow<'_, str> {
    encode(task.as_str())
}

pub(super) fn encode(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, ENCODED).into()
}

fn decode(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Cow::into_owned)
}
