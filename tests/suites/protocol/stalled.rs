//! Requests that were begun, and whose futures are not polled any more: one branch of a `select!`, a task
//! that is busy elsewhere. They wait; nothing waits for them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use planlease::{
    Coordinator, Endpoint,
    connect::{Connecting, Connection, Connector, SocketConnector},
};
use planlease_tests::{TestEnv, case, wait::SOON};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use crate::helpers::{imported, plan};

/// Breaks the connections that there are, and says when the next one is begun.
#[derive(Clone, Debug, Default)]
struct Breaker {
    /// How often everything was broken.
    broken: Arc<AtomicU64>,
    begun: Arc<Notify>,
}

impl Connector for Breaker {
    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let connecting = SocketConnector.connect(endpoint);
        let (broken, now) = (Arc::clone(&self.broken), self.broken.load(Ordering::SeqCst));
        if now > 0 {
            self.begun.notify_one();
        }
        Box::pin(async move {
            let inner = connecting.await?;
            let connection: Box<dyn Connection> = Box::new(Breaking { inner, broken, made: now });
            Ok(connection)
        })
    }
}

struct Breaking {
    inner: Box<dyn Connection>,
    broken: Arc<AtomicU64>,
    made: u64,
}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.load(Ordering::SeqCst) > self.made {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[case]
async fn a_stalled_requests_connection_serves_the_others(env: TestEnv) {
    imported(&env).await;
    let breaker = Breaker::default();
    let config = env.config.clone().connector(Arc::new(breaker.clone()));
    let coordinator = Coordinator::connect(config).await.unwrap();
    coordinator.plan(&plan()).await.unwrap();
    breaker.broken.fetch_add(1, Ordering::SeqCst);
    let mut stalled = Box::pin(coordinator.plans());
    tokio::select! {
        biased; // It goes on until it has begun a connection, and no further.
        read = &mut stalled => panic!("{:?}", read.map(|plans| plans.len())),
        () = breaker.begun.notified() => {}
    }
    let other = tokio::time::timeout(SOON, coordinator.plan(&plan())).await;
    assert_eq!(other.expect("it does not wait for the stalled one").unwrap().tasks().len(), 3);
    assert_eq!(stalled.await.unwrap().len(), 1, "which goes on when it is polled again");
}

/// Each has been sent, and is never looked at again; more than may be under way at a time.
#[case]
async fn stalled_requests_delay_no_other(env: TestEnv) {
    imported(&env).await;
    let config = env.config.clone().request_timeout(Duration::from_secs(1));
    let coordinator = Coordinator::connect(config).await.unwrap();
    let name = plan();
    let mut stalled: Vec<_> = (0..600).map(|_| Box::pin(coordinator.plan(&name))).collect();
    for one in &mut stalled {
        assert!(one.as_mut().now_or_never().is_none());
    }
    let other = tokio::time::timeout(SOON, coordinator.plan(&name)).await;
    assert_eq!(other.expect("it does not wait for the stalled ones").unwrap().tasks().len(), 3);
    drop(stalled);
}
