//! Clients of etcd and of MCP servers in other languages: the packages that `tests/clients` pins, from the
//! registries, below
//! `target`.
//!
//! The first test that needs them installs them, into a folder that the next run finds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use nix::fcntl::{Flock, FlockArg};

/// What a script is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python, in an environment of its own.
    Python,
    /// Node.
    Node,
    /// Python with the official client of MCP, in an environment of its own: its packages are newer than
    /// those of etcd's client allow.
    Mcp,
}

impl Language {
    /// A command that runs a script of `tests/clients` with its packages. Where they cannot be had, a line
    /// that says so, and `None`.
    ///
    /// # Panics
    /// In CI, where they have to be there.
    #[must_use]
    pub fn script(self, name: &str) -> Option<Command> {
        let folder = match self.installed() {
            Ok(folder) => folder,
            Err(why) => {
                not_run(&format!("tests/clients/{}/{name}", self.name()), &why);
                return None;
            }
        };
        let mut command = match self {
            Self::Python | Self::Mcp => Command::new(folder.join("bin/python")),
            Self::Node => Command::new("node"),
        };
        command.arg(self.sources().join(name)).stdin(Stdio::null());
        // The code that etcd3 was generated to is older than the native part of protobuf accepts.
        command.env("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PACKAGES", folder);
        Some(command)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Mcp => "mcp",
        }
    }

    /// The folder of its scripts, and of what pins its packages.
    fn sources(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(self.name())
    }

    /// The files that pin its packages.
    fn pins(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["build.txt", "requirements.txt"],
            Self::Node => &["package.json", "package-lock.json"],
            Self::Mcp => &["requirements.txt"],
        }
    }

    /// The folder of its packages, installed once; or why they cannot be had.
    fn installed(self) -> Result<PathBuf, String> {
        static OUTCOMES: [OnceLock<Result<PathBuf, String>>; 3] = [const { OnceLock::new() }; 3];
        OUTCOMES[self as usize].get_or_init(|| self.install()).clone()
    }

    fn install(self) -> Result<PathBuf, String> {
        let test = std::env::current_exe().map_err(|error| error.to_string())?;
        // target/PROFILE/deps/SUITE-HASH
        let target = test.ancestors().nth(3).ok_or("this program lies in no target folder")?;
        let folder = target.join("clients").join(self.name());
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(target.join("clients")).map_err(failed)?;
        // One process installs, the others find it done.
        let lock = File::create(folder.with_extension("lock")).map_err(failed)?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error.to_string())?;
        let pins = self.pins().iter().map(|file| fs::read_to_string(self.sources().join(file)));
        let pinned = pins.collect::<Result<String, _>>().map_err(failed)?;
        let done = folder.join("installed");
        if fs::read_to_string(&done).is_ok_and(|installed| installed == pinned) {
            return Ok(folder);
        }
        println!("installing the packages of tests/clients/{} into {}", self.name(), folder.display());
        match self {
            Self::Python | Self::Mcp => self.install_python(&folder)?,
            Self::Node => self.install_node(&folder)?,
        }
        fs::write(done, pinned).map_err(failed)?;
        Ok(folder)
    }

    fn install_python(self, folder: &Path) -> Result<(), String> {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        for file in self.pins() {
            let flags: &[&str] = if *file == "build.txt" { &[] } else { &["--no-build-isolation"] };
            let mut pip = Command::new(folder.join("bin/python"));
            // A machine without a network is to find out soon.
            pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--timeout=20", "--retries=1"]);
            pip.args(["install", "--require-hashes", "--no-deps"]).args(flags);
            run(pip.arg("--requirement").arg(self.sources().join(file)))?;
        }
        Ok(())
    }

    fn install_node(self, folder: &Path) -> Result<(), String> {
        run(Command::new("node").arg("--version"))?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for file in self.pins() {
            fs::copy(self.sources().join(file), folder.join(file)).map_err(|error| error.to_string())?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]);
        run(npm.arg("--fetch-timeout=20000").current_dir(folder))
    }
}

/// Whether this interpreter can be run, for the client of the sidecar in its language; says so if it cannot.
///
/// # Panics
/// In CI, if it cannot.
#[must_use]
pub fn has_interpreter(interpreter: &str) -> bool {
    let found =
        Command::new(interpreter).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        not_run(&format!("the client of the sidecar for {interpreter}"), "it is not installed");
    }
    found
}

/// Reports a test that cannot run here. In CI that is a failure.
///
/// # Panics
/// In CI.
pub fn not_run(what: &str, why: &str) {
    println!("NOT RUN: {what}\n  {}", why.trim().replace('\n', "\n  "));
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "in CI everything has to run: {what}");
}

/// Runs a command to its end. The error has what it wrote.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let wrote = [output.stdout, output.stderr].concat();
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&wrote)))
}
