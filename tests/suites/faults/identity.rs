//! Users, passwords, tokens, roles: changed while programs work.

use std::time::Duration;

use etcd_client::{Client, Permission, PermissionType};
use planlease::{Config, Coordinator, Credentials, Error, Outcome, Refused};
use planlease_core::{session::Status, transition::Change};
use planlease_tests::{
    etcd::{Builder, Etcd},
    http, plain,
    program::{Process, Program},
    wait::{SOON, until},
};
use planlease_watcher::{Filter, Watcher};

use crate::helpers::{TTL, acquired, committed, config, connected, ends, id, plan, session, spec};

/// A TTL that outlives a restart.
const PATIENT: Duration = Duration::from_secs(12);

/// With passwords that are checked fast: the real cost would make every new token slow on a busy machine.
fn quick_passwords() -> Builder {
    Etcd::builder().argument("--bcrypt-cost=4")
}

/// Turns on authentication: `root`, and `worker` who may do what planlease needs.
async fn guarded(etcd: &Etcd) -> Client {
    let mut admin = etcd.client(0).await;
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("worker", "work", None).await.unwrap();
    admin.role_add("workers").await.unwrap();
    let ours = Permission::new(PermissionType::Readwrite, "/planlease/").with_prefix();
    admin.role_grant_permission("workers", ours).await.unwrap();
    admin.user_grant_role("worker", "workers").await.unwrap();
    admin.auth_enable().await.unwrap();
    let options =
        etcd_client::ConnectOptions::new().with_user("root", "secret").with_auto_token_refresh(true);
    Client::connect(etcd.endpoints(), Some(options)).await.unwrap()
}

fn credentials(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::of_user(user).password(password))
}

fn worker(etcd: &Etcd, ttl: Duration) -> Config {
    config(&etcd.endpoints()).ttl(ttl).credentials(credentials("worker", "work"))
}

/// Asked by who may read everything.
async fn audit(etcd: &Etcd) {
    let root = config(&etcd.endpoints()).credentials(credentials("root", "secret"));
    let audited = connected(root).await.admin().audit(|_| {}).await.unwrap();
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0);
}

/// Simple tokens live in the server's memory.
#[plain(on_etcd)]
async fn f32_a_server_that_forgets_all_tokens_costs_nothing() {
    let etcd = quick_passwords().start().await;
    drop(guarded(&etcd).await);
    let coordinator = connected(worker(&etcd, PATIENT)).await;
    coordinator.admin().import(&plan(), &spec(2), |_| {}).await.unwrap();
    let watcher = Watcher::start(coordinator.clone());
    let _subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    for task in ["1", "2"] {
        let member = &etcd.members()[0];
        member.kill();
        member.restart_unseen().await;
        let view = coordinator.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id(task)).await.unwrap());
        let done = Change::Complete(None);
        let done = committed(owner.authority().update_attempt(&started, 1, &done).await.unwrap());
        watcher.wait_for(done.revision, SOON).await.unwrap();
    }
    assert!(matches!(owner.session().status(), Status::Live { .. }), "{:?}", owner.session().status());
    assert_eq!(watcher.health().resyncs, 0);
    owner.release().await.unwrap();
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

/// How often anything was asked of the server.
fn requests(coordinator: &Coordinator) -> u64 {
    coordinator.traffic().values().sum()
}

