//! One stream of watches, kept honest: what was cancelled is said before anything else, and silence is a
//! fault.
//!
//! A watch that etcd cancelled (compaction, a token that expired) leaves its stream open and silent; a member
//! that was stopped says nothing either. So each message is looked at for `canceled` first, and a stream that
//! has been quiet is asked for its progress; if that is not answered either, it counts as dead. A proxy is
//! not asked for that, which it does not understand, but for one more watch.

use std::{collections::VecDeque, time::Duration};

use etcd_client::{EventType, WatchFilterType, WatchOptions, WatchRequestSender, WatchResponseStream};
use planlease_core::{Revision, change::Entry};
use tokio::time::Instant;

use super::{
    client::Etcd,
    connection::{Connected, EndpointConnection},
    fault::{Fault, FaultKind},
    numbers::{Numbers, Send},
    rows::{self, MAX_DECODED, Row},
    send::Pending,
    watch_spec::WatchSpec,
};

/// After how much silence it counts as dead.
const DEAD: Duration = Duration::from_secs(9);

/// What a watch said.
#[derive(Debug)]
pub(crate) struct WatchMessage {
    /// Which watch; -1 for all of the stream.
    pub(crate) id: i64,
    /// The store's revision when it was said.
    pub(crate) revision: Option<Revision>,
    pub(crate) event: WatchEvent,
}

#[derive(Debug)]
pub(crate) enum WatchEvent {
    /// Whole revisions, in order: each key with what it holds now, or with the revision that deleted it.
    Changes(Vec<(Revision, Vec<u8>, Option<Entry>)>),
    /// The watch stands. Says nothing about what it will tell.
    Created,
    /// The watch is alive and has sent everything up to the message's revision.
    Alive,
    /// The history from where it was to begin is gone, up to this revision.
    Compacted(Revision),
    /// The watch is over: because we ended it, or for another reason, which is a fault.
    Cancelled(Fault),
}

/// An open stream. Dropping it ends all its watches.
pub(crate) struct Watch {
    sender: WatchRequestSender,
    stream: WatchResponseStream,
    connected: Connected,
    numbers: Numbers,
    /// What is to be sent.
    outbox: VecDeque<Send>,
    heard: Instant,
    /// When it was last asked whether it is alive, since then.
    asked: Option<Instant>,
    quiet: Duration,
}

impl Etcd {
    /// Opens a stream of watches with its first watch.
    pub(crate) fn watch<'a>(&'a self, first: &'a WatchSpec) -> Pending<'a, Watch> {
        Box::pin(async move { Watch::open(&self.inner.watches, first).await })
    }
}

impl Watch {
    pub(super) async fn open(connection: &EndpointConnection, first: &WatchSpec) -> Result<Self, Fault> {
        let connected = connection.connected().await?;
        let timeout = connection.config().request_timeout;
        let mut client = connected.client.watch_client().max_decoding_message_size(MAX_DECODED);
        let opening = client.watch(first.range.start.clone(), Some(options(first)));
        let opened = match tokio::time::timeout(timeout, opening).await {
            Ok(opened) => opened.map_err(Fault::of),
            Err(_) => Err(Fault::timeout(timeout)),
        };
        match opened {
            Ok(stream) => {
                let (sender, stream) = stream.split();
                let mut numbers = Numbers::default();
                numbers.add(first.clone()); // It is asked for already.
                let (heard, quiet) = (Instant::now(), first.quiet);
                Ok(Self {
                    sender,
                    stream,
                    connected,
                    numbers,
                    outbox: VecDeque::new(),
                    heard,
                    asked: None,
                    quiet,
                })
            }
            Err(fault) => {
                if fault.is_connections() {
                    connection.give_up(&connected);
                }
                Err(fault.at(&connected.endpoint))
            }
        }
    }

    /// Puts another watch on the stream.
    pub(crate) async fn add(&mut self, spec: &WatchSpec) -> Result<(), Fault> {
        self.outbox.extend(self.numbers.add(spec.clone()));
        self.flush().await
    }

    /// Ends one watch of the stream.
    pub(crate) async fn remove(&mut self, id: i64) -> Result<(), Fault> {
        self.outbox.extend(self.numbers.remove(id));
        self.flush().await
    }

    /// Sends what is to be sent. Cancel safe: what is not sent yet stays.
    async fn flush(&mut self) -> Result<(), Fault> {
        while let Some(first) = self.outbox.front() {
            let sent = match first {
                Send::Create(spec) => self.sender.watch(spec.range.start.clone(), Some(options(spec))).await,
                Send::Cancel(theirs) => self.sender.cancel(*theirs).await,
            };
            sent.map_err(|error| Fault::of(error).at(&self.connected.endpoint))?;
            self.outbox.pop_front();
        }
        Ok(())
    }

