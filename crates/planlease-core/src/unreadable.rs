//! Stored values that cannot be read: each is reported with its key, and stops only what needs it.

use serde::de::DeserializeOwned;

use crate::{
    change::Entry,
    codec::{self, CodecError, MAX_FINDINGS_VALUE, MAX_SPEC_PART, MAX_VALUE},
    excerpt::{ExcerptsRecord, Extracted, MAX_EXCERPT},
    hook::HookRecord,
    id::PlanName,
    keys::{Key, PlanKey, SteeringKey},
    late::LateRecord,
    logs::LogsRecord,
    pool::{PermitRecord, PoolRecord},
    record::{
        FindingsRecord, HaltRecord, ImportRecord, Registration, StoreRecord, TaskRecord, TermRecord,
        WorktreeRecord,
    },
    spec::{PlanSpec, TaskSpec},
    steering::{CordonRecord, MoveRecord},
};

/// A stored value that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("`{key}` cannot be read: {reason}")]
pub struct Unreadable {
    /// Where it is.
    pub key: Key,
    /// Why it cannot be read.
    pub reason: String,
}

impl Unreadable {
    /// The value of this key cannot be read, for this reason.
    #[must_use]
    pub fn new(key: Key, error: &CodecError) -> Self {
        Self { key, reason: error.to_string() }
    }

    /// The plan that it belongs to, if it belongs to one.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        self.key.plan()
    }
}

/// Reads the record of a key.
///
/// # Errors
/// [`Unreadable`] with the key.
pub fn read<T: DeserializeOwned>(key: &Key, value: &[u8]) -> Result<T, Unreadable> {
    codec::decode_within(value, max(key)).map_err(|error| Unreadable::new(key.clone(), &error))
}

/// Checks whether the value of a key is what the key says, whatever kind of key it is.
///
/// The parts of a large definition are checked one by one. The value of a candidate can be anything: other
/// programs may join a queue with etcd's own tools.
///
/// # Errors
/// [`CodecError`] if it cannot be read.
pub fn check(key: &Key, value: &[u8]) -> Result<(), CodecError> {
    fn is<T: DeserializeOwned>(key: &Key, value: &[u8]) -> Result<(), CodecError> {
        codec::decode_within::<T>(value, max(key)).map(drop)
    }
    match key {
        Key::Store => is::<StoreRecord>(key, value),
        Key::Orchestrator(_) => is::<Registration>(key, value),
        Key::Logs(_) => is::<LogsRecord>(key, value),
        Key::Worktree(..) => is::<WorktreeRecord>(key, value),
        Key::Steering(SteeringKey::Pause) => is::<HaltRecord>(key, value),
        Key::Steering(SteeringKey::Cordon(_)) => is::<CordonRecord>(key, value),
        Key::Steering(SteeringKey::Move(_)) => is::<MoveRecord>(key, value),
        Key::Hook(_) => is::<HookRecord>(key, value),
        // Their presence counts.
        Key::HookRunner(_) | Key::Lock(..) => Ok(()),
        Key::Pool(_) => is::<PoolRecord>(key, value),
        Key::Permit(..) => is::<PermitRecord>(key, value),
        Key::Plan(_, of) => match of {
            PlanKey::Spec => is::<PlanSpec>(key, value),
            PlanKey::SpecPart(_) => is::<Vec<TaskSpec>>(key, value),
            PlanKey::Excerpts => is::<ExcerptsRecord>(key, value),
            PlanKey::Excerpt(_) => is::<Vec<Extracted>>(key, value),
            PlanKey::Import => is::<ImportRecord>(key, value),
            PlanKey::Pause | PlanKey::Close => is::<HaltRecord>(key, value),
            PlanKey::Owner(_) | PlanKey::Lock(..) => Ok(()),
            PlanKey::Term | PlanKey::PastTerm(_) => is::<TermRecord>(key, value),
            PlanKey::Task(_) => is::<TaskRecord>(key, value),
            PlanKey::Findings(_) => is::<FindingsRecord>(key, value),
            PlanKey::Late(_) => is::<LateRecord>(key, value),
            PlanKey::Unknown(_) => Err(CodecError::UnknownKey),
        },
        Key::Unknown(_) => Err(CodecError::UnknownKey),
    }
}

/// The values among these entries that cannot be read.
pub fn find<'a>(entries: impl IntoIterator<Item = &'a (Key, Entry)>) -> Vec<Unreadable> {
    let look = |(key, entry): &(Key, Entry)| {
        check(key, &entry.value).err().map(|error| Unreadable::new(key.clone(), &error))
    };
    entries.into_iter().filter_map(look).collect()
}

/// The largest value of a key that is read, in bytes.
fn max(key: &Key) -> usize {
    match key {
        Key::Plan(_, PlanKey::Spec | PlanKey::SpecPart(_)) => MAX_SPEC_PART,
        Key::Plan(_, PlanKey::Excerpt(_)) => MAX_EXCERPT,
        Key::Plan(_, PlanKey::Findings(_)) => MAX_FINDINGS_VALUE,
        _ => MAX_VALUE,
    }
}
