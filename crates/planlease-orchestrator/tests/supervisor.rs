//! Supervised commands with real processes and real signals.
//!
//! The test binary has no harness of cargo's, because it is also the supervisor, the exec stage, and an
//! orchestrator that can be killed or paused.

use std::{
    ffi::OsString,
    fmt::Debug,
    fs,
    future::Future,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use libtest_mimic::{Arguments, Trial};
use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_gettime},
    unistd::{Pid, getpgrp},
};
use planlease_core::{BootTime, codec::MAX_FINDINGS};
use planlease_orchestrator::{
    Attachment, Cause, CommandSpec, EntryPoint, Finished, Status, SupervisedChild, Supervisors, exec,
    supervisor,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// What should take milliseconds takes less than this on the busiest machine.
const SOON: Duration = Duration::from_secs(30);

/// A deadline that no test reaches.
const LONG: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let role = args.next().unwrap_or_default();
    match role.to_str() {
        Some("__supervisor") => match supervisor::run(args, &EntryPoint::of_this_program("__exec")) {
            Ok(status) => ExitCode::from(status),
            Err(error) => complain(&error),
        },
        Some("__exec") => {
            let Err(error) = exec::run(args);
            complain(&error)
        }
        Some("__orchestrator") => {
            let args: Vec<OsString> = args.collect();
            run(orchestrator(args))
        }
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a helper process of the tests")]
fn complain(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::FAILURE
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// Lists the tests by the names of their functions.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::test(stringify!($name), || {
                run(async { timeout(Duration::from_secs(100), $name()).await }).expect("the test hangs");
                Ok(())
            })),*]
        }
    };
}

trials![
    the_exit_code_and_the_output_come_back,
    a_signal_is_told_from_an_exit_code,
    a_program_that_does_not_exist_is_named,
    an_endless_output_is_bounded,
    nothing_runs_before_the_first_deadline,
    a_deadline_that_has_passed_starts_nothing,
    the_command_finds_a_clean_process,
    the_environment_is_as_asked_for,
    what_is_left_in_the_group_dies_with_the_command,
    a_deadline_that_passes_kills_everything,
    a_deadline_that_is_prolonged_kills_nothing,
    a_kind_command_ends_by_itself_when_asked,
    a_stubborn_command_is_killed_after_the_grace,
    a_child_of_the_command_has_the_grace_too,
    a_stopped_command_can_be_ended,
    a_kill_reaches_everything,
    a_dropped_command_is_killed,
    signals_to_the_supervisor_do_not_end_it,
    a_killed_supervisor_takes_the_command_along,
    a_killed_supervisor_takes_its_command_along,
    an_orchestrator_killed_at_any_moment_leaves_nothing_behind,
    a_supervisor_killed_at_any_moment_leaves_nothing_behind,
    a_paused_supervisor_does_not_save_the_command,
    a_killed_orchestrator_takes_its_commands_along,
    a_paused_orchestrator_loses_its_commands_at_the_deadline,
    a_command_in_the_terminal_is_in_our_group_and_dies_alone,
    many_commands_run_at_once,
];

// === what the tests share ===

