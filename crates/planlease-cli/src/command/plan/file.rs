//! Reads plan files, bounded in size; reports all that is wrong with them.

use std::{fs::File, io::Read, path::Path};

use clap::{Args, builder::PossibleValuesParser};
use planlease::{
    core::{PlanName, spec::Location},
    regular,
};
use planlease_formats::{MAX_FILE, Parsed, Problem, Problems, Severity};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, Format, PlanFile},
};

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// What standard input is called in messages and as the source of a plan.
const ITS_NAME: &str = "<stdin>";

/// `--format`, `--tag`: what a plan file is read as.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ReadArgs {
    /// The format of the file [default: what its path and its content tell]; needed for standard input
    #[arg(long = "format", value_name = "NAME", value_parser = names())]
    file_format: Option<String>,
    /// The list of tasks to read, of a file of Taskmaster that has several
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// The names of all formats.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(planlease_formats::Format::ALL.map(planlease_formats::Format::name))
}

impl ReadArgs {
    fn named(&self) -> Option<planlease_formats::Format> {
        self.file_format.as_deref().and_then(planlease_formats::Format::named)
    }

    fn of(&self, path: &str, bytes: &[u8]) -> Option<planlease_formats::Format> {
        // The folders above tell as well, from wherever the command is given.
        self.named().or_else(|| planlease_formats::Format::detect(&whole(path), bytes))
    }

    fn parse(&self, path: &str) -> Result<Result<Parsed, Problems>, Failure> {
        if path == STANDARD_INPUT {
            let format = self.named().ok_or_else(|| {
                Failure::usage("standard input has no name that tells its format")
                    .meaning("Nothing was read.")
                    .remedy("Say --format NAME, as --format markdown or --format toml.")
            })?;
            let bytes = bounded("standard input", std::io::stdin().lock())?;
            return Ok(planlease_formats::parse_tag(format, self.tag.as_deref(), ITS_NAME, &bytes));
        }
        if Path::new(path).is_dir() {
            return Ok(planlease_formats::parse_folder(path, &folder(path)?));
        }
        let bytes = bytes(path)?;
        Ok(match self.of(path, &bytes) {
            Some(format) => planlease_formats::parse_tag(format, self.tag.as_deref(), path, &bytes),
            None => planlease_formats::parse(path, &bytes),
        })
    }

    /// The same, of this list of tasks.
    pub(crate) fn of_tag(&self, tag: Option<String>) -> Self {
        Self { tag: tag.or_else(|| self.tag.clone()), file_format: self.file_format.clone() }
    }

    /// The plan that a file is about: what it is called, or by the name of the file and its tag. `master` has
    /// the name of the file.
    pub(crate) fn plan(&self, path: &str, name: Option<&str>) -> Result<PlanName, Failure> {
        if path == STANDARD_INPUT && name.is_none() {
            return Err(Failure::usage("standard input has no name that a plan could have")
                .meaning("Nothing was changed.")
                .remedy("Say --plan NAME."));
        }
        let plan = plan(path, name)?;
        match self.tag.as_deref().filter(|tag| *tag != "master" && name.is_none()) {
            Some(tag) => plan_name(&format!("{plan}-{tag}")),
            None => Ok(plan),
        }
    }

    /// The lists of tasks that are plans of their own, if the file has several and none was named.
    pub(crate) fn tags(&self, path: &str) -> Result<Vec<String>, Failure> {
        // A pipe can be read once; if it has several, its reader says so.
        if self.tag.is_some() || !Path::new(path).is_file() || !path.ends_with(".json") {
            return Ok(Vec::new());
        }
        let bytes = bytes(path)?;
        let tags = self.of(path, &bytes).map(|format| planlease_formats::tags(format, path, &bytes));
        Ok(tags.filter(|tags| tags.len() > 1).unwrap_or_default())
    }
}

