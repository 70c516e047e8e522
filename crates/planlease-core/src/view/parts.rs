//! What the keys of one plan hold, taken over key by key, in whichever order they come.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::{ids, task::TaskView, tasks::Tasks};
use crate::{
    change::Entry,
    codec::{self, CodecError},
    definition,
    graph::Graph,
    id::{PlanName, TaskId},
    keys::{Key, PlanKey},
    record::{Halt, HaltRecord},
    revision::Revision,
    spec::PlanSpec,
    term::{Candidate, Queue},
    unreadable::{self, Unreadable},
};

/// What a plan is made of.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The revision at which the plan appeared: another one is another plan of the same name.
    pub since: Revision,
    /// The revision that wrote it.
    pub revision: Revision,
    /// The tasks, their phases and policies.
    pub spec: Arc<PlanSpec>,
    /// The dependencies of the tasks.
    pub graph: Arc<Graph>,
}

/// What keeps a plan from going on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halts {
    /// Why nothing is started, if it is paused; and since which revision.
    pub paused: Option<(Revision, HaltRecord)>,
    /// Why it cannot be owned, if it is cancelled or archived.
    pub closed: Option<(Revision, HaltRecord)>,
}

/// What belongs to a plan besides its definition. May be there before the plan is (an import writes the
/// definition last) and after it (the term stays, so that tokens grow for ever).
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Its tasks.
    pub tasks: Tasks,
    /// The revisions that wrote the outputs of tasks.
    pub findings: RedBlackTreeMapSync<TaskId, Revision>,
    /// The owner and the queue.
    pub queue: Arc<Queue>,
    /// What keeps it from going on.
    pub halts: Halts,
    /// What cannot be read, and why.
    pub(super) unreadable: RedBlackTreeMapSync<PlanKey, String>,
    /// Everything that keeps its tasks from being started, the known pause first: a key that this version
    /// does not know pauses as well, as every start compares that there is none.
    pauses: RedBlackTreeMapSync<PlanKey, (Revision, HaltRecord)>,
    /// Further parts of a large definition: an edit may write its head and some of them only.
    spec: RedBlackTreeMapSync<u32, Arc<[u8]>>,
}

impl Definition {
    /// The definition of a plan that appeared at `since`, written at `revision`.
    #[must_use]
    pub fn new(since: Revision, revision: Revision, spec: PlanSpec) -> Self {
        Self { since, revision, graph: Arc::new(Graph::new(&spec)), spec: Arc::new(spec) }
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.since == other.since && self.revision == other.revision && self.spec == other.spec
    }
}

impl Parts {
    /// Takes over all keys of a plan but its head. The same as [`Parts::put`] one by one, at less cost for a
    /// long queue.
    #[must_use]
    pub fn of(plan: &PlanName, entries: impl IntoIterator<Item = (PlanKey, Entry)>) -> Self {
        let mut parts = Self::default();
        let mut candidates = Vec::new();
        for (key, entry) in entries {
            match key {
                PlanKey::Owner(lease) => candidates.push(Candidate::read(lease, &entry)),
                key => drop(parts.put(plan, &key, Some(&entry))),
            }
        }
        Arc::make_mut(&mut parts.queue).set_candidates(candidates);
        parts
    }

    /// Takes over what a key holds now. What cannot be read counts as absent, and is remembered as
    /// unreadable.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be read.
    pub fn put(&mut self, plan: &PlanName, key: &PlanKey, entry: Option<&Entry>) -> Result<(), CodecError> {
        let read = self.take_over(plan, key, entry);
        self.set_unreadable(key, read.as_ref().err().map(ToString::to_string));
        read
    }

    fn take_over(&mut self, plan: &PlanName, key: &PlanKey, entry: Option<&Entry>) -> Result<(), CodecError> {
        let full = || Key::Plan(plan.clone(), key.clone());
        let check = || entry.map_or(Ok(()), |entry| unreadable::check(&full(), &entry.value));
        match key {
            PlanKey::Task(id) => {
                self.tasks.remove(id);
                if let Some(entry) = entry {
                    let record = codec::decode(&entry.value)?;
                    self.tasks.insert(Arc::new(TaskView {
                        id: id.clone(),
                        revision: entry.modified,
                        record,
                    }));
                }
                Ok(())
            }
            PlanKey::Findings(id) => {
                match entry {
                    Some(entry) => self.findings.insert_mut(id.clone(), entry.modified),
                    None => {
                        self.findings.remove_mut(id);
                    }
                }
                check()
            }
            PlanKey::Owner(lease) => {
                let queue = Arc::make_mut(&mut self.queue);
                let others = queue.candidates().iter().filter(|candidate| candidate.lease != *lease).cloned();
                queue.set_candidates(
                    others.chain(entry.map(|entry| Candidate::read(*lease, entry))).collect(),
                );
                Ok(())
            }
            PlanKey::Term => {
                let term = entry.map(|entry| codec::decode(&entry.value).map(|term| (entry.modified, term)));
                let (term, read) = match term.transpose() {
                    Ok(term) => (term, Ok(())),
                    Err(error) => (None, Err(error)),
                };
                Arc::make_mut(&mut self.queue).term = term;
                self.in_queue(full(), read)
            }
            PlanKey::Pause | PlanKey::Close => {
                self.halt(plan, key, entry);
                check()
            }
            PlanKey::SpecPart(n) => {
                self.put_spec_part(*n, entry);
                check()
            }
            PlanKey::Unknown(below) if below.starts_with(b"owner/") => self.in_queue(full(), check()),
            PlanKey::Unknown(below) if below.starts_with(b"halt/") => {
                self.halt(plan, key, entry);
                check()
            }
            PlanKey::Spec
            | PlanKey::Excerpts
            | PlanKey::Excerpt(_)
            | PlanKey::Import
            | PlanKey::PastTerm(_)
            | PlanKey::Late(_)
            | PlanKey::Lock(..)
            | PlanKey::Unknown(_) => check(),
        }
    }

