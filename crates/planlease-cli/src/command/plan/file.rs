//! Reads plan files, bounded in size; reports all that is wrong with them.

use std::{fs::File, io::Read as _};

use planlease::core::{PlanName, spec::Location};
use planlease_formats::{MAX_FILE, Parsed, Problem, Problems, Severity};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, Format, PlanFile},
};

/// Reads and parses one file; its warnings go to standard error, and so do its errors, which are returned as
/// well.
pub(crate) fn load(path: &str) -> Result<Result<Parsed, Problems>, Failure> {
    let bytes = bytes(path)?;
    Ok(match planlease_formats::parse(path, &bytes) {
        Ok(mut parsed) => {
            tell(&parsed.warnings, parsed.left_out);
            if let Some(source) = &mut parsed.spec.source {
                source.location = location(path);
            }
            Ok(parsed)
        }
        Err(problems) => {
            tell(&problems.listed, problems.left_out);
            Err(problems)
        }
    })
}

/// Reads and parses one file. Its errors are shown as a document too, where one is wanted.
pub(crate) fn read(path: &str, format: Format, invocation: &Invocation) -> Result<Parsed, Failure> {
    match load(path)? {
        Ok(parsed) => Ok(parsed),
        Err(problems) => {
            if format != Format::Table {
                invocation.show(format, &PlanFile::refused(path, &problems))?;
            }
            Err(refused(path, &problems))
        }
    }
}

/// The failure of a file with errors, which are reported already.
pub(crate) fn refused(path: &str, problems: &Problems) -> Failure {
    let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error).count();
    let count = match errors + problems.left_out {
        1 => "a problem".to_owned(),
        more => format!("{more} problems"),
    };
    let left_out = match problems.left_out {
        0 => "",
        _ => " (the first are listed above)",
    };
    Failure::new(Exit::BadPlanFile, format!("{path} has {count}{left_out}"))
        .meaning("No plan is made of such a file; nothing was changed.")
}

/// The plan that a file is about: what it is called, or by the file's own name.
pub(crate) fn plan(path: &str, name: Option<&str>) -> Result<PlanName, Failure> {
    match name {
        Some(name) => plan_name(name),
        None => planlease_formats::plan_name(path).map_err(|error| {
            Failure::new(Exit::BadName, format!("{error}: {}", error.reason)).remedy("Say --plan NAME.")
        }),
    }
}

/// Where exactly a file is; nothing if that has no name in UTF-8.
fn location(path: &str) -> Option<Location> {
    let path = std::fs::canonicalize(path).ok()?.into_os_string().into_string().ok()?;
    let host = nix::unistd::gethostname().ok()?.into_string().ok()?;
    Some(Location { host, path })
}

fn tell(problems: &[Problem], left_out: usize) {
    for problem in problems {
        output::tell(&format!("{problem:#}"));
    }
    if left_out > 0 {
        output::tell(&format!("… and {left_out} more problems"));
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
    // One byte more than is allowed shows that there is more, whatever the file's size is said to be.
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
