//! Stored records: one of each kind with everything in it, as JSON that can be edited, and what has to hold
//! for everything that is read.

use std::fmt::Debug;

use planlease::Delegation;
use planlease_core::{
    codec::{self, CodecError},
    definition,
    record::{
        CandidateRecord, FindingsRecord, ImportRecord, Registration, StoreRecord, TaskRecord, TermRecord,
    },
    spec::PlanSpec,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What means something in a record.
pub const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "\"v\":1,",
    "\"v\":2,",
    "\"v\":0,",
    "\"status\":",
    "\"in_progress\"",
    "\"claim\":",
    "\"owner\":",
    "\"unowned\"",
    "\"import\"",
    "\"revision\":",
    "\"attempt\":",
    "\"how\":\"forced\"",
    "0",
    "-1",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "1e-999",
    "0.1",
    "1.0",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\"ffffffffffffffff\"",
    "\"0\"",
    "\"-1\"",
    "\"7fffffffffffffff\"",
    "\"\"",
    "\"a/b\"",
    "\"parts\":3,",
];

/// The longest message about bytes that cannot be read. The bytes may be a megabyte; the message is read by
/// an operator.
pub const MAX_MESSAGE: usize = 1024;

/// The kinds of values that are stored, or handed from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A task.
    Task,
    /// A term.
    Term,
    /// A candidate in the queue.
    Candidate,
    /// A process.
    Registration,
    /// The store.
    Store,
    /// An import under way.
    Import,
    /// The output of a task.
    Findings,
    /// The definition of a plan.
    Spec,
    /// An authority that was delegated to another process.
    Delegation,
}

/// Every kind.
pub const ALL: [Kind; 9] = [
    Kind::Task,
    Kind::Term,
    Kind::Candidate,
    Kind::Registration,
    Kind::Store,
    Kind::Import,
    Kind::Findings,
    Kind::Spec,
    Kind::Delegation,
];

impl Kind {
    /// Whether it says its format version.
    #[must_use]
    pub fn is_versioned(self) -> bool {
        !matches!(self, Self::Spec | Self::Delegation)
    }

    /// A valid one with everything that it can have.
    #[must_use]
    pub fn example(self) -> Value {
        let guard = json!({ "owner": { "lease": "2a", "revision": 7 } });
        let candidate = json!({ "v": 1, "orchestrator": "o-1", "host": "h", "pid": 1, "since": 5 });
        match self {
            Self::Task => json!({
                "v": 1, "status": "in_progress", "attempt": 2, "failures": 1, "lost": 0,
                "claim": { "by": "o-1", "guard": guard, "term": 3, "since": 5 },
                "progress": "half", "notes": "n", "error": "e", "skip_reason": "s", "parked": "p",
                "started_at": 1, "ended_at": 2,
                "writer": { "who": "o-1", "role": "owner", "term": 3, "guard": guard },
                "op_id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
                "transitions": [{
                    "at": 1, "from": "pending", "to": "in_progress", "attempt": 1, "by": "o-1", "term": 3, "why": "w"
                }],
            }),
            Self::Term => json!({
                "v": 1, "number": 3, "generation": 1, "owner": candidate, "lease": "2a", "guard": 7, "since": 5,
                "ended": { "at": 9, "how": "handed_over", "to": "o-2" },
            }),
            Self::Candidate => candidate,
            Self::Registration => json!({
                "v": 1, "host": "h", "pid": 1, "boot_id": "b", "version": "0.1.0", "labels": { "a": "b" },
                "endpoint": "unix:x", "lease": "2a", "started_at": 5,
            }),
            Self::Store => json!({ "v": 1, "generation": 1, "cluster_id": "abc", "created_at": 5 }),
            Self::Import => json!({ "v": 1, "by": "h (process 1)", "since": 5 }),
            Self::Findings => json!({ "v": 1, "attempt": 1, "text": "ä\n", "bytes": 3 }),
            Self::Spec => json!({
                "title": "T", "source": { "path": "p.md", "sha256": "0f" },
                "phases": [{ "number": "1", "name": "P", "verification": ["It works"] }],
                "tasks": [
                    { "id": "1.1", "phase": "1", "description": "A", "steps": ["s"], "command": ["true"] },
                    {
                        "id": "1.2", "description": "B", "depends_on": ["1.1"],
                        "policy": { "max_retries": 0, "attempt_deadline_s": 1, "on_lost": "ask" },
                    },
                ],
                "policy": { "max_retries": 2, "attempt_deadline_s": 60, "retry_delay_s": 3, "retry_delay_max_s": 600,
                            "total_deadline_s": 0, "queue_deadline_s": 4, "heartbeat_on": "any", "heartbeat_s": 5, "max_lost": 3, "max_in_progress": 6,
                            "on_lost": "fail", "lock_delay_s": 1 },
            }),
            Self::Delegation => json!({
                "plan": "p", "owner": "o-1", "term": 3, "token": "1.3",
                "guard": { "worker": { "orchestrator": "o-1", "revision": 7 } },
            }),
        }
    }

    /// Reads bytes as this kind and checks what has to hold; the value as it would be written back, if it was
    /// read.
    ///
    /// # Errors
    /// Why it was not read, as it is reported to people.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn check(self, bytes: &[u8]) -> Result<Value, String> {
        match self {
            Self::Task => check::<TaskRecord>(bytes),
            Self::Term => check::<TermRecord>(bytes),
            Self::Candidate => check::<CandidateRecord>(bytes),
            Self::Registration => check::<Registration>(bytes),
            Self::Store => check::<StoreRecord>(bytes),
            Self::Import => check::<ImportRecord>(bytes),
            Self::Findings => check::<FindingsRecord>(bytes),
            Self::Spec => check_spec(bytes),
            Self::Delegation => check::<Delegation>(bytes),
        }
    }
}

fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Result<Value, String> {
    match codec::decode::<T>(bytes) {
        Ok(record) => {
            let written = codec::encode_within(&record, usize::MAX).expect("there is no bound");
            let again: T = codec::decode(&written).expect("what was written can be read");
            assert_eq!(again, record);
            Ok(serde_json::from_slice(&written).expect("what was written is JSON"))
        }
        Err(error) => Err(explained(&error)),
    }
}

fn check_spec(bytes: &[u8]) -> Result<Value, String> {
    let spec: PlanSpec = definition::decode_spec(bytes, []).map_err(|error| explained(&error))?;
    let (head, parts) = match definition::encode_spec(&spec) {
        Ok(stored) => stored,
        Err(_) if bytes.len() > codec::MAX_SPEC_PART => return Err("it cannot have been stored".into()),
        Err(error) => panic!("it was stored, so it can be stored: {error}"),
    };
    let again = definition::decode_spec(&head, parts.iter().map(Vec::as_slice))
        .expect("what was written can be read");
    assert_eq!(again, spec);
    drop(spec.problems());
    Ok(serde_json::from_slice(&head).expect("what was written is JSON"))
}

fn explained(error: &CodecError) -> String {
    let message = error.to_string();
    assert!(matches!(error, CodecError::Unreadable { .. }), "{message}");
    assert!(message.len() <= MAX_MESSAGE, "a message of {} bytes", message.len());
    message
}
