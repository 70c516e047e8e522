//! The files of one attempt that is written: bounded, the oldest part goes first. A disk that is full costs
//! output, and nothing else.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use planlease::clock::{Clock as _, SystemClock};
use planlease_core::BootTime;
use serde::{Deserialize, Serialize};

use super::{place::Place, times::Times};

/// In how many files the output of an attempt is kept.
const PARTS: u64 = 4;

/// How long a disk that refused a write is left alone.
const AGAIN: Duration = Duration::from_secs(5);

/// The file that is locked while an attempt is written.
pub(super) const LOCK: &str = "lock";

/// The file that says how it ended.
pub(super) const END: &str = "end";

/// A piece of output.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    /// In milliseconds since 1970.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// How the output of an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many bytes were written in all, those included that are not kept.
    pub total: u64,
    /// How the command ended, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default)]
    pub at: u64,
}

/// The files of an attempt.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    lock: Option<File>,
    parts: VecDeque<u64>,
    current: Option<Part>,
    total: u64,
    /// When the disk refused a write.
    refused: Option<BootTime>,
    /// Whether that was reported.
    reported: bool,
}

#[derive(Debug)]
struct Part {
    begin: u64,
    end: u64,
    data: File,
    times: Times,
}

impl Files {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            lock: None,
            parts: VecDeque::new(),
            current: None,
            total: 0,
            refused: None,
            reported: false,
        }
    }

    /// Makes the folder, so that readers find it before there is output.
    pub(super) fn opened(mut self) -> Self {
        if let Err(error) = self.take_lock() {
            self.refuse(&error);
        }
        self
    }

    /// Writes what the disk takes. What it does not take is missing, and the reader sees how much.
    pub(super) fn write(&mut self, chunks: &[Chunk]) {
        for chunk in chunks {
            self.total = chunk.offset.saturating_add(length(&chunk.bytes));
            if self.refused.is_some_and(|since| since.until(SystemClock.boot()) < AGAIN) {
                continue;
            }
            match self.append(chunk) {
                Ok(()) => self.refused = None,
                Err(error) => self.refuse(&error),
            }
        }
    }

    fn refuse(&mut self, error: &io::Error) {
        self.current = None; // What follows begins a file of its own, named by its offset.
        self.refused = Some(SystemClock.boot());
        if !std::mem::replace(&mut self.reported, true) {
            let folder = self.place.folder.display();
            tracing::warn!(%folder, %error, "output of a command is not kept; the command goes on");
        }
    }

    fn append(&mut self, chunk: &Chunk) -> io::Result<()> {
        let size = self.place.per_attempt.max(PARTS) / PARTS;
        let fits =
            |part: &Part| part.end == chunk.offset && part.end - part.begin < size && !part.times.is_full();
        let mut part = match self.current.take().filter(fits) {
            Some(part) => part,
            None => self.begin(chunk.offset)?,
        };
        part.times.note(chunk.offset, chunk.at)?;
        part.data.write_all(&chunk.bytes)?;
        part.end += length(&chunk.bytes);
        self.current = Some(part);
        Ok(())
    }

    /// Begins a file, and removes the oldest one if there are too many.
    fn begin(&mut self, offset: u64) -> io::Result<Part> {
        self.take_lock()?;
        let path = self.place.folder.join(part_name(offset));
        let data = create(&path)?;
        let times = Times::new(create(&path.with_extension("times"))?);
        self.parts.push_back(offset);
        while self.parts.len() > usize::try_from(PARTS).unwrap_or(usize::MAX) {
            let oldest = self.parts.pop_front().map(part_name).unwrap_or_default();
            let oldest = self.place.folder.join(oldest);
            remove(&oldest)?;
            remove(&oldest.with_extension("times"))?;
        }
        Ok(Part { begin: offset, end: offset, data, times })
    }

    /// Makes the folder, and shows to others that it is written.
    fn take_lock(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let aside = self.place.folder.join("lock.new");
        // A sweep may take an empty folder away in between.
        let lock = make_folder(&aside).and_then(|()| create(&aside)).or_else(|_| {
            make_folder(&aside)?;
            create(&aside)
        })?;
        lock.lock_shared()?;
        fs::rename(&aside, self.place.folder.join(LOCK))?; // No reader sees it unlocked before the end.
        self.lock = Some(lock);
        Ok(())
    }

    /// Writes how it ended, with how many bytes there were, if that is known.
    pub(super) fn end(mut self, ended: Option<(String, u64)>) {
        self.current = None;
        let (how, total) = ended.unzip();
        let end = End { total: total.unwrap_or(self.total), how, at: millis() };
        let written = self.take_lock().and_then(|()| {
            let aside = self.place.folder.join("end.new");
            create(&aside)?.write_all(&serde_json::to_vec(&end)?)?;
            fs::rename(&aside, self.place.folder.join(END))
        });
        if let Err(error) = written {
            self.refuse(&error);
        }
    }
}

/// The name of the file whose first byte is this one.
pub(super) fn part_name(offset: u64) -> String {
    format!("{offset:016x}")
}

/// The time in milliseconds since 1970.
pub(super) fn millis() -> u64 {
    u64::try_from(SystemClock.wall().0).unwrap_or(0)
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Output can hold secrets: only the user can read it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn make_folder(of: &Path) -> io::Result<()> {
    let folder: PathBuf = of.parent().unwrap_or(of).to_owned();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
