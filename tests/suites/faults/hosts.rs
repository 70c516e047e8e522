//! Hosts that are dead: packets to them vanish, and no one refuses anything. On network namespaces, which are
//! hosts of their own as far as the network goes; only where the machine allows them.

use std::{path::Path, sync::Arc, time::Duration};

use planlease::Config;
use planlease_core::{session::Status, transition::Change};
use planlease_tests::{
    etcd::Etcd,
    hosts::Hosts,
    http::Client,
    program::{Ended, Process, Program},
    suite::PlainCase,
    wait::{SOON, until},
};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::fleet::{TTL, acquired, committed, config, connected, id, plan, session, spec};

pub(crate) fn cases() -> Vec<PlainCase> {
    if !Hosts::allowed() {
        return Vec::new();
    }
    crate::scenarios![
        "on_three_hosts::hosts": [
            f61_every_command_works_while_one_host_is_dead,
            f61_a_dead_host_costs_half_a_second_at_most,
            f61_a_sidecar_starts_while_one_host_is_dead,
            f61_without_a_majority_one_message_names_every_endpoint,
            f61_work_goes_on_when_the_host_in_use_dies,
        ],
    ]
}

/// What a dead or silent member may cost, with two staggers in it.
const COST: Duration = Duration::from_millis(500);

/// Some tasks, for commands that show and change them.
const PLAN: &str = "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\n[[task]]\nid = \"2\"\ndescription = \"publish\"\n";

/// How a host is dead.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// This side sends to an address that no card has.
    Nowhere,
    /// Its link is down.
    Unplugged,
}

const DEATHS: [Death; 2] = [Death::Nowhere, Death::Unplugged];

impl Death {
    fn of(self, hosts: &Hosts, host: usize) {
        match self {
            Self::Nowhere => hosts.lose(host),
            Self::Unplugged => hosts.unplug(host),
        }
    }
}

/// Three members on three hosts, and the program.
struct Scene {
    etcd: Etcd,
    hosts: Arc<Hosts>,
    folder: TempDir,
    program: Program,
}

impl Scene {
    async fn new() -> Self {
        let hosts = Arc::new(Hosts::start(3).unwrap());
        let etcd = Etcd::builder().members(3).on(&hosts).start().await;
        let folder = tempfile::tempdir().unwrap();
        let program = Program::planlease(folder.path())
            .variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","))
            .variable("PLANLEASE_TTL", "5s");
        std::fs::write(folder.path().join("release.toml"), PLAN).unwrap();
        let scene = Self { etcd, hosts, folder, program };
        scene.run("plan import release.toml").await;
        scene
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command that has to go well.
    async fn run(&self, command: &str) -> Ended {
        self.run_to(0, command).await
    }

    async fn run_to(&self, code: i32, command: &str) -> Ended {
        let ended = self.program.run(command.split(' ')).await;
        assert_eq!(ended.code, Some(code), "planlease {command}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    /// The shortest of three runs: the machine may be busy.
    async fn shortest(&self, command: &str) -> Duration {
        let mut shortest = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            self.run(command).await;
            shortest = shortest.min(began.elapsed());
        }
        shortest
    }
}

/// Every command that connects, `NEW` being a plan that one of them makes.
const COMMANDS: &str = "\
    plan import release.toml --name NEW
    plan list
    plan show release
    plan diff release.toml
    plan update release.toml
    plan pause release --reason test
    plan resume release
    status
    status release
    next release
    why release
    deps release
    phases release
    estimate release
    locks release
    task list release
    task show release 1
    owner show release
    owner history release
    orchestrator list
    worktree list
    findings write NEW 1 --content text
    findings list release
    export release
    mirror release status.json --once
    hold release -- true
    lock release deploy -- true
    run NEW --exec true
    watch NEW --until-finished
    audit
    plan archive NEW
    plan delete NEW --yes";

async fn f61_every_command_works_while_one_host_is_dead() {
    let scene = Scene::new().await;
    for death in DEATHS {
        death.of(&scene.hosts, 0);
        for command in COMMANDS.lines() {
            scene.run(&command.trim().replace("NEW", &format!("{death:?}"))).await;
        }
        // It looks at each endpoint, and says which one is dead.
        let doctor = scene.run_to(5, "doctor").await;
        let bad: Vec<&str> = doctor.stdout.lines().filter(|line| line.starts_with("bad")).collect();
        let dead = scene.etcd.endpoints().remove(0);
        assert!(matches!(bad[..], [line] if line.contains(&dead)), "{}", doctor.stdout);
        scene.hosts.heal(0);
    }
}

