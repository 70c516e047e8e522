//! The proxy before a server that says everything back, and before one that speaks gRPC.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::embedded::Embedded;
use crate::wait::{SOON, until};

/// A server that says everything back, and the proxy before it.
struct Echo {
    proxy: Proxy,
    server: JoinHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        Self { proxy, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut back)).await.expect("an echo").unwrap();
    assert_eq!(back, text);
}

/// Nothing comes for a while. Proves little by itself; what comes later, and how late, proves the rest.
async fn is_silent(stream: &mut TcpStream) {
    let heard = timeout(Duration::from_millis(150), stream.read_u8()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn held_bytes_arrive_late_and_whole() {
    let echo = Echo::start().await;
    let mut stream = echo.connect().await;
    echoes(&mut stream, b"before").await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        echo.proxy.set(direction, Way::Held);
        stream.write_all(b"late").await.unwrap();
        is_silent(&mut stream).await;
        let mut new = echo.connect().await;
        new.write_all(b"new").await.unwrap();
        is_silent(&mut new).await;
        echo.proxy.heal();
        let mut back = [0; 4];
        timeout(SOON, stream.read_exact(&mut back)).await.expect("the held bytes").unwrap();
        assert_eq!(&back, b"late");
        assert_eq!(timeout(SOON, new.read_u8()).await.expect("the held byte").unwrap(), b'n');
    }
    echoes(&mut stream, b"after").await;
}

#[tokio::test]
async fn not_even_the_end_passes_a_silent_wire() {
    let echo = Echo::start().await;
    let mut stream = echo.connect().await;
    echoes(&mut stream, b"before").await;
    echo.proxy.silence();
    stream.shutdown().await.unwrap();
    is_silent(&mut stream).await;
    echo.proxy.heal();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 1])).await.expect("the end").unwrap(), 0);
    until("end of the connection", SOON, async || match echo.proxy.connections() {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_lost_bytes_is_reset_when_healed() {
    let echo = Echo::start().await;
    let (mut lossy, mut idle) = (echo.connect().await, echo.connect().await);
    echoes(&mut lossy, b"before").await;
    echoes(&mut idle, b"before").await;
    echo.proxy.set(Direction::ToServer, Way::Swallowed);
    lossy.write_all(b"lost").await.unwrap();
    is_silent(&mut lossy).await;
    echo.proxy.heal();
    let error = timeout(SOON, lossy.read_u8()).await.expect("a reset").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    echoes(&mut idle, b"after").await;
}

#[tokio::test]
async fn a_cut_resets_and_refuses_until_it_is_healed() {
    let echo = Echo::start().await;
    let mut stream = echo.connect().await;
    echoes(&mut stream, b"before").await;
    echo.proxy.cut();
    let error = timeout(SOON, stream.read_u8()).await.expect("a reset").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let refused = TcpStream::connect(echo.proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    echo.proxy.heal();
    echo.proxy.heal();
    let mut stream = echo.connect().await;
    echoes(&mut stream, b"after").await;
    assert_eq!((echo.proxy.connections(), echo.proxy.accepted()), (1, 2));
}

#[tokio::test]
async fn a_frozen_connection_stands_while_new_ones_pass() {
    let echo = Echo::start().await;
    let mut frozen = echo.connect().await;
    echoes(&mut frozen, b"before").await;
    echo.proxy.freeze_connections();
    frozen.write_all(b"l").await.unwrap();
    let mut new = echo.connect().await;
    echoes(&mut new, b"passes").await;
    is_silent(&mut frozen).await;
    echo.proxy.heal();
    assert_eq!(timeout(SOON, frozen.read_u8()).await.expect("the held byte").unwrap(), b'l');
}

#[tokio::test]
async fn delays_and_throttles_cost_the_time_that_they_say() {
    let echo = Echo::start().await;
    let mut stream = echo.connect().await;
    echo.proxy.set(Direction::ToServer, Way::Delayed(Duration::from_millis(100)));
    echo.proxy.set(Direction::ToClient, Way::Delayed(Duration::from_millis(50)));
    let began = Instant::now();
    echoes(&mut stream, b"slowly").await;
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    echo.proxy.heal();
    echo.proxy.set(Direction::ToServer, Way::Throttled(10_000));
    let began = Instant::now();
    echoes(&mut stream, &[7; 3_000]).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    echo.proxy.heal();
    echoes(&mut stream, b"fast").await;
}

#[tokio::test]
async fn a_server_that_is_not_there_looks_like_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::before(address);
    // The reset may come before the connection counts as made.
    let heard = async { TcpStream::connect(proxy.address()).await?.read_u8().await };
    let error = timeout(SOON, heard).await.expect("a reset").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// A server that speaks gRPC, the proxy before it, and a client of each.
async fn grpc() -> (Embedded, Proxy, Client, Client) {
    let server = Embedded::in_memory().await;
    let address = server.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(address);
    let client = async |endpoint: &str| {
        let options = ConnectOptions::new().with_timeout(Duration::from_secs(2));
        Client::connect([endpoint], Some(options)).await.unwrap()
    };
    let (through, past) = (client(&proxy.endpoint()).await, client(server.endpoint()).await);
    (server, proxy, through, past)
}

async fn value(client: &mut Client, key: &str) -> Option<String> {
    client.get(key, None).await.unwrap().kvs().first().map(|kv| kv.value_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_methods_answer_is_lost_after_its_request() {
    let (_server, proxy, mut client, mut past) = grpc().await;
    client.put("a", "1", None).await.unwrap();
    let trap = proxy.lose_answer("KV/Put");
    assert_eq!(value(&mut client, "a").await.as_deref(), Some("1"), "another method passes");
    assert!(!trap.has_sprung());
    client.put("a", "2", None).await.unwrap_err();
    assert!(trap.has_sprung());
    assert_eq!(value(&mut past, "a").await.as_deref(), Some("2"), "it was carried out");
    client.put("a", "3", None).await.unwrap();
}

#[tokio::test]
async fn a_lost_request_never_arrives_and_a_held_one_arrives_late() {
    let (_server, proxy, mut client, mut past) = grpc().await;
    let trap = proxy.lose_request("KV/Put");
    client.put("a", "1", None).await.unwrap_err();
    assert!(trap.has_sprung());
    assert_eq!(value(&mut past, "a").await, None);

    let trap = proxy.hold_request("KV/Put");
    client.put("a", "2", None).await.unwrap_err();
    drop(client); // Its sender is gone by the time it arrives.
    trap.sprung().await;
    assert_eq!(value(&mut past, "a").await, None);
    trap.deliver();
    until("late effect", SOON, async || match value(&mut past, "a").await {
        Some(value) if value == "2" => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_connected_to_again() {
    let (_server, proxy, mut client, _past) = grpc().await;
    for how in [GoAway::Graceful, GoAway::TooManyPings] {
        client.put("a", "1", None).await.unwrap();
        let before = proxy.accepted();
        proxy.go_away(how);
        until("success on a new connection", SOON, async || {
            let put = client.put("a", "2", None).await.map(drop).map_err(|error| error.to_string());
            if proxy.accepted() > before { put } else { Err("the same connection".to_owned()) }
        })
        .await;
    }
}
