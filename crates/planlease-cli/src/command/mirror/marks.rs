//! The plan file, or the folder of tasks, whose marks a mirror keeps. It is read again for each change, since
//! others edit it.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use planlease::{core::TaskId, regular};
use planlease_formats::{Format, MAX_FILE, Parsed, Problems, Progress};
use tokio::time::Instant;

use crate::{command::plan::file, exit::Exit, failure::Failure, output, replace};

/// How long a file that is not there is waited for: editors take it away before they put the next one in its
/// place.
const ABSENT: Duration = Duration::from_secs(20);

/// How long it is waited for in silence.
const SILENCE: Duration = Duration::from_secs(1);

/// The first pause before another look, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A plan file, or the files of a folder that are a plan together.
pub(super) enum Marks {
    One(Vec<u8>),
    Folder(Vec<(String, Vec<u8>)>),
}

impl Marks {
    /// Reads the file, or the files of the folder; waits for one that is not there, up to [`ABSENT`].
    ///
    /// Cancel safe: nothing is changed.
    pub(super) async fn read(path: &Path) -> Result<Self, Failure> {
        let (since, (mut pause, longest)) = (Instant::now(), PAUSES);
        let mut is_silent = true;
        loop {
            if path.is_dir() {
                return Ok(Self::Folder(file::folder(&path.to_string_lossy())?));
            }
            match regular::read(path, u64::try_from(MAX_FILE).unwrap_or(u64::MAX)) {
                Ok(bytes) => return Ok(Self::One(bytes)),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    let what = format!("cannot read {}: {error}", path.display());
                    return Err(Failure::new(Exit::UnreadableFile, what).meaning("It was not changed."));
                }
                Err(_) if since.elapsed() > ABSENT => {
                    let what = format!("{} is not there, after {} s", path.display(), ABSENT.as_secs());
                    return Err(Failure::new(Exit::UnreadableFile, what)
                        .meaning("A mirror changes marks in a plan file that exists; it makes none.")
                        .remedy("Put the file back, and start the mirror again."));
                }
                Err(_) => {}
            }
            if since.elapsed() > SILENCE && std::mem::take(&mut is_silent) {
                let most = ABSENT.as_secs();
                output::tell(&format!("{} is not there: waiting for it, up to {most} s", path.display()));
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// The format of the plan file; `None` if it is none.
    pub(super) fn format(&self, path: &str) -> Option<Format> {
        match self {
            Self::One(bytes) => Format::detect(path, bytes),
            Self::Folder(_) => Some(Format::Backlog),
        }
    }

    /// The plan in it.
    pub(super) fn parse(&self, format: Format, tag: Option<&str>, path: &str) -> Result<Parsed, Problems> {
        match self {
            Self::One(bytes) => planlease_formats::parse_tag(format, tag, path, bytes),
            Self::Folder(files) => planlease_formats::parse_folder(path, files),
        }
    }

    /// The files whose marks say something else than how far the tasks are, as they are to be; `None` for a
    /// format without marks.
    pub(super) fn changed(
        &self,
        format: Format,
        tag: Option<&str>,
        path: &str,
        progress: impl Fn(&TaskId) -> Option<Progress>,
    ) -> Result<Option<Files>, Problems> {
        match self {
            Self::One(bytes) => {
                let marked = planlease_formats::mirrored_tag(format, tag, path, bytes, progress)?;
                let changed = |marked| (marked != *bytes).then(|| (PathBuf::from(path), marked));
                Ok(marked.map(|marked| changed(marked).into_iter().collect()))
            }
            Self::Folder(files) => {
                let marked = planlease_formats::mirrored_folder(path, files, progress)?;
                let marked = files.iter().zip(marked).filter(|((_, bytes), marked)| bytes != marked);
                Ok(Some(marked.map(|((file, _), marked)| (PathBuf::from(file), marked)).collect()))
            }
        }
    }
}

/// Files, each with its text.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// Writes files, each in one step.
pub(super) fn write(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(path, bytes)| replace::file(path, bytes))
}
