//! What a watcher asks for, and how events are sent to it. Pure.

use etcd_client::EventType;
use etcd_client::proto::{PbEvent, PbKeyValue, PbWatchResponse};
use prost::Message;

use crate::key_range::KeyRange;
use crate::limits::Limits;
use crate::mvcc::{Event, Store};
use crate::range::to_wire;

/// Bytes of events after which a message is full; one revision is never divided.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// What a client asks to watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchSpec {
    pub(crate) range: KeyRange,
    /// 0 is "from now on".
    pub(crate) start_revision: i64,
    /// 0 lets the server choose.
    pub(crate) watch_id: i64,
    pub(crate) progress_notify: bool,
    pub(crate) prev_kv: bool,
    pub(crate) fragment: bool,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
}

impl WatchSpec {
    /// Its events from the one revision to the other one, as much as one message holds; and where to go on,
    /// if that is not all.
    pub(crate) fn events(&self, from: i64, until: i64, store: &Store) -> (Vec<PbEvent>, Option<i64>) {
        let mut events = Vec::new();
        let mut bytes = 0;
        for (revision, of_revision) in store.events(from, until) {
            if bytes >= MESSAGE_BYTES {
                return (events, Some(revision));
            }
            for event in of_revision.iter().filter(|event| self.wants(event)) {
                let event = self.to_wire(event, revision, store.visible_compaction());
                bytes += event.encoded_len();
                events.push(event);
            }
        }
        (events, None)
    }

    /// Whether nothing has happened since its start, as far as the present shows: its only key is there, and
    /// was last written before. Who waits for a key to go away begins at the revision at which he saw it.
    pub(crate) fn is_level(&self, store: &Store) -> bool {
        let present = self.range.single().and_then(|key| store.read().get(key));
        present.is_some_and(|kv| kv.mod_revision < self.start_revision)
    }

    /// Whether it receives this event.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let filtered = if event.put.is_some() { self.no_put } else { self.no_delete };
        !filtered && self.range.contains(&event.key)
    }

    fn to_wire(&self, event: &Event, revision: i64, compaction: i64) -> PbEvent {
        let kv = event.put.as_deref().map_or_else(|| tombstone(event, revision), |kv| to_wire(kv, false));
        // What was before the oldest revision is gone, even if we happen to have it still.
        let prev = event.prev.as_deref().filter(|_| self.prev_kv && revision > compaction);
        let created = event.put.as_ref().is_some_and(|kv| kv.create_revision == revision);
        PbEvent {
            r#type: if event.put.is_some() { EventType::Put } else { EventType::Delete }.into(),
            kv: Some(kv),
            prev_kv: prev.filter(|_| !created).map(|kv| to_wire(kv, false)),
        }
    }
}

fn tombstone(event: &Event, revision: i64) -> PbKeyValue {
    PbKeyValue { key: event.key.to_vec(), mod_revision: revision, ..Default::default() }
}

/// Divides a message that is larger than a request may be; all parts but the last are marked.
pub(crate) fn fragments(message: PbWatchResponse, limits: &Limits) -> Vec<PbWatchResponse> {
    if message.encoded_len() < limits.request_bytes_max || message.events.len() < 2 {
        return vec![message];
    }
    let empty = PbWatchResponse { events: Vec::new(), fragment: true, ..message.clone() };
    let mut parts = vec![empty.clone()];
    let mut bytes = 0;
    for event in message.events {
        let event_bytes = event.encoded_len();
        if bytes > 0 && bytes + event_bytes >= limits.request_bytes_max {
            parts.push(empty.clone());
            bytes = 0;
        }
        bytes += event_bytes;
        parts.last_mut().expect("begins with one").events.push(event);
    }
    parts.last_mut().expect("begins with one").fragment = false;
    parts
}
