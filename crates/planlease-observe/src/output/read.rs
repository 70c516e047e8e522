//! Reads the output of an attempt, also while it is written: the files are the queue between the writer and
//! any number of readers, so that no reader can make the writer wait.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    files::{END, End, LOCK, length, part_name},
    times::Known,
};

/// How much is read at once, in bytes.
const MOST: u64 = 64 * 1024;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// Not before the last so many lines.
    pub tail: Option<u64>,
    /// Not before this time, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Not before this byte.
    pub offset: u64,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output.
    Bytes {
        /// Where it begins, counted from the beginning of the attempt.
        offset: u64,
        /// When it was written, in milliseconds since 1970, to 50 ms.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// So many bytes are not kept: they were too old, or the disk did not take them.
    Gap(u64),
    /// There is no more yet.
    Nothing,
    /// There is no more. `None`: the process that wrote it is gone, and the end was not recorded.
    End(Option<End>),
}

/// A reader of one attempt.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: PathBuf,
    at: u64,
}

impl Reader {
    /// Begins to read an attempt, in the folder that [`Outputs::find`](super::Outputs::find) returned.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn open(folder: &Path, from: From) -> io::Result<Self> {
        let parts = parts(folder)?;
        let oldest = parts.first().copied().unwrap_or(0);
        let mut at = from.offset;
        if let Some(lines) = from.tail {
            at = at.max(tail(folder, &parts, lines)?.unwrap_or(oldest));
        }
        if let Some(since) = from.since {
            at = at.max(first_since(folder, &parts, since)?);
        }
        Ok(Self { folder: folder.to_owned(), at })
    }

    /// The next byte that is read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// What comes next. Blocks as long as the disk does.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read_next(&mut self) -> io::Result<Piece> {
        // First: what was written before the end is seen below.
        let ended = ended(&self.folder)?;
        let parts = parts(&self.folder)?;
        let within = parts.iter().rev().find(|begin| **begin <= self.at).copied();
        if let Some(begin) = within
            && let Some(piece) = self.read(begin)?
        {
            return Ok(piece);
        }
        if let Some(next) = parts.iter().find(|begin| **begin > self.at).copied() {
            return Ok(self.skip_to(next));
        }
        match ended {
            Ended::No => Ok(Piece::Nothing),
            Ended::CutOff => Ok(Piece::End(None)),
            Ended::With(end) if end.total > self.at => Ok(self.skip_to(end.total)),
            Ended::With(end) => Ok(Piece::End(Some(end))),
        }
    }

    fn skip_to(&mut self, offset: u64) -> Piece {
        let gap = offset - self.at;
        self.at = offset;
        Piece::Gap(gap)
    }

    /// Reads in the file that begins there; `None` if it has no more, or is gone.
    fn read(&mut self, begin: u64) -> io::Result<Option<Piece>> {
        let path = self.folder.join(part_name(begin));
        let Some(data) = open(&path)? else { return Ok(None) };
        let end = begin + data.metadata()?.len();
        if self.at >= end {
            return Ok(None);
        }
        let (at, next) = match open(&path.with_extension("times"))? {
            Some(times) => Known::of(&times)?.at(self.at)?,
            None => (0, None),
        };
        let until = end.min(self.at + MOST).min(next.unwrap_or(u64::MAX));
        let mut bytes = vec![0; usize::try_from(until - self.at).unwrap_or(0)];
        data.read_exact_at(&mut bytes, self.at - begin)?;
        let offset = std::mem::replace(&mut self.at, until);
        Ok(Some(Piece::Bytes { offset, at, bytes }))
    }
}

/// Whether an attempt is written no more.
enum Ended {
    No,
    With(End),
    /// The writer is gone, and said nothing.
    CutOff,
}

fn ended(folder: &Path) -> io::Result<Ended> {
    let end = || match fs::read(folder.join(END)) {
        Ok(text) => Ok(Some(Ended::With(serde_json::from_slice(&text).unwrap_or_default()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(ended) = end()? {
        return Ok(ended);
    }
    if !folder.join(LOCK).exists() || is_written(folder)? {
        return Ok(Ended::No); // Without a lock it was not begun.
    }
    Ok(end()?.unwrap_or(Ended::CutOff)) // It may have ended in between.
}

/// Whether a process writes it. The kernel lets the lock go when that process ends.
pub(super) fn is_written(folder: &Path) -> io::Result<bool> {
    let Some(lock) = open(&folder.join(LOCK))? else { return Ok(false) };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first bytes of the files, in order.
fn parts(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_str().filter(|name| name.len() == part_name(0).len());
        parts.extend(name.and_then(|name| u64::from_str_radix(name, 16).ok()));
    }
    parts.sort_unstable();
    Ok(parts)
}

/// Where the last so many lines begin; `None` if there are no more than that.
fn tail(folder: &Path, parts: &[u64], lines: u64) -> io::Result<Option<u64>> {
    let mut left = lines;
    let mut last = true;
    for begin in parts.iter().rev() {
        let Some(data) = open(&folder.join(part_name(*begin)))? else { return Ok(None) };
        let mut end = data.metadata()?.len();
        if last && lines == 0 {
            return Ok(Some(begin + end));
        }
        while end > 0 {
            let from = end.saturating_sub(MOST);
            let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
            data.read_exact_at(&mut bytes, from)?;
            for (n, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let after = from + length(&bytes[..=n]);
                if std::mem::take(&mut last) && after == end {
                    continue; // The end of the last line.
                }
                left -= 1;
                if left == 0 {
                    return Ok(Some(begin + after));
                }
            }
            last = false;
            end = from;
        }
    }
    Ok(None)
}

/// The first byte that was written at this time or later; the end, if there is none yet.
fn first_since(folder: &Path, parts: &[u64], since: u64) -> io::Result<u64> {
    let mut end = 0;
    for begin in parts {
        let path = folder.join(part_name(*begin));
        if let Some(times) = open(&path.with_extension("times"))?
            && let Some(offset) = Known::of(&times)?.since(since)?
        {
            return Ok(offset);
        }
        end = begin + fs::metadata(&path).map_or(0, |about| about.len());
    }
    Ok(end)
}
