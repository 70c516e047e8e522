//! A namespace without a server: what planlease's transactions leave behind, for tests.

use std::collections::BTreeMap;

use planlease::RawSnapshot;
use planlease_core::{
    FencingToken, Generation, LeaseId, OrchestratorId, PlanName, Revision, TaskId, TermNumber, WallTime,
    change::{Entry, KeyChange, RawChangeSet},
    codec::{self, FormatVersion},
    keys::{Key, PlanKey},
    record::{
        CandidateRecord, Ending, FindingsRecord, Guard, ImportRecord, Registration, Role, TaskRecord,
        TermRecord, Writer,
    },
    spec::{PlanSpec, TaskSpec},
    term::{self, Candidate, Queue, Successor},
    transition::TaskStatus,
};
use uuid::Uuid;

pub(crate) fn plan(name: &str) -> PlanName {
    PlanName::new(name).unwrap()
}

pub(crate) fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

pub(crate) fn who(name: &str) -> OrchestratorId {
    OrchestratorId::new(name).unwrap()
}

pub(crate) fn token(term: u64) -> FencingToken {
    FencingToken { generation: Generation(1), term: TermNumber(term) }
}

pub(crate) fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

/// One lease per name: that of its session.
pub(crate) fn lease(name: &str) -> LeaseId {
    let id = name.bytes().fold(0, |sum, byte| sum * 256 + i64::from(byte));
    LeaseId::from_wire(id).unwrap()
}

type Write = (Key, Option<Vec<u8>>);

