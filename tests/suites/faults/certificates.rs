//! Certificates: authorities, expiry, rotation, servers that ask for one.

use std::{path::Path, sync::Arc, time::Duration};

use planlease::{Config, Coordinator, Error, KeyPair, Secret, Tls};
use planlease_core::{session::Status, transition::Change};
use planlease_tests::{
    certificates::{A_DAY, Authority},
    etcd::{Etcd, Secured},
    http::Client,
    plain,
    program::{Process, Program},
    wait::{SOON, until},
};
use planlease_watcher::Watcher;

use crate::helpers::{acquired, committed, config, connected, id, plan, session, spec};

/// A TTL that outlives a restart.
const PATIENT: Duration = Duration::from_secs(12);

fn tls(secured: &Secured, identity: bool) -> Tls {
    let own = secured.client("worker", Some(A_DAY));
    let own = identity.then(|| KeyPair { certificate: own.certificate.into(), key: own.key.into() });
    Tls::default().ca(Secret::from(secured.authority.pem())).identity(own)
}

fn settings(etcd: &Etcd, tls: Tls) -> Config {
    config(&etcd.endpoints()).ttl(PATIENT).tls(tls)
}

#[plain(on_etcd)]
async fn f59_both_sides_are_verified() {
    let secured = Secured::new(true);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let coordinator = connected(settings(&etcd, tls(&secured, true))).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &id("1")).await.unwrap());
    owner.release().await.unwrap();
    assert_eq!(coordinator.admin().audit(|_| {}).await.unwrap().report.violations, []);

    let wrong_ca = tls(&secured, true).ca(Secret::from(Authority::new("another").pem()));
    let wrong_name = tls(&secured, true).server_name("elsewhere".to_owned());
    for (what, tls) in [
        ("another authority", wrong_ca),
        ("another name", wrong_name),
        ("no certificate of the client", tls(&secured, false)),
    ] {
        let refused = Coordinator::connect(settings(&etcd, tls)).await;
        assert!(matches!(refused, Err(Error::Tls(_))), "{what}: {refused:?}");
    }
}

/// Without `--cacert`. `SSL_CERT_FILE` names the system's bundle, as OpenSSL has it.
#[plain(on_etcd)]
async fn f59_the_systems_authorities_are_trusted_by_default() {
    let secured = Secured::new(false);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = secured.write_ca(folder.path());
    let planlease =
        Program::planlease(folder.path()).variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","));
    planlease.variable("SSL_CERT_FILE", bundle).run_to(0, ["plan", "list"]).await;

    let other = folder.path().join("other.crt");
    std::fs::write(&other, Authority::new("another").pem()).unwrap();
    let planlease =
        Program::planlease(folder.path()).variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","));
    planlease.variable("SSL_CERT_FILE", other).run_to(112, ["plan", "list"]).await;
}

/// A member that comes back with a certificate that has expired, and gets a good one some seconds later.
async fn restarted_with_a_bad_certificate(etcd: &Etcd, secured: &Secured) {
    let member = &etcd.members()[0];
    member.show(&secured.server(None));
    member.kill();
    member.restart_unseen().await;
}

