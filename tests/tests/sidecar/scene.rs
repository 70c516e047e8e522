//! What the tests of this suite begin with: a plan, and sidecars on its store.

use std::{path::PathBuf, time::Duration};

use planlease_tests::{
    http::Client,
    program::Process,
    room::Room,
    suite::Fixture,
    wait::{SOON, until},
};

/// Three tasks, the third of which waits for the first.
pub(crate) const PLAN: &str = r#"
title = "Release"

[[task]]
id = "1"
description = "tag"

[[task]]
id = "2"
description = "announce"

[[task]]
id = "3"
description = "publish"
depends_on = ["1"]
"#;

/// A sidecar that runs.
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
}

/// Starts a sidecar of that name, with these flags besides, and waits until it is ready.
pub(crate) async fn sidecar(room: &Room, name: &str, flags: &[&str]) -> Sidecar {
    let socket = room.path(&format!("{name}.sock"));
    let path = socket.to_str().unwrap().to_owned();
    let args: Vec<&str> =
        ["sidecar", "--socket", &path, "--name", name].into_iter().chain(flags.iter().copied()).collect();
    let process = room.start(&args, name);
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if !socket.exists() {
            return Err(process.said());
        }
        let answer = client.get("/readyz").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    Sidecar { process, client, socket }
}

/// A room with the plan `release` and one sidecar.
pub(crate) async fn scene(fixture: Fixture) -> (Room, Sidecar) {
    let room = Room::new(fixture, Duration::from_secs(15));
    room.import("release", PLAN).await;
    let sidecar = sidecar(&room, "one", &[]).await;
    (room, sidecar)
}

/// The path of a task.
pub(crate) fn task(id: &str) -> String {
    format!("/v1/plans/release/tasks/{id}")
}