/// All keys, and everything that ever happened to them.
#[derive(Debug)]
pub(crate) struct World {
    revision: i64,
    keys: BTreeMap<Key, Entry>,
    pub(crate) history: Vec<RawChangeSet>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { revision: 1, keys: BTreeMap::new(), history: Vec::new() }
    }

    pub(crate) fn revision(&self) -> Revision {
        revision(self.revision)
    }

    pub(crate) fn list(&self) -> RawSnapshot {
        let entries = self.keys.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        RawSnapshot { revision: self.revision(), entries }
    }

    /// Something happens elsewhere in etcd.
    pub(crate) fn pass(&mut self) {
        self.revision += 1;
    }

    pub(crate) fn commit(&mut self, writes: Vec<Write>) -> RawChangeSet {
        self.revision += 1;
        let modified = self.revision();
        let changes = writes.into_iter().filter_map(|(key, value)| {
            let entry = match value {
                None => {
                    self.keys.remove(&key)?;
                    None
                }
                Some(value) => {
                    let before = self.keys.get(&key);
                    let created = before.map_or(modified, |before| before.created);
                    let version = before.map_or(0, |before| before.version) + 1;
                    let entry = Entry { value, modified, created, version, lease: None };
                    self.keys.insert(key.clone(), entry.clone());
                    Some(entry)
                }
            };
            Some(KeyChange { key, entry })
        });
        let set = RawChangeSet { revision: modified, changes: changes.collect() };
        self.history.push(set.clone());
        set
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.keys.contains_key(&of(name, PlanKey::Spec))
    }

    pub(crate) fn import(&mut self, name: &str, tasks: usize) -> RawChangeSet {
        let (head, mut writes) = Self::plan_writes(name, tasks);
        writes.push(head);
        self.commit(writes)
    }

    /// As a large plan is imported: the mark, the tasks one by one, and then what makes it appear.
    pub(crate) fn import_in_chunks(&mut self, name: &str, tasks: usize) -> Vec<RawChangeSet> {
        let (head, writes) = Self::plan_writes(name, tasks);
        let mark = ImportRecord { v: FormatVersion::default(), by: "x".into(), since: WallTime(0) };
        let mut sets = vec![self.commit(vec![(of(name, PlanKey::Import), encoded(&mark))])];
        sets.extend(writes.into_iter().map(|write| self.commit(vec![write])));
        sets.push(self.commit(vec![head, (of(name, PlanKey::Import), None)]));
        sets
    }

    fn plan_writes(name: &str, tasks: usize) -> (Write, Vec<Write>) {
        let ids = (1..=tasks).map(|n| task(&n.to_string()));
        let tasks: Vec<_> = ids.map(|id| TaskSpec::new(id, "do it")).collect();
        let spec = PlanSpec { title: name.into(), tasks, ..PlanSpec::default() };
        let writes = spec
            .tasks
            .iter()
            .map(|task| (of(name, PlanKey::Task(task.id.clone())), encoded(&record(TaskStatus::Pending))));
        ((of(name, PlanKey::Spec), encoded(&spec)), writes.collect())
    }

    /// The plan is redefined with this many tasks: further ones are added, or the last ones removed.
    pub(crate) fn edit(&mut self, name: &str, tasks: usize) -> RawChangeSet {
        let (head, writes) = Self::plan_writes(name, tasks);
        let wanted: Vec<&Key> = writes.iter().map(|(key, _)| key).collect();
        let gone = self.keys.keys().filter(|key| match key {
            Key::Plan(plan, PlanKey::Task(_)) => plan.as_str() == name && !wanted.contains(key),
            _ => false,
        });
        let gone: Vec<Write> = gone.map(|key| (key.clone(), None)).collect();
        let new = writes.into_iter().filter(|(key, _)| !self.keys.contains_key(key));
        let writes = gone.into_iter().chain(new).chain([head]).collect();
        self.commit(writes)
    }

    pub(crate) fn delete(&mut self, name: &str) -> RawChangeSet {
        let gone = self.keys.keys().filter(|key| match key {
            Key::Plan(plan, part) => {
                plan.as_str() == name && !matches!(part, PlanKey::Term | PlanKey::Owner(_))
            }
            _ => false,
        });
        let writes = gone.map(|key| (key.clone(), None)).collect();
        self.commit(writes)
    }

    pub(crate) fn line(&self, name: &str) -> Queue {
        let mut candidates = Vec::new();
        let mut term = None;
        for (key, entry) in &self.keys {
            match key {
                Key::Plan(plan, PlanKey::Owner(lease)) if plan.as_str() == name => {
                    candidates.push(Candidate {
                        lease: *lease,
                        joined: entry.created,
                        record: codec::decode(&entry.value).ok(),
                    })
                }
                Key::Plan(plan, PlanKey::Term) if plan.as_str() == name => {
                    term = Some((entry.modified, codec::decode(&entry.value).unwrap()));
                }
                _ => {}
            }
        }
        Queue::new(candidates, term)
    }

    /// Acquires at once if the queue is empty, else joins it.
    pub(crate) fn acquire(&mut self, name: &str, owner: &str) -> RawChangeSet {
        let mut writes = vec![(of(name, PlanKey::Owner(lease(owner))), encoded(&candidate(owner)))];
        let line = self.line(name);
        if line.candidates().is_empty() {
            writes.extend(Self::succession(name, owner, &line, None));
        }
        self.commit(writes)
    }

    /// The first in the queue takes over.
    pub(crate) fn take_over(&mut self, name: &str) -> Option<RawChangeSet> {
        let line = self.line(name);
        let first = line.candidates().first().filter(|_| line.owner().is_none())?;
        let owner = first.record.as_ref()?.orchestrator.to_string();
        let writes = Self::succession(name, &owner, &line, Some(first.joined));
        Some(self.commit(writes))
    }

    fn succession(name: &str, owner: &str, line: &Queue, guard: Option<Revision>) -> Vec<Write> {
        let successor = Successor { record: candidate(owner), lease: lease(owner), guard };
        let last = line.term.as_ref().map(|(_, term)| term);
        let next = term::succeed(last, Generation(1), &successor, WallTime(0));
        let closed = next.closed.map(|closed| (of(name, PlanKey::PastTerm(closed.number)), encoded(&closed)));
        [(of(name, PlanKey::Term), encoded(&next.term))].into_iter().chain(closed).collect()
    }

    /// The owner's key goes together with the term's end.
    pub(crate) fn end(&mut self, name: &str, how: Ending) -> Option<RawChangeSet> {
        let line = self.line(name);
        let (owner, term) = line.owner()?;
        let ended: TermRecord = term::end(term, how, WallTime(0));
        let writes = vec![
            (of(name, PlanKey::Owner(owner.lease)), None),
            (of(name, PlanKey::Term), encoded(&ended)),
            (of(name, PlanKey::PastTerm(ended.number)), encoded(&ended)),
        ];
        Some(self.commit(writes))
    }

    /// All keys of a session go at once.
    pub(crate) fn expire(&mut self, owner: &str) -> RawChangeSet {
        let gone = self.keys.keys().filter(|key| match key {
            Key::Orchestrator(id) => id.as_str() == owner,
            Key::Plan(_, PlanKey::Owner(of)) => *of == lease(owner),
            _ => false,
        });
        let writes = gone.map(|key| (key.clone(), None)).collect();
        self.commit(writes)
    }

    pub(crate) fn write(&mut self, name: &str, tasks: &[&str], status: TaskStatus) -> RawChangeSet {
        let key = |id: &&str| of(name, PlanKey::Task(task(id)));
        self.commit(tasks.iter().map(|id| (key(id), encoded(&record(status)))).collect())
    }

    pub(crate) fn find(&mut self, name: &str, id: &str) -> RawChangeSet {
        self.commit(vec![(of(name, PlanKey::Findings(task(id))), encoded(&FindingsRecord::new(1, "text")))])
    }

    pub(crate) fn register(&mut self, owner: &str) -> RawChangeSet {
        let registration = Registration {
            v: FormatVersion::default(),
            host: "h".into(),
            pid: 1,
            boot_id: None,
            version: "0".into(),
            labels: BTreeMap::new(),
            endpoint: None,
            offer: None,
            load: None,
            lease: lease(owner),
            started_at: WallTime(0),
            extra: planlease_core::Extra::default(),
        };
        self.commit(vec![(Key::Orchestrator(who(owner)), encoded(&registration))])
    }
}

pub(crate) fn of(name: &str, key: PlanKey) -> Key {
    Key::Plan(plan(name), key)
}

fn candidate(name: &str) -> CandidateRecord {
    CandidateRecord::new(who(name), "h", 1, WallTime(0))
}

fn record(status: TaskStatus) -> TaskRecord {
    let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
    TaskRecord { status, ..TaskRecord::new(writer, Uuid::nil()) }
}

fn encoded<T: serde::Serialize>(value: &T) -> Option<Vec<u8>> {
    Some(codec::encode_within(value, codec::MAX_SPEC_PART).unwrap())
}