#[plain(on_etcd)]
async fn f59_a_bad_certificate_for_some_seconds_ends_no_watcher() {
    let secured = Secured::new(false);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let coordinator = connected(settings(&etcd, tls(&secured, false))).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let watcher = Watcher::start(coordinator.clone());
    watcher.ready().await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    restarted_with_a_bad_certificate(&etcd, &secured).await;
    let reason = until("reason", SOON, async || {
        watcher.trouble().filter(|why| why.contains("certificate")).ok_or("none")
    })
    .await;
    println!("measured: an expired certificate is reported as: {reason}");
    let refused = coordinator.ping(Duration::from_secs(2)).await;
    assert!(matches!(refused, Err(Error::Tls(_))), "{refused:?}");
    assert!(watcher.error().is_none(), "the watcher has ended");

    // What is asked while the certificate is bad is answered when it is good again.
    let asked = crate::helpers::background({
        let coordinator = coordinator.clone();
        async move { coordinator.plan(&plan()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    etcd.members()[0].show(&secured.server(Some(A_DAY)));
    let view = asked.await.unwrap().unwrap();
    assert!(matches!(owner.session().status(), Status::Live { .. }), "{:?}", owner.session().status());
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let done =
        committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
    watcher.wait_for(done.revision, SOON).await.unwrap();
    assert_eq!(watcher.trouble(), None);
    owner.release().await.unwrap();
    watcher.close().await.unwrap();
    assert_eq!(coordinator.admin().audit(|_| {}).await.unwrap().report.violations, []);
}

/// The program with a folder and the files of an authority.
fn program(etcd: &Etcd, secured: &Secured, folder: &Path) -> Program {
    std::fs::write(
        folder.join("release.toml"),
        "title = \"Release\"\n[[task]]\nid = \"1\"\ndescription = \"tag\"\n",
    )
    .unwrap();
    Program::planlease(folder)
        .variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","))
        .variable("PLANLEASE_CACERT", secured.write_ca(folder))
        .variable("PLANLEASE_TTL", "30s")
}

#[plain(on_etcd)]
async fn f59_programs_go_on_after_a_bad_certificate() {
    let secured = Secured::new(false);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&etcd, &secured, folder.path());
    program.run_to(0, ["plan", "import", "release.toml"]).await;
    let start = |args: &[&str]| Process::start(program.command(args), &folder.path().join(args[0]));
    let socket = folder.path().join("socket");
    let sidecar = start(&["sidecar", "--socket", "socket", "--name", "one"]);
    let mut watch = start(&["watch", "release"]);
    let mut mirror = start(&["mirror", "release", "status.json"]);
    let mut hold = start(&["hold", "release", "--", "sh", "-c", "echo owned; cat"]);
    let client = Client::of(&socket);
    let readiness = async |wanted: u16, word: &str| {
        until(&format!("{wanted} of /readyz with {word:?}"), SOON, async || {
            if !socket.exists() {
                return Err(sidecar.said());
            }
            let ready = client.get("/readyz").await;
            if ready.status == wanted && ready.text.contains(word) { Ok(()) } else { Err(ready.text) }
        })
        .await;
    };
    readiness(200, "ok").await;
    let status = folder.path().join("status.json");
    until("state file", SOON, async || status.exists().then_some(()).ok_or_else(|| mirror.said())).await;
    hold.until_said("owned", SOON).await;

    restarted_with_a_bad_certificate(&etcd, &secured).await;
    readiness(503, "certificate").await;
    assert_eq!(client.get("/livez").await.status, 200);
    assert!(sidecar.said().contains("certificate"), "{}", sidecar.said());
    for process in [&mut watch, &mut mirror] {
        process.until_said("certificate", SOON).await;
    }
    etcd.members()[0].show(&secured.server(Some(A_DAY)));
    readiness(200, "ok").await;
    client.get("/v1/plans/release").await.with(200);
    program.run_to(0, ["task", "skip", "release", "1", "--reason", "enough"]).await;
    watch.until_said("enough", SOON).await;
    until("change in the state file", SOON, async || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if text.contains("skipped") { Ok(()) } else { Err(text) }
    })
    .await;
    for process in [&mut watch, &mut mirror, &mut hold] {
        assert_eq!(process.ended(), None, "{}", process.said());
    }
    hold.close_input();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
}

#[plain(on_three_members)]
async fn f59_a_bad_certificate_fails_over_to_the_next_endpoint() {
    let secured: Arc<Secured> = Secured::new(false);
    let etcd = Etcd::builder().members(3).secured(&secured).start().await;
    let bad = Authority::new("another").issue("m0", &[std::net::Ipv4Addr::LOCALHOST.into()], Some(A_DAY));
    etcd.members()[0].show(&bad);
    // At the first connection …
    let coordinator = connected(settings(&etcd, tls(&secured, false))).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let watcher = Watcher::start(coordinator.clone());
    watcher.ready().await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    // … and at a later one, where the only other endpoint is the bad one.
    etcd.members()[1].kill();
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    watcher.wait_for(started.revision, SOON).await.unwrap();
    owner.release().await.unwrap();
    // If no endpoint can be used, the message has the reason of each.
    etcd.members()[2].show(&bad);
    let Err(Error::Tls(why)) = Coordinator::connect(settings(&etcd, tls(&secured, false))).await else {
        panic!("connected")
    };
    let why = why.to_string();
    assert!(etcd.endpoints().iter().all(|endpoint| why.contains(endpoint.as_str())), "{why}");
    assert!(why.contains("certificate") && why.contains("refused"), "{why}");
}

