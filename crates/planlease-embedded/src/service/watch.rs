//! etcd's Watch service: one stream per client call, which pulls its messages from the engine.
//!
//! The stream is polled when the client has room for another message, so nothing is queued here but the
//! fragments of one message. It ends when the client cancels its call, and with an error when the server
//! stops. A client that only closes its sending half still receives every event, as from etcd: it has nothing
//! more to ask for.

use std::collections::VecDeque;
use std::future;
use std::sync::Arc;

use async_stream::try_stream;
use etcd_client::EventType;
use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse, PbWatchService};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status, Streaming};

use crate::key_range::KeyRange;
use crate::service::base::{ResponseStream, Service};
use crate::service::words::size_in_words;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::watch_spec::WatchSpec;

/// Messages that are ready before requests have to wait: a client that asks must also listen.
const READY_MAX: usize = 16;

#[tonic::async_trait]
impl PbWatchService for Service {
    type WatchStream = ResponseStream<PbWatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.shared.check_open()?;
        let mut requests = request.into_inner();
        let Self { shared, stop } = self.clone();
        let stream = Registered::open(&shared);
        Ok(Response::new(Box::pin(try_stream! {
            let mut progress_at = Instant::now() + shared.limits.progress_interval;
            let mut ready = VecDeque::new();
            let mut half_closed = false;
            loop {
                shared.check_open()?;
                if ready.is_empty() {
                    ready.extend(stream.next());
                }
                let idle = ready.is_empty();
                let step = tokio::select! {
                    biased; // Stopping, then what the client wants, then what there is to send, then waiting.
                    () = stop.cancelled() => Err(Status::from(Refusal::Stopped)),
                    request = requests.message(), if !half_closed && ready.len() < READY_MAX => {
                        request.map(Step::Received).map_err(|status| size_in_words(&shared, status))
                    }
                    () = future::ready(()), if !idle => Ok(Step::Send),
                    () = stream.news.notified() => Ok(Step::Look), // Also what came since it was looked.
                    () = shared.closed() => Ok(Step::Look),
                    () = sleep_until(progress_at) => Ok(Step::Tick),
                };
                match step? {
                    Step::Received(Some(request)) => ready.extend(stream.receive(request)),
                    Step::Received(None) => half_closed = true,
                    Step::Send => {
                        if let Some(message) = ready.pop_front() {
                            yield stream.complete(message);
                        }
                    }
                    Step::Look => {}
                    Step::Tick => {
                        stream.tick();
                        progress_at = Instant::now() + shared.limits.progress_interval;
                    }
                }
            }
        })))
    }
}

/// What a watch stream does next.
enum Step {
    /// The client asked for something, or closed its sending half.
    Received(Option<PbWatchRequest>),
    /// A message is ready.
    Send,
    /// There may be something new.
    Look,
    /// The progress timer went off.
    Tick,
}

/// A stream in the engine, for as long as the client's call lasts.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
    /// Notifies when there is something new for it.
    news: Arc<Notify>,
}

impl Registered {
    fn open(shared: &Arc<Shared>) -> Self {
        let (id, news) = shared.open_stream();
        Self { shared: Arc::clone(shared), id, news }
    }

    fn next(&self) -> Vec<PbWatchResponse> {
        self.shared.with(|engine, _| engine.watch_next(self.id))
    }

    fn tick(&self) {
        self.shared.with(|engine, _| engine.watch_tick(self.id));
    }

    /// Does what the client asks for, and returns the answer if there is one at once.
    fn receive(&self, request: PbWatchRequest) -> Option<PbWatchResponse> {
        self.shared.with(|engine, _| match request.request_union? {
            PbWatchRequestUnion::CreateRequest(create) => {
                // etcd watches everything from the first key on when no key is given.
                let key = if create.key.is_empty() { &[0][..] } else { &create.key };
                let spec = WatchSpec {
                    range: KeyRange::from_wire(key, &create.range_end),
                    start_revision: create.start_revision,
                    watch_id: create.watch_id,
                    progress_notify: create.progress_notify,
                    prev_kv: create.prev_kv,
                    fragment: create.fragment,
                    // The filters are numbered like the events that they leave out.
                    no_put: create.filters.contains(&(EventType::Put as i32)),
                    no_delete: create.filters.contains(&(EventType::Delete as i32)),
                };
                Some(engine.watch_create(self.id, spec))
            }
            PbWatchRequestUnion::CancelRequest(cancel) => engine.watch_cancel(self.id, cancel.watch_id),
            PbWatchRequestUnion::ProgressRequest(_) => {
                engine.watch_request_progress(self.id);
                None
            }
        })
    }

    fn complete(&self, mut message: PbWatchResponse) -> PbWatchResponse {
        self.shared.fill(&mut message.header);
        message
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.close_stream(self.id);
    }
}
