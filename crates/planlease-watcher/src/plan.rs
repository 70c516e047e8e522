//! One plan as it is held: cheap to clone, whatever its size, and to change while older clones are kept.

use std::sync::Arc;

use planlease::{PlanView, TaskView};
use planlease_core::{
    PlanName, Revision, Summary, TaskId,
    change::Entry,
    codec::{self, CodecError},
    graph::Graph,
    keys::{Key, PlanKey},
    order::Wait,
    record::{Halt, HaltRecord},
    spec::{PlanSpec, Policies},
    standing::{Outlook, standing},
    term::{Candidate, Line},
    transition::TaskStatus,
    unreadable::{self, Unreadable},
};
use rpds::RedBlackTreeMapSync;

use crate::store::split;

/// A plan at one revision. Its clones share everything with it.
#[derive(Clone, Debug)]
pub struct PlanState {
    name: PlanName,
    pub(crate) definition: Definition,
    pub(crate) parts: Parts,
}

/// What a plan is made of.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// The revision at which the plan appeared: another one is another plan of the same name.
    pub(crate) since: Revision,
    /// The revision that wrote it.
    pub(crate) revision: Revision,
    spec: Arc<PlanSpec>,
    graph: Arc<Graph>,
}

/// What belongs to a plan besides its definition. May be there before the plan is (an import writes the
/// definition last) and after it (the term stays, so that tokens grow for ever).
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) tasks: RedBlackTreeMapSync<TaskId, Arc<TaskView>>,
    pub(crate) findings: RedBlackTreeMapSync<TaskId, Revision>,
    pub(crate) line: Arc<Line>,
    pub(crate) halts: Halts,
    /// What cannot be read, and why.
    pub(crate) unreadable: RedBlackTreeMapSync<PlanKey, String>,
    /// Further parts of a large definition: an edit may write its head and some of them only.
    spec: RedBlackTreeMapSync<u32, Arc<[u8]>>,
}

/// What keeps a plan from going on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halts {
    /// Why nothing is started, if it is paused; and since which revision.
    pub paused: Option<(Revision, HaltRecord)>,
    /// Why it cannot be owned, if it is cancelled or archived.
    pub closed: Option<(Revision, HaltRecord)>,
}

impl PlanState {
    pub(crate) fn new(name: PlanName, definition: Definition, parts: Parts) -> Self {
        Self { name, definition, parts }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &PlanName {
        &self.name
    }

    /// Its definition.
    #[must_use]
    pub fn spec(&self) -> &Arc<PlanSpec> {
        &self.definition.spec
    }

    /// Its dependencies.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.definition.graph
    }

    /// The revision at which it appeared.
    #[must_use]
    pub fn since(&self) -> Revision {
        self.definition.since
    }

    /// The revision that wrote its definition.
    #[must_use]
    pub fn defined(&self) -> Revision {
        self.definition.revision
    }

    /// Its tasks, number by number.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<TaskView>> {
        self.parts.tasks.values()
    }

    /// One task; `None` if there is no such task.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&Arc<TaskView>> {
        self.parts.tasks.get(id)
    }

    /// Where a task stands; `None` if there is no such task.
    #[must_use]
    pub fn status(&self, id: &TaskId) -> Option<TaskStatus> {
        self.task(id).map(|task| task.record.status)
    }

    /// Who owns it, and who waits.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.parts.line
    }

    /// The revision that wrote the output of a task; `None` if there is none.
    #[must_use]
    pub fn findings(&self, id: &TaskId) -> Option<Revision> {
        self.parts.findings.get(id).copied()
    }

    /// What keeps it from going on.
    #[must_use]
    pub fn halts(&self) -> &Halts {
        &self.parts.halts
    }

    /// The counts, of these very tasks.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let tasks = self.parts.unreadable.keys().filter(|key| matches!(key, PlanKey::Task(_)));
        Summary::of(self.tasks().map(|task| &task.record)).with_unreadable(tasks.count())
    }

    /// The tasks that may start now, in the order in which they are handed out.
    pub fn ready(&self) -> impl Iterator<Item = &TaskId> {
        self.definition.graph.ready(|task| self.status(task))
    }

    /// What may still come of it without a person's decision.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let policies = Policies::of(self.spec());
        Outlook::of(self.tasks().map(|task| {
            let policy = policies.of_task(&task.id);
            standing(&task.id, &task.record, policy, self.graph(), |id| self.status(id))
        }))
    }

    /// What a task still waits for.
    pub fn blockers(&self, task: &TaskId) -> impl Iterator<Item = &Wait> {
        self.definition.graph.blockers(task, |task| self.status(task))
    }

    /// The same as the coordinator's reads have it. Copies every task.
    #[must_use]
    pub fn to_view(&self, revision: Revision) -> PlanView {
        PlanView {
            name: self.name.clone(),
            revision,
            defined: self.definition.revision,
            spec: self.definition.spec.clone(),
            graph: self.definition.graph.clone(),
            tasks: self.tasks().map(|task| (task.id.clone(), TaskView::clone(task))).collect(),
            line: Line::clone(&self.parts.line),
            paused: self.parts.halts.paused.clone(),
            closed: self.parts.halts.closed.clone(),
            unreadable: self.unreadable().collect(),
        }
    }

    /// What of it cannot be read, and is missing here.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        let full = |key: &PlanKey| Key::Plan(self.name.clone(), key.clone());
        let unreadable = self.parts.unreadable.iter();
        unreadable.map(move |(key, reason)| Unreadable { key: full(key), reason: reason.clone() })
    }
}

