//! What the tasks that a task depends on have left for it: in a file of its attempt's own, which is removed
//! when the attempt has ended. It is locked that long, so that the next orchestrator finds the files of one
//! that was killed.

use std::{
    fs::{DirEntry, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future;
use nix::{fcntl::OFlag, unistd::getuid};
use planlease::{Coordinator, PlanView, TaskView, error_chain};
use planlease_core::{PlanName, TaskId, spec::TaskSpec};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The most bytes of findings, and of output, that a file has in all. What is beyond is named, but not in it.
const MOST: usize = 1024 * 1024;

/// How many tasks are read at a time.
const AT_ONCE: usize = 16;

/// How long reading all of them may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What is to be read for one attempt.
#[derive(Debug)]
pub(crate) struct Inputs {
    coordinator: Coordinator,
    plan: PlanName,
    task: TaskId,
    dependencies: Vec<TaskView>,
    path: PathBuf,
}

/// How the name of a file begins and ends; the id of the start is between.
const NAME: (&str, &str) = ("planlease-inputs-", ".json");

/// The file of an attempt. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct InputsFile {
    path: PathBuf,
    /// Open as long as it is needed: the lock on it ends with this process at the latest.
    locked: File,
}

impl InputsFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for InputsFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a file of inputs is not removed");
        }
    }
}

impl Inputs {
    /// Of a task that was started; `None` if it depends on no task. The file will be in this folder.
    pub(crate) fn of(
        coordinator: &Coordinator,
        view: &PlanView,
        spec: &TaskSpec,
        started: &TaskView,
        folder: &Path,
    ) -> Option<Self> {
        let of_id = |task: &TaskId| view.tasks().get(task).cloned();
        let dependencies: Vec<TaskView> = spec.depends_on.iter().filter_map(of_id).collect();
        if dependencies.is_empty() {
            return None;
        }
        Some(Self {
            coordinator: coordinator.clone(),
            plan: view.name().clone(),
            task: spec.id.clone(),
            dependencies,
            // The id of the start: no other attempt has it.
            path: folder.join(format!("{}{}{}", NAME.0, started.record.op_id, NAME.1)),
        })
    }

    /// Reads them, and writes the file, which only this user can read.
    ///
    /// # Errors
    /// Why the file is not there. What cannot be read of one task is no error, but said in the file.
    pub(crate) async fn write(&self) -> Result<InputsFile, String> {
        let until = Instant::now() + WITHIN;
        let mut inputs: Vec<Value> = Vec::with_capacity(self.dependencies.len());
        for some in self.dependencies.chunks(AT_ONCE) {
            let of = |task: &TaskView| read(self.coordinator.clone(), self.plan.clone(), task.clone(), until);
            let reads: Vec<_> = some.iter().map(of).collect();
            inputs.extend(future::join_all(reads).await);
        }
        let mut left = MOST;
        for input in &mut inputs {
            for name in ["findings", "output"] {
                let size = input[name].as_str().map_or(0, str::len);
                match left.checked_sub(size) {
                    Some(rest) => left = rest,
                    None => {
                        input[name] = Value::Null;
                        input["left_out"] = json!(true);
                    }
                }
            }
        }
        let whole = json!({
            "schema": "planlease.inputs.v1",
            "plan": self.plan.as_str(),
            "task": self.task.as_str(),
            "inputs": inputs,
        });
        let (path, text) = (self.path.clone(), whole.to_string());
        let written = tokio::task::spawn_blocking(move || create(path, &text)).await;
        let path = self.path.display();
        match written {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(format!("{path} cannot be written: {error}")),
            Err(error) => Err(format!("{path} cannot be written: {error}")),
        }
    }
}

/// What one task has left.
async fn read(coordinator: Coordinator, plan: PlanName, task: TaskView, until: Instant) -> Value {
    let read = tokio::time::timeout_at(until, coordinator.findings(&plan, &task.id)).await;
    let (found, unread) = match read {
        Ok(Ok(found)) => (found, None),
        Ok(Err(error)) => (None, Some(error_chain(&error))),
        Err(_) => (None, Some("etcd does not answer".to_owned())),
    };
    let findings = found.as_ref().map(|found| found.text.as_str()).filter(|text| !text.is_empty());
    let output = found.as_ref().and_then(|found| found.output.as_ref());
    json!({
        "task": task.id.as_str(),
        "status": task.record.status.to_string(),
        "attempt": task.record.attempt,
        "notes": task.record.notes,
        "error": task.record.error,
        "skip_reason": task.record.skip_reason,
        "findings": findings,
        "reference": found.as_ref().and_then(|found| found.reference.as_ref()),
        "output": output.map(|output| output.text.as_str()),
        "left_out": false,
        "unread": unread,
    })
}

fn create(path: PathBuf, text: &str) -> io::Result<InputsFile> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
    drop(file.try_lock()); // A file system without locks: the file stays if this process is killed.
    let mut created = InputsFile { path, locked: file }; // Removed again if it cannot be written.
    created.locked.write_all(text.as_bytes())?;
    Ok(created)
}

/// Removes the files that orchestrators of this user have left in the folder when they were killed. What
/// cannot be removed is left for the next time. Blocks as long as the disk does.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(is_ours) {
        if is_left(&entry.path()) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.to_str().is_some_and(|name| name.starts_with(NAME.0) && name.ends_with(NAME.1))
}

/// Whether no process has it any more. An empty one is about to be locked.
fn is_left(path: &Path) -> bool {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(path) else { return false };
    let about = file.metadata();
    let is_own = about.is_ok_and(|it| it.is_file() && it.len() > 0 && it.uid() == getuid().as_raw());
    is_own && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_no_process_has_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |id: &str| folder.path().join(format!("{}{id}{}", NAME.0, NAME.1));
        let held = create(path("held"), "{}").unwrap();
        for (path, text) in
            [(path("left"), "{}"), (path("new"), ""), (folder.path().join("other.json"), "{}")]
        {
            std::fs::write(path, text).unwrap();
        }
        sweep(folder.path());
        assert!(!path("left").exists());
        assert!(held.path().exists() && path("new").exists() && folder.path().join("other.json").exists());
        drop(held);
        assert!(!path("held").exists());
        sweep(&folder.path().join("none"));
    }
}
