//! Which files there are in a folder: that of one plan, or one with the folders of many.

use std::path::{Path, PathBuf};

use super::source::Found;
use crate::{exit::Exit, failure::Failure, output};

/// The name of a plan's state file in the folder of its outputs.
const STATE: &str = "status.json";

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// The files that a path stands for: itself, or what a folder holds.
pub(super) fn find(path: &str) -> Result<Vec<Found>, Failure> {
    let folder = Path::new(path);
    if !folder.is_dir() {
        let is_state = folder.file_name().is_some_and(|name| name == STATE);
        let outputs = folder.parent().filter(|_| is_state).map(Path::to_path_buf);
        return Ok(vec![Found { path: path.to_owned(), outputs }]);
    }
    if folder.join(STATE).is_file() {
        if leads_out(folder, &folder.join(STATE)) {
            return Err(Failure::new(
                Exit::UnreadableFile,
                format!("{STATE} in {path} leads out of the folder"),
            )
            .meaning("A link that leads out of a folder is not followed; nothing was changed.")
            .remedy(format!("Name {} itself, if that is what you want.", folder.join(STATE).display())));
        }
        return Ok(vec![of_plan(folder)]);
    }
    let mut found = Vec::new();
    for entry in entries(folder)? {
        let state = entry.join(STATE);
        if leads_out(folder, if state.is_file() { &state } else { &entry }) {
            output::tell(&format!("{}: it leads out of {path}: it is left out", entry.display()));
        } else if state.is_file() {
            found.push(of_plan(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "json") && entry.is_file() {
            found.push(Found { path: entry.display().to_string(), outputs: None });
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Exit::UnreadableFile, format!("there is no state file in {path}"))
            .meaning("It is looked for in the folder, and in each folder in it; nothing was changed.")
            .remedy("Name the status.json itself, or the folder plan-outputs."));
    }
    Ok(found)
}

fn of_plan(folder: &Path) -> Found {
    Found { path: folder.join(STATE).display().to_string(), outputs: Some(folder.to_path_buf()) }
}

/// Whether what is in a folder is a link that leads out of it, or nowhere. What is found by its folder only
/// is not read then: the person named the folder, and not what others let it point to.
pub(super) fn leads_out(folder: &Path, path: &Path) -> bool {
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => !path.starts_with(folder),
        _ => true,
    }
}

/// What is in a folder, in the order of the names.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |reason: String| {
        Failure::new(Exit::UnreadableFile, format!("cannot read the folder {}: {reason}", folder.display()))
            .meaning("Nothing was changed.")
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(error.to_string()))? {
        if entries.len() >= MAX_ENTRIES {
            return Err(unreadable(format!("it has more than {MAX_ENTRIES} entries")));
        }
        entries.push(entry.map_err(|error| unreadable(error.to_string()))?.path());
    }
    entries.sort();
    Ok(entries)
}