fn now() -> BootTime {
    BootTime::since_boot(clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has it").into())
}

fn supervisors() -> Supervisors {
    Supervisors::new(EntryPoint::of_this_program("__supervisor"))
}

/// Supervisors whose commands may run for a long time.
fn trusted() -> Supervisors {
    let supervisors = supervisors();
    supervisors.extend(now().plus(LONG));
    supervisors
}

async fn until<T>(what: impl Debug, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what:?} did not happen within {SOON:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn finish(child: &mut SupervisedChild) -> Finished {
    timeout(SOON, child.wait()).await.expect("the command ends").clone()
}

async fn run_script(script: &str) -> Finished {
    let mut child = trusted().spawn(&CommandSpec::shell(script)).await.expect("the supervisor starts");
    finish(&mut child).await
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What a process is, and whose child: for the message of a test that waited for its end in vain.
fn described(pid: i32) -> String {
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let own = stat(pid);
    let parent = own.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
    let start = |stat: &str| stat.chars().take(60).collect::<String>();
    format!("{}, child of {}", start(&own), parent.map_or_else(String::new, |parent| start(&stat(parent))))
}

fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn signal(pid: impl TryInto<i32>, signal: Signal) {
    let pid = pid.try_into().ok().expect("process ids fit");
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

/// A command with a family: a child in its group, and one that has left it. Each writes its process id into a
/// file.
struct Family {
    dir: TempDir,
}

const MEMBERS: [&str; 3] = ["command", "child", "escaped"];

impl Family {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The script; `first` is what the command does before anybody can know that it is there, `last` what it
    /// does once the others are there.
    fn script(&self, first: &str, last: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "cd {dir}
             {first}
             sh -c 'echo $$ > child.new; mv child.new child; exec sleep 1000' &
             setsid sh -c 'echo $$ > escaped.new; mv escaped.new escaped; exec sleep 1000' &
             while ! [ -e child ] || ! [ -e escaped ]; do sleep 0.01; done
             echo $$ > command.new; mv command.new command
             {last}"
        )
    }

    fn spec(&self, last: &str) -> CommandSpec {
        CommandSpec::shell(self.script("", last))
    }

    /// A command that hears SIGTERM in its own way, from the moment at which its process id is known.
    fn trapping(&self, trap: &str, last: &str) -> CommandSpec {
        CommandSpec::shell(self.script(&format!("trap '{trap}' TERM"), last))
    }

    async fn pid(&self, name: &str) -> i32 {
        let read = || fs::read_to_string(self.path(name)).ok()?.trim().parse().ok();
        until(format!("the start of the {name}"), read).await
    }

    /// The process ids, once all are there.
    async fn pids(&self) -> [i32; 3] {
        let mut pids = [0; 3];
        for (pid, name) in pids.iter_mut().zip(MEMBERS) {
            *pid = self.pid(name).await;
            assert!(is_alive(*pid), "the {name} lives");
        }
        pids
    }
}

/// A test that fails leaves no process behind. Their working directory shows that the ids are still theirs.
impl Drop for Family {
    fn drop(&mut self) {
        for name in MEMBERS {
            let Some(pid) = fs::read_to_string(self.path(name)).ok().and_then(|pid| pid.trim().parse().ok())
            else {
                continue;
            };
            if fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == self.dir.path()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

async fn are_dead(pids: &[i32]) {
    let alive = || pids.iter().filter(|pid| is_alive(**pid)).map(|pid| described(*pid)).collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !alive().is_empty() {
        assert!(Instant::now() < deadline, "still there after 30 s: {:?}", alive());
        sleep(Duration::from_millis(10)).await;
    }
}

#[track_caller]
fn are_dead_now(pids: &[i32]) {
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?} are dead when the end is reported");
}

/// An orchestrator as a process of its own: runs a script, and prolongs its deadline until it is stopped.
async fn orchestrator(args: Vec<OsString>) -> ExitCode {
    let [lease, script] = &args[..] else { return ExitCode::from(2) };
    let lease = lease.to_str().and_then(|lease| lease.parse().ok()).expect("milliseconds");
    let lease = Duration::from_millis(lease);
    let supervisors = supervisors();
    let _child = supervisors.spawn(&CommandSpec::shell(script)).await.expect("the supervisor starts");
    loop {
        supervisors.extend(now().plus(lease));
        sleep(lease / 10).await;
    }
}

/// An orchestrator that is killed at the end of the test, if not before.
struct Orchestrator(std::process::Child);

impl Orchestrator {
    /// In a process group of its own: in ours, which has no parent in its session if there is no shell with
    /// job control, it would be continued while it is stopped. The kernel does that for all of a group when
    /// the last process that ties it to another one ends, and the command of another test, in the terminal,
    /// is one.
    fn start(lease: Duration, script: &str) -> Self {
        let process = std::process::Command::new("/proc/self/exe")
            .process_group(0)
            .args(["__orchestrator", &lease.as_millis().to_string(), script])
            .stdin(Stdio::null())
            .spawn();
        Self(process.expect("the orchestrator starts"))
    }

    fn signal(&self, which: Signal) {
        signal(self.0.id(), which);
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// === the tests ===

async fn the_exit_code_and_the_output_come_back() {
    let finished = run_script("echo one; echo two >&2; echo three; exit 7").await;
    assert_eq!(finished.output, "one\ntwo\nthree\n");
    assert_eq!((finished.cause, finished.status), (Cause::Itself, Status::Exited(7)));
    assert!(!finished.survivors);
    let mut spec = CommandSpec::new("printf");
    spec.args = vec!["%s|".into(), "a b".into(), "$HOME".into(), "".into()];
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    assert_eq!(finish(&mut child).await.output, "a b|$HOME||", "no shell is in between");
    assert_eq!(finish(&mut child).await.output, "a b|$HOME||", "and it can be asked again");
}

async fn a_signal_is_told_from_an_exit_code() {
    for (script, status) in [
        ("kill -SEGV $$", Status::Signalled(11)),
        ("kill -40 $$", Status::Signalled(40)),
        ("exit 139", Status::Exited(139)),
        ("exit 127", Status::Exited(127)),
    ] {
        let finished = run_script(script).await;
        assert_eq!((finished.cause, finished.status), (Cause::Itself, status), "{script}");
    }
}

async fn a_program_that_does_not_exist_is_named() {
    let mut child =
        trusted().spawn(&CommandSpec::new("no-such-program")).await.expect("the supervisor starts");
    let finished = finish(&mut child).await;
    let Status::NotStarted { why, code: 127 } = finished.status else { panic!("{finished:?}") };
    assert!(why.contains("cannot run `no-such-program`: No such file"), "{why}");
    assert_eq!(finished.cause, Cause::Itself);
}

async fn an_endless_output_is_bounded() {
    let finished = run_script("echo first; yes | head -c 50000000; echo last").await;
    assert!(finished.output.len() <= MAX_FINDINGS && finished.output.len() > MAX_FINDINGS - 100);
    assert!(finished.output.starts_with("first\ny\n") && finished.output.ends_with("y\nlast\n"));
    assert!(finished.output.contains("bytes left out"));
}

async fn nothing_runs_before_the_first_deadline() {
    let supervisors = supervisors();
    let mut child = supervisors.spawn(&CommandSpec::shell("exit 3")).await.expect("the supervisor starts");
    // Nothing can be waited for that does not happen; this is long for a command that would run at once.
    assert!(timeout(Duration::from_millis(500), child.wait()).await.is_err());
    supervisors.extend(now().plus(LONG));
    assert_eq!(finish(&mut child).await.status, Status::Exited(3));
}

async fn a_deadline_that_has_passed_starts_nothing() {
    let supervisors = supervisors();
    supervisors.extend(now());
    let mut child = supervisors.spawn(&CommandSpec::shell("exit 3")).await.expect("the supervisor starts");
    let finished = finish(&mut child).await;
    assert!(matches!(finished.status, Status::NotStarted { .. }), "{finished:?}");
    assert_eq!(finished.cause, Cause::Deadline);
}

async fn the_command_finds_a_clean_process() {
    let script = "echo /proc/self/fd/*";
    let plain = std::process::Command::new("sh").args(["-c", script]).output().expect("a shell");
    let fds = run_script(script).await.output;
    assert_eq!(fds, String::from_utf8_lossy(&plain.stdout), "no descriptor of ours is open");
    // Not by a shell, which unblocks signals itself.
    let mut spec = CommandSpec::new("grep");
    spec.args = vec!["-E".into(), "SigBlk|SigIgn".into(), "/proc/self/status".into()];
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    let signals = finish(&mut child).await.output;
    assert!(signals.contains("SigBlk:\t0000000000000000"), "no signal is blocked: {signals}");
    let ignored = signals.split_once("SigIgn:\t").expect("it is there").1.trim();
    let ignored = u64::from_str_radix(ignored, 16).expect("a hexadecimal number");
    assert_eq!(ignored & (1 << 12), 0, "SIGPIPE is not ignored");
    let finished = run_script("cat; echo end").await;
    assert_eq!(finished.output, "end\n", "the input is empty");
}

async fn the_environment_is_as_asked_for() {
    let dir = TempDir::new().expect("a temporary folder");
    let mut spec =
        CommandSpec::shell("echo $PLANLEASE_TASK ${CARGO_MANIFEST_DIR-gone} $PWD; env | grep -ic secret");
    spec.env = vec![("PLANLEASE_TASK".into(), Some("1.2".into())), ("CARGO_MANIFEST_DIR".into(), None)];
    spec.dir = Some(dir.path().to_owned());
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    assert_eq!(finish(&mut child).await.output, format!("1.2 gone {}\n0\n", dir.path().display()));
    spec.dir = Some(Path::new("/no/such/folder").to_owned());
    let error = trusted().spawn(&spec).await.expect_err("there is no such folder").to_string();
    assert!(error.contains("/no/such/folder"), "{error}");
}

async fn what_is_left_in_the_group_dies_with_the_command() {
    let family = Family::new();
    let mut child = trusted().spawn(&family.spec("exit 4")).await.expect("the supervisor starts");
    assert_eq!(finish(&mut child).await.status, Status::Exited(4));
    let [command, member, escaped] =
        [family.pid("command").await, family.pid("child").await, family.pid("escaped").await];
    are_dead_now(&[command, member]);
    assert!(is_alive(escaped), "who has left the group of a command that ended well may stay");
}

async fn a_deadline_that_passes_kills_everything() {
    let family = Family::new();
    let supervisors = supervisors();
    let mut child = supervisors.spawn(&family.trapping("", "wait")).await.expect("the supervisor starts");
    // Until the family is complete, the deadline moves on.
    while !family.path("command").exists() {
        supervisors.extend(now().plus(Duration::from_secs(2)));
        sleep(Duration::from_millis(20)).await;
    }
    let pids = family.pids().await;
    let finished = finish(&mut child).await;
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Deadline, Status::Signalled(9)));
    assert!(!finished.survivors);
}

async fn a_deadline_that_is_prolonged_kills_nothing() {
    let supervisors = supervisors();
    let mut child =
        supervisors.spawn(&CommandSpec::shell("sleep 3; exit 5")).await.expect("the supervisor starts");
    let prolong = async {
        loop {
            supervisors.extend(now().plus(Duration::from_secs(2)));
            sleep(Duration::from_millis(100)).await;
        }
    };
    let finished = tokio::select! {
        biased; // The end is what is waited for.
        finished = finish(&mut child) => finished,
        () = prolong => unreachable!("it has no end"),
    };
    assert_eq!(finished.status, Status::Exited(5));
}

async fn a_kind_command_ends_by_itself_when_asked() {
    let family = Family::new();
    let mut child =
        trusted().spawn(&family.trapping("echo tidy; exit 6", "wait")).await.expect("the supervisor starts");
    let pids = family.pids().await;
    child.terminate();
    let finished = finish(&mut child).await;
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Exited(6)));
    assert_eq!(finished.output, "tidy\n");
}

async fn a_stubborn_command_is_killed_after_the_grace() {
    let family = Family::new();
    let mut spec = family.trapping("echo no > heard", "while :; do sleep 0.05; done");
    spec.grace = Duration::from_millis(800);
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    let pids = family.pids().await;
    let asked = Instant::now();
    child.terminate();
    until("SIGTERM", || family.path("heard").exists().then_some(())).await;
    child.terminate();
    let finished = finish(&mut child).await;
    assert!(asked.elapsed() >= spec.grace, "{:?}", asked.elapsed());
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Signalled(9)));
}

async fn a_child_of_the_command_has_the_grace_too() {
    let dir = TempDir::new().expect("a temporary folder");
    let tidy = "trap 'sleep 0.5; echo tidy; exit' TERM; echo > ready; while :; do sleep 0.02; done";
    let mut spec = CommandSpec::shell(format!("sh -c \"{tidy}\" & wait"));
    spec.dir = Some(dir.path().to_owned());
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    until("the child's start", || dir.path().join("ready").exists().then_some(())).await;
    child.terminate();
    let finished = finish(&mut child).await;
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Signalled(15)));
    assert!(finished.output.ends_with("tidy\n"), "{}", finished.output);
}

