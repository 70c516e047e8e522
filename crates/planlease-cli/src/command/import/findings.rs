//! The findings of a plan: the files in the folder `findings` beside its state file.
//!
//! A file belongs to the tasks that name it as their `findingsPath`; else to the one whose id its name begins
//! with (`1.2-verification.md`, `1-2-verification.md`); else it is kept under its own name.

use std::{collections::BTreeMap, path::Path};

use planlease::core::{TaskId, codec, record::FindingsRecord};
use planlease_formats::state::StateFile;

use super::{folder, source};
use crate::failure::Failure;

/// The largest file of findings that is looked at, in bytes. What is longer than a task can hold is cut, and
/// says where the whole of it is.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// The outputs of tasks beside a state file.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) records: BTreeMap<TaskId, FindingsRecord>,
    /// What could not be taken as it is.
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// The findings in the folder of a plan's outputs.
    pub(super) fn read(outputs: &Path, state: &StateFile) -> Result<Self, Failure> {
        let mut findings = Self::default();
        let folder = outputs.join("findings");
        if !folder.is_dir() {
            return Ok(findings);
        }
        if folder::leads_out(outputs, &folder) {
            let (shown, from) = (folder.display(), outputs.display());
            findings.warnings.push(format!("{shown}: it leads out of {from}: what is in it is left out"));
            return Ok(findings);
        }
        for path in folder::entries(&folder)? {
            if folder::leads_out(&folder, &path) {
                findings
                    .warnings
                    .push(format!("{}: it leads out of its folder: it is left out", path.display()));
            } else {
                findings.read_one(&path, state)?;
            }
        }
        Ok(findings)
    }

    fn read_one(&mut self, path: &Path, state: &StateFile) -> Result<(), Failure> {
        let shown = path.display();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            self.warnings.push(format!("{shown}: its name is no text: it is left out"));
            return Ok(());
        };
        if name.starts_with('.') {
            return Ok(());
        }
        if !path.is_file() {
            self.warnings.push(format!("{shown}: it is no file: what is in it is left out"));
            return Ok(());
        }
        let Ok(text) = String::from_utf8(source::read(&shown.to_string(), MAX_FILE)?) else {
            self.warnings.push(format!("{shown}: it is no text: it is left out"));
            return Ok(());
        };
        let owners = owners(name, state, |task| self.records.contains_key(task));
        if owners.is_empty() {
            self.warnings.push(format!("{shown}: its name cannot be kept: it is left out"));
        }
        for owner in owners {
            let attempt = state.states.get(&owner).map_or(0, |task| task.attempt);
            let mut record = FindingsRecord::new(attempt, &text);
            if text.len() > codec::MAX_FINDINGS {
                record.reference = Some(shown.to_string());
                let most = codec::MAX_FINDINGS / 1024;
                self.warnings.push(format!(
                    "{shown}: it is longer than {most} KiB: its middle is left out, and the findings of {owner} name the file"
                ));
            }
            self.records.insert(owner, record);
        }
        Ok(())
    }
}

/// Under which names a file is kept.
fn owners(name: &str, state: &StateFile, is_taken: impl Fn(&TaskId) -> bool) -> Vec<TaskId> {
    let named = state.findings.iter().filter(|(_, path)| path.rsplit('/').next() == Some(name));
    let named: Vec<TaskId> = named.map(|(task, _)| task.clone()).collect();
    if !named.is_empty() {
        return named;
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let by_number =
        numbers(stem).filter(|task| state.states.contains_key(task) && !state.findings.contains_key(task));
    let own = || TaskId::new(stem).ok();
    by_number.filter(|task| !is_taken(task)).or_else(own).into_iter().collect()
}

/// The id that a name begins with: two or three numbers.
fn numbers(stem: &str) -> Option<TaskId> {
    let end = stem.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(stem.len());
    let numbers: Vec<&str> = stem[..end].split(['.', '-']).filter(|part| !part.is_empty()).collect();
    match numbers.len() {
        2 | 3 => TaskId::new(numbers.join(".")).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use planlease_formats::state::{self, Content, Mode};

    use super::*;

    #[test]
    fn files_find_their_tasks() {
        let file = br#"{"planPath": "a", "planName": "b", "createdAt": "2025-12-24T04:16:52Z", "tasks": [
            {"id": "1.1", "title": "a", "status": "completed", "findingsPath": "findings/01-discovery.md"},
            {"id": "1.2", "title": "b", "status": "completed"}, {"id": "1.2.1", "title": "c", "status": "pending"}]}"#;
        let Ok(Content::Plan(state)) = state::read("x.json", file, Mode::Strict) else { panic!() };
        for (name, owner) in [
            ("01-discovery.md", "1.1"),
            ("1.2-verification.md", "1.2"),
            ("1-2-1-more.md", "1.2.1"),
            ("1.1-other.md", "1.1-other"),
            ("executive-summary.md", "executive-summary"),
        ] {
            assert_eq!(owners(name, &state, |_| false), [TaskId::new(owner).unwrap()], "{name}");
        }
        assert_eq!(owners("1.2-again.md", &state, |_| true), [TaskId::new("1.2-again").unwrap()]);
    }
}
