//! Where the output of an attempt is kept: a folder each, below one folder of the host for each store.
//!
//! ```text
//! {folder}/{store}/{plan}/{task}/{attempt}-{token}/     one attempt of one ownership
//!     {offset in hex}                                   the output from that byte on, as it was written
//!     {offset in hex}.times                             when which byte was written
//!     lock                                              locked as long as the attempt is written
//!     end                                               how it ended; there as soon as it has
//! ```
//!
//! The names of plans can be used again, so an attempt is named with its fencing token: no two ownerships of
//! plans of one name have the same one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use planlease::Coordinator;
use planlease_core::{FencingToken, PlanName, TaskId, TermNumber};
use uuid::Uuid;

/// Everything but letters, digits and `-_` is written as `%XX`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The folder of outputs, below the state folder.
const FOLDER: &str = "output";

/// The longest name of a folder that is written as it is; file systems take 255 bytes.
const LONGEST: usize = 180;

/// How much output is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outputs {
    /// The folder of this store on this host.
    pub(super) folder: PathBuf,
    /// The folder of all stores, for what bounds them together.
    pub(super) all: PathBuf,
    /// How much of one attempt is kept, in bytes: the end of it. Default: 16 MiB.
    pub per_attempt: u64,
    /// How much is kept in all, in bytes; the oldest attempts go first. Default: 1 GiB.
    pub total: u64,
    /// How many attempts are kept in all; the oldest go first. Default: 20,000.
    pub attempts: usize,
    /// How long an attempt is kept after its end. Default: 7 days.
    pub keep: Duration,
}

/// Which attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptId {
    /// Of which plan.
    pub plan: PlanName,
    /// Of which task.
    pub task: TaskId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The token of the ownership under which it runs.
    pub token: FencingToken,
}

/// The folder of an attempt that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) folder: PathBuf,
    pub(super) per_attempt: u64,
}

impl Outputs {
    /// The outputs of a store ([`store_name`](planlease::Coordinator::store_name)), kept below a folder of
    /// this host.
    #[must_use]
    pub fn new(folder: &Path, store: &str) -> Self {
        Self {
            folder: folder.join(name(store)),
            all: folder.to_owned(),
            per_attempt: 16 << 20,
            total: 1 << 30,
            attempts: 20_000,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }

    /// The outputs of a coordinator's store, below its state folder; `None` if it has none.
    #[must_use]
    pub fn of(coordinator: &Coordinator) -> Option<Self> {
        let folder = coordinator.config().state_folder.as_ref()?;
        Some(Self::new(&folder.join(FOLDER), &coordinator.store_name()))
    }

    /// Sets how much of one attempt is kept, in bytes.
    #[must_use]
    pub fn per_attempt(self, bytes: u64) -> Self {
        Self { per_attempt: bytes, ..self }
    }

    /// Sets how much is kept in all, in bytes.
    #[must_use]
    pub fn total(self, bytes: u64) -> Self {
        Self { total: bytes, ..self }
    }

    /// Sets how long an attempt is kept after its end.
    #[must_use]
    pub fn keep(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// Where an attempt is to be kept.
    #[must_use]
    pub fn place(&self, id: &AttemptId) -> Place {
        let folder = self.task(&id.plan, &id.task).join(format!("{:06}-{}", id.attempt, id.token));
        Place { folder, per_attempt: self.per_attempt }
    }

    /// The folder of an attempt that is kept here: that of the newest ownership, or of this term.
    ///
    /// # Errors
    /// If the folder cannot be read. One that is not there is no error.
    pub fn find(
        &self,
        plan: &PlanName,
        task: &TaskId,
        attempt: u32,
        term: Option<TermNumber>,
    ) -> io::Result<Option<PathBuf>> {
        let folder = self.task(plan, task);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut newest: Option<(FencingToken, PathBuf)> = None;
        for entry in entries {
            let entry = entry?;
            let Some((number, token)) = entry.file_name().to_str().and_then(read_name) else { continue };
            let wanted = number == attempt && term.is_none_or(|term| token.term == term);
            if wanted && newest.as_ref().is_none_or(|(known, _)| *known < token) {
                newest = Some((token, entry.path()));
            }
        }
        Ok(newest.map(|(_, path)| path))
    }

    fn task(&self, plan: &PlanName, task: &TaskId) -> PathBuf {
        self.folder.join(name(plan.as_str())).join(name(task.as_str()))
    }
}

/// The number and the token in the name of a folder.
fn read_name(name: &str) -> Option<(u32, FencingToken)> {
    let (attempt, token) = name.split_once('-')?;
    Some((attempt.parse().ok()?, token.parse().ok()?))
}

/// A text as the name of a folder: no two texts have the same one, and none leads elsewhere.
fn name(text: &str) -> String {
    let encoded = utf8_percent_encode(text, ENCODED).to_string();
    if encoded.len() <= LONGEST {
        return encoded;
    }
    format!("{}~{}", &encoded[..LONGEST / 2], Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for (text, expected) in [("..", "%2E%2E"), (".", "%2E"), ("a b", "a%20b"), ("x~y", "x%7Ey")] {
            assert_eq!(name(text), expected);
        }
        let (one, other) = (name(&"ä".repeat(60)), name(&format!("{}b", "ä".repeat(60))));
        assert!(one.len() < 255 && other.len() < 255 && one != other, "{one} {other}");
    }

    #[test]
    fn an_attempt_is_found_by_its_term_or_as_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(folder.path(), "/planlease/default on etcd cluster 1");
        let (plan, task) = (PlanName::new("p").unwrap(), TaskId::new("..").unwrap());
        let id = |attempt, token: &str| AttemptId {
            plan: plan.clone(),
            task: task.clone(),
            attempt,
            token: token.parse().unwrap(),
        };
        assert_eq!(outputs.find(&plan, &task, 1, None).unwrap(), None);
        for (attempt, token) in [(1, "1.9"), (1, "1.10"), (2, "1.11")] {
            fs::create_dir_all(outputs.place(&id(attempt, token)).folder).unwrap();
        }
        let find = |attempt, term: Option<u64>| {
            let found = outputs.find(&plan, &task, attempt, term.map(TermNumber)).unwrap()?;
            Some(found.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(find(1, None).as_deref(), Some("000001-1.10"));
        assert_eq!(find(1, Some(9)).as_deref(), Some("000001-1.9"));
        assert_eq!(find(2, Some(9)), None);
        assert_eq!(find(3, None), None);
    }
}