async fn a_stopped_command_can_be_ended() {
    let family = Family::new();
    let mut child = trusted().spawn(&family.spec("wait")).await.expect("the supervisor starts");
    let pids = family.pids().await;
    signal(pids[0], Signal::SIGSTOP);
    until("the stop", || is_stopped(pids[0]).then_some(())).await;
    child.terminate();
    let finished = finish(&mut child).await;
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Signalled(15)));
}

async fn a_kill_reaches_everything() {
    let family = Family::new();
    let mut child = trusted().spawn(&family.trapping("", "wait")).await.expect("the supervisor starts");
    let pids = family.pids().await;
    child.terminate();
    child.kill();
    let finished = finish(&mut child).await;
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Signalled(9)));
}

async fn a_dropped_command_is_killed() {
    let family = Family::new();
    let child = trusted().spawn(&family.trapping("", "wait")).await.expect("the supervisor starts");
    let pids = family.pids().await;
    let supervisor = child.supervisor_id().expect("it runs").try_into().expect("process ids fit");
    drop(child);
    are_dead(&pids).await;
    are_dead(&[supervisor]).await;
}

async fn signals_to_the_supervisor_do_not_end_it() {
    let family = Family::new();
    let mut child = trusted()
        .spawn(&family.spec("while ! [ -e go ]; do sleep 0.02; done; exit 9"))
        .await
        .expect("it starts");
    family.pids().await;
    for fatal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGPROF,
        Signal::SIGPWR,
    ] {
        signal(child.supervisor_id().expect("it runs"), fatal);
    }
    fs::write(family.path("go"), "").expect("the folder is there");
    let finished = finish(&mut child).await;
    assert_eq!((finished.cause, finished.status), (Cause::Itself, Status::Exited(9)));
}

