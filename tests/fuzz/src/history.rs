//! Histories of a namespace: plausible ones, made of what processes of ours do, and twisted ones.

use std::collections::BTreeMap;

use bolero::TypeGenerator;
use planlease::RawSnapshot;
use planlease_core::{
    Generation, LeaseId, OrchestratorId, PlanName, Revision, TaskId, WallTime,
    change::{Entry, KeyChange, RawChangeSet},
    codec, definition,
    keys::{Key, PlanKey},
    record::{CandidateRecord, Ending, Guard, Role, TaskRecord, TermRecord, Writer},
    spec::{OnLost, PlanSpec, TaskSpec},
    term::{self, Candidate, Queue, Successor},
    transition::{self, Change, Write},
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    edit::{self, Edit},
    records::{Kind, WORDS},
};

/// What processes of ours do. Names and tasks are few, so that they meet.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Step {
    /// A plan of three tasks appears.
    Import(u8),
    /// A plan goes, but for its term.
    Delete(u8),
    /// A session acquires a plan, or joins the queue for it.
    Acquire(u8, u8),
    /// The first in the queue takes over.
    TakeOver(u8),
    /// The owner lets go, hands over, or is forced to.
    End(u8, u8),
    /// A process appears.
    Register(u8),
    /// A process is gone, with all that hung on it.
    Expire(u8),
    /// The owner changes a task.
    Work(u8, u8, u8),
    /// A task has an output.
    Find(u8, u8),
    /// A foreigner writes something somewhere.
    Foreign(u8, Vec<u8>),
}

/// What is wrong with one change set of a history.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Twist {
    /// A value has been edited.
    Edited(u8, Vec<Edit>),
    /// A number in a value is another one, perhaps one that nothing can be added to.
    Number(u8, u8, u8),
    /// It is delivered twice.
    Twice,
    /// One of its changes is delivered twice.
    Doubled(u8),
    /// One of its changes is missing.
    Missing(u8),
    /// It is said to be of another revision.
    Revision(u64),
    /// What its entries say about their revisions is something else.
    Entries(u64, u64),
    /// Nothing in it hangs on a lease.
    Unleased,
    /// A deletion of something that is not there.
    Ghost(u8),
}

/// A history: what was done, and what is wrong with it.
#[derive(Clone, Debug, TypeGenerator)]
pub struct History {
    steps: Vec<Step>,
    twists: Vec<(u8, Twist)>,
}

impl History {
    /// Whether etcd could deliver it: a change is of the revision that its entry names.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let lies = |twist: &Twist| matches!(twist, Twist::Revision(_) | Twist::Entries(..));
        !self.twists().any(|(_, twist)| lies(twist))
    }

    /// The same without what is wrong with it.
    #[must_use]
    pub fn straight(&self) -> Self {
        let steps = self.steps.iter().filter(|step| !matches!(step, Step::Foreign(..)));
        Self { steps: steps.cloned().collect(), twists: Vec::new() }
    }

    /// The first few: with more of them little is left of the history.
    fn twists(&self) -> impl Iterator<Item = &(u8, Twist)> {
        self.twists.iter().take(self.twists.len() % 4)
    }

    /// Its change sets, and what is there after them.
    #[must_use]
    pub fn play(&self) -> (Vec<RawChangeSet>, RawSnapshot) {
        let mut world = World { revision: 1, keys: BTreeMap::new() };
        let mut sets: Vec<RawChangeSet> = Vec::new();
        for step in &self.steps {
            sets.extend(world.step(step));
        }
        for (at, twist) in self.twists() {
            if !sets.is_empty() {
                let at = usize::from(*at) % sets.len();
                twist_one(&mut sets, at, twist);
            }
        }
        let revision = revision(world.revision);
        (sets, RawSnapshot { revision, entries: world.keys.into_iter().collect() })
    }
}

fn revision(number: u64) -> Revision {
    let wire = i64::try_from(number).unwrap_or(i64::MAX);
    Revision::from_wire(wire.max(1)).expect("it is positive")
}

fn plan(n: u8) -> PlanName {
    PlanName::new(format!("p{}", n % 2)).expect("a name")
}

