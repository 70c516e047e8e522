//! Finds the etcd servers to test on, or gets them: a current one, and a 3.4 beside it where there is one.
//!
//! Nothing is installed: a download is unpacked into `target/etcd` and found there by the next run.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::run::{Failure, Result, output, root, step};

/// The oldest version of the current line that we support: before it, a lease could be lost at a change of
/// leader, and a watcher could miss events.
const OLDEST: Version = Version { major: 3, minor: 5, patch: 13 };

/// Debian's suites with a current etcd, in the order in which they are tried.
const SUITES: [&str; 3] = ["forky", "sid", "trixie"];

/// The suite that still has a 3.4.
const SUITE_3_4: &str = "bookworm";

/// The packages of the server and of `etcdctl`.
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// Names the path of a current etcd: to us, and by us to the tests.
pub(crate) const VARIABLE: &str = "PLANLEASE_TEST_ETCD";

/// Names the path of an etcd 3.4, in the same way.
pub(crate) const VARIABLE_3_4: &str = "PLANLEASE_TEST_ETCD_3_4";

/// An etcd's version as it prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads the first line of `etcd --version`: `etcd Version: 3.5.30`.
    fn parse(text: &str) -> Option<Self> {
        let number = text.lines().next()?.rsplit(' ').next()?;
        let number = number.split(['-', '+']).next()?;
        let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
        Some(Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? })
    }

    fn is_current(self) -> bool {
        self >= OLDEST
    }

    fn is_3_4(self) -> bool {
        (self.major, self.minor) == (3, 4)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A server that can be run here.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    /// The path of its binary; `etcdctl` lies beside it.
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) version: Version,
}

impl Etcd {
    fn at(path: &Path) -> Result<Self> {
        let said = output(Command::new(path).arg("--version"))?;
        let version = Version::parse(&said).ok_or_else(|| {
            Failure::because(format_args!("{}: no version in `{}`", path.display(), said.trim()))
        })?;
        Ok(Self { path: path.to_path_buf(), version })
    }
}

/// A current etcd: the one named by `PLANLEASE_TEST_ETCD`, one downloaded earlier, one on `PATH`, or a
/// download.
pub(crate) fn current(download: bool) -> Result<Etcd> {
    if let Some(path) = env::var_os(VARIABLE) {
        let etcd = Etcd::at(Path::new(&path))?;
        return if etcd.version.is_current() {
            Ok(found(etcd, VARIABLE))
        } else {
            Err(Failure::because(format_args!("{VARIABLE} is etcd {}, older than {OLDEST}", etcd.version)))
        };
    }
    if let Some(etcd) = on_path().filter(|etcd| etcd.version.is_current()) {
        return Ok(found(etcd, "PATH"));
    }
    downloaded("current", &SUITES, Version::is_current, download)
}

/// An etcd 3.4: the one named by `PLANLEASE_TEST_ETCD_3_4`, one downloaded earlier, or a download.
pub(crate) fn version_3_4(download: bool) -> Result<Etcd> {
    if let Some(path) = env::var_os(VARIABLE_3_4) {
        return Etcd::at(Path::new(&path)).map(|etcd| found(etcd, VARIABLE_3_4));
    }
    downloaded("3.4", &[SUITE_3_4], Version::is_3_4, download)
}

fn found(etcd: Etcd, whence: &str) -> Etcd {
    step(format_args!("etcd {} from {whence}: {}", etcd.version, etcd.path.display()));
    etcd
}

fn on_path() -> Option<Etcd> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).find_map(|folder| {
        let path = folder.join("etcd");
        if path.is_file() { Etcd::at(&path).ok() } else { None }
    })
}

/// The server in `target/etcd/{name}`; brings it there from the first suite that has a fitting one.
fn downloaded(name: &str, suites: &[&str], fits: fn(Version) -> bool, download: bool) -> Result<Etcd> {
    let cache = root().join("target/etcd");
    let folder = cache.join(name);
    if let Some(etcd) = kept(&folder, fits) {
        return Ok(found(etcd, "target/etcd"));
    }
    if !download {
        return Err(Failure::because("there is none here, and --no-etcd-download forbids to get one"));
    }
    if output(Command::new("apt-get").arg("--version")).is_err() {
        return Err(Failure::because(
            "there is none here, and without apt-get none can be downloaded; put one on PATH",
        ));
    }
    let mirror = apt::mirror()?;
    let mut reasons = Vec::new();
    for suite in suites {
        step(format_args!("downloading etcd from Debian {suite} into {}", folder.display()));
        if folder.exists() {
            // Left by a version of another age; it does not fit, or it would have been used.
            fs::remove_dir_all(&folder).map_err(Failure::because)?;
        }
        let work = cache.join(format!("{name}.download"));
        match apt::unpack(&mirror, suite, &PACKAGES, &work, &folder) {
            Ok(()) => match kept(&folder, fits) {
                Some(etcd) => return Ok(found(etcd, suite)),
                None => {
                    reasons.push(format!("{suite}: what it has does not run here or is not of this line"))
                }
            },
            Err(failure) => reasons.push(format!("{suite}: {}", failure.message().unwrap_or_default())),
        }
    }
    Err(Failure::because(reasons.join("; ")))
}

fn kept(folder: &Path, fits: fn(Version) -> bool) -> Option<Etcd> {
    Etcd::at(&folder.join("usr/bin/etcd")).ok().filter(|etcd| fits(etcd.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_etcd_prints_them() {
        let version = Version::parse("etcd Version: 3.5.30\nGit SHA: Not provided\n").unwrap();
        assert_eq!(version, Version { major: 3, minor: 5, patch: 30 });
        assert_eq!(Version::parse("etcd Version: 3.6.0-rc.1\n").unwrap().to_string(), "3.6.0");
        assert_eq!(Version::parse("usage: etcd"), None);
        assert_eq!(Version::parse(""), None);
    }

    #[test]
    fn only_3_5_13_and_later_is_current() {
        let fits = |text: &str| Version::parse(text).unwrap().is_current();
        assert!(fits("etcd Version: 3.5.13"));
        assert!(fits("etcd Version: 3.6.1"));
        assert!(!fits("etcd Version: 3.5.12"));
        assert!(!fits("etcd Version: 3.4.23"));
        assert!(Version::parse("etcd Version: 3.4.23").unwrap().is_3_4());
    }
}