async fn a_killed_supervisor_takes_the_command_along() {
    let family = Family::new();
    let mut child = trusted().spawn(&family.trapping("", "wait")).await.expect("the supervisor starts");
    let [command, member, _] = family.pids().await;
    signal(child.supervisor_id().expect("it runs"), Signal::SIGKILL);
    let finished = finish(&mut child).await;
    are_dead_now(&[command, member]);
    assert_eq!((finished.cause, finished.status), (Cause::Deadline, Status::Unknown));
    assert!(!finished.survivors);
}

async fn a_paused_supervisor_does_not_save_the_command() {
    let family = Family::new();
    let supervisors = supervisors();
    let deadline = now().plus(Duration::from_secs(3));
    supervisors.extend(deadline);
    let mut child = supervisors.spawn(&family.trapping("", "wait")).await.expect("the supervisor starts");
    let [command, member, _] = family.pids().await;
    signal(child.supervisor_id().expect("it runs"), Signal::SIGSTOP);
    are_dead(&[command, member]).await;
    assert!(now() < deadline.plus(Duration::from_secs(2)), "{:?} late", deadline.until(now()));
    let finished = finish(&mut child).await;
    assert_eq!((finished.cause, finished.status), (Cause::Deadline, Status::Unknown));
}

async fn a_killed_orchestrator_takes_its_commands_along() {
    let family = Family::new();
    let orchestrator = Orchestrator::start(LONG, &family.script("", "wait"));
    let pids = family.pids().await;
    orchestrator.signal(Signal::SIGKILL);
    let killed = Instant::now();
    are_dead(&pids).await;
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
}