/// The dependencies are left out: the definition determines them.
impl PartialEq for PlanState {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.definition.since == other.definition.since
            && self.definition.revision == other.definition.revision
            && self.definition.spec == other.definition.spec
            && self.parts.tasks == other.parts.tasks
            && self.parts.findings == other.parts.findings
            && self.parts.line == other.parts.line
            && self.parts.halts == other.parts.halts
            && self.parts.unreadable == other.parts.unreadable
    }
}

impl Parts {
    /// Takes over what a key holds now. What cannot be read counts as absent, and is remembered as
    /// unreadable.
    pub(crate) fn put(
        &mut self,
        plan: &PlanName,
        key: &PlanKey,
        entry: Option<&Entry>,
    ) -> Result<(), CodecError> {
        let read = self.take_over(plan, key, entry);
        match &read {
            Err(error) => self.unreadable.insert_mut(key.clone(), error.to_string()),
            Ok(()) => {
                self.unreadable.remove_mut(key);
            }
        }
        read
    }

    fn take_over(&mut self, plan: &PlanName, key: &PlanKey, entry: Option<&Entry>) -> Result<(), CodecError> {
        let full = || Key::Plan(plan.clone(), key.clone());
        let check = || entry.map_or(Ok(()), |entry| unreadable::check(&full(), &entry.value));
        match key {
            PlanKey::Task(id) => {
                self.tasks.remove_mut(id);
                if let Some(entry) = entry {
                    let record = codec::decode(&entry.value)?;
                    let view = TaskView { id: id.clone(), revision: entry.modified, record };
                    self.tasks.insert_mut(id.clone(), Arc::new(view));
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
                let line = Arc::make_mut(&mut self.line);
                let others = line.candidates().iter().filter(|candidate| candidate.lease != *lease).cloned();
                let own = entry.map(|entry| Candidate {
                    lease: *lease,
                    joined: entry.created,
                    record: codec::decode(&entry.value).ok(), // An unmanaged candidate's value can be anything.
                });
                let mut new = Line::new(others.chain(own).collect(), line.term.take());
                new.unreadable = std::mem::take(&mut line.unreadable);
                *line = new;
                Ok(())
            }
            PlanKey::Term => {
                let term = entry.map(|entry| codec::decode(&entry.value).map(|term| (entry.modified, term)));
                let (term, read) = split(term.transpose());
                Arc::make_mut(&mut self.line).term = term;
                self.in_queue(full(), read)
            }
            PlanKey::Pause | PlanKey::Close => {
                let how = if *key == PlanKey::Pause { Halt::Paused } else { Halt::Cancelled };
                let halt = entry.map(|entry| {
                    let read = codec::decode(&entry.value).map_err(|error| Unreadable::new(full(), &error));
                    // The key alone halts the plan.
                    (entry.modified, read.unwrap_or_else(|error| HaltRecord::unreadable(how, &error)))
                });
                match how {
                    Halt::Paused => self.halts.paused = halt,
                    _ => self.halts.closed = halt,
                }
                check()
            }
            PlanKey::SpecPart(n) => {
                self.put_spec_part(*n, entry);
                check()
            }
            PlanKey::Unknown(below) if below.starts_with(b"owner/") => self.in_queue(full(), check()),
            PlanKey::Spec
            | PlanKey::Import
            | PlanKey::PastTerm(_)
            | PlanKey::Late(_)
            | PlanKey::Lock(..)
            | PlanKey::Unknown(_) => check(),
        }
    }

    /// Takes over a further part of the definition without reading it.
    pub(crate) fn put_spec_part(&mut self, n: u32, entry: Option<&Entry>) {
        match entry {
            Some(entry) => self.spec.insert_mut(n, entry.value.as_slice().into()),
            None => {
                self.spec.remove_mut(&n);
            }
        }
    }

    /// The further parts of the definition that cannot be read; each is remembered as unreadable.
    pub(crate) fn unreadable_spec_parts(&mut self, plan: &PlanName) -> Vec<(Key, CodecError)> {
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

    /// Remembers with the line whether a key of it could be read.
    fn in_queue(&mut self, key: Key, read: Result<(), CodecError>) -> Result<(), CodecError> {
        let line = Arc::make_mut(&mut self.line);
        line.unreadable.retain(|one| one.key != key);
        line.unreadable.extend(read.as_ref().err().map(|error| Unreadable::new(key, error)));
        read
    }

    /// Reads the definition from its head and the further parts.
    pub(crate) fn define(&self, head: &Entry) -> Result<Definition, CodecError> {
        let spec = codec::decode_spec(&head.value, self.spec.values().map(AsRef::as_ref))?;
        let graph = Arc::new(Graph::new(&spec));
        Ok(Definition { since: head.created, revision: head.modified, spec: Arc::new(spec), graph })
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.findings.is_empty()
            && self.spec.is_empty()
            && *self.line == Line::default()
            && self.halts == Halts::default()
            && self.unreadable.is_empty()
    }
}