fn task(n: u8) -> TaskId {
    TaskId::new(format!("1.{}", n % 3)).expect("an id")
}

fn who(n: u8) -> OrchestratorId {
    OrchestratorId::new(format!("o{}", n % 3)).expect("a name")
}

fn lease(n: u8) -> LeaseId {
    LeaseId::from_wire(i64::from(n % 3) + 1).expect("it is not 0")
}

fn candidate(n: u8) -> CandidateRecord {
    CandidateRecord::new(who(n), "h", 1, WallTime(0))
}

fn stored<T: Serialize>(record: &T) -> Vec<u8> {
    codec::encode(record).expect("it is small")
}

/// A key with what is put, and the lease that it hangs on; `None` for a deletion.
type Put = (Key, Option<(Vec<u8>, Option<LeaseId>)>);

/// What is there.
struct World {
    revision: u64,
    keys: BTreeMap<Key, Entry>,
}

impl World {
    fn step(&mut self, step: &Step) -> Option<RawChangeSet> {
        let puts = match step {
            Step::Import(n) => self.import(*n),
            Step::Delete(n) => self.delete(*n),
            Step::Acquire(n, by) => self.acquire(*n, *by),
            Step::TakeOver(n) => self.take_over(*n),
            Step::End(n, how) => self.end(*n, *how),
            Step::Register(by) => self.register(*by),
            Step::Expire(by) => self.expire(*by),
            Step::Work(n, id, change) => self.work(*n, *id, *change),
            Step::Find(n, id) => Some(vec![(
                of(*n, PlanKey::Findings(task(*id))),
                Some((Kind::Findings.example().to_string().into_bytes(), None)),
            )]),
            Step::Foreign(which, value) => Some(vec![(foreign(*which), Some((value.clone(), None)))]),
        };
        let puts = puts.filter(|puts| !puts.is_empty())?;
        Some(self.commit(puts))
    }

    fn commit(&mut self, puts: Vec<Put>) -> RawChangeSet {
        self.revision += 1;
        let now = revision(self.revision);
        let mut changes = Vec::new();
        for (key, put) in puts {
            let before = self.keys.remove(&key);
            let entry = put.map(|(value, lease)| Entry {
                value,
                modified: now,
                created: before.as_ref().map_or(now, |before| before.created),
                version: before.as_ref().map_or(1, |before| before.version + 1),
                lease,
            });
            if let Some(entry) = &entry {
                self.keys.insert(key.clone(), entry.clone());
            }
            changes.push(KeyChange { key, entry });
        }
        RawChangeSet { revision: now, changes }
    }

    fn is_there(&self, n: u8) -> bool {
        self.keys.contains_key(&of(n, PlanKey::Spec))
    }

    fn line(&self, n: u8) -> Queue {
        let candidates = self.keys.iter().filter_map(|(key, entry)| match key {
            Key::Plan(name, PlanKey::Owner(lease)) if *name == plan(n) => Some(Candidate {
                lease: *lease,
                joined: entry.created,
                record: codec::decode(&entry.value).ok(),
            }),
            _ => None,
        });
        let term = self.keys.get(&of(n, PlanKey::Term));
        let term = term.and_then(|entry| Some((entry.modified, codec::decode(&entry.value).ok()?)));
        Queue::new(candidates.collect(), term)
    }

    fn import(&self, n: u8) -> Option<Vec<Put>> {
        if self.is_there(n) {
            return None;
        }
        let mut tasks: Vec<_> = (0..3).map(|id| TaskSpec::new(task(id), "do it")).collect();
        tasks[1].depends_on.push(task(0));
        let spec = PlanSpec { title: "T".into(), tasks, ..PlanSpec::default() };
        let writer = Writer { who: "i".into(), role: Role::Operator, term: None, guard: Guard::Import };
        let record = stored(&TaskRecord::new(writer, Uuid::nil()));
        let puts = (0..3).map(|id| (of(n, PlanKey::Task(task(id))), Some((record.clone(), None))));
        let head = definition::encode_spec(&spec).expect("it is small").0;
        Some(puts.chain([(of(n, PlanKey::Spec), Some((head, None)))]).collect())
    }