async fn a_paused_orchestrator_loses_its_commands_at_the_deadline() {
    let family = Family::new();
    let lease = Duration::from_secs(2);
    let orchestrator = Orchestrator::start(lease, &family.script("", "wait"));
    let pids = family.pids().await;
    orchestrator.signal(Signal::SIGSTOP);
    let paused = Instant::now();
    are_dead(&pids).await;
    assert!(paused.elapsed() < lease + Duration::from_secs(1), "{:?}", paused.elapsed());
}

async fn a_killed_supervisor_takes_its_command_along() {
    let family = Family::new();
    let orchestrator = Orchestrator::start(LONG, &family.script("", "wait"));
    let [command, member, _] = family.pids().await;
    let stat = fs::read_to_string(format!("/proc/{command}/stat")).expect("the command runs");
    let supervisor: i32 = stat.split(' ').nth(3).and_then(|parent| parent.parse().ok()).expect("its parent");
    orchestrator.signal(Signal::SIGSTOP);
    signal(supervisor, Signal::SIGKILL);
    are_dead(&[command]).await;
    orchestrator.signal(Signal::SIGCONT);
    are_dead(&[member]).await;
}

/// The processes that have this text among their arguments.
fn with_argument(text: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .expect("it is there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&args).contains(text) && is_alive(*pid)
    };
    pids.filter(has).collect()
}

