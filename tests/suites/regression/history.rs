//! The history of a store as etcd itself delivers it, and the plans as they were at any of its revisions:
//! what answers are held against. Of planlease it uses nothing but how keys and values look.

use planlease_tests::TestEnv;
use std::{collections::BTreeMap, rc::Rc, time::Duration};

use etcd_client::{Event, EventType, WatchOptions};
use planlease_core::{
    LeaseId, Namespace, PlanName, TaskId,
    codec::decode,
    keys::{Key, Layout, PlanKey},
    record::{Guard, TaskRecord, TermRecord},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

/// How long etcd may take to deliver a history.
const LIMIT: Duration = Duration::from_secs(30);

/// Everything that was ever written, revision by revision.
#[derive(Default)]
pub(crate) struct History(pub(crate) Vec<Set>);

/// All that one revision changed.
pub(crate) struct Set {
    pub(crate) revision: u64,
    pub(crate) changes: Vec<(Key, Option<Entry>)>,
}

/// What a key holds.
pub(crate) struct Entry {
    pub(crate) created: u64,
    pub(crate) value: Stored,
}

/// A value, if it is of a kind that tests look into.
pub(crate) enum Stored {
    Task(Rc<TaskRecord>),
    Term(Rc<TermRecord>),
    Other,
}

/// The candidates, and the revision of the term.
pub(crate) type Standing = (BTreeMap<u64, LeaseId>, Option<u64>);

/// All plans at one revision; among them such as are not there, but half of which has been written.
pub(crate) type State = BTreeMap<PlanName, Plan>;

/// A plan at one revision.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    pub(crate) there: bool,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// The candidates, by the revision at which they joined.
    line: BTreeMap<u64, LeaseId>,
    term: Option<(u64, Rc<TermRecord>)>,
}

/// A task at one revision.
#[derive(Clone)]
pub(crate) struct Task {
    /// When it was written.
    pub(crate) revision: u64,
    pub(crate) record: Rc<TaskRecord>,
}

impl History {
    pub(crate) async fn read(env: &TestEnv) -> Self {
        let root = &env.config.root;
        let layout = Layout::new(root, &Namespace::default());
        let mut client = env.client.clone();
        // An unrelated key below the root: what etcd delivers before it is all there was.
        let end = format!("{root}/end-{}", Uuid::new_v4());
        client.put(end.as_str(), "", None).await.unwrap();
        let options = WatchOptions::new().with_prefix().with_start_revision(1).with_fragment();
        let mut watch = client.watch(format!("{root}/"), Some(options)).await.unwrap();
        let mut history = Self::default();
        loop {
            let message = timeout(LIMIT, watch.message()).await.expect("a history is delivered soon");
            let message = message.unwrap().expect("the stream goes on");
            assert!(!message.canceled(), "{message:?}");
            for event in message.events() {
                if event.kv().unwrap().key() == end.as_bytes() {
                    return history;
                }
                history.take_in(&layout, event);
            }
        }
    }

    fn take_in(&mut self, layout: &Layout, event: &Event) {
        let kv = event.kv().unwrap();
        let Some(key) = layout.parse(kv.key()) else { return };
        let entry = (event.event_type() == EventType::Put).then(|| {
            let value = match &key {
                Key::Plan(_, PlanKey::Task(_)) => Stored::Task(Rc::new(decode(kv.value()).unwrap())),
                Key::Plan(_, PlanKey::Term) => Stored::Term(Rc::new(decode(kv.value()).unwrap())),
                _ => Stored::Other,
            };
            Entry { created: number(kv.create_revision()), value }
        });
        let revision = number(kv.mod_revision());
        if self.0.last().is_none_or(|last| last.revision < revision) {
            self.0.push(Set { revision, changes: Vec::new() });
        }
        let last = self.0.last_mut().unwrap();
        assert_eq!(last.revision, revision, "etcd delivers in order");
        last.changes.push((key, entry));
    }

    /// The plans as they were at this revision.
    pub(crate) fn at(&self, revision: u64) -> State {
        let mut state = State::new();
        self.0.iter().take_while(|set| set.revision <= revision).for_each(|set| set.apply(&mut state));
        state
    }

    /// Looks at the plans as they were at each of these revisions, which are in order: in one pass.
    pub(crate) fn visit<T>(&self, visits: &[(u64, T)], mut look: impl FnMut(&State, &T)) {
        let (mut state, mut sets) = (State::new(), self.0.iter().peekable());
        for (revision, what) in visits {
            while let Some(set) = sets.next_if(|set| set.revision <= *revision) {
                set.apply(&mut state);
            }
            look(&state, what);
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.0.last().map_or(0, |set| set.revision)
    }

    /// Every write of a task, with its revision; but for those that made the tasks.
    pub(crate) fn updates(&self) -> Vec<(u64, Uuid)> {
        let mut updates = Vec::new();
        for set in &self.0 {
            for (key, entry) in &set.changes {
                if let (Key::Plan(..), Some(Entry { value: Stored::Task(record), .. })) = (key, entry)
                    && record.writer.guard != Guard::Import
                {
                    updates.push((set.revision, record.op_id));
                }
            }
        }
        updates
    }
}

impl Set {
    /// Leads from the state before to the one after.
    pub(crate) fn apply(&self, state: &mut State) {
        for (key, entry) in &self.changes {
            let Key::Plan(plan, key) = key else { continue };
            let plan = state.entry(plan.clone()).or_default();
            match (key, entry.as_ref().map(|entry| (entry.created, &entry.value))) {
                (PlanKey::Spec, entry) => plan.there = entry.is_some(),
                (PlanKey::Task(task), Some((_, Stored::Task(record)))) => {
                    let task_now = Task { revision: self.revision, record: Rc::clone(record) };
                    plan.tasks.insert(task.clone(), task_now);
                }
                (PlanKey::Task(task), None) => drop(plan.tasks.remove(task)),
                (PlanKey::Owner(lease), Some((joined, _))) => drop(plan.line.insert(joined, *lease)),
                (PlanKey::Owner(lease), None) => plan.line.retain(|_, other| other != lease),
                (PlanKey::Term, Some((_, Stored::Term(term)))) => {
                    plan.term = Some((self.revision, Rc::clone(term)));
                }
                _ => {}
            }
        }
    }
}

impl Plan {
    /// How many tasks have which status, as answers say it.
    pub(crate) fn counts(&self) -> Value {
        let mut counts = json!({
            "total": self.tasks.len(), "pending": 0, "in_progress": 0, "completed": 0, "failed": 0, "skipped": 0,
        });
        for task in self.tasks.values() {
            let count = &mut counts[task.record.status.to_string()];
            *count = (count.as_u64().unwrap() + 1).into();
        }
        counts
    }

    /// The term of the owner: first in the queue, and named by an open term.
    pub(crate) fn owner(&self) -> Option<&TermRecord> {
        let (joined, lease) = self.line.first_key_value()?;
        let (revision, term) = self.term.as_ref()?;
        let guard = term.guard.map_or(*revision, planlease_core::Revision::get);
        (term.ended.is_none() && term.lease == *lease && guard == *joined).then_some(&**term)
    }

    /// The sessions of those who wait behind the owner.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let behind = self.line.values().skip(usize::from(self.owner().is_some()));
        behind.map(LeaseId::to_string).collect()
    }

    /// Everything about queue and term that can change.
    pub(crate) fn standing(&self) -> Standing {
        (self.line.clone(), self.term.as_ref().map(|(revision, _)| *revision))
    }
}

fn number(wire: i64) -> u64 {
    u64::try_from(wire).unwrap()
}
