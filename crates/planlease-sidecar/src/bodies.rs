//! Bodies of requests: bounded in size, in the time that they may take, and in the memory that all of them
//! take together.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    options::{MAX_BODIES, MAX_BODY, MAX_SMALL_BODIES, SMALL_BODY},
    problem::{Kind, Problem},
};

/// How much of a refused body is read, in bytes.
const MAX_DISCARDED: usize = 4 * MAX_BODY;

/// The memory for all bodies of a sidecar.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// For the beginning of each body, as it comes: large bodies that stall do not keep small ones out.
    small: Arc<Semaphore>,
    /// For bodies that are larger than that, whole.
    large: Arc<Semaphore>,
}

/// A part of that memory; dropped with the body.
#[derive(Debug, Default)]
pub(crate) struct Room(Vec<OwnedSemaphorePermit>);

impl Default for Bodies {
    fn default() -> Self {
        Self {
            small: Arc::new(Semaphore::new(MAX_SMALL_BODIES)),
            large: Arc::new(Semaphore::new(MAX_BODIES)),
        }
    }
}

impl Bodies {
    /// Reads a body. `patience`: how long it may take, and how long it may wait for room.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], [`Kind::TooSlow`], [`Kind::TooMany`] if there is no room, [`Kind::BadRequest`] if
    /// it broke off.
    pub(crate) async fn read(&self, body: Body, patience: Duration) -> Result<(Bytes, Room), Problem> {
        let declared = http_body::Body::size_hint(&body).exact().and_then(|size| usize::try_from(size).ok());
        let mut reading = Reading { body, left: patience, patience };
        match self.keep(&mut reading, declared.unwrap_or(MAX_BODY)).await {
            // A client that is still sending would not read the answer.
            Err(problem) if matches!(problem.kind(), Kind::TooLarge | Kind::TooMany) => {
                reading.discard().await;
                Err(problem)
            }
            read => read,
        }
    }

    /// `whole`: how large it is, or may be.
    async fn keep(&self, reading: &mut Reading, whole: usize) -> Result<(Bytes, Room), Problem> {
        let (mut bytes, mut room) = (BytesMut::new(), Room::default());
        let mut is_large = false;
        while let Some(data) = reading.next().await? {
            if bytes.len() + data.len() > MAX_BODY || whole > MAX_BODY {
                let most = MAX_BODY / (1024 * 1024);
                return Err(Problem::new(Kind::TooLarge, format!("a body has at most {most} MiB")));
            }
            if !is_large && bytes.len() + data.len() > SMALL_BODY {
                is_large = true;
                room = Room(vec![take(&self.large, whole, reading.patience).await?]);
                bytes.reserve(whole.saturating_sub(bytes.len()));
            } else if !is_large {
                room.0.push(take(&self.small, data.len(), reading.patience).await?);
            }
            bytes.extend_from_slice(&data); // A piece of a body may hold on to the buffer that it came in.
        }
        Ok((bytes.freeze(), room))
    }
}

/// A body as it comes.
struct Reading {
    body: Body,
    /// How long it may still take. Waiting for room is no fault of the client, and does not count.
    left: Duration,
    patience: Duration,
}

impl Reading {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let begun = tokio::time::Instant::now();
        let frame = tokio::time::timeout(self.left, self.body.frame()).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        match frame {
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())), // Trailers mean nothing here.
            Ok(Some(Err(error))) => {
                Err(Problem::new(Kind::BadRequest, format!("the body broke off: {error}")))
            }
            Err(_) => {
                let patience = self.patience.as_secs();
                Err(Problem::new(Kind::TooSlow, format!("the body did not come within {patience} s")))
            }
        }
    }

    /// Reads on and keeps nothing, within the same time and bounded.
    async fn discard(&mut self) {
        let mut read = 0;
        while let Ok(Some(data)) = self.next().await {
            read += data.len();
            if read > MAX_DISCARDED {
                break;
            }
        }
    }
}

/// Takes so many bytes of what is shared, as soon as they are free.
///
/// # Errors
/// [`Kind::TooMany`] if they are not free in time.
pub(crate) async fn take(
    shared: &Arc<Semaphore>,
    bytes: usize,
    within: Duration,
) -> Result<OwnedSemaphorePermit, Problem> {
    let count = u32::try_from(bytes).unwrap_or(u32::MAX);
    let taking = Arc::clone(shared).acquire_many_owned(count);
    match tokio::time::timeout(within, taking).await {
        Ok(Ok(taken)) => Ok(taken),
        Ok(Err(_)) | Err(_) => Err(Problem::new(
            Kind::TooMany,
            "the memory for requests is taken by other requests; nothing was changed",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A body of pieces that does not end.
    fn unfinished(pieces: Vec<Bytes>) -> Body {
        let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
        Body::from_stream(pieces.chain(stream::pending()))
    }

    fn kind(read: Result<(Bytes, Room), Problem>) -> Kind {
        read.map(|(bytes, _)| bytes.len()).expect_err("a problem").kind()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_whole_and_releases_its_memory() {
        let bodies = Bodies::default();
        for size in [0, 10, SMALL_BODY, SMALL_BODY + 1, MAX_BODY] {
            let (bytes, room) = bodies.read(Body::from(vec![b'x'; size]), PATIENCE).await.unwrap();
            assert_eq!(bytes.len(), size);
            drop(room);
            let left = (bodies.small.available_permits(), bodies.large.available_permits());
            assert_eq!(left, (MAX_SMALL_BODIES, MAX_BODIES));
        }
        assert_eq!(kind(bodies.read(Body::from(vec![b'x'; MAX_BODY + 1]), PATIENCE).await), Kind::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_that_stall_keep_no_small_ones_out() {
        let bodies = Arc::new(Bodies::default());
        let stalled: Vec<_> = (0..300)
            .map(|_| {
                let body =
                    unfinished(vec![Bytes::from_static(&[b'x'; SMALL_BODY]), Bytes::from_static(b"x")]);
                let bodies = Arc::clone(&bodies);
                async move { kind(bodies.read(body, PATIENCE).await) }
            })
            .collect();
        let small = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(bodies.large.available_permits(), 0);
            let (bytes, _room) = bodies.read(Body::from("{}"), PATIENCE).await.unwrap();
            bytes
        };
        let (ended, small) = tokio::join!(futures_util::future::join_all(stalled), small);
        assert_eq!(small, "{}");
        let count = |wanted| ended.iter().filter(|kind| **kind == wanted).count();
        assert_eq!(count(Kind::TooSlow) + count(Kind::TooMany), 300);
        assert!(count(Kind::TooMany) > 0, "others waited for room");
        assert!(bodies.read(Body::from(vec![b'x'; MAX_BODY]), PATIENCE).await.is_ok());
    }
}
