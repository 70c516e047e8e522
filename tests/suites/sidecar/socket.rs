//! The socket of a sidecar: whose it is, and who may replace it.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use nix::sys::signal::Signal;
use planlease_socket::{Found, probe};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::path_text,
    wait::{SOON, until},
};

use crate::helpers::{Sidecar, sidecar};

async fn is_served(sidecar: &Sidecar) {
    until("an answer", SOON, async || {
        let found = probe(&sidecar.socket);
        if !matches!(found, Ok(Found::Live(_))) {
            return Err(format!("{found:?}")); // As long as others wait, there is no place for one more.
        }
        let answer = sidecar.client.get("/livez").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

#[case]
async fn a_live_sidecar_keeps_its_socket_however_busy_it_is(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(60));
    let mut one = sidecar(&env, "one", &[]).await;
    let args = ["sidecar", "--socket", path_text(&one.socket)];
    // One that does not accept, and then one whose queue is full as well.
    one.process.signal(Signal::SIGSTOP);
    let refused = env.program().run(args).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("listening"), "{refused:?}");
    let mut waiting = Vec::new();
    let found = loop {
        match probe(&one.socket).unwrap() {
            Found::Live(stream) if waiting.len() < 5_000 => waiting.push(stream),
            other => break other,
        }
    };
    assert!(matches!(found, Found::Busy), "{} connections wait: {found:?}", waiting.len());
    let refused = env.program().run(args).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("listening"), "{refused:?}");
    drop(waiting);
    one.process.signal(Signal::SIGCONT);
    is_served(&one).await;
    // A killed one leaves its name behind, which the next one replaces.
    one.process.signal(Signal::SIGKILL);
    one.process.until_ended(SOON).await;
    assert!(matches!(probe(&one.socket).unwrap(), Found::Stale));
    is_served(&sidecar(&env, "one", &[]).await).await;
}

#[case]
async fn a_sidecar_removes_its_own_socket_only(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let mut one = sidecar(&env, "one", &[]).await;
    std::fs::remove_file(&one.socket).unwrap();
    let args = ["sidecar", "--socket", path_text(&one.socket)];
    let two = env.start(&args, "two");
    until("a second one", SOON, async || match probe(&one.socket) {
        Ok(Found::Live(_)) => Ok(()),
        other => Err(format!("{other:?}: {}", two.said())),
    })
    .await;
    one.process.signal(Signal::SIGTERM);
    assert_eq!(one.process.until_ended(SOON).await, Some(0));
    is_served(&one).await; // By the second one.
}

#[case]
async fn the_mode_of_a_socket_is_not_the_umasks(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    for umask in ["000", "022", "077"] {
        let socket = env.path(&format!("s{umask}"));
        let mut shell = std::process::Command::new("sh");
        let script = format!("umask {umask}; exec \"$PROGRAM\" sidecar --socket {}", socket.display());
        shell.args(["-c", &script]).envs(env.variables()).current_dir(env.folder());
        let _process = Process::start(shell, &env.path(umask));
        until("a sidecar", SOON, async || match probe(&socket) {
            Ok(Found::Live(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660, "{umask}");
    }
}