    /// Puts a task in the place of the one with its id, which may have been unreadable.
    pub fn put_task(&mut self, task: Arc<TaskView>) {
        self.set_unreadable(&PlanKey::Task(task.id.clone()), None);
        self.tasks.insert(task);
    }

    /// Remembers why a key cannot be read, or that it can.
    pub fn set_unreadable(&mut self, key: &PlanKey, reason: Option<String>) {
        match reason {
            Some(reason) => self.unreadable.insert_mut(key.clone(), reason),
            None => {
                self.unreadable.remove_mut(key);
            }
        }
    }

    /// What cannot be read, and why.
    pub fn unreadable(&self, plan: &PlanName) -> impl Iterator<Item = Unreadable> {
        let full = |key: &PlanKey| Key::Plan(plan.clone(), key.clone());
        let unreadable = self.unreadable.iter();
        unreadable.map(move |(key, reason)| Unreadable { key: full(key), reason: reason.clone() })
    }

    /// The key alone halts the plan, whatever it holds.
    fn halt(&mut self, plan: &PlanName, key: &PlanKey, entry: Option<&Entry>) {
        let halt = entry.map(|entry| halt_of(plan, key, entry).0);
        if *key == PlanKey::Close {
            self.halts.closed = halt;
            return;
        }
        match halt {
            Some(halt) => self.pauses.insert_mut(key.clone(), halt),
            None => {
                self.pauses.remove_mut(key);
            }
        }
        self.halts.paused = self.pauses.values().next().cloned();
    }

    /// Takes over a further part of the definition without reading it.
    pub fn put_spec_part(&mut self, n: u32, entry: Option<&Entry>) {
        match entry {
            Some(entry) => self.spec.insert_mut(n, entry.value.as_slice().into()),
            None => {
                self.spec.remove_mut(&n);
            }
        }
    }

    /// The further parts of the definition that cannot be read; each is remembered as unreadable.
    pub fn unreadable_spec_parts(&mut self, plan: &PlanName) -> Vec<(Key, CodecError)> {
        let mut unreadable = Vec::new();
        for (n, value) in &self.spec {
            let key = Key::Plan(plan.clone(), PlanKey::SpecPart(*n));
            if let Err(error) = unreadable::check(&key, value) {
                self.unreadable.insert_mut(PlanKey::SpecPart(*n), error.to_string());
                unreadable.push((key, error));
            }
        }
        unreadable
    }

    /// Remembers with the queue whether a key of it could be read.
    fn in_queue(&mut self, key: Key, read: Result<(), CodecError>) -> Result<(), CodecError> {
        let queue = Arc::make_mut(&mut self.queue);
        queue.unreadable.retain(|one| one.key != key);
        queue.unreadable.extend(read.as_ref().err().map(|error| Unreadable::new(key, error)));
        read
    }

    /// Reads the definition from its head and the further parts.
    ///
    /// # Errors
    /// [`CodecError`] if one of them cannot be read, or is missing.
    pub fn define(&self, head: &Entry) -> Result<Definition, CodecError> {
        let mut spec = definition::decode_spec(&head.value, self.spec.values().map(AsRef::as_ref))?;
        ids::share(&mut spec, &self.tasks);
        Ok(Definition::new(head.created, head.modified, spec))
    }

    /// Which key of the definition is to blame for an error of [`Parts::define`]: a further part that cannot
    /// be read, else the head.
    #[must_use]
    pub fn undefined(&self, plan: &PlanName, head: &Entry, error: &CodecError) -> Unreadable {
        let spec = Key::Plan(plan.clone(), PlanKey::Spec);
        let is_part = |one: &Unreadable| matches!(one.key, Key::Plan(_, PlanKey::SpecPart(_)));
        let part = match unreadable::check(&spec, &head.value) {
            Ok(()) => self.unreadable(plan).find(is_part),
            Err(_) => None,
        };
        part.unwrap_or_else(|| Unreadable::new(spec, error))
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.findings.is_empty()
            && self.spec.is_empty()
            && *self.queue == Queue::default()
            && self.halts == Halts::default()
            && self.unreadable.is_empty()
    }
}

/// What readers see. How a definition is spread over keys is left out.
impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        self.tasks == other.tasks
            && self.findings == other.findings
            && self.queue == other.queue
            && self.halts == other.halts
            && self.unreadable == other.unreadable
    }
}

/// What halts a plan, and since which revision. A record that cannot be read halts it as well; why it cannot
/// is beside it.
#[must_use]
pub fn halt_of(
    plan: &PlanName,
    key: &PlanKey,
    entry: &Entry,
) -> ((Revision, HaltRecord), Option<Unreadable>) {
    let how = if *key == PlanKey::Close { Halt::Cancelled } else { Halt::Paused };
    let full = Key::Plan(plan.clone(), key.clone());
    let read = match unreadable::check(&full, &entry.value) {
        Ok(()) => unreadable::read(&full, &entry.value),
        Err(error) => Err(Unreadable::new(full, &error)),
    };
    match read {
        Ok(halt) => ((entry.modified, halt), None),
        Err(error) => ((entry.modified, HaltRecord::unreadable(how, error.to_string())), Some(error)),
    }
}
