//! The whole history of a store, as an independent watch receives it.
//!
//! Nothing of it comes from the library that is judged: the watch is etcd's, the client is etcd's, and only
//! the keys and records are read by the code that defines them. Give it connections that lead past everything
//! that can be broken.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::{Client, EventType, GetOptions, KeyValue, WatchOptions};
use planlease_core::{
    LeaseId, PlanName, Revision, TaskId,
    audit::Audit,
    change::{Entry, KeyChange, RawChangeSet},
    codec,
    keys::{Key, KeyRange, Layout, PlanKey},
    record::TaskRecord,
};

/// The largest message that is decoded: replaying a long history brings large ones.
const MAX_DECODED: usize = 256 * 1024 * 1024;

/// How many keys one page of the last look brings.
const PAGE: i64 = 1_000;

/// The history that an independent watch recorded. Cheap to clone; clones are the same history.
#[derive(Clone, Debug)]
pub struct History {
    layout: Layout,
    now: fn() -> Duration,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    sets: Vec<RawChangeSet>,
    /// When each of them was received.
    times: Vec<Duration>,
    /// Every key with the revision that wrote it last.
    present: BTreeMap<Vec<u8>, i64>,
    /// The first revision that was not received yet.
    next: i64,
    /// What the watch delivered that a watch must not deliver.
    problems: Vec<String>,
}

/// One write of a task's record, as the history has it.
#[derive(Clone, Debug)]
pub struct TaskWrite {
    /// The revision that it made.
    pub revision: Revision,
    /// Of which plan.
    pub plan: PlanName,
    /// Of which task.
    pub task: TaskId,
    /// What was written.
    pub record: TaskRecord,
    /// The revision that had written the record before; `None` if it was not there.
    pub before: Option<Revision>,
    /// The revision that deleted it, if none wrote over it: the plan was deleted, or the task edited out of
    /// it.
    pub gone: Option<Revision>,
}

impl History {
    /// A history of the keys of this layout, of which nothing is known yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self::timed(layout, || Duration::ZERO)
    }

    /// As [`History::new`], with the time at which each revision was received.
    #[must_use]
    pub fn timed(layout: Layout, now: fn() -> Duration) -> Self {
        let inner = Inner {
            sets: Vec::new(),
            times: Vec::new(),
            present: BTreeMap::new(),
            next: 1,
            problems: Vec::new(),
        };
        Self { layout, now, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Where the keys are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Applies what the server sends, from the first revision that is missing, until the connection breaks;
    /// says why it did. Call it again, with the same or another member of the cluster, to go on.
    ///
    /// # Cancel safety
    /// What was received before the future is dropped is kept; the next call goes on from there.
    pub async fn follow(&self, client: &Client) -> String {
        self.try_follow(client).await.err().unwrap_or_else(|| "the watch ended".to_owned())
    }

    async fn try_follow(&self, client: &Client) -> Result<(), String> {
        let KeyRange { start, end } = self.layout.everything();
        let options = WatchOptions::new().with_range(end).with_start_revision(self.lock().next);
        let mut watches = client.watch_client().max_decoding_message_size(MAX_DECODED);
        let mut stream = watches.watch(start, Some(options)).await.map_err(|error| error.to_string())?;
        while let Some(message) = stream.message().await.map_err(|error| error.to_string())? {
            if message.compact_revision() > 0 {
                let text = format!(
                    "the history up to {} was compacted before it was recorded",
                    message.compact_revision()
                );
                self.lock().problems.push(text.clone());
                return Err(text);
            }
            if message.canceled() {
                return Err(format!("cancelled: {}", message.cancel_reason()));
            }
            let events = message.events().iter().filter_map(|event| Some((event.event_type(), event.kv()?)));
            let now = (self.now)();
            self.lock().take_in(&self.layout, now, events);
        }
        Ok(())
    }

    /// Follows until everything that the server has now is recorded; for a server that is not written to any
    /// more.
    ///
    /// # Errors
    /// Why the server could not be asked.
    pub async fn complete(&self, client: &Client) -> Result<(), String> {
        let present = self.present(client).await?;
        let behind = async {
            while self.lock().present != present {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased; // Being complete is what this is for.
            () = behind => Ok(()),
            why = self.follow(client) => Err(why),
        }
    }

    async fn present(&self, client: &Client) -> Result<BTreeMap<Vec<u8>, i64>, String> {
        let KeyRange { mut start, end } = self.layout.everything();
        let mut kv = client.kv_client().max_decoding_message_size(MAX_DECODED);
        let mut present = BTreeMap::new();
        let mut at = 0;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(at);
            let page =
                kv.get(start, Some(options.with_keys_only())).await.map_err(|error| error.to_string())?;
            at = if at == 0 { page.header().map_or(0, etcd_client::ResponseHeader::revision) } else { at };
            present.extend(page.kvs().iter().map(|kv| (kv.key().to_vec(), kv.mod_revision())));
            let Some(last) = page.kvs().last().filter(|_| page.more()) else { return Ok(present) };
            start = [last.key(), &[0]].concat();
        }
    }

    /// The last revision that is recorded; 0 if none is. A compaction must not go beyond it.
    #[must_use]
    pub fn recorded(&self) -> i64 {
        self.lock().next - 1
    }

    /// Everything that was recorded, in the order of the revisions.
    #[must_use]
    pub fn sets(&self) -> Vec<RawChangeSet> {
        self.lock().sets.clone()
    }

    /// When each of [`History::sets`] was received, if the history was made with a clock.
    #[must_use]
    pub fn times(&self) -> Vec<Duration> {
        self.lock().times.clone()
    }

    /// What the server's own watch did wrong: revisions out of order, or missing.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.lock().problems.clone()
    }

    /// The audit of everything that was recorded.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::new();
        self.lock().sets.iter().for_each(|set| audit.apply(set));
        audit
    }

    /// Every write of a task's record, in order. What cannot be read is left out; the audit says so.
    #[must_use]
    pub fn task_writes(&self) -> Vec<TaskWrite> {
        task_writes(&self.lock().sets)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`History::task_writes`], of sets from elsewhere.
