//! The highest tokens that resources have seen, a file each. A file is replaced whole, under a lock, and is
//! on the disk before the caller gets an answer; one that cannot be read is never replaced.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use planlease::{
    core::{FencingToken, codec::FormatVersion},
    regular,
};
use serde::{Deserialize, Serialize};

use crate::{exit::Exit, failure::Failure, output::Highest};

/// The most bytes that the name of a resource has. A file's name has at most 255, and a byte can take three
/// of them.
const LONGEST: usize = 80;

/// The largest file that is read.
const MOST: u64 = 4096;

/// How the names of the files end.
const FILE: &str = ".fence";

/// The stored tokens of a fence, under a lock.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
}

/// What a file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    v: FormatVersion,
    resource: String,
    highest: FencingToken,
}

impl State {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Reads what is kept about a resource, decides, and keeps what was decided. Others wait meanwhile.
    pub(super) fn change<E>(
        &self,
        resource: &str,
        decide: impl FnOnce(Option<FencingToken>) -> Result<FencingToken, E>,
    ) -> Result<Result<FencingToken, E>, Failure> {
        let name = file_name(resource)?;
        fs::create_dir_all(&self.folder).map_err(|error| unusable("cannot make", &self.folder, &error))?;
        // Beside the file, which is replaced; never removed, since another process may be waiting for it.
        let lock = self.folder.join(format!("{name}.lock"));
        let locked = File::options().read(true).write(true).create(true).truncate(false).open(&lock);
        let locked = locked.and_then(|file| file.lock().map(|()| file));
        let locked = locked.map_err(|error| unusable("cannot lock", &lock, &error))?;
        let file = self.folder.join(&name);
        let kept = read(&file, Some(resource))?;
        let decided = decide(kept);
        if let Ok(highest) = decided
            && kept != Some(highest)
        {
            let next = Kept { v: FormatVersion::default(), resource: resource.to_owned(), highest };
            self.replace(&file, &next).map_err(|error| unusable("cannot write", &file, &error))?;
        }
        drop(locked);
        Ok(decided)
    }

    /// Everything that is kept.
    pub(super) fn all(&self) -> Result<Vec<Highest>, Failure> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => return Err(unusable("cannot read", &self.folder, &error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unusable("cannot read", &self.folder, &error))?.path();
            if path.to_string_lossy().ends_with(FILE)
                && let Some(kept) = kept(&path)?
            {
                all.push(Highest { resource: kept.resource, highest: kept.highest });
            }
        }
        all.sort_by(|one, other| one.resource.cmp(&other.resource));
        Ok(all)
    }

    /// Writes aside, flushes, renames, flushes the folder.
    fn replace(&self, file: &Path, next: &Kept) -> io::Result<()> {
        let aside = file.with_extension("fence.new"); // No other process writes it: the lock is held.
        // A pipe is not waited for, and a link leads to no other file.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
        let mut new =
            File::options().write(true).create(true).truncate(true).custom_flags(flags).open(&aside)?;
        new.write_all(&serde_json::to_vec(next)?)?;
        new.write_all(b"\n")?;
        new.sync_all()?;
        fs::rename(&aside, file)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The highest token in a file; `None` if there is no file.
fn read(file: &Path, resource: Option<&str>) -> Result<Option<FencingToken>, Failure> {
    let Some(kept) = kept(file)? else { return Ok(None) };
    if resource.is_some_and(|resource| resource != kept.resource) {
        return Err(damaged(file, &format!("it is about {:?}", kept.resource)));
    }
    Ok(Some(kept.highest))
}

fn kept(file: &Path) -> Result<Option<Kept>, Failure> {
    let text = match regular::read(file, MOST) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable("cannot read", file, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| damaged(file, &error.to_string()))
}

/// The name of a resource's file: percent-encoded, so that no name leads elsewhere.
fn file_name(resource: &str) -> Result<String, Failure> {
    if resource.is_empty() || resource.len() > LONGEST || resource.chars().any(char::is_control) {
        return Err(Failure::new(Exit::BadName, format!("{resource:?} cannot be the name of a resource"))
            .remedy(format!("It has 1 to {LONGEST} bytes and no control characters.")));
    }
    let encoded = resource.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    Ok(encoded.collect::<String>() + FILE)
}

fn unusable(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::BadFenceState, format!("{what} {}: {error}", path.display()))
        .meaning("The token was not admitted; what was kept is as it was.")
}

fn damaged(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::BadFenceState, format!("{} cannot be understood: {why}", file.display()))
        .meaning("No token is admitted, since the highest one is unknown; the file was left as it is.")
        .remedy("Restore it, or write the token of the present owner into it (`planlease owner show`).")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_its_own_file_inside_the_folder() {
        assert_eq!(file_name("refs/heads/main").unwrap(), "refs%2Fheads%2Fmain.fence");
        assert_eq!(file_name("..").unwrap(), "%2E%2E.fence");
        assert_ne!(file_name("a%2F").unwrap(), file_name("a/").unwrap());
        assert!(file_name(&"ü".repeat(40)).unwrap().len() < 250);
        for bad in ["", "a\nb", &"x".repeat(81)] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        use nix::{sys::stat::Mode, unistd::mkfifo};
        let admit = |name: &str, place: &dyn Fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            place(&folder.path().join(name));
            let state = State::at(folder.path().to_owned());
            let token = |_| Ok::<_, ()>("1.2".parse::<FencingToken>().unwrap());
            state.change("r", token).unwrap_err().exit()
        };
        let pipe = |path: &Path| mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let zeros = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "kept").unwrap();
        let link = |path: &Path| std::os::unix::fs::symlink(outside.path(), path).unwrap();
        assert_eq!(admit("r.fence", &pipe), Exit::BadFenceState);
        assert_eq!(admit("r.fence", &zeros), Exit::BadFenceState);
        assert_eq!(admit("r.fence.new", &pipe), Exit::BadFenceState);
        assert_eq!(admit("r.fence.new", &link), Exit::BadFenceState);
        assert_eq!(fs::read(outside.path()).unwrap(), b"kept");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path().to_owned());
        let admit = |text: &str| {
            let token: FencingToken = text.parse().unwrap();
            state.change("r", |highest| planlease::core::fence::admit(highest, token))
        };
        assert!(admit("1.2").unwrap().is_ok());
        assert!(admit("1.1").unwrap().is_err());
        let file = folder.path().join("r.fence");
        let good = fs::read_to_string(&file).unwrap();
        for bad in
            ["", "{", "{\"v\":9,\"resource\":\"r\",\"highest\":\"1.2\"}", &good.replace("\"r\"", "\"s\"")]
        {
            fs::write(&file, bad).unwrap();
            assert_eq!(admit("9.9").unwrap_err().exit(), Exit::BadFenceState, "{bad}");
            assert_eq!(fs::read_to_string(&file).unwrap(), bad);
        }
    }
}