    fn delete(&self, n: u8) -> Option<Vec<Put>> {
        let unowned = self.is_there(n) && self.line(n).candidates().is_empty();
        let stays = |key: &Key| matches!(key, Key::Plan(_, PlanKey::Term));
        let own = self
            .keys
            .keys()
            .filter(|key| matches!(key, Key::Plan(name, _) if *name == plan(n)) && !stays(key));
        unowned.then(|| own.map(|key| (key.clone(), None)).collect())
    }

    fn acquire(&self, n: u8, by: u8) -> Option<Vec<Put>> {
        let line = self.line(n);
        let key = of(n, PlanKey::Owner(lease(by)));
        if !self.is_there(n) || self.keys.contains_key(&key) {
            return None;
        }
        let mut puts = vec![(key, Some((stored(&candidate(by)), Some(lease(by)))))];
        if line.candidates().is_empty() {
            puts.extend(succession(n, by, &line, None));
        }
        Some(puts)
    }

    fn take_over(&self, n: u8) -> Option<Vec<Put>> {
        let line = self.line(n);
        let first = line.candidates().first().filter(|_| line.owner().is_none())?;
        let by = (0..3).find(|by| lease(*by) == first.lease)?;
        Some(succession(n, by, &line, Some(first.joined)))
    }

    fn end(&self, n: u8, how: u8) -> Option<Vec<Put>> {
        let line = self.line(n);
        let (owner, term) = line.owner()?;
        let how = match how % 3 {
            0 => Ending::Clean,
            1 => Ending::HandedOver { to: who(how) },
            _ => Ending::Forced { by: "op".into(), reason: "r".into() },
        };
        let ended = stored(&term::end(term, how, WallTime(9)));
        Some(vec![
            (of(n, PlanKey::Owner(owner.lease)), None),
            (of(n, PlanKey::Term), Some((ended.clone(), None))),
            (of(n, PlanKey::PastTerm(term.number)), Some((ended, None))),
        ])
    }

    fn register(&self, by: u8) -> Option<Vec<Put>> {
        let key = Key::Orchestrator(who(by));
        let mut record = Kind::Registration.example();
        record["lease"] = lease(by).to_string().into();
        let put = Some((record.to_string().into_bytes(), Some(lease(by))));
        (!self.keys.contains_key(&key)).then(|| vec![(key, put)])
    }

    fn expire(&self, by: u8) -> Option<Vec<Put>> {
        let gone = self.keys.iter().filter(|(_, entry)| entry.lease == Some(lease(by)));
        Some(gone.map(|(key, _)| (key.clone(), None)).collect())
    }

    fn work(&self, n: u8, id: u8, change: u8) -> Option<Vec<Put>> {
        let key = of(n, PlanKey::Task(task(id)));
        let record: TaskRecord = codec::decode(&self.keys.get(&key)?.value).ok()?;
        let line = self.line(n);
        let (owner, term) = line.owner()?;
        let writer = Writer {
            who: owner.name(),
            role: Role::Owner,
            term: Some(term.number),
            guard: Guard::Owner { lease: owner.lease, revision: owner.joined },
        };
        let change = changes()[usize::from(change) % changes().len()].clone();
        let waits = id % 3 == 1 && change == Change::Start;
        let before: Option<TaskRecord> =
            self.keys.get(&of(n, PlanKey::Task(task(0)))).and_then(|entry| codec::decode(&entry.value).ok());
        if waits && !planlease_core::graph::satisfies(before.map(|before| before.status)) {
            return None;
        }
        let op_id = Uuid::from_u128(u128::from(self.revision));
        let write = Write { writer, attempt: None, at: WallTime(1), op_id };
        let next = transition::apply(&record, &change, &write).ok()?;
        Some(vec![(key, Some((stored(&next), None)))])
    }
}

/// Every change of a task.
#[must_use]
pub fn changes() -> Vec<Change> {
    vec![
        Change::Start,
        Change::Progress("half".into()),
        Change::Complete(Some("done".into())),
        Change::Fail("it broke".into()),
        Change::Skip("not needed".into()),
        Change::Retry("again".into()),
        Change::Return("not mine".into()),
        Change::Lose(OnLost::Retry, "lost".into()),
        Change::Lose(OnLost::Fail, "lost".into()),
        Change::Lose(OnLost::Ask, "lost".into()),
    ]
}