    /// Asks whether the stream is alive.
    async fn ask(&mut self) -> Result<(), Fault> {
        self.asked = Some(Instant::now());
        match self.numbers.ping() {
            Some(send) => {
                self.outbox.extend(send);
                self.flush().await
            }
            None => {
                let asking = self.sender.request_progress().await;
                asking.map_err(|error| Fault::of(error).at(&self.connected.endpoint))
            }
        }
    }

    /// Waits for the next message. Cancel safe: nothing that was received is lost, and what is to be sent is
    /// sent next time.
    pub(crate) async fn next(&mut self) -> Result<WatchMessage, Fault> {
        loop {
            self.flush().await?;
            let look_again = self.asked.unwrap_or(self.heard) + self.quiet;
            let answer = tokio::select! {
                biased; // What has arrived counts before the silence does.
                answer = self.stream.message() => answer,
                () = tokio::time::sleep_until(look_again.min(self.heard + DEAD)) => {
                    if self.heard.elapsed() >= DEAD {
                        let silence = format!("the watch said nothing for {DEAD:?}");
                        return Err(Fault::stream(silence).at(&self.connected.endpoint));
                    }
                    self.ask().await?;
                    continue;
                }
            };
            let answer = answer.map_err(|error| Fault::of(error).at(&self.connected.endpoint))?;
            let answer =
                answer.ok_or_else(|| Fault::stream("the watch ended").at(&self.connected.endpoint))?;
            self.heard = Instant::now();
            self.asked = None;
            let message = read(answer).map_err(|fault| fault.at(&self.connected.endpoint))?;
            if let Some(message) = self.ours(message)? {
                return Ok(message);
            }
        }
    }

    /// The message with our number of its watch; `None` if it is of no watch of ours.
    fn ours(&mut self, message: WatchMessage) -> Result<Option<WatchMessage>, Fault> {
        if matches!(message.event, WatchEvent::Created) {
            let (id, send) = self.numbers.created(message.id);
            self.outbox.extend(send); // Sent before the next message is waited for.
            return Ok(Some(WatchMessage { id, ..message }));
        }
        let Some(id) = self.numbers.ours(message.id) else { return Ok(None) };
        if let WatchEvent::Changes(changes) = &message.event
            && !changes.iter().all(|(_, key, _)| self.numbers.covers(id, key))
        {
            let fault = Fault::stream("the watch reported a key that it was not asked for");
            return Err(fault.at(&self.connected.endpoint));
        }
        Ok(Some(WatchMessage { id, ..message }))
    }

    /// Gives up the connection, so that the next stream goes to another endpoint.
    pub(crate) fn give_up(self, etcd: &Etcd) {
        etcd.inner.watches.give_up(&self.connected);
    }
}

fn options(spec: &WatchSpec) -> WatchOptions {
    let options = WatchOptions::new()
        .with_watch_id(spec.id)
        .with_start_revision(spec.from.to_wire())
        .with_filters(Vec::<WatchFilterType>::new());
    if spec.range.end.is_empty() { options } else { options.with_range(spec.range.end.clone()) }
}

fn read(answer: etcd_client::WatchResponse) -> Result<WatchMessage, Fault> {
    let wire = answer.0;
    let id = wire.watch_id;
    let revision = wire.header.as_ref().and_then(|header| Revision::from_wire(header.revision));
    let event = if let Some(at) = Revision::from_wire(wire.compact_revision) {
        WatchEvent::Compacted(at)
    } else if wire.canceled {
        let reason = wire.cancel_reason;
        let auth = reason.to_lowercase().contains("auth") || reason.contains("token");
        let fault = Fault::stream(format!("etcd cancelled the watch: {reason}"));
        WatchEvent::Cancelled(if auth { Fault { kind: FaultKind::Unauthenticated, ..fault } } else { fault })
    } else if wire.created {
        WatchEvent::Created
    } else if wire.events.is_empty() {
        WatchEvent::Alive
    } else {
        let mut changes = Vec::with_capacity(wire.events.len());
        for event in wire.events {
            let kv = event.kv.ok_or_else(|| Fault::nonsense("an event without a key"))?;
            if event.r#type == EventType::Delete as i32 {
                let at = Revision::from_wire(kv.mod_revision);
                changes.push((at.ok_or_else(|| Fault::nonsense("a key without revisions"))?, kv.key, None));
            } else {
                let (key, entry): Row = rows::row(kv)?;
                changes.push((entry.modified, key, Some(entry)));
            }
        }
        WatchEvent::Changes(changes)
    };
    Ok(WatchMessage { id, revision, event })
}
