//! Hosts that are dead: packets to them vanish, and no one refuses anything. On network namespaces, which are
//! hosts of their own as far as the network goes; only where the machine allows them.

use std::{sync::Arc, time::Duration};

use planlease_core::{session::Status, transition::Change};
use planlease_tests::{
    TestEnv,
    etcd::Etcd,
    hosts::Hosts,
    http::Client,
    plain,
    program::{Ended, Process},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::helpers::{TTL, acquired, committed, config, connected, id, plan, session, spec};

/// What a dead or silent member may cost, with two staggers in it.
const COST: Duration = Duration::from_millis(500);

/// How long a packet may stay unacknowledged on a fast link, until its connection counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_millis(400);

/// Some tasks, for commands that show and change them.
const PLAN: &str = "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\n[[task]]\nid = \"2\"\ndescription = \"publish\"\n";

/// The TTL of the sessions of commands.
const TTL_OF_COMMANDS: Duration = Duration::from_secs(5);

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

/// Three members on three hosts, and the environment of a test on them.
struct ThreeHosts {
    env: TestEnv,
    hosts: Arc<Hosts>,
}

impl ThreeHosts {
    async fn start() -> Self {
        let hosts = Arc::new(Hosts::start(3).unwrap());
        let etcd = Etcd::builder().members(3).on(&hosts).start().await;
        let env = TestEnv::on(Arc::new(etcd.into()), "planlease/").await.with_ttl(TTL_OF_COMMANDS);
        std::fs::write(env.path("release.toml"), PLAN).unwrap();
        let three = Self { env, hosts };
        three.run("plan import release.toml").await;
        three
    }

    fn etcd(&self) -> &Etcd {
        self.env.server.etcd().expect("a real one")
    }

    /// Runs a command that has to go well.
    async fn run(&self, command: &str) -> Ended {
        self.run_to(0, command).await
    }

    async fn run_to(&self, code: i32, command: &str) -> Ended {
        let ended = self.env.program().run(command.split(' ')).await;
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

#[plain(on_three_hosts)]
async fn f61_every_command_works_while_one_host_is_dead() {
    let three = ThreeHosts::start().await;
    for death in DEATHS {
        death.of(&three.hosts, 0);
        for command in COMMANDS.lines() {
            three.run(&command.trim().replace("NEW", &format!("{death:?}"))).await;
        }
        // It looks at each endpoint, and says which one is dead.
        let doctor = three.run_to(5, "doctor").await;
        let bad: Vec<&str> = doctor.stdout.lines().filter(|line| line.starts_with("bad")).collect();
        let dead = three.etcd().endpoints().remove(0);
        assert!(matches!(bad[..], [line] if line.contains(&dead)), "{}", doctor.stdout);
        three.hosts.heal(0);
    }
}

#[plain(on_three_hosts)]
async fn f61_a_dead_host_costs_half_a_second_at_most() {
    let three = ThreeHosts::start().await;
    let healthy = three.shortest("plan list").await;
    for death in DEATHS {
        death.of(&three.hosts, 0);
        let one_dead = three.shortest("plan list").await;
        println!("measured: plan list: {healthy:?}; with the first of three hosts {death:?}: {one_dead:?}");
        assert!(one_dead < healthy + COST, "{death:?}: {one_dead:?}, and {healthy:?} without");
        three.hosts.heal(0);
    }
    // A session and a watch have connections of their own: they begin where the first one found an answer.
    let healthy = three.shortest("hold release -- true").await;
    three.hosts.lose(0);
    let one_dead = three.shortest("hold release -- true").await;
    println!("measured: hold: {healthy:?}; with the first of three hosts dead: {one_dead:?}");
    assert!(one_dead < healthy + COST, "{one_dead:?}, and {healthy:?} without");
    three.hosts.heal(0);
    three.etcd().members()[0].pause();
    let silent = three.shortest("plan list").await;
    println!("measured: plan list with the first of three members stopped: {silent:?}");
    assert!(silent < healthy + COST, "{silent:?}");
    three.etcd().members()[0].resume();
}

#[plain(on_three_hosts)]
async fn f61_a_sidecar_starts_while_one_host_is_dead() {
    let three = ThreeHosts::start().await;
    three.hosts.lose(0);
    let socket = three.env.path("sidecar.sock");
    let command =
        three.env.program().command(["sidecar", "--socket", socket.to_str().unwrap(), "--name", "one"]);
    let process = Process::start(command, &three.env.path("sidecar.log"));
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

#[plain(on_three_hosts)]
async fn f61_without_a_majority_one_message_names_every_endpoint() {
    let three = ThreeHosts::start().await;
    let endpoints = three.etcd().endpoints();
    // The third one has lost its majority.
    DEATHS.iter().zip([0, 1]).for_each(|(death, host)| {
        Death::Unplugged.of(&three.hosts, host);
        death.of(&three.hosts, host);
    });
    for command in
        ["plan list --timeout 5s", "hold release --timeout 5s -- true", "sidecar --timeout 5s --socket s"]
    {
        let began = Instant::now();
        let ended = three.run_to(102, command).await;
        let took = began.elapsed();
        println!("measured: {command} without a majority: {took:?}: {}", ended.stderr);
        assert!(took < Duration::from_secs(8), "{took:?}");
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error:")).collect();
        let [message] = errors[..] else { panic!("{}", ended.stderr) };
        assert!(endpoints.iter().all(|endpoint| message.contains(endpoint.as_str())), "{message}");
        assert!(message.contains("majority"), "{message}");
    }
    three.hosts.heal(0);
    three.hosts.heal(1);
    until("majority", SOON, async || match three.env.program().run(["plan", "list"]).await {
        Ended { code: Some(0), .. } => Ok(()),
        ended => Err(ended.stderr),
    })
    .await;
}

/// What is under way over the dead connection is given up when the kernel finds it dead; finding another
/// endpoint, of which one more is dead, costs no more than a stagger; and there may be an election.
#[plain(on_three_hosts)]
async fn f61_work_goes_on_when_the_host_in_use_dies() {
    let hosts = Arc::new(Hosts::start(5).unwrap());
    let etcd = Etcd::builder().members(5).on(&hosts).start().await;
    let patient = config(&etcd.endpoints()).ttl(TTL * 4);
    let coordinator = connected(patient).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    for (in_use, death) in [(0, Death::Nowhere), (2, Death::Unplugged)] {
        // The next one in the list is dead as well.
        death.of(&hosts, in_use);
        death.of(&hosts, in_use + 1);
        let began = Instant::now();
        let note = Change::Progress(format!("{death:?}"));
        task = committed(owner.authority().update_attempt(&task, 1, &note).await.unwrap());
        let took = began.elapsed();
        println!("measured: an update over a host that has died ({death:?}), and one more dead: {took:?}");
        assert!(took < UNACKNOWLEDGED + COST + Duration::from_secs(3), "{took:?}");
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
    assert_eq!(
        connected(config(&etcd.endpoints())).await.admin().audit(|_| {}).await.unwrap().report.violations,
        []
    );
}

/// The host of a follower, so that no election is waited for. The kernel finds the connection dead 0.4 s
/// after the first packet that is not acknowledged, and what was under way on it is sent to another one.
#[plain(on_three_hosts)]
async fn f61_a_host_that_dies_in_use_costs_half_a_second() {
    for death in DEATHS {
        let hosts = Arc::new(Hosts::start(3).unwrap());
        let etcd = Etcd::builder().members(3).on(&hosts).start().await;
        let leader = etcd.leader().await.endpoint().to_owned();
        let mut endpoints = etcd.endpoints();
        let follower = endpoints.iter().position(|endpoint| *endpoint != leader).unwrap();
        endpoints.swap(0, follower);
        let coordinator = connected(config(&endpoints).ttl(TTL * 4)).await;
        coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
        let owner = acquired(&session(&coordinator, "owner").await).await;
        let view = coordinator.plan(&plan()).await.unwrap();
        let task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        death.of(&hosts, follower);
        let began = Instant::now();
        let note = Change::Progress("over a host that has died".to_owned());
        committed(owner.authority().update_attempt(&task, 1, &note).await.unwrap());
        let took = began.elapsed();
        println!("measured: an update over a follower's host that dies ({death:?}): {took:?}");
        assert!(took < UNACKNOWLEDGED + COST, "{took:?}");
        assert!(matches!(*owner.session().watch_status().borrow(), Status::Live { .. }), "ownership lost");
        owner.release().await.unwrap();
    }
}
