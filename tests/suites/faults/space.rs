//! The space on etcd's disk: used up, and free again.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Client, DeleteOptions};
use planlease::{Error, Outcome};
use planlease_core::{PlanName, session::Status, transition::Change};
use planlease_tests::{
    disk::Disk,
    etcd::Etcd,
    packages::not_run,
    plain,
    program::{Process, Program},
    wait::SOON,
};
use tokio::time::Instant;

use crate::helpers::{Pair, TTL, acquired, audit, committed, finishes, id, plan, spec};

/// What an operator does then.
async fn free_space(etcd: &Etcd) {
    let options = DeleteOptions::new().with_prefix();
    etcd.client(0).await.delete("filler/", Some(options)).await.unwrap();
    etcd.compact().await;
    etcd.defragment().await;
    etcd.disarm().await;
}

#[plain(on_etcd)]
async fn f35_a_full_disk_refuses_writes_only_until_it_has_space() {
    let etcd = Etcd::builder().proxied(true).quota(8 * 1024 * 1024).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    etcd.fill().await;
    let authority = pair.owner.authority();
    let outcome = authority.update_attempt(&pair.started, 1, &Change::Progress("more".into())).await;
    // Refused or not, it may have been applied: etcd itself says so of this error.
    let op_id = match outcome {
        Ok(Outcome::Unknown { op_id, ref reason }) if reason.contains("space exceeded") => op_id,
        other => panic!("{other:?}"),
    };
    let imported = pair.observer.admin().import(&PlanName::new("other").unwrap(), &spec(1), |_| {}).await;
    assert!(matches!(imported, Err(Error::NoSpace(_))), "{imported:?}");
    // Reading and renewing go on, for longer than the TTL.
    let began = Instant::now();
    while began.elapsed() < TTL * 2 {
        let view = pair.exposed.plan(&plan()).await.unwrap();
        assert_eq!(view.tasks()[&id("1")], pair.started, "not applied this time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(pair.owner.session().status(), Status::Live { .. }));
    free_space(&etcd).await;
    let task = committed(
        authority.update_attempt(&pair.started, 1, &Change::Progress("late".into())).await.unwrap(),
    );
    pair.owner.release().await.unwrap();
    finishes(pair.waiting.await.unwrap().unwrap().0).await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(op_id), None);
    assert!(task.revision > pair.started.revision);
}

/// A release needs no space, and hands nothing over: a takeover does. So no process is stuck behind one that
/// is done.
#[plain(on_etcd)]
async fn f35_a_plan_released_on_a_full_disk_is_taken_over_later() {
    let etcd = Etcd::builder().proxied(true).quota(8 * 1024 * 1024).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    etcd.fill().await;
    let owners_session = pair.owner.session().clone();
    pair.owner.release().await.expect("a release needs no space");
    let waited = pair.waiting.await.unwrap();
    assert!(matches!(waited, Err(Error::NoSpace(_))), "{:?}", waited.map(|(ownership, _)| ownership));
    owners_session.close().await.unwrap();
    free_space(&etcd).await;
    finishes(*acquired(&pair.next).await).await;
    audit(&etcd).await;
}

/// etcd answers nothing meanwhile: an update is not reported as done, an owner that cannot renew stops in
/// time, and there is no takeover before etcd can write again.
#[plain(on_etcd)]
async fn f66_no_takeover_while_the_disk_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = match Disk::mounted_in(folder.path()) {
        Ok(disk) => disk,
        Err(why) => return not_run("f66, which takes root and a loop device", &why),
    };
    let etcd = Etcd::builder().proxied(true).durable(true).within(disk.path()).start().await;
    // The session of the one that waits outlives the stall, the owner's does not.
    let Pair { observer, owner, started, waiting, .. } = Pair::on(&etcd, TTL * 10).await;
    let stall = TTL * 2;
    // It ends so long after this, or later.
    let began = Instant::now();
    disk.stall(stall);
    let change = Change::Progress("written to a disk that stalls".into());
    let outcome = owner.authority().update_attempt(&started, 1, &change).await.unwrap();
    let answered = began.elapsed();
    // On a busy machine it may be given up; it is written all the same.
    let op_id = match outcome {
        Outcome::Committed(task) => {
            assert!(answered >= stall, "reported as done after {answered:?}, when nothing could be written");
            task.record.op_id
        }
        Outcome::Unknown { op_id, .. } => op_id,
        other => panic!("{other:?}"),
    };
    let disk = disk.resumed().await;
    if matches!(owner.session().status(), Status::Live { .. }) {
        owner.release().await.unwrap();
    }
    let (next, acquired) = waiting.await.unwrap().unwrap();
    assert!(acquired.duration_since(began) >= stall, "taken over while the disk stalled");
    finishes(next).await;
    let audited = audit(&etcd).await;
    assert!(audited.audit.find_write(op_id).is_some(), "the update is in the history");
    drop((observer, etcd)); // Before the disk that etcd writes to.
    drop(disk);
}

/// A server whose data are on a disk of 64 MiB of its own, which only its process sees.
async fn on_a_small_disk(folder: &std::path::Path) -> (Process, Client) {
    let program = Program::planlease(folder);
    let dev = program.command(["dev", "--listen", "127.0.0.1:0", "--data-dir", "/mnt/data"]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--kill-child", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=64m none /mnt && exec \"$0\" \"$@\"");
    command.arg(dev.get_program()).args(dev.get_args());
    command.env_clear();
    for (name, value) in dev.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("PATH", std::env::var_os("PATH").expect("a path"));
    let process = Process::start(command, &folder.join("log"));
    let said = process.until_said("use it with", SOON).await;
    let (_, rest) = said.split_once("listening on ").expect("where it listens");
    let (endpoint, _) = rest.split_once(',').expect("where it listens");
    (process, Client::connect([endpoint], None).await.unwrap())
}

#[plain(on_embedded)]
async fn f35_on_a_full_disk_the_local_server_deletes_and_compacts() {
    let folder = tempfile::tempdir().unwrap();
    let (process, mut client) = on_a_small_disk(folder.path()).await;
    for number in 0..20 {
        client.put(format!("large/{number}"), vec![b'x'; 100_000], None).await.unwrap();
    }
    // Another program fills the disk to the last byte.
    let filler = format!("/proc/{}/root/mnt/filler", process.id());
    let zeros = vec![0; 1 << 20];
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
    drop(file);
    let mut refused = None;
    for number in 0..3 {
        refused = client.put(format!("more/{number}"), "x", None).await.err().or(refused);
    }
    let refused = refused.expect("a refusal").to_string();
    assert!(refused.contains("etcdserver: mvcc: database space exceeded"), "{refused}");
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    assert_eq!(alarms.alarms().len(), 1, "and says so");

    let prefix = || Some(DeleteOptions::new().with_prefix());
    let deleted = client.delete("large/", prefix()).await.expect("deletions are accepted");
    let now = deleted.header().unwrap().revision();
    let physical = etcd_client::CompactionOptions::new().with_physical();
    client.compact(now, Some(physical)).await.expect("compactions too");
    client.get("large/0", None).await.expect("and reads");

    std::fs::remove_file(&filler).unwrap();
    client.put("more", "x", None).await.expect("there is space again");
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    assert!(alarms.alarms().is_empty());
}