/// A client's certificate of some seconds, as an issuer of short-lived ones gives.
const BRIEF: Duration = Duration::from_secs(8);

#[plain(on_etcd)]
async fn f59_certificates_are_rotated_under_a_running_sidecar() {
    let secured = Secured::new(true);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let folder = tempfile::tempdir().unwrap();
    let issue = |lifetime| secured.client("worker", Some(lifetime)).write(folder.path(), "own").unwrap();
    let (certificate, key) = issue(A_DAY);
    let program = program(&etcd, &secured, folder.path())
        .variable("PLANLEASE_CERT", certificate)
        .variable("PLANLEASE_KEY", key);
    program.run_to(0, ["plan", "import", "release.toml"]).await;
    issue(BRIEF);
    let start = |args: &[&str]| Process::start(program.command(args), &folder.path().join(args[0]));
    let socket = folder.path().join("socket");
    let sidecar = start(&["sidecar", "--socket", "socket", "--name", "one"]);
    let mut hold = start(&["hold", "release", "--", "sh", "-c", "echo owned; cat"]);
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if socket.exists() && client.get("/readyz").await.status == 200 {
            Ok(())
        } else {
            Err(sidecar.said())
        }
    })
    .await;
    hold.until_said("owned", SOON).await;

    // It expires, and every connection has to be made again: the answers are true.
    tokio::time::sleep(BRIEF).await;
    etcd.members()[0].kill();
    etcd.members()[0].restart_unseen().await;
    until("503 of /readyz with the cause", SOON, async || {
        let ready = client.get("/readyz").await;
        if ready.status == 503 && ready.text.contains("certificate") { Ok(()) } else { Err(ready.text) }
    })
    .await;
    issue(A_DAY);
    until("a sidecar that is ready again", SOON, async || {
        let ready = client.get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    client.get("/v1/plans/release").await.with(200);
    let owner = client.get("/v1/plans/release/owner").await.with(200);
    assert_eq!(hold.ended(), None, "{}{}", hold.said(), owner.text);
    hold.close_input();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    program.run_to(0, ["audit"]).await;
}

/// The authority is replaced: the client's file first, then the server's certificate.
#[plain(on_etcd)]
async fn f59_a_new_authority_is_trusted_without_a_restart() {
    let secured = Secured::new(false);
    let etcd = Etcd::builder().secured(&secured).start().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = Secret::File(secured.write_ca(folder.path()));
    let coordinator = connected(settings(&etcd, Tls::default().ca(ca))).await;
    coordinator.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&coordinator, "owner").await).await;
    let next = Authority::new("the next one");
    let both = format!("{}{}", secured.authority.pem(), next.pem());
    planlease_tests::certificates::replace(&folder.path().join("ca.crt"), &both).unwrap();
    etcd.members()[0].show(&next.issue("m0", &[std::net::Ipv4Addr::LOCALHOST.into()], Some(A_DAY)));
    etcd.members()[0].kill();
    etcd.members()[0].restart_unseen().await;
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &id("1")).await.unwrap());
    assert!(matches!(owner.session().status(), Status::Live { .. }), "{:?}", owner.session().status());
    // A file that is not what it should be, for a moment: the time of an operation is enough.
    let path = folder.path().join("ca.crt");
    planlease_tests::certificates::replace(&path, "half of a certif").unwrap();
    etcd.members()[0].kill();
    etcd.members()[0].restart_unseen().await;
    let asked = crate::helpers::background({
        let coordinator = coordinator.clone();
        async move { coordinator.plan(&plan()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    planlease_tests::certificates::replace(&path, &both).unwrap();
    asked.await.unwrap().unwrap();
    owner.release().await.unwrap();
}