async fn f61_a_dead_host_costs_half_a_second_at_most() {
    let scene = Scene::new().await;
    let healthy = scene.shortest("plan list").await;
    for death in DEATHS {
        death.of(&scene.hosts, 0);
        let one_dead = scene.shortest("plan list").await;
        println!("measured: plan list: {healthy:?}; with the first of three hosts {death:?}: {one_dead:?}");
        assert!(one_dead < healthy + COST, "{death:?}: {one_dead:?}, and {healthy:?} without");
        scene.hosts.heal(0);
    }
    // A session and a watch have connections of their own: they begin where the first one found an answer.
    let healthy = scene.shortest("hold release -- true").await;
    scene.hosts.lose(0);
    let one_dead = scene.shortest("hold release -- true").await;
    println!("measured: hold: {healthy:?}; with the first of three hosts dead: {one_dead:?}");
    assert!(one_dead < healthy + COST, "{one_dead:?}, and {healthy:?} without");
    scene.hosts.heal(0);
    scene.etcd.members()[0].pause();
    let silent = scene.shortest("plan list").await;
    println!("measured: plan list with the first of three members stopped: {silent:?}");
    assert!(silent < healthy + COST, "{silent:?}");
    scene.etcd.members()[0].resume();
}

async fn f61_a_sidecar_starts_while_one_host_is_dead() {
    let scene = Scene::new().await;
    scene.hosts.lose(0);
    let socket = scene.path().join("sidecar.sock");
    let command = scene.program.command(["sidecar", "--socket", socket.to_str().unwrap(), "--name", "one"]);
    let process = Process::start(command, &scene.path().join("sidecar.log"));
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if !socket.exists() {
            return Err(process.said());
        }
        let ready = client.get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    client.get("/v1/plans/release").await.with(200);
}

async fn f61_without_a_majority_one_message_names_every_endpoint() {
    let scene = Scene::new().await;
    let endpoints = scene.etcd.endpoints();
    // The third one has lost its majority.
    DEATHS.iter().zip([0, 1]).for_each(|(death, host)| {
        Death::Unplugged.of(&scene.hosts, host);
        death.of(&scene.hosts, host);
    });
    for command in
        ["plan list --timeout 5s", "hold release --timeout 5s -- true", "sidecar --timeout 5s --socket s"]
    {
        let began = Instant::now();
        let ended = scene.run_to(102, command).await;
        let took = began.elapsed();
        println!("measured: {command} without a majority: {took:?}: {}", ended.stderr);
        assert!(took < Duration::from_secs(8), "{took:?}");
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error:")).collect();
        let [message] = errors[..] else { panic!("{}", ended.stderr) };
        assert!(endpoints.iter().all(|endpoint| message.contains(endpoint.as_str())), "{message}");
        assert!(message.contains("majority"), "{message}");
    }
    scene.hosts.heal(0);
    scene.hosts.heal(1);
    until("majority", SOON, async || match scene.program.run(["plan", "list"]).await {
        Ended { code: Some(0), .. } => Ok(()),
        ended => Err(ended.stderr),
    })
    .await;
}

/// What is under way over the dead connection is given up after the time of a request; finding another
/// endpoint, of which one more is dead, costs no more than a stagger.
async fn f61_work_goes_on_when_the_host_in_use_dies() {
    let hosts = Arc::new(Hosts::start(5).unwrap());
    let etcd = Etcd::builder().members(5).on(&hosts).start().await;
    let patient = Config { ttl: TTL * 4, ..config(&etcd.endpoints()) };
    let request = patient.request_timeout;
    let coordinator = connected(patient).await;
    coordinator.import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    for (in_use, death) in [(0, Death::Nowhere), (2, Death::Unplugged)] {
        // The next one in the list is dead as well.
        death.of(&hosts, in_use);
        death.of(&hosts, in_use + 1);
        let began = Instant::now();
        let note = Change::Progress(format!("{death:?}"));
        task = committed(owner.authority().update(&task, Some(1), &note).await.unwrap());
        let took = began.elapsed();
        println!("measured: an update over a host that has died ({death:?}), and one more dead: {took:?}");
        assert!(took < request + COST + Duration::from_secs(3), "{took:?}");
        if in_use == 0 {
            hosts.heal(0);
            hosts.heal(1);
        }
    }
    let renewed = owner.session().watch_status();
    assert!(matches!(*renewed.borrow(), Status::Live { .. }), "the ownership was lost");
    owner.release().await.unwrap();
    hosts.heal(2);
    hosts.heal(3);
    assert_eq!(connected(config(&etcd.endpoints())).await.audit(|_| {}).await.unwrap().report.violations, []);
}
