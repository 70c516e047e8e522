//! Programs behind a sidecar, over HTTP: what the library does, done through it.

use futures_util::future::join_all;
use http::Method;
use planlease_core::{
    PlanName,
    spec::{PlanSpec, TaskSpec},
};
use planlease_tests::{
    http::{Client, Connection, Events},
    program::Process,
    test_env::{TestEnv, path_text, plan_name, task_id},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::updates::ROUND;

/// More than anything here asks for: the limit is not what is measured.
const REQUESTS_PER_SECOND: &str = "1000000";

/// What a program knows of a task.
struct Task {
    path: String,
    tag: String,
    connection: Connection,
}

/// A sidecar, and a program behind it that owns a plan of its own and updates its tasks.
pub(crate) struct Sidecar {
    owner: Candidate,
    tasks: Vec<Task>,
    _process: Process,
}

/// A program that wants a plan for as long as its connection stands. Dropping it closes that.
pub(crate) struct Candidate {
    client: Client,
    path: String,
    session: String,
    events: Events,
}

/// Starts a sidecar with these flags besides, at `sidecar.sock`, and waits until it is ready.
pub(crate) async fn started(env: &TestEnv, flags: &[&str]) -> (Process, Client) {
    let socket = env.path("sidecar.sock");
    let args: Vec<_> =
        ["sidecar", "--socket", path_text(&socket)].into_iter().chain(flags.iter().copied()).collect();
    let process = env.start(&args, "sidecar");
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        let ready = socket.exists() && client.get("/readyz").await.status == 200;
        if ready { Ok(()) } else { Err(process.said()) }
    })
    .await;
    (process, client)
}

impl Sidecar {
    /// As many tasks as are in flight, all in progress.
    pub(crate) async fn start(env: &TestEnv, in_flight: usize) -> Self {
        let plan = plan_name("through-sidecar");
        let tasks = (0..in_flight).map(|n| TaskSpec::new(task_id(&n.to_string()), "work")).collect();
        let spec = PlanSpec { title: "updates".into(), tasks, ..PlanSpec::default() };
        env.coordinator().await.admin().import(&plan, &spec, |_| {}).await.unwrap();
        let limit = ["--max-requests-per-second", REQUESTS_PER_SECOND];
        let (process, client) = started(env, &limit).await;
        let mut owner = Candidate::new(&client, &plan).await;
        owner.granted().await;
        let tasks = join_all((0..in_flight).map(async |n| {
            let path = format!("/v1/plans/{plan}/tasks/{n}");
            let mut connection = client.connect().await;
            let tag = connection.ask(Method::GET, &path, &[], "").await.with(200).etag();
            let mut task = Task { path, tag, connection };
            task.change(&owner.session, r#"{"change": "start"}"#).await;
            task
        }))
        .await;
        Self { owner, tasks, _process: process }
    }

    /// Each task is changed in a loop of its own, over a new connection: an idle one is closed by the
    /// sidecar.
    pub(crate) async fn updates(&mut self) -> Vec<usize> {
        let client = &self.owner.client;
        let connected = self.tasks.iter_mut().map(async |task| task.connection = client.connect().await);
        join_all(connected).await;
        let began = Instant::now();
        let session = &self.owner.session;
        let all = self.tasks.iter_mut().map(async |task| {
            let mut count = 0;
            while began.elapsed() < ROUND {
                task.change(session, &format!(r#"{{"change": "progress", "progress": "{count}"}}"#)).await;
                count += 1;
            }
            count
        });
        join_all(all).await
    }
}

impl Candidate {
    /// It is in the queue when this returns, or soon after.
    pub(crate) async fn new(client: &Client, plan: &PlanName) -> Self {
        let path = format!("/v1/plans/{plan}/ownership");
        let mut events = client.stream(Method::POST, &path, &[], "{}").await;
        let session = events.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
        Self { client: client.clone(), path, session, events }
    }

    /// Waits until the plan is its own.
    pub(crate) async fn granted(&mut self) {
        self.events.until("granted", SOON).await;
    }

    pub(crate) async fn release(&self) {
        let headers = [("planlease-session", self.session.as_str())];
        self.client.ask(Method::DELETE, &self.path, &headers, "").await.with(204);
    }
}

impl Task {
    async fn change(&mut self, session: &str, change: &str) {
        let headers = [("if-match", self.tag.as_str()), ("planlease-session", session)];
        let changed = self.connection.ask(Method::PATCH, &self.path, &headers, change).await.with(200);
        self.tag = changed.etag();
    }
}