#[must_use]
pub fn task_writes(sets: &[RawChangeSet]) -> Vec<TaskWrite> {
    let mut present: BTreeMap<(PlanName, TaskId), Revision> = BTreeMap::new();
    let mut writes: Vec<TaskWrite> = Vec::new();
    for set in sets {
        for change in &set.changes {
            let Key::Plan(plan, PlanKey::Task(task)) = &change.key else { continue };
            let place = (plan.clone(), task.clone());
            let Some(entry) = &change.entry else {
                let last = present.remove(&place);
                let same = |write: &&mut TaskWrite| {
                    Some(write.revision) == last && (&write.plan, &write.task) == (plan, task)
                };
                if let Some(write) = writes.iter_mut().rev().find(same) {
                    write.gone = Some(set.revision);
                }
                continue;
            };
            let before = present.insert(place, set.revision);
            if let Ok(record) = codec::decode(&entry.value) {
                let (plan, task) = (plan.clone(), task.clone());
                writes.push(TaskWrite { revision: set.revision, plan, task, record, before, gone: None });
            }
        }
    }
    writes
}

impl Inner {
    /// Applies the events of one message. What was received before is sent again after a reconnection, and
    /// passed over.
    fn take_in<'a>(
        &mut self,
        layout: &Layout,
        now: Duration,
        events: impl Iterator<Item = (EventType, &'a KeyValue)>,
    ) {
        let first = self.next;
        for (kind, kv) in events {
            let revision = kv.mod_revision();
            if revision < first {
                continue;
            }
            if revision + 1 < self.next {
                self.problems
                    .push(format!("the watch delivered revision {revision} after {}", self.next - 1));
                continue;
            }
            self.next = revision + 1;
            let deleted = kind == EventType::Delete;
            if deleted {
                self.present.remove(kv.key());
            } else {
                self.present.insert(kv.key().to_vec(), revision);
            }
            let (Some(key), Some(at)) = (layout.parse(kv.key()), Revision::from_wire(revision)) else {
                continue;
            };
            let change = KeyChange { key, entry: if deleted { None } else { entry(kv) } };
            match self.sets.last_mut() {
                Some(set) if set.revision == at => set.changes.push(change),
                _ => {
                    self.sets.push(RawChangeSet { revision: at, changes: vec![change] });
                    self.times.push(now);
                }
            }
        }
    }
}

fn entry(kv: &KeyValue) -> Option<Entry> {
    Some(Entry {
        value: kv.value().to_vec(),
        modified: Revision::from_wire(kv.mod_revision())?,
        created: Revision::from_wire(kv.create_revision())?,
        version: u64::try_from(kv.version()).ok()?,
        lease: LeaseId::from_wire(kv.lease()),
    })
}