/// Reads and parses one file; its warnings go to standard error, and so do its errors, which are returned as
/// well.
pub(crate) fn load(path: &str, how: &ReadArgs) -> Result<Result<Parsed, Problems>, Failure> {
    Ok(match how.parse(path)? {
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
pub(crate) fn read(
    path: &str,
    how: &ReadArgs,
    format: Format,
    invocation: &Invocation,
) -> Result<Parsed, Failure> {
    match load(path, how)? {
        Ok(parsed) => Ok(parsed),
        Err(problems) => {
            if format != Format::Table {
                invocation.show(format, &PlanFile::refused(path, &problems))?;
            }
            Err(refused(path, &problems))
        }
    }
}

/// Reports how many boxes a file has that was refused. A pipe has been read, and cannot be read again.
pub(crate) fn tell_boxes(path: &str) {
    if !Path::new(path).is_file() {
        return;
    }
    let counted = bytes(path).ok().and_then(|bytes| planlease_formats::boxes(path, &bytes));
    if let Some((in_file, in_code)) = counted {
        output::tell(&format!(
            "boxes: {in_file} in the file, {in_code} in code and comments; no plan was made of them"
        ));
    }
}

/// The failure of a file with errors, which are reported already.
pub(crate) fn refused(path: &str, problems: &Problems) -> Failure {
    let path = if path == STANDARD_INPUT { ITS_NAME } else { path };
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
        None => planlease_formats::plan_name(&named(path)).map_err(|error| {
            Failure::new(Exit::BadName, format!("{error}: {}", error.reason)).remedy("Say --plan NAME.")
        }),
    }
}

/// The path that names the plan of a file: the whole one where a folder names it.
fn named(path: &str) -> String {
    let is_folder = Path::new(path).is_dir();
    if !is_folder && !planlease_formats::is_named_by_folder(path) {
        return path.to_owned();
    }
    let whole = whole(path);
    if is_folder { format!("{whole}/tasks.md") } else { whole }
}

/// The absolute path; the one as given if there is none in UTF-8.
pub(crate) fn whole(path: &str) -> String {
    let whole = std::fs::canonicalize(path).ok().and_then(|whole| whole.into_os_string().into_string().ok());
    whole.unwrap_or_else(|| path.to_owned())
}

/// The files of a folder that is a plan: its Markdown, in the order of their names.
pub(crate) fn folder(path: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::UnreadableFile, format!("cannot read {path}: {error}"))
            .meaning("Nothing was changed.")
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name.to_ascii_lowercase().ends_with(".md") && !name.eq_ignore_ascii_case("readme.md") {
            names.push(name);
        }
    }
    names.sort();
    let (mut files, mut room) = (Vec::new(), MAX_FILE);
    for name in names {
        let file = format!("{}/{name}", path.trim_end_matches('/'));
        // A pipe among them is not waited for.
        let opened = regular::open(Path::new(&file));
        let opened = opened.map_err(|error| unreadable(std::io::Error::other(format!("{name}: {error}"))))?;
        let bytes = bounded(&file, opened)?;
        room = room.checked_sub(bytes.len()).ok_or_else(|| {
            let most = MAX_FILE / (1024 * 1024);
            Failure::new(
                Exit::UnreadableFile,
                format!("the files of {path} have more than {most} MiB together"),
            )
            .meaning("Nothing was changed.")
        })?;
        files.push((file, bytes));
    }
    if files.is_empty() {
        return Err(Failure::new(Exit::UnreadableFile, format!("{path} is a folder without Markdown files"))
            .meaning("A folder is a plan if each file in it is a task, as Backlog.md keeps them."));
    }
    Ok(files)
}

/// Where exactly a file is; nothing if that has no name in UTF-8.
fn location(path: &str) -> Option<Location> {
    if path == STANDARD_INPUT {
        return None;
    }
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
    let file = File::open(path).map_err(|error| unreadable(path, &error.to_string()))?;
    let about = file.metadata().map_err(|error| unreadable(path, &error.to_string()))?;
    if about.is_dir() {
        return Err(unreadable(path, "it is a folder"));
    }
    bounded(path, file)
}

fn bounded(path: &str, from: impl Read) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there is more, whatever the file's size is said to be.
    from.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error.to_string()))?;
    if bytes.len() > MAX_FILE {
        let most = MAX_FILE / (1024 * 1024);
        let why = format!("it has more than {most} MiB, the most a plan file may have");
        return Err(unreadable(path, &why).remedy("Split it into several plans."));
    }
    Ok(bytes)
}

fn unreadable(path: &str, reason: &str) -> Failure {
    Failure::new(Exit::UnreadableFile, format!("cannot read {path}: {reason}"))
        .meaning("Nothing was changed.")
}
