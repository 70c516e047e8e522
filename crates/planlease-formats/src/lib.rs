//! Plan files, and the predecessor's files, to and from planlease's own types.
//!
//! planlease's own formats are [`Format::Markdown`], checklists in phases as people and agents write them,
//! and [`Format::Toml`], in which everything can be said. The plan files of other tools are read as they are,
//! see [`Format`]; path and content determine the format of a file. `docs/plan-file.md` describes all for
//! users.
//!
//! Everything here is a pure function of bytes: the caller reads the file. What is returned is sound: a plan
//! whose dependencies make sense, or all that is wrong with the file, each problem with its place.
//!
//! ```
//! let file = "# Plan: Tea\n## Phase 1: Kitchen\n- [ ] 1.1 Boil water\n- [ ] 1.2 Brew (depends: 1.1)\n";
//! let parsed = planlease_formats::parse("tea.md", file.as_bytes())?;
//! assert_eq!(parsed.spec.tasks[1].depends_on[0].as_str(), "1.1");
//!
//! let wrong = planlease_formats::parse("tea.md", file.replace("1.1)", "1.7)").as_bytes()).unwrap_err();
//! assert_eq!(wrong.to_string(), "tea.md:4:26: error: task 1.2 depends on 1.7, which the plan does not have");
//! # Ok::<(), planlease_formats::Problems>(())
//! ```

mod approval;
mod assemble;
mod bulk;
mod checkbox;
mod checklist;
mod complete;
mod count;
mod detect;
mod digest;
mod draft;
mod export;
mod format;
mod markdown;
mod mirror;
mod name;
mod native;
mod note;
mod order;
mod parsed;
mod problem;
mod progress;
mod read;
mod report;
mod soundness;
pub mod state;
mod text;
mod tracker;
mod unboxed;

use planlease_core::{TaskId, spec::Source};

use digest::sha256;

pub use bulk::memory;
pub use export::export;
pub use format::Format;
pub use name::{UnusableFileName, is_named_by_folder, plan_name};
pub use native::schema;
pub use parsed::{Counts, Other, Parsed, Place};
pub use problem::{Problem, Problems, Severity};
pub use progress::Progress;
pub use text::MAX_FILE;

/// Reads a plan file, in the format that its path and its content tell.
///
/// `path` is the file's path as the user gave it; it goes into messages and into
/// [`PlanSpec::source`](planlease_core::spec::PlanSpec::source), nothing is opened.
///
/// # Errors
/// All problems of the file, at least one of them an error; nothing of such a file should be used.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Parsed, Problems> {
    match Format::detect(path, bytes) {
        Some(format) => parse_as(format, path, bytes),
        None => Err(Problems::from(format::unknown(path))),
    }
}

/// Reads a plan file of a known format, whatever it is called.
///
/// # Errors
/// As for [`parse`].
pub fn parse_as(format: Format, path: &str, bytes: &[u8]) -> Result<Parsed, Problems> {
    parse_tag(format, None, path, bytes)
}

/// Reads one list of tasks of a plan file that has several, see [`tags`].
///
/// # Errors
/// As for [`parse`]; a tag that the file does not have.
pub fn parse_tag(format: Format, tag: Option<&str>, path: &str, bytes: &[u8]) -> Result<Parsed, Problems> {
    let text = text::Text::decode(path, bytes)?;
    if let Some(problem) = state::misplaced(format, path, text.as_str()) {
        return Err(Problems::from(problem));
    }
    read(format, tag, path, &text, sha256(bytes))
}

/// Reads a folder of files that are a plan together: Backlog.md's tasks. `files`: their paths and contents.
///
/// # Errors
/// As for [`parse`].
pub fn parse_folder(path: &str, files: &[(String, Vec<u8>)]) -> Result<Parsed, Problems> {
    let (bytes, places) = joined(files)?;
    let text = text::Text::decode(path, &bytes)?.of_files(places);
    read(Format::Backlog, None, path, &text, sha256(&bytes))
}

/// The tags of a file of Taskmaster that have tasks: each is a plan of its own, see [`parse_tag`]. Empty for
/// all other files.
#[must_use]
pub fn tags(format: Format, path: &str, bytes: &[u8]) -> Vec<String> {
    match text::Text::decode(path, bytes) {
        Ok(text) if format == Format::Taskmaster => tracker::tags(&text),
        _ => Vec::new(),
    }
}

