//! etcd's own proxy, `etcd grpc-proxy start`, before a cluster: it shares watches among its clients, and
//! numbers them itself.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use super::{Etcd, Member, START_LIMIT, free_port};
use crate::{guard::Guarded, wait::until};

/// A proxy that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct GrpcProxy {
    port: u16,
    _process: Guarded,
}

impl GrpcProxy {
    /// Starts one, and waits until it listens.
    pub(super) async fn before(etcd: &Etcd, binary: &Path) -> Self {
        let folder = etcd.folder.as_ref().expect("it is kept until the end").path();
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let log = File::create(folder.join("grpc-proxy.log")).expect("space for a log");
        let endpoints = etcd.members.iter().map(Member::endpoint).collect::<Vec<_>>().join(",");
        let mut command = Command::new(binary);
        command.env_clear().args([
            "grpc-proxy",
            "start",
            "--listen-addr",
            &address,
            "--endpoints",
            &endpoints,
        ]);
        command.args(["--advertise-client-url", &address]);
        command.current_dir(folder); // It makes a folder of its own there.
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor is free")).stderr(log);
        let process = Guarded::spawn(&mut command).expect("etcd can be started");
        until("proxy that listens", START_LIMIT, async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await
        })
        .await;
        Self { port, _process: process }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
