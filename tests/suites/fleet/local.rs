//! The local default: a server of the user's own, which commands start by themselves.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgid, getsid},
};
use planlease_tests::{
    plain,
    program::{Process, Program, arguments, is_alive, with_variable},
    test_env::path_text,
    wait::{SOON, until},
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const COMMANDS: usize = 20;

/// The documented exit statuses.
const DONE: i32 = 0;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 102;
const IN_USE: i32 = 26;
const UNREADABLE: i32 = 4;
const STORE_MOVED: i32 = 116;

/// The machine of a user: a home with nothing in it. What runs there ends with it.
struct Machine {
    program: Program,
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::Builder::new().prefix("planlease-home-").tempdir().unwrap();
        let program = Program::planlease(home.path())
            .variable("XDG_STATE_HOME", home.path().join("state"))
            .variable("MACHINE", home.path());
        Self { program, home }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("state/planlease")
    }

    /// The servers of this user, by the arguments with which they are started.
    fn servers(&self) -> Vec<i32> {
        let is_server = |pid: &i32| {
            let words = arguments(*pid);
            words.iter().any(|word| word == "dev") && words.iter().any(|word| word == "serve")
        };
        self.processes().into_iter().filter(is_server).collect()
    }

    fn processes(&self) -> Vec<i32> {
        with_variable("MACHINE", path_text(self.home.path()))
    }

    /// The one server, once those that were superfluous have ended.
    async fn server(&self) -> i32 {
        until("exactly one server", SOON, async || match self.servers()[..] {
            [server] => Ok(server),
            ref others => Err(others.len()),
        })
        .await
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[plain(on_embedded)]
async fn many_commands_at_once_start_one_server() {
    let machine = Machine::new();
    let start = |n: usize| {
        let output = machine.home.path().join(format!("command-{n}"));
        Process::start(machine.program.gated(["plan", "list", "-o", "json"]), &output)
    };
    let mut commands: Vec<Process> = (0..COMMANDS).map(start).collect();
    commands.iter_mut().for_each(|command| command.say("go"));
    for command in &mut commands {
        assert_eq!(command.until_ended(SOON).await, Some(DONE), "{}", command.said());
    }
    let reported =
        commands.iter().filter(|command| command.said().contains("starting the local server")).count();
    assert!(reported >= 1, "who starts a server says so");
    drop(commands);

    let server = machine.server().await;
    let status = machine.program.run_to(DONE, ["dev", "status", "-o", "json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["pid"], server, "the one that listens is the one that runs");
    assert!(is_alive(server), "it survives those who started it");
    let pid = Pid::from_raw(server);
    assert_ne!(getsid(Some(pid)).unwrap(), getsid(None).unwrap(), "it is in a session of its own");
    assert_ne!(getpgid(Some(pid)).unwrap(), getpgid(None).unwrap());
    assert_eq!(mode(&machine.folder()), 0o700, "no other user can reach its socket");

    machine.program.run_to(DONE, ["dev", "stop"]).await;
    assert!(!is_alive(server), "it has ended when `dev stop` says so");
    machine.program.run_to(UNREACHABLE, ["dev", "status"]).await;
    assert_eq!(machine.servers(), [] as [i32; 0], "`dev status` starts nothing");
}

#[plain(on_embedded)]
async fn the_server_comes_back_with_all_data() {
    let machine = Machine::new();
    let file = machine.home.path().join("release.toml");
    let text = "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\ncommand = [\"true\"]\n";
    std::fs::write(&file, text).unwrap();
    machine.program.run_to(DONE, ["plan", "import", path_text(&file)]).await;
    machine.program.run_to(DONE, ["run", "release"]).await;
    let before = machine.program.run_to(DONE, ["task", "show", "release", "1", "-o", "json"]).await.stdout;
    assert!(before.contains("\"completed\""), "{before}");
    let server = machine.server().await;
    for how in [Signal::SIGKILL, Signal::SIGTERM] {
        let server = if how == Signal::SIGKILL { server } else { machine.server().await };
        kill(Pid::from_raw(server), how).unwrap();
        until("end of the server", SOON, async || if is_alive(server) { Err("it runs") } else { Ok(()) })
            .await;
        let again = machine.program.run_to(DONE, ["task", "show", "release", "1", "-o", "json"]).await;
        assert_eq!(again.stdout, before);
        assert!(
            again.stderr.contains("starting the local server"),
            "a command that starts a server says so: {}",
            again.stderr
        );
        assert_ne!(machine.server().await, server);
    }
    machine.program.run_to(DONE, ["audit"]).await;
    machine.program.run_to(DONE, ["dev", "stop"]).await;
}

#[plain(on_embedded)]
async fn the_server_inherits_no_flags() {
    let machine = Machine::new();
    let flags = machine.program.clone().variable("PLANLEASE_OUTPUT", "json").variable("PLANLEASE_JUNK", "x");
    flags.run_to(DONE, ["plan", "list"]).await;
    let environment = std::fs::read_to_string(format!("/proc/{}/environ", machine.server().await)).unwrap();
    let inherited = environment.split('\0').filter(|variable| variable.starts_with("PLANLEASE_"));
    assert_eq!(inherited.collect::<Vec<_>>(), [] as [&str; 0]);
    machine.program.run_to(DONE, ["dev", "stop"]).await;
}

#[plain(on_embedded)]
async fn a_server_in_use_is_not_stopped() {
    let machine = Machine::new();
    machine.program.run_to(DONE, ["plan", "list"]).await;
    let server = machine.server().await;
    let watch =
        Process::start(machine.program.command(["watch", "-o", "jsonl"]), &machine.home.path().join("watch"));
    until("the watch to be connected", SOON, async || {
        let socket = std::fs::read_dir(format!("/proc/{}/fd", watch.id())).into_iter().flatten().flatten();
        let mut links = socket.filter_map(|link| std::fs::read_link(link.path()).ok());
        if links.any(|link| link.to_string_lossy().starts_with("socket:")) { Ok(()) } else { Err("not yet") }
    })
    .await;
    let refused = machine.program.run_to(IN_USE, ["dev", "stop"]).await;
    let named = format!("planlease watch -o jsonl (process {})", watch.id());
    assert!(refused.stderr.contains(&named), "{}", refused.stderr);
    assert!(is_alive(server), "it goes on");
    // The truth about a server that a client starts again.
    let forced = machine.program.run_to(IN_USE, ["dev", "stop", "--force"]).await;
    assert!(!is_alive(server) && forced.stderr.contains("started again by a client"), "{}", forced.stderr);
    drop(watch);
    let next = machine.server().await;
    until("the watch to be gone", SOON, async || match machine.program.run(["dev", "stop"]).await.code {
        Some(DONE) => Ok(()),
        other => Err(other),
    })
    .await;
    assert!(!is_alive(next));
}

#[plain(on_embedded)]
async fn a_server_of_another_user_is_refused() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.folder()).unwrap();
    std::fs::set_permissions(machine.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for command in
        [&["plan", "list"][..], &["run", "--all", "--until-idle"], &["dev", "status"], &["dev", "stop"]]
    {
        let refused = machine.program.run_to(UNREACHABLE, command).await;
        assert!(refused.stderr.contains("may be written to by other users"), "{}", refused.stderr);
    }
    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(machine.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(machine.folder(), Some(12_345), None).unwrap();
        let refused = machine.program.run_to(UNREACHABLE, ["run", "--all", "--until-idle"]).await;
        assert!(refused.stderr.contains("belongs to user 12345"), "{}", refused.stderr);
    }
    assert_eq!(machine.servers(), [] as [i32; 0], "nothing was started there");
}

#[plain(on_embedded)]
async fn a_server_that_cannot_start_is_reported_with_its_reason() {
    let machine = Machine::new();
    let file = machine.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (place, why) in [
        (Path::new("/proc/nowhere"), "cannot make its folder /proc/nowhere/planlease: "),
        (file.as_path(), "Not a directory"),
    ] {
        let program = machine.program.clone().variable("XDG_STATE_HOME", place);
        for command in [&["plan", "list"][..], &["status"]] {
            let refused = program.run_to(UNREACHABLE, command).await;
            assert!(refused.stderr.contains(why), "{}", refused.stderr);
            assert!(refused.stderr.contains("the local server cannot be used: "), "{}", refused.stderr);
            assert!(refused.stderr.contains("XDG_STATE_HOME"), "{}", refused.stderr);
            assert!(refused.stderr.contains("--endpoints"), "{}", refused.stderr);
        }
    }
    let data = machine.folder().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::set_permissions(machine.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(data.join("etcd.redb"), "").unwrap();
    let refused = machine.program.run_to(UNREACHABLE, ["plan", "list"]).await;
    assert!(refused.stderr.contains("the local server cannot be used: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("etcd.redb is empty"), "{}", refused.stderr);
    // What was the reason once is none any more.
    std::fs::remove_file(data.join("etcd.redb")).unwrap();
    machine.program.run_to(DONE, ["plan", "list"]).await;
    machine.program.run_to(DONE, ["dev", "stop"]).await;
}

#[plain(on_embedded)]
async fn a_slow_reader_gets_all_of_it() {
    use std::io::Read as _;
    let machine = Machine::new();
    let file = machine.home.path().join("large.toml");
    let tasks = (0..3000).map(|n| format!("[[task]]\nid = \"{n}\"\ndescription = \"{}\"\n", "x".repeat(60)));
    std::fs::write(&file, format!("title = \"Large\"\n{}", tasks.collect::<String>())).unwrap();
    machine.program.run_to(DONE, ["plan", "import", path_text(&file)]).await;
    let expected = machine.program.run_to(DONE, ["export", "large"]).await.stdout;
    assert!(expected.len() > 256 * 1024);
    // A pipe of which another process has said that nothing waits on it.
    let (mut reader, writer) = std::io::pipe().unwrap();
    for how in [FcntlArg::F_SETFL(OFlag::O_NONBLOCK), FcntlArg::F_SETPIPE_SZ(4096)] {
        fcntl(&writer, how).unwrap();
    }
    let mut command = machine.program.command(["export", "large"]);
    command.stdin(std::process::Stdio::null()).stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
    assert!(said == expected, "{} of {} bytes", said.len(), expected.len());
    // By the name of a descriptor.
    let named = machine.program.run_to(DONE, ["export", "large", "-O", "/dev/stdout"]).await;
    assert!(named.stdout == expected, "{}", named.stderr);
    machine.program.run_to(DONE, ["dev", "stop"]).await;
}

#[plain(on_embedded)]
async fn with_endpoints_nothing_is_started() {
    let machine = Machine::new();
    let unreachable = "127.0.0.1:1";
    let refused = machine
        .program
        .run_to(UNREACHABLE, ["plan", "list", "--endpoints", unreachable, "--timeout", "3s"])
        .await;
    assert!(refused.stderr.contains(unreachable), "what was tried is named: {}", refused.stderr);
    assert!((1..=3).contains(&refused.stderr.lines().count()), "{}", refused.stderr);
    assert_eq!(machine.processes(), [] as [i32; 0]);
    assert!(!machine.folder().exists(), "not even a folder was made");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A backup is made while others write, replaces the one before in one step, and is its owner's alone.
/// Whatever is killed meanwhile, the file is a whole one.
#[plain(on_embedded)]
async fn a_backup_is_whole_or_not_there() {
    let machine = Machine::new();
    let program = &machine.program;
    let plan = machine.home.path().join("plan.toml");
    let mut text = "title = \"Work\"\n".to_owned();
    for number in 1..=500 {
        text += &format!("[[task]]\nid = \"{number}\"\ndescription = \"{}\"\n", "work ".repeat(100));
    }
    std::fs::write(&plan, text).unwrap();
    program.run_to(DONE, ["plan", "import", path_text(&plan)]).await;
    let file = machine.home.path().join("backup.db");
    let backup = ["dev", "backup", path_text(&file), "--force"];
    let said = program.run_to(DONE, &backup[..3]).await;
    assert!(said.stderr.contains("saved"), "{}", said.stderr);
    let before = std::fs::read(&file).unwrap();
    let refused = program.run_to(IN_USE, &backup[..3]).await;
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert!(std::fs::read(&file).unwrap() == before, "a refused backup changes nothing");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(whole(&file) > 500 * 500);
    // The command is killed at some moment, then the server is. The file stays a whole one, the old or the
    // new.
    for (round, pause) in [0, 5, 10, 20, 40, 80].into_iter().enumerate() {
        let output = machine.home.path().join(format!("backup-{round}"));
        let mut command = Process::start(program.command(backup), &output);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if round % 2 == 0 {
            command.signal(Signal::SIGKILL);
        } else {
            kill(Pid::from_raw(machine.server().await), Signal::SIGKILL).unwrap();
        }
        let _ = command.until_ended(SOON).await; // Well or not.
        whole(&file);
    }
    let later = machine.home.path().join("later.toml");
    std::fs::write(&later, "title = \"Later\"\n[[task]]\nid = \"1\"\ndescription = \"a task of later\"\n")
        .unwrap();
    program.run_to(DONE, ["plan", "import", path_text(&later)]).await;
    program.run_to(DONE, backup).await;
    whole(&file);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.windows(15).any(|part| part == b"a task of later"), "the new one replaces the old one");
    let nowhere = machine.home.path().join("no-such-folder/backup.db");
    let refused = program.run(["dev", "backup", path_text(&nowhere)]).await;
    assert!(refused.code != Some(DONE) && refused.stderr.contains("no-such-folder"), "{}", refused.stderr);
}

/// The way back from a backup: plans, records, history. A restored store is adopted before it is used.
#[plain(on_embedded)]
async fn a_backup_is_restored() {
    let machine = Machine::new();
    let program = &machine.program;
    let plan = machine.home.path().join("release.toml");
    let text = "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\ncommand = [\"true\"]\n";
    std::fs::write(&plan, text).unwrap();
    program.run_to(DONE, ["plan", "import", path_text(&plan)]).await;
    program.run_to(DONE, ["run", "release"]).await;
    let show = ["task", "show", "release", "1", "-o", "json"];
    let before = program.run_to(DONE, show).await.stdout;
    let file = machine.home.path().join("backup.db");
    program.run_to(DONE, ["dev", "backup", path_text(&file)]).await;
    program.run_to(DONE, ["plan", "delete", "release", "--yes"]).await;
    let restore = ["dev", "restore", path_text(&file), "--force"];
    let pipe = machine.home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let odd = [path_text(&pipe), "/dev/zero", "/dev/null", path_text(machine.home.path())];
    for place in odd {
        let refused = program.run_to(UNREADABLE, ["dev", "backup", place, "--force"]).await;
        assert!(refused.stderr.contains("not a regular file"), "{}", refused.stderr);
        // The server runs: the file is not even looked at.
        let refused = program.run_to(IN_USE, ["dev", "restore", place]).await;
        assert!(refused.stderr.contains("dev stop"), "{}", refused.stderr);
    }
    for (arguments, remedy) in [(&restore[..], "dev stop"), (&restore[..3], "dev stop")] {
        let refused = program.run_to(IN_USE, arguments).await;
        assert!(refused.stderr.contains(remedy), "{}", refused.stderr);
    }
    program.run_to(DONE, ["dev", "stop"]).await;
    let refused = program.run_to(IN_USE, &restore[..3]).await;
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    for place in odd {
        let refused = program.run_to(UNREADABLE, ["dev", "restore", place, "--force"]).await;
        assert!(refused.stderr.contains("not a regular file"), "{}", refused.stderr);
    }
    let refused = program.run_to(UNREADABLE, ["dev", "restore", path_text(&plan), "--force"]).await;
    assert!(refused.stderr.contains("no snapshot of an etcd"), "{}", refused.stderr);
    let part = machine.home.path().join("part.db");
    std::fs::write(&part, &std::fs::read(&file).unwrap()[..10_000]).unwrap();
    let refused = program.run_to(UNREADABLE, ["dev", "restore", path_text(&part), "--force"]).await;
    assert!(refused.stderr.contains("no whole snapshot"), "{}", refused.stderr);
    let said = program.run_to(DONE, restore).await.stderr;
    assert!(said.contains("doctor --adopt-store"), "{said}");
    program.run_to(STORE_MOVED, show).await;
    // There is no terminal to ask on: a script says --yes, and without it nothing is changed.
    let refused = program.run_to(USAGE, ["doctor", "--adopt-store"]).await;
    assert!(
        refused.stderr.contains("has to be confirmed") && refused.stderr.contains("--yes"),
        "{}",
        refused.stderr
    );
    program.run_to(STORE_MOVED, show).await;
    program.run_to(DONE, ["doctor", "--adopt-store", "--yes"]).await;
    assert_eq!(program.run_to(DONE, show).await.stdout, before);
    program.run_to(DONE, ["audit"]).await;
    program.run_to(DONE, ["task", "retry", "release", "1"]).await;
    program.run_to(DONE, ["run", "release"]).await;
}

/// Checks that a snapshot is complete, by the hash at its end; its length.
#[track_caller]
fn whole(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let (data, hash) = bytes.split_at(bytes.len() - 32);
    assert_eq!(Sha256::digest(data).as_slice(), hash);
    bytes.len()
}