/// How many boxes stand in a file of Markdown, and how many more in its code and comments; `None` for other
/// files. For files that are refused: see [`Parsed::counts`] for the others.
#[must_use]
pub fn boxes(path: &str, bytes: &[u8]) -> Option<(usize, usize)> {
    let text = text::Text::decode(path, bytes).ok()?;
    (Format::of(path)? == Format::Markdown).then(|| count::boxes(&text))
}

/// The tag that a plan was made of, if its file has several lists of tasks.
#[must_use]
pub fn tag_of(spec: &planlease_core::spec::PlanSpec) -> Option<&str> {
    spec.extra.get(note::TAG)?.as_str()
}

/// The file with the marks of its tasks as far as they are: boxes, or the fields that tell a state. All
/// other bytes stay as they are, and so do marks that say the same; `None` for a format without marks.
///
/// # Errors
/// As for [`parse`].
pub fn mirrored<P: Into<Progress>>(
    format: Format,
    path: &str,
    bytes: &[u8],
    progress: impl Fn(&TaskId) -> Option<P>,
) -> Result<Option<Vec<u8>>, Problems> {
    mirrored_tag(format, None, path, bytes, progress)
}

/// As [`mirrored`], of the list of tasks of this tag: the other lists stay as they are.
///
/// # Errors
/// As for [`parse_tag`].
pub fn mirrored_tag<P: Into<Progress>>(
    format: Format,
    tag: Option<&str>,
    path: &str,
    bytes: &[u8],
    progress: impl Fn(&TaskId) -> Option<P>,
) -> Result<Option<Vec<u8>>, Problems> {
    let text = text::Text::decode(path, bytes)?;
    let mut report = report::Report::new(&text);
    let (draft, _) = read::draft(format, tag, path, &text, &mut report)?;
    report.finish()?;
    let mark = &bytes[..bytes.len() - text.as_str().len()]; // The byte order mark.
    let changes = mirror::changes(format, &text, &draft, |task| progress(task).map(Into::into));
    let written = changes.map(|changes| mirror::written(text.as_str(), 0..text.as_str().len(), &changes));
    Ok(written.map(|written| [mark, written.as_bytes()].concat()))
}

/// As [`mirrored`], of a folder of files that are a plan together, see [`parse_folder`]: each of these files,
/// in the same order.
///
/// # Errors
/// As for [`parse_folder`].
pub fn mirrored_folder<P: Into<Progress>>(
    path: &str,
    files: &[(String, Vec<u8>)],
    progress: impl Fn(&TaskId) -> Option<P>,
) -> Result<Vec<Vec<u8>>, Problems> {
    let (bytes, places) = joined(files)?;
    let text = text::Text::decode(path, &bytes)?.of_files(places);
    let mut report = report::Report::new(&text);
    let (draft, _) = read::draft(Format::Backlog, None, path, &text, &mut report)?;
    report.finish()?;
    let changes = mirror::changes(Format::Backlog, &text, &draft, |task| progress(task).map(Into::into));
    let changes = changes.unwrap_or_default();
    let written = text.files().into_iter().zip(files).map(|(file, (_, bytes))| {
        // Without the line break that was put between the files.
        let content = without_mark(bytes);
        let written = mirror::written(text.as_str(), file.start..file.start + content.len(), &changes);
        [&bytes[..bytes.len() - content.len()], written.as_bytes()].concat()
    });
    Ok(written.collect())
}

/// The bytes of several files one behind the other, and where each begins.
type Joined<'f> = (Vec<u8>, Vec<(usize, &'f str)>);

fn joined(files: &[(String, Vec<u8>)]) -> Result<Joined<'_>, Problems> {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (file, content) in files {
        text::Text::decode(file, content)?;
        places.push((bytes.len(), file.as_str()));
        bytes.extend_from_slice(without_mark(content));
        bytes.push(b'\n');
    }
    Ok((bytes, places))
}

/// The bytes behind a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fn read(
    format: Format,
    tag: Option<&str>,
    path: &str,
    text: &text::Text<'_>,
    sha256: String,
) -> Result<Parsed, Problems> {
    let mut report = report::Report::new(text);
    let (mut draft, others) = read::draft(format, tag, path, text, &mut report)?;
    let counts = count::counts(format, text, draft.spec.tasks.len(), others);
    let others = count::others(format, text, &draft);
    let places = draft.tasks.iter().map(|task| text.place(task.id)).collect();
    draft.spec.source = Some(Source { path: path.to_owned(), sha256, location: None });
    let (warnings, left_out) = report.finish()?;
    Ok(Parsed { format, spec: draft.spec, warnings, left_out, counts, others, places })
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wild;
