//! Serving on sockets and on connections made of anything.

use std::time::Duration;

use etcd_client::{Channel, Client};
use planlease_embedded::{Listen, Options, Server};
use tokio::sync::oneshot;

use crate::soon;

#[tokio::test]
async fn serves_on_tcp_counts_connections_and_stops_with_a_watch_open() {
    let mut options = Options::in_memory(1);
    options.limits.drain_max = Duration::from_secs(3600);
    let server = Server::open(options).await.unwrap();
    let listen = Listen::Tcp { addr: "127.0.0.1:0".parse().unwrap(), allow_remote: false };
    let bound = listen.bind().await.unwrap();
    let addr = bound.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve_on(bound, async { drop(stopped.await) }));

    let mut client = Client::connect([addr.to_string()], None).await.unwrap();
    client.put("a", "1", None).await.unwrap();
    let members = client.member_list().await.unwrap();
    assert_eq!(members.members()[0].client_urls(), [format!("http://{addr}")]);
    assert_eq!(server.activity().borrow().connections, 1);
    let mut watch = client.watch("a", None).await.unwrap();
    soon(watch.message()).await.unwrap();

    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
    soon(watch.message()).await.expect_err("the stream is ended");
    soon(server.activity().wait_for(|activity| activity.is_idle())).await.unwrap();
    assert_eq!(server.client().await.get("a", None).await.unwrap().count(), 1, "the server itself goes on");
}

#[tokio::test]
async fn serves_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private/socket");
    let server = Server::open(Options::in_memory(1)).await.unwrap();
    let bound = Listen::Unix { path: path.clone() }.bind().await.unwrap();
    let serving = tokio::spawn(server.serve_on(bound, std::future::pending()));
    let channel = tonic::transport::Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    let channel = soon(channel.connect()).await.unwrap();
    let mut client = Client::from_channel(Channel::Tonic(channel), None).await.unwrap();
    client.put("a", "1", None).await.unwrap();
    server.close().await;
    soon(serving).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_client_that_hangs_is_cut_off_after_the_drain_time() {
    let mut options = Options::in_memory(1);
    options.limits.drain_max = Duration::from_millis(50);
    let server = Server::open(options).await.unwrap();
    // A peer that connects and says nothing.
    let (_peer, connection) = tokio::io::duplex(1024);
    let incoming = tokio_stream::once(Ok(connection));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(incoming, async { drop(stopped.await) }));
    soon(server.activity().wait_for(|activity| activity.connections == 1)).await.unwrap();
    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
    soon(server.activity().wait_for(|activity| activity.connections == 0)).await.unwrap();
}
