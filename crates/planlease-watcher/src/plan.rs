//! One plan as it is held: cheap to clone, whatever its size, and to change while older clones are kept.

use std::{collections::BTreeMap, sync::Arc};

use planlease::{PlanView, TaskView};
use planlease_core::{
    PlanName, Revision, Summary, TaskId,
    change::Entry,
    codec::{self, CodecError},
    graph::Graph,
    keys::PlanKey,
    order::Wait,
    record::HaltRecord,
    spec::{PlanSpec, Policies},
    standing::{Outlook, standing},
    term::{Candidate, Line},
    transition::TaskStatus,
};
use rpds::RedBlackTreeMapSync;

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

/// What belongs to a plan besides its definition. May be there before the plan is (an import writes the definition last)
/// and after it (the term stays, so that tokens grow for ever).
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) tasks: RedBlackTreeMapSync<TaskId, Arc<TaskView>>,
    pub(crate) findings: RedBlackTreeMapSync<TaskId, Revision>,
    pub(crate) line: Arc<Line>,
    pub(crate) halts: Halts,
    /// Further parts of a large definition, until its head comes.
    spec: BTreeMap<u32, Vec<u8>>,
}

/// What keeps a plan from going on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halts {
    /// Why nothing is started, if it is paused; and since which revision.
    pub paused: Option<(Revision, HaltRecord)>,
    /// Why nobody can own it, if it is cancelled or archived.
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
        Summary::of(self.tasks().map(|task| &task.record))
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
        }
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
    }
}

impl Parts {
    /// Takes over what a key holds now. What cannot be read counts as absent; the caller says so.
    pub(crate) fn put(&mut self, key: &PlanKey, entry: Option<&Entry>) -> Result<(), CodecError> {
        match (key, entry) {
            (PlanKey::Task(id), None) => {
                self.tasks.remove_mut(id);
            }
            (PlanKey::Task(id), Some(entry)) => {
                self.tasks.remove_mut(id);
                let record = codec::decode(&entry.value)?;
                let view = TaskView { id: id.clone(), revision: entry.modified, record };
                self.tasks.insert_mut(id.clone(), Arc::new(view));
            }
            (PlanKey::Findings(id), None) => {
                self.findings.remove_mut(id);
            }
            (PlanKey::Findings(id), Some(entry)) => self.findings.insert_mut(id.clone(), entry.modified),
            (PlanKey::Owner(lease), entry) => {
                let others =
                    self.line.candidates().iter().filter(|candidate| candidate.lease != *lease).cloned();
                let own = entry.map(|entry| Candidate {
                    lease: *lease,
                    joined: entry.created,
                    record: codec::decode(&entry.value).ok(), // A stranger's value is whatever it likes.
                });
                self.line = Arc::new(Line::new(others.chain(own).collect(), self.line.term.clone()));
            }
            (PlanKey::Term, entry) => {
                let term = entry.map(|entry| codec::decode(&entry.value).map(|term| (entry.modified, term)));
                let (term, read) = match term.transpose() {
                    Ok(term) => (term, Ok(())),
                    Err(error) => (None, Err(error)),
                };
                self.line = Arc::new(Line::new(self.line.candidates().to_vec(), term));
                return read;
            }
            (PlanKey::Pause | PlanKey::Close, entry) => {
                let halt = entry.map(|entry| codec::decode(&entry.value).map(|halt| (entry.modified, halt)));
                let (halt, read) = match halt.transpose() {
                    Ok(halt) => (halt, Ok(())),
                    Err(error) => (None, Err(error)),
                };
                match key {
                    PlanKey::Pause => self.halts.paused = halt,
                    _ => self.halts.closed = halt,
                }
                return read;
            }
            (PlanKey::SpecPart(n), None) => {
                self.spec.remove(n);
            }
            (PlanKey::SpecPart(n), Some(entry)) => {
                self.spec.insert(*n, entry.value.clone());
            }
            (
                PlanKey::Spec | PlanKey::Import | PlanKey::PastTerm(_) | PlanKey::Late(_) | PlanKey::Lock(..),
                _,
            ) => {}
        }
        Ok(())
    }

    /// Reads the definition from its head and the further parts, which are not needed any more then.
    pub(crate) fn define(&mut self, head: &Entry) -> Result<Definition, CodecError> {
        let parts = std::mem::take(&mut self.spec);
        let spec = codec::decode_spec(&head.value, parts.values().map(Vec::as_slice))?;
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
    }
}
