//! Reads plan files, bounded in size, and tells all that is wrong with them.

use std::{fs::File, io::Read as _};

use planlease::core::{PlanName, counted};
use planlease_formats::{MAX_FILE, Parsed, Problem, Severity};

use crate::{exit::Exit, failure::Failure, output};

/// Reads and parses one file. Its problems, warnings too, are told on standard error as they are found.
pub(crate) fn read(path: &str) -> Result<Parsed, Failure> {
    let bytes = bytes(path)?;
    match planlease_formats::parse(path, &bytes) {
        Ok(parsed) => {
            tell(&parsed.warnings);
            Ok(parsed)
        }
        Err(problems) => {
            tell(&problems.listed);
            let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error).count();
            let count = counted(errors + problems.left_out, "problem");
            let left_out = match problems.left_out {
                0 => "",
                _ => " (the first are listed above)",
            };
            Err(Failure::new(Exit::BadPlanFile, format!("{path} has {count}{left_out}"))
                .meaning("No plan is made of such a file; nothing was changed."))
        }
    }
}

/// The plan that a file is about: what it is called, or by the file's own name.
pub(crate) fn plan(path: &str, name: Option<&str>) -> Result<PlanName, Failure> {
    match name {
        Some(name) => crate::command::plan_name(name),
        None => planlease_formats::plan_name(path).map_err(|error| {
            Failure::new(Exit::BadName, format!("{error}: {}", error.reason)).remedy("Say --name NAME.")
        }),
    }
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        output::tell(&format!("{problem:#}"));
    }
}

fn bytes(path: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |reason: String| {
        Failure::new(Exit::UnreadableFile, format!("cannot read {path}: {reason}"))
            .meaning("Nothing was changed.")
    };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let about = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if about.is_dir() {
        return Err(unreadable("it is a folder".to_owned()));
    }
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there is more, whatever the file's size is said to be.
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > MAX_FILE {
        let most = MAX_FILE / (1024 * 1024);
        return Err(unreadable(format!("it has more than {most} MiB, the most a plan file may have"))
            .remedy("Split it into several plans."));
    }
    Ok(bytes)
}