async fn an_orchestrator_killed_at_any_moment_leaves_nothing_behind() {
    for delay in 0..25 {
        let mark = format!("orphan-{}-{delay}", Pid::this());
        let script = format!("sh -c 'sleep 1000; : {mark}' & sleep 1000; : {mark}");
        let orchestrator = Orchestrator::start(LONG, &script);
        // Not a wait, but the moment of the fault: somewhere between its start and the command's.
        sleep(Duration::from_micros(800) * delay).await;
        drop(orchestrator);
        until(format!("the end of all, killed after {delay}"), || {
            with_argument(&mark).is_empty().then_some(())
        })
        .await;
    }
}

async fn a_supervisor_killed_at_any_moment_leaves_nothing_behind() {
    let supervisors = trusted();
    for delay in 0..25 {
        let mark = format!("unsupervised-{}-{delay}", Pid::this());
        let script = format!("sh -c 'sleep 1000; : {mark}' & sleep 1000; : {mark}");
        let mut child = supervisors.spawn(&CommandSpec::shell(script)).await.expect("the supervisor starts");
        sleep(Duration::from_micros(200) * delay).await;
        signal(child.supervisor_id().expect("it runs"), Signal::SIGKILL);
        assert_eq!(finish(&mut child).await.status, Status::Unknown);
        assert_eq!(with_argument(&mark), Vec::<i32>::new(), "killed after {delay}");
    }
}

async fn a_command_in_the_terminal_is_in_our_group_and_dies_alone() {
    let family = Family::new();
    let mut spec = family.spec("cut -d ' ' -f 5 /proc/self/stat > group; wait");
    spec.attachment = Attachment::Terminal;
    let mut child = trusted().spawn(&spec).await.expect("the supervisor starts");
    let pids = family.pids().await;
    let group = || fs::read_to_string(family.path("group")).ok()?.trim().parse::<i32>().ok();
    assert_eq!(until("its group", group).await, getpgrp().as_raw());
    child.kill();
    let finished = finish(&mut child).await;
    are_dead_now(&pids);
    assert_eq!((finished.cause, finished.status), (Cause::Asked, Status::Signalled(9)));
    assert_eq!(finished.output, "");
}

async fn many_commands_run_at_once() {
    let supervisors = trusted();
    let mut children = Vec::new();
    for i in 0..20 {
        children.push((
            i,
            supervisors.spawn(&CommandSpec::shell(format!("exit {i}"))).await.expect("a supervisor starts"),
        ));
    }
    for (i, mut child) in children {
        assert_eq!(finish(&mut child).await.status, Status::Exited(i));
    }
}