/// The old one is worth nothing as soon as the token is.
#[plain(on_etcd)]
async fn f32_a_changed_password_ends_the_owner_without_a_storm() {
    let etcd = quick_passwords().argument("--auth-token-ttl=1").start().await;
    let mut admin = guarded(&etcd).await;
    let coordinator = connected(worker(&etcd, TTL)).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let authority = owner.authority();
    admin.user_change_password("worker", "new").await.unwrap();
    let ending = ends(owner);
    let refused = until("refusal", SOON, async || {
        match authority.update_attempt(&started, 1, &Change::Progress("still there".into())).await {
            Err(Error::Unauthenticated(cause)) => Ok(cause),
            Ok(Outcome::Refused(Refused::AuthorityLost(loss))) => panic!("nothing was said before {loss}"),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    println!("measured: a changed password is reported as: {refused}");
    let before = requests(&coordinator);
    let (loss, ..) = ending.await.unwrap();
    assert!(matches!(loss, planlease::Loss::Session(_)), "{loss:?}");
    let asked = requests(&coordinator) - before;
    assert!(asked < 60, "a storm: {asked} requests within a TTL");
    let again = Coordinator::connect(worker(&etcd, TTL).credentials(credentials("worker", "new")));
    let again = again.await.unwrap();
    let owner = session(&again, "again").await.acquire(&plan(), planlease::AcquireOptions::default()).await;
    owner.unwrap().release().await.unwrap();
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f34_a_role_that_is_revoked_stops_the_writes_without_a_storm() {
    let etcd = quick_passwords().start().await;
    let mut admin = guarded(&etcd).await;
    let coordinator = connected(worker(&etcd, TTL)).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    admin.user_revoke_role("worker", "workers").await.unwrap();
    let before = requests(&coordinator);
    let began = tokio::time::Instant::now();
    while began.elapsed() < TTL * 2 {
        let outcome = owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await;
        match outcome {
            Err(Error::PermissionDenied(_)) => {}
            Ok(Outcome::Refused(Refused::AuthorityLost(_))) => break,
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    println!("measured: after the role was revoked: {:?}", owner.session().status());
    let asked = requests(&coordinator) - before;
    assert!(asked < 150, "a storm: {asked} requests");
    admin.user_grant_role("worker", "workers").await.unwrap();
    let lost = !matches!(owner.session().status(), Status::Live { .. });
    drop(owner);
    let next = connected(worker(&etcd, TTL)).await;
    let owner =
        session(&next, "next").await.acquire(&plan(), planlease::AcquireOptions::default()).await.unwrap();
    let (recovered, _) = owner.recover().await.unwrap();
    assert_eq!(recovered.len(), 1, "nothing was written meanwhile");
    println!("measured: the ownership was lost with the role: {lost}");
    owner.release().await.unwrap();
    audit(&etcd).await;
}

/// The server has the new password some seconds before the file has.
#[plain(on_etcd)]
async fn f32_a_password_is_rotated_under_running_programs() {
    let etcd = quick_passwords().start().await;
    let mut admin = guarded(&etcd).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "work\n").unwrap();
    let toml = "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\n";
    std::fs::write(folder.path().join("release.toml"), toml).unwrap();
    let program = Program::planlease(folder.path())
        .variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","))
        .variable("PLANLEASE_USER", "worker")
        .variable("PLANLEASE_PASSWORD_FILE", &file)
        .variable("PLANLEASE_TTL", "20s");
    program.run_to(0, ["plan", "import", "release.toml"]).await;
    let start = |args: &[&str]| Process::start(program.command(args), &folder.path().join(args[0]));
    let socket = folder.path().join("socket");
    let sidecar = start(&["sidecar", "--socket", "socket", "--name", "one"]);
    let mut watch = start(&["watch", "release"]);
    let mut hold = start(&["hold", "release", "--", "sh", "-c", "echo owned; cat"]);
    let http = http::Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if socket.exists() && http.get("/readyz").await.status == 200 { Ok(()) } else { Err(sidecar.said()) }
    })
    .await;
    hold.until_said("owned", SOON).await;

    admin.user_change_password("worker", "new").await.unwrap();
    until("503 of /readyz with the cause", SOON, async || {
        let ready = http.get("/readyz").await;
        if ready.status == 503 && ready.text.contains("password") { Ok(()) } else { Err(ready.text) }
    })
    .await;
    std::fs::write(&file, "new\n").unwrap();
    until("a sidecar that is ready again", SOON, async || {
        let ready = http.get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    http.get("/v1/plans/release").await.with(200);
    program.run_to(0, ["task", "skip", "release", "1", "--reason", "enough"]).await;
    watch.until_said("enough", SOON).await;
    assert_eq!((watch.ended(), hold.ended()), (None, None), "{}{}", watch.said(), hold.said());
    hold.close_input();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
}

/// Tokens that the server signs, and that are worth nothing after two seconds.
#[plain(on_etcd)]
async fn f32_signed_tokens_expire_without_a_cost() {
    let folder = tempfile::tempdir().unwrap();
    let (public, private) = signing_keys(folder.path());
    let jwt = format!("--auth-token=jwt,pub-key={public},priv-key={private},sign-method=ES256,ttl=2s");
    let etcd = quick_passwords().argument(jwt).start().await;
    drop(guarded(&etcd).await);
    let coordinator = connected(worker(&etcd, PATIENT)).await;
    coordinator.admin().import(&plan(), &spec(2), |_| {}).await.unwrap();
    let watcher = Watcher::start(coordinator.clone());
    watcher.ready().await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    for task in ["1", "2"] {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let view = coordinator.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id(task)).await.unwrap());
        let done =
            committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
        watcher.wait_for(done.revision, SOON).await.unwrap();
    }
    assert!(matches!(owner.session().status(), Status::Live { .. }), "{:?}", owner.session().status());
    assert_eq!(watcher.health().resyncs, 0);
    owner.release().await.unwrap();
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

/// The files of a key pair for signing.
fn signing_keys(folder: &std::path::Path) -> (String, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let path = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    (path("public.pem", pair.public_key_pem()), path("private.pem", pair.serialize_pem()))
}
