//! The fence file: says, beside a path, whose the path is. Two hosts or fleets that see the same folder do
//! not see each other's records; they see this.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{error::Error, holder::Holder, site::Site};

/// The largest fence file that is read.
const MOST: u64 = 64 * 1024;

/// The fence file of a path.
#[derive(Clone, Debug)]
pub struct Fence {
    path: PathBuf,
    file: PathBuf,
}

impl Fence {
    /// That of this path.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self { path: path.to_owned(), file: path.with_file_name(format!(".{name}.planlease")) }
    }

    /// The holder of the path; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Io`] if there is a file that cannot be read, or says nothing: then no process may touch the
    /// path.
    pub fn holder(&self) -> Result<Option<Holder>, Error> {
        let unreadable = Error::io("cannot read the fence file", &self.file);
        let text = match fs::metadata(&self.file).and_then(|about| match about.len() {
            0..MOST => fs::read(&self.file),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| unreadable(error.into()))
    }

    /// Takes the path for this holder. It appears whole or not at all, and only if the path is free: a file
    /// is written aside and linked to the name, which exactly one can do.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another holder has it, [`Error::Io`].
    pub fn take(&self, holder: &Holder) -> Result<(), Error> {
        let aside = self.aside(holder.id);
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(&serde_json::to_vec(holder)?)?;
            file.sync_all()
        });
        written.map_err(Error::io("cannot write", &aside))?;
        let linked = fs::hard_link(&aside, &self.file);
        drop(fs::remove_file(&aside)); // Cleared away with the worktree otherwise.
        match linked {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.holder()? {
                Some(present) if present == *holder => Ok(()),
                Some(present) => Err(Error::Fenced { path: self.path.clone(), holder: Box::new(present) }),
                None => self.take(holder), // Gone meanwhile.
            },
            Err(error) => Err(Error::io("cannot make the fence file", &self.file)(error)),
        }
    }

    /// Whether the path belongs to this site.
    ///
    /// # Errors
    /// As [`Fence::holder`].
    pub fn is_of(&self, site: &Site) -> Result<bool, Error> {
        Ok(self.holder()?.is_some_and(|holder| holder.id == site.id))
    }

    /// Gives the path up, if it belongs to this site.
    ///
    /// # Errors
    /// As [`Fence::holder`].
    pub fn give_up(&self, site: &Site) -> Result<(), Error> {
        drop(fs::remove_file(self.aside(site.id)));
        if self.is_of(site)? {
            fs::remove_file(&self.file).map_err(Error::io("cannot remove", &self.file))?;
        }
        Ok(())
    }

    fn aside(&self, id: Uuid) -> PathBuf {
        self.file.with_extension(format!("planlease.{id}"))
    }
}
