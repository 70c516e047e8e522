//! The test binaries of the workspace: building them all, and running several side by side.
//!
//! Most tests wait (for a TTL, for a server) and need no core meanwhile, but the last tests of a binary leave
//! the cores idle. So more than one binary runs at a time, the longest ones first.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use serde_json::Value;

use crate::run::{Failure, Result, cargo, root, shown, step};

/// How many binaries run at a time.
const SIDE_BY_SIDE: usize = 2;

/// The binaries that take minutes, the longest first. All others follow.
const LONG: [&str; 5] = ["fleet", "protocol", "faults", "sidecar", "conformance"];

/// A test binary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    /// The name of its target.
    name: String,
    path: PathBuf,
    /// The folder of its package, in which cargo runs it.
    folder: PathBuf,
}

impl Binary {
    /// The name of the file, which no other binary has.
    fn file(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What a binary printed, and whether all its tests passed.
pub(crate) struct Finished {
    pub(crate) output: String,
    pub(crate) passed: bool,
}

/// Builds all test binaries, and returns them in the order in which they are to run.
pub(crate) fn build() -> Result<Vec<Binary>> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    step(shown(&command));
    let cannot = |error: std::io::Error| Failure::because(format_args!("cannot build the tests: {error}"));
    let built = command.stderr(Stdio::inherit()).output().map_err(cannot)?;
    if !built.status.success() {
        return Err(Failure::because(format_args!("`{}` failed: {}", shown(&command), built.status)));
    }
    let mut binaries: Vec<_> = String::from_utf8_lossy(&built.stdout).lines().filter_map(binary).collect();
    binaries.sort_by_key(|binary| {
        LONG.iter().position(|name| *name == binary.name).unwrap_or(LONG.len()) // Stable: the rest as it came.
    });
    Ok(binaries)
}

/// The test binary that a message of cargo is about, if it is about one.
fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let path = message["executable"].as_str().filter(|_| is_test)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(Binary { name, path: path.into(), folder: folder.to_path_buf() })
}

/// Runs the binaries with these arguments, several at a time; `report` is called with each as it ends.
pub(crate) fn run(
    binaries: Vec<Binary>,
    prepare: impl Fn(&mut Command) + Sync,
    mut report: impl FnMut(&str, Result<Finished>),
) {
    let waiting = Mutex::new(VecDeque::from(binaries));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (ended, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            let (ended, next, prepare) = (ended.clone(), &next, &prepare);
            scope.spawn(move || {
                while let Some(binary) = next() {
                    let mut command = Command::new(&binary.path);
                    command.current_dir(&binary.folder).env("CARGO_MANIFEST_DIR", &binary.folder);
                    prepare(&mut command);
                    if ended.send((binary.name.clone(), run_one(&binary.file(), &mut command))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(ended);
        for (name, finished) in results {
            report(&name, finished);
        }
    });
}

/// Runs one program, and keeps what it prints: several at a time would interleave their lines. Into a file,
/// which ends with the program itself; a pipe would end with the last server that a test has left behind.
pub(crate) fn run_one(name: &str, command: &mut Command) -> Result<Finished> {
    let cannot = |error: std::io::Error| Failure::because(format_args!("cannot run {name}: {error}"));
    let folder = root().join("target/test-output");
    let path = folder.join(format!("{name}.txt"));
    let output = fs::create_dir_all(&folder).and_then(|()| fs::File::create(&path)).map_err(cannot)?;
    let copy = output.try_clone().map_err(cannot)?;
    let status = command.stdout(output).stderr(copy).status().map_err(cannot)?;
    let output = fs::read(&path).map_err(cannot)?;
    Ok(Finished { output: String::from_utf8_lossy(&output).into_owned(), passed: status.success() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_binary_is_what_cargo_built_as_a_test() {
        let message = |test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{{"name":"fleet"}},"profile":{{"test":{test}}},"executable":"/t/fleet-1"}}"#
            )
        };
        let fleet = Binary { name: "fleet".into(), path: "/t/fleet-1".into(), folder: "/w/tests".into() };
        assert_eq!(binary(&message(true)), Some(fleet));
        assert_eq!(binary(&message(false)), None);
        assert_eq!(binary("Compiling planlease"), None);
    }

    #[test]
    fn each_binary_is_reported_with_its_output_and_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let binaries = ["a", "b", "c"].map(|name| {
            let path = folder.path().join(format!("of-this-test-{name}"));
            std::os::unix::fs::symlink("/bin/sh", &path).unwrap();
            Binary { name: name.to_owned(), path, folder: "/".into() }
        });
        let mut seen = Vec::new();
        let script = |command: &mut Command| {
            command.args(["-c", "echo out; echo err >&2; exit 1"]);
        };
        run(binaries.into(), script, |name, finished| {
            let finished = finished.ok().unwrap();
            assert!(!finished.passed);
            seen.push((name.to_owned(), finished.output));
        });
        seen.sort();
        assert_eq!(
            seen,
            ["a", "b", "c"].map(|name| (
                name.to_owned(),
                "out
err
"
                .to_owned()
            ))
        );
    }

    #[test]
    fn a_binary_that_cannot_start_is_reported() {
        let missing = Binary { name: "x".into(), path: "/no/such/binary".into(), folder: "/".into() };
        let mut failures = 0;
        run(vec![missing], |_| {}, |_, finished| failures += usize::from(finished.is_err()));
        assert_eq!(failures, 1);
    }
}
