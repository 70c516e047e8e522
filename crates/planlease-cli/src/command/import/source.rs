//! One file: read once and whole, however busy its writer is; and what its problems are called.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use planlease::core::{PlanName, counted};
use planlease_formats::{Format, Problem, Problems, Severity};

use crate::{exit::Exit, failure::Failure, output};

/// How often a file is read again that was written to while it was read.
const TRIES: u32 = 10;

/// The pause before that.
const PAUSE: Duration = Duration::from_millis(50);

/// A file to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path, as it is shown.
    pub(super) path: String,
    /// The folder of the plan's outputs, if it is the state file of one.
    pub(super) outputs: Option<PathBuf>,
}

/// Reads a file. What is returned was there at one moment: if the file is written to meanwhile, it is read
/// again.
pub(super) fn read(path: &str, max: usize) -> Result<Vec<u8>, Failure> {
    let unreadable = |reason: String| {
        Failure::new(Exit::UnreadableFile, format!("cannot read {path}: {reason}"))
            .meaning("Nothing was changed.")
    };
    for _ in 0..TRIES {
        let bytes = read_once(Path::new(path), max).map_err(|error| unreadable(error.to_string()))?;
        match bytes {
            Some(bytes) if bytes.len() > max => {
                let most = max / 1024;
                return Err(unreadable(format!("it has more than {most} KiB, the most it may have")));
            }
            Some(bytes) => return Ok(bytes),
            None => wait(),
        }
    }
    Err(unreadable("it is written to all the time".to_owned())
        .remedy("Stop what writes it, or take a copy and import that."))
}

/// `None` if the file changed while it was read.
fn read_once(path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    if before.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    (&mut file).take(most).read_to_end(&mut bytes)?;
    // What comes through a pipe is written while it is read.
    let same = !before.is_file() || stamp(&before) == stamp(&file.metadata()?);
    Ok(same.then_some(bytes))
}

/// What changes when a file is written to.
fn stamp(about: &Metadata) -> (u64, Option<std::time::SystemTime>) {
    (about.len(), about.modified().ok())
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing else is under way: files are read before a server is asked"
)]
fn wait() {
    std::thread::sleep(PAUSE);
}

/// What the plan of a state file is called: its folder, its file, or the plan file that it names.
pub(super) fn plan_name(path: &str, plan_path: Option<&str>) -> Result<PlanName, Failure> {
    let path = Path::new(path);
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let own = stem(path).filter(|stem| stem != "status");
    let folder = || path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned);
    let named = || plan_path.and_then(|path| stem(Path::new(path)));
    let Some(name) = own.or_else(folder).or_else(named) else {
        return Err(Failure::usage(format!("{} does not tell what its plan is called", path.display()))
            .remedy("Say --plan NAME."));
    };
    PlanName::new(name).map_err(|error| {
        Failure::new(Exit::BadName, error.to_string())
            .meaning(format!("The plan of {} would be called so.", path.display()))
            .remedy("Say --plan NAME.")
    })
}

/// Shows problems as they are found.
pub(super) fn tell(problems: &[Problem]) {
    for problem in problems {
        output::tell(&format!("{problem:#}"));
    }
}

/// A file of which nothing is used.
pub(super) fn refused(path: &str, problems: &Problems) -> Failure {
    let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error).count();
    let count = counted(errors + problems.left_out, "problem");
    let failure = Failure::new(Exit::BadPlanFile, format!("{path} has {count} (see above)"))
        .meaning("Nothing of it was imported.");
    match Format::of(path).filter(|format| *format != Format::Taskmaster) {
        // State files are JSON, as Taskmaster's are.
        Some(_) => failure.remedy(format!(
            "It looks like a plan file: planlease plan import {path}. `planlease import` reads state files."
        )),
        _ => failure.remedy("Fix it, or import what can be understood of it, with --lenient."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_named_after_its_folder_or_its_file() {
        for (path, plan_path, name) in [
            ("docs/plan-outputs/release/status.json", None, "release"),
            ("old/release.json", Some("docs/plans/other.md"), "release"),
            ("old/release.midrun.json", None, "release.midrun"),
            ("status.json", Some("docs/plans/release.md"), "release"),
        ] {
            assert_eq!(plan_name(path, plan_path).unwrap().as_str(), name, "{path}");
        }
        assert_eq!(plan_name("status.json", None).unwrap_err().exit(), Exit::Usage);
    }
}
