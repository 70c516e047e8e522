//! The death of an owner whose host lives: its companion frees what it had, once its commands are dead. And
//! everything that leaves that to the TTL.

use std::{fs, path::Path, time::Duration};

use nix::{
    sys::signal::Signal,
    unistd::{Pid, getsid},
};
use planlease::{AcquireOptions, Outcome, Ownership};
use planlease_core::transition::Change;
use planlease_tests::{
    TestEnv, case,
    etcd::Etcd,
    owner, plain,
    program::{Process, arguments, helper_of, is_alive},
    proxy::Proxy,
    signal::send,
    test_env::{background, in_queue, plan_name, task_id},
    wait::{SOON, until},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{measure, spec::spec};

/// Longer than any test: what happens before it has not waited for it.
const LONG: Duration = Duration::from_secs(100);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_secs(4);

/// A session is renewed every third of its TTL: after a crash it has at least the rest.
const AT_LEAST: Duration = Duration::from_millis(2500);

/// How long is looked on where nothing must happen.
const WHILE: Duration = Duration::from_millis(1500);

/// Leaves its number, and that of a child which has left its process group.
const WORK: &str = r#"
    setsid sleep 1000 &
    echo "$$ $!" > "$TEST_DIR/work.new"; mv "$TEST_DIR/work.new" "$TEST_DIR/work-$PLANLEASE_PLAN"
    exec sleep 1000"#;

/// How long the chain is.
const LINKS: usize = 40;

/// Starts a chain of processes, of which each has left the session of the one before it.
const CHAIN: &str = r#"
    export LINK='
        if [ "$1" -gt 0 ]; then setsid sh -c "$LINK" sh $(($1 - 1)) & else echo $$ > "$TEST_DIR/work-p"; fi
        sleep 1000; true'
    sh -c "$LINK" sh 40; true"#;

/// A process that owns plan `p` and runs [`WORK`], and the one that waits for it in this process.
struct Pair {
    owner: Process,
    companion: i32,
    work: Vec<i32>,
    next: JoinHandle<(Instant, Ownership)>,
}

impl Pair {
    /// Of `run`, the only thing that differs is that the work is a task.
    async fn of(env: &TestEnv, command: &str) -> Self {
        Self::started(env, env.program().command(Self::args(command)), command == "run").await
    }

    fn args(command: &str) -> Vec<&str> {
        match command {
            "run" => vec!["run", "p"],
            "hold" => vec!["hold", "p", "--", "sh", "-c", WORK],
            other => panic!("{other}"),
        }
    }

    async fn started(env: &TestEnv, owner: std::process::Command, runs: bool) -> Self {
        let coordinator = env.coordinator().await;
        let script = if runs { WORK } else { "true" };
        coordinator.admin().import(&plan_name("p"), &spec(1, script), |_| {}).await.unwrap();
        let owner = Process::start(owner, &env.path("owner"));
        let work = until("work", SOON, async || {
            let text = env.text("work-p");
            if text.is_empty() { Err(owner.said()) } else { Ok(text) }
        });
        let work: Vec<i32> = work.await.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let companion = helper(owner.id(), "companion").await;
        let (next, plan) = (env.session(&format!("after-{}", owner.id())).await, plan_name("p"));
        let seen = work.clone();
        let next = background(async move {
            let ownership = next.acquire(&plan, AcquireOptions::default()).await.unwrap();
            let at = Instant::now();
            assert!(!seen.iter().any(|pid| is_alive(*pid)), "the work of the last owner outlived its term");
            (at, ownership)
        });
        in_queue(&coordinator, &plan_name("p"), 2).await;
        Self { owner, companion, work, next }
    }

    /// The next owner, and how long it took from then.
    async fn passed_on(self, env: &TestEnv, since: Instant) -> (Duration, Ownership) {
        let (at, ownership) = self.next.await.unwrap();
        env.until_empty().await;
        (at.duration_since(since), ownership)
    }
}

/// The helper process of this kind that a process has started.
async fn helper(parent: i32, kind: &str) -> i32 {
    until(kind, SOON, async || helper_of(parent, kind).ok_or("none")).await
}

/// The term before the last one ended with its session, and the last one by a release.
async fn ended_as_a_crash(env: &TestEnv, next: Ownership) {
    next.release().await.unwrap();
    assert_eq!(env.audit().await.report.unclean, 1);
}

/// The crash of an owner, of a program in Rust, and of the holder of a lock.
#[case(one_at_a_time)]
async fn a_killed_process_is_followed_long_before_its_ttl(env: TestEnv) {
    let env = env.with_ttl(LONG);
    let mut took = Vec::new();
    for command in ["run", "hold"] {
        let mut pair = Pair::of(&env, command).await;
        let killed = Instant::now();
        pair.owner.signal(Signal::SIGKILL);
        let (after, next) = pair.passed_on(&env, killed).await;
        took.push(after);
        next.release().await.unwrap();
        env.coordinator().await.admin().delete(&plan_name("p")).await.unwrap();
        fs::remove_file(env.path("work-p")).unwrap();
    }
    measure::report("SIGKILL of an owner to the next owner", &env.server.to_string(), &took);
    assert!(took.iter().all(|took| *took < LONG / 5), "{took:?}");
    assert_eq!(env.audit().await.report.unclean, 2);
}

#[case]
async fn a_killed_program_is_followed_long_before_its_ttl(env: TestEnv) {
    let env = env.with_ttl(LONG);
    let (coordinator, plan) = (env.coordinator().await, plan_name("p"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let mut program = owner::start(&env, &plan, "owner");
    program.until_said("owning", SOON).await;
    program.signal(Signal::SIGKILL);
    let next = env.session("next").await;
    let acquiring = next.acquire(&plan, AcquireOptions::default());
    let next = tokio::time::timeout(SOON, acquiring).await.expect("long before the TTL").unwrap();
    env.until_empty().await;
    ended_as_a_crash(&env, next).await;
}

#[case]
async fn a_killed_lock_holder_is_followed_long_before_its_ttl(env: TestEnv) {
    let env = env.with_ttl(LONG);
    env.coordinator().await.admin().import(&plan_name("p"), &spec(1, "true"), |_| {}).await.unwrap();
    let mut holder = env.start(&["lock", "p", "one", "--", "sh", "-c", "echo locked; sleep 1000"], "holder");
    holder.until_said("locked", SOON).await;
    holder.signal(Signal::SIGKILL);
    let mut next = env.start(&["lock", "p", "one", "--", "true"], "next");
    assert_eq!(next.until_ended(SOON).await, Some(0), "{}", next.said());
    env.until_empty().await;
}

/// A chain of processes, each in a session of its own, is killed link by link: so it takes long enough for a
/// plan to be freed too early.
#[case(one_at_a_time)]
async fn no_plan_is_freed_before_the_commands_are_dead(env: TestEnv) {
    let env = env.with_ttl(LONG);
    let owner = env.program().command(["hold", "p", "--", "sh", "-c", CHAIN]);
    let mut pair = Pair::started(&env, owner, false).await;
    let links = |pid: &i32| arguments(*pid).first().is_some_and(|name| name == "sh" || name == "sleep");
    let chain: Vec<i32> = env.processes().into_iter().filter(links).collect();
    assert!(chain.len() > LINKS, "{chain:?}");
    pair.next.abort();
    let (next, plan) = (env.session("looks").await, plan_name("p"));
    let acquire = async {
        let ownership = next.acquire(&plan, AcquireOptions::default()).await.unwrap();
        let alive: Vec<_> = chain.iter().filter(|pid| is_alive(**pid)).collect();
        assert!(alive.is_empty(), "{} processes of the last owner outlived its term", alive.len());
        ownership
    };
    let kill = async {
        until("the other one in the queue", SOON, async || {
            let line = next.coordinator().queue(&plan).await.unwrap();
            let waits = line.candidates().len() > 1;
            if waits { Ok(()) } else { Err(line.candidates().len()) }
        })
        .await;
        pair.owner.signal(Signal::SIGKILL);
    };
    let (next, ()) = tokio::join!(acquire, kill);
    env.until_empty().await;
    ended_as_a_crash(&env, next).await;
}

/// Whichever of the two dies first.
#[case]
async fn without_its_companion_an_owner_is_followed_after_its_ttl(env: TestEnv) {
    let env = env.with_ttl(SHORT);
    let mut pair = Pair::of(&env, "run").await;
    send(pair.companion, Signal::SIGKILL);
    until("end of the companion", SOON, async || if is_alive(pair.companion) { Err(()) } else { Ok(()) })
        .await;
    let killed = Instant::now();
    pair.owner.signal(Signal::SIGKILL);
    let (took, next) = pair.passed_on(&env, killed).await;
    assert!(took >= AT_LEAST, "{took:?}");
    ended_as_a_crash(&env, next).await;
}

#[case]
async fn killed_together_they_leave_the_plan_to_the_ttl(env: TestEnv) {
    let env = env.with_ttl(SHORT);
    let mut pair = Pair::of(&env, "run").await;
    for pid in [pair.companion, pair.owner.id()] {
        send(pid, Signal::SIGSTOP); // Neither sees the other's end.
    }
    let killed = Instant::now();
    send(pair.companion, Signal::SIGKILL);
    pair.owner.signal(Signal::SIGKILL);
    let (took, next) = pair.passed_on(&env, killed).await;
    assert!(took >= AT_LEAST, "{took:?}");
    ended_as_a_crash(&env, next).await;
}

/// Of a command whose supervisor is dead it is unknown what it has left behind.
#[case]
async fn with_its_supervisor_an_owner_is_followed_after_its_ttl(env: TestEnv) {
    let env = env.with_ttl(SHORT);
    let mut pair = Pair::of(&env, "run").await;
    let supervisor = helper(pair.owner.id(), "supervisor").await;
    let outlives = pair.work[1];
    send(pair.owner.id(), Signal::SIGSTOP); // It must not start the task again.
    send(supervisor, Signal::SIGKILL);
    let killed = Instant::now();
    pair.owner.signal(Signal::SIGKILL);
    until("end of the companion", SOON, async || if is_alive(pair.companion) { Err(()) } else { Ok(()) })
        .await;
    sleep(WHILE).await; // Nothing may happen: the child of the command is out of every process's reach.
    assert!(is_alive(outlives) && !pair.next.is_finished(), "freed while the command's child ran");
    send(outlives, Signal::SIGKILL);
    let (took, next) = pair.passed_on(&env, killed).await;
    assert!(took >= AT_LEAST, "{took:?}");
    ended_as_a_crash(&env, next).await;
}

/// It is there: its session expires, its commands die in time, and when it goes on it ends in order.
#[case]
async fn a_stopped_owner_is_followed_after_its_ttl(env: TestEnv) {
    let env = env.with_ttl(SHORT);
    let mut pair = Pair::of(&env, "hold").await;
    let stopped = Instant::now();
    pair.owner.signal(Signal::SIGSTOP);
    let (at, next) = pair.next.await.unwrap();
    assert!(at.duration_since(stopped) >= AT_LEAST, "{:?}", at.duration_since(stopped));
    assert!(is_alive(pair.companion), "the owner is not dead");
    pair.owner.signal(Signal::SIGCONT);
    env.until_empty().await;
    ended_as_a_crash(&env, next).await;
}

/// A release is a release, and the companion ends with the session.
#[case]
async fn an_owner_that_ends_in_order_leaves_a_clean_term(env: TestEnv) {
    let env = env.with_ttl(LONG);
    let mut pair = Pair::of(&env, "hold").await;
    pair.work.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    assert!(pair.owner.until_ended(SOON).await.is_some());
    let (_, next) = pair.passed_on(&env, Instant::now()).await;
    next.release().await.unwrap();
    assert_eq!(env.audit().await.report.unclean, 0);
}

/// The revocation arrives when another process owns the plan: it is of a lease that no process has any more.
#[case]
async fn a_late_revocation_takes_nothing_from_the_next_owner(env: TestEnv) {
    let env = env.with_ttl(SHORT);
    let mut pair = Pair::of(&env, "run").await;
    let companion = pair.companion;
    send(companion, Signal::SIGSTOP);
    let killed = Instant::now();
    pair.owner.signal(Signal::SIGKILL);
    let (at, next) = pair.next.await.unwrap();
    assert!(at.duration_since(killed) >= AT_LEAST, "{:?}", at.duration_since(killed));
    send(companion, Signal::SIGCONT);
    env.until_empty().await;
    let (_, view) = next.recover().await.unwrap();
    let task = view.tasks()[&task_id("1")].clone();
    let noted = next.authority().update(&task, &Change::Start).await.unwrap();
    assert!(matches!(noted, Outcome::Committed(_)), "{noted:?}");
    ended_as_a_crash(&env, next).await;
}

/// It tries until the lease has expired, and ends.
#[plain(on_etcd)]
async fn a_companion_without_etcd_leaves_the_plan_to_the_ttl() {
    let etcd = Etcd::builder().start().await;
    let address = etcd.endpoints()[0].trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::before(address);
    let env = TestEnv::on(std::sync::Arc::new(etcd.into()), "no-etcd/").await.with_ttl(SHORT);
    let program = env.program().clone().variable("PLANLEASE_ENDPOINTS", proxy.endpoint());
    let mut pair = Pair::started(&env, program.command(Pair::args("run")), true).await;
    let killed = Instant::now();
    proxy.silence();
    pair.owner.signal(Signal::SIGKILL);
    let (took, next) = pair.passed_on(&env, killed).await;
    assert!(took >= AT_LEAST, "{took:?}");
    ended_as_a_crash(&env, next).await;
}

/// Neither a signal to the program nor the end of its terminal ends it, and it keeps no file of others open.
#[case]
async fn a_companion_depends_on_nothing_of_its_owner(env: TestEnv) {
    let env = env.with_ttl(LONG);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec 7> kept-open; exec \"$PROGRAM\" \"$@\"", "sh"]).args(Pair::args("hold"));
    shell.envs(env.variables()).current_dir(env.folder());
    let mut pair = Pair::started(&env, shell, false).await;
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTSTP] {
        send(pair.companion, signal);
    }
    let session = |pid| getsid(Some(Pid::from_raw(pid))).unwrap();
    assert_eq!(session(pair.companion), Pid::from_raw(pair.companion));
    assert!(open_files(pair.owner.id()).iter().any(|file| file.ends_with("kept-open")), "the test is blind");
    let open = open_files(pair.companion);
    let foreign: Vec<_> =
        open.iter().filter(|file| !file.starts_with("socket:") && *file != "/dev/null").collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    pair.owner.signal(Signal::SIGKILL);
    let (_, next) = pair.passed_on(&env, Instant::now()).await;
    ended_as_a_crash(&env, next).await;
}

/// What a process has open, as the names of its descriptors' targets.
fn open_files(pid: i32) -> Vec<String> {
    let folder = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).unwrap();
    let targets = folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}
