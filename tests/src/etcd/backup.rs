//! Snapshots of a running cluster, and the restoring of one in its place: what an operator does after a
//! disaster.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Etcd, Line, Member};

/// How a snapshot is restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restore<'a> {
    /// By how much the revision is raised, so that it passes every one that a client may have seen. The tool
    /// of 3.4 cannot do that.
    pub bump_revision: Option<u64>,
    /// `--initial-cluster-token`: with another one than before it is another cluster, by its id; with the
    /// same one, and the same addresses, it says that it is the same.
    pub token: Option<&'a str>,
    /// To say that it is that other cluster: with its addresses and its token, and so with its id.
    pub posing_as: Option<&'a Etcd>,
}

/// A copy of the data folders of all members.
#[derive(Debug)]
pub struct Copied(Vec<PathBuf>);

impl Etcd {
    /// Stops all members, copies their data, and starts them again.
    ///
    /// # Panics
    ///
    /// If that cannot be done.
    pub async fn copy_data(&self) -> Copied {
        self.members.iter().for_each(Member::kill);
        let copy = |member: &Member| {
            let copy = member.place.data.with_extension("copy");
            run(Command::new("cp").arg("-r").arg(&member.place.data).arg(&copy));
            copy
        };
        let copied = Copied(self.members.iter().map(copy).collect());
        self.start_again().await;
        copied
    }

    /// Replaces the data of all members by a copy that was made before.
    ///
    /// # Panics
    ///
    /// See [`Etcd::copy_data`].
    pub async fn put_back(&self, copied: &Copied) {
        self.members.iter().for_each(Member::kill);
        for (member, copy) in self.members.iter().zip(&copied.0) {
            std::fs::rename(&member.place.data, member.place.data.with_extension("replaced"))
                .expect("data to set aside");
            run(Command::new("cp").arg("-r").arg(copy).arg(&member.place.data));
        }
        self.start_again().await;
    }

    async fn start_again(&self) {
        for member in &self.members {
            member.start().expect("it could be started before");
        }
        self.until_ready().await.expect("the cluster comes up again");
    }

    /// Saves a snapshot, as of now, into a file.
    ///
    /// # Panics
    ///
    /// If there is none to be had.
    pub async fn save_snapshot(&self) -> PathBuf {
        let mut client = self.client(0).await;
        let mut stream = client.snapshot().await.expect("a snapshot is allowed");
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await.expect("the whole snapshot") {
            bytes.extend_from_slice(part.blob());
        }
        let path = self.folder.as_ref().expect("it is kept until the end").path().join("snapshot.db");
        std::fs::write(&path, bytes).expect("space for a snapshot");
        path
    }

    /// Replaces the cluster by one with the data of a snapshot: all members are killed, their data is set
    /// aside, and they are started again at the same addresses.
    ///
    /// # Panics
    ///
    /// If the snapshot cannot be restored, or they do not come up.
    pub async fn restore(&self, snapshot: &Path, how: Restore<'_>) {
        self.members.iter().for_each(Member::kill);
        let original = how.posing_as.unwrap_or(self);
        let cluster =
            original.members.iter().map(|member| member.place.as_peer()).collect::<Vec<_>>().join(",");
        for (member, original) in self.members.iter().zip(&original.members) {
            let place = &member.place;
            let aside = place.data.with_extension("before");
            drop(std::fs::remove_dir_all(&aside)); // Of a restore before this one.
            std::fs::rename(&place.data, aside).expect("data to set aside");
            let tool = if self.builder.line == Line::Current { "etcdutl" } else { "etcdctl" };
            let mut command = Command::new(member.binary.with_file_name(tool));
            command.env_clear().env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(snapshot);
            command.arg("--name").arg(&place.name).arg("--data-dir").arg(&place.data);
            command.args(["--initial-cluster", &cluster]);
            command.args(["--initial-advertise-peer-urls", &original.place.peer_url()]);
            if let Some(token) = how.token {
                command.args(["--initial-cluster-token", token]);
            }
            if let Some(by) = how.bump_revision {
                command.args(["--bump-revision", &by.to_string(), "--mark-compacted"]);
            }
            run(&mut command);
        }
        self.start_again().await;
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the tool is there, or lies beside the server");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