fn of(n: u8, key: PlanKey) -> Key {
    Key::Plan(plan(n), key)
}

fn succession(n: u8, by: u8, line: &Queue, guard: Option<Revision>) -> Vec<Put> {
    let successor = Successor { record: candidate(by), lease: lease(by), guard };
    let last: Option<&TermRecord> = line.term.as_ref().map(|(_, term)| term);
    let next = term::succeed(last, Generation(1), &successor, WallTime(0));
    let closed =
        next.closed.map(|closed| (of(n, PlanKey::PastTerm(closed.number)), Some((stored(&closed), None))));
    [(of(n, PlanKey::Term), Some((stored(&next.term), None)))].into_iter().chain(closed).collect()
}

/// A key of any kind.
fn foreign(which: u8) -> Key {
    let n = which / 16;
    match which % 9 {
        0 => Key::Store,
        1 => Key::Orchestrator(who(n)),
        2 => of(n, PlanKey::Spec),
        3 => of(n, PlanKey::SpecPart(u32::from(n))),
        4 => of(n, PlanKey::Import),
        5 => of(n, PlanKey::Owner(lease(n))),
        6 => of(n, PlanKey::Term),
        7 => of(n, PlanKey::PastTerm(planlease_core::TermNumber(u64::from(n)))),
        _ => of(n, PlanKey::Task(task(n))),
    }
}

fn twist_one(sets: &mut Vec<RawChangeSet>, at: usize, twist: &Twist) {
    let set = &mut sets[at];
    let which = |n: u8| usize::from(n) % set.changes.len().max(1);
    match twist {
        Twist::Edited(n, edits) => {
            let n = which(*n);
            if let Some(entry) = set.changes.get_mut(n).and_then(|change| change.entry.as_mut()) {
                edit::make(&mut entry.value, edits, WORDS);
            }
        }
        Twist::Number(n, number, by) => {
            let n = which(*n);
            if let Some(entry) = set.changes.get_mut(n).and_then(|change| change.entry.as_mut()) {
                replace_number(&mut entry.value, *number, *by);
            }
        }
        Twist::Twice => sets.insert(at, sets[at].clone()),
        Twist::Doubled(n) => {
            let change = set.changes.get(which(*n)).cloned();
            set.changes.extend(change);
        }
        Twist::Missing(n) => {
            let n = which(*n);
            if n < set.changes.len() {
                set.changes.remove(n);
            }
        }
        Twist::Revision(number) => set.revision = revision(*number),
        Twist::Entries(modified, created) => {
            for entry in set.changes.iter_mut().filter_map(|change| change.entry.as_mut()) {
                (entry.modified, entry.created) = (revision(*modified), revision(*created));
            }
        }
        Twist::Unleased => {
            for entry in set.changes.iter_mut().filter_map(|change| change.entry.as_mut()) {
                entry.lease = None;
            }
        }
        Twist::Ghost(which) => set.changes.push(KeyChange { key: foreign(*which), entry: None }),
    }
}

/// Replaces one of the numbers in a value by one at the edge of what its type holds.
fn replace_number(bytes: &mut Vec<u8>, which: u8, by: u8) {
    fn numbers<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
        match value {
            Value::Number(_) => found.push(value),
            Value::Array(list) => list.iter_mut().for_each(|value| numbers(value, found)),
            Value::Object(map) => map.values_mut().for_each(|value| numbers(value, found)),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
    let edges =
        [json!(0), json!(u32::MAX), json!(i64::MAX), json!(u64::MAX), json!(i64::MIN), json!(u64::MAX - 1)];
    let mut found = Vec::new();
    numbers(&mut value, &mut found);
    let count = found.len();
    if let Some(number) = found.into_iter().nth(usize::from(which) % count.max(1)) {
        number.clone_from(&edges[usize::from(by) % edges.len()]);
        *bytes = value.to_string().into_bytes();
    }
}
