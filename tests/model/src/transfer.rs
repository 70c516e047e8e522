//! A plan moves from one cluster to another: a design on paper (`docs/scale.md`), checked before any code.
//!
//! There are two clusters and a directory, three stores with transactions of their own and none in common.
//! Every process that reads the stores can take the next step, so a mover that dies is one that takes no
//! step. A request is built from what is read, and carried out at once or, some of them, much later: when
//! its sender is dead, when the move is over, when the plan has moved back. Clients ask either cluster at any
//! moment, as if the directory that they know were old.

use stateright::{Model, Property};

/// What is always so: one place to write.
pub const ONE_PLACE: &str = "a plan is never writable in two clusters";

/// What is always so: nothing acknowledged is lost.
pub const KEPT: &str = "where a plan is writable, every acknowledged update is there";

/// What is always so: tokens grow.
pub const TOKENS: &str = "fencing tokens grow, over moves as well";

/// What is always so: a move comes to an end.
pub const AT_THE_END: &str = "at the end the plan is writable where the directory says";

/// What happens: a plan moves there and back.
pub const RETURNED: &str = "a plan comes back to its first cluster";

/// What happens: an update from before the move.
pub const CARRIED: &str = "an update of the first cluster is there in the second";

/// What happens: a move that is given up.
pub const GIVEN_UP: &str = "a move is given up, and the plan goes on where it was";

/// Records of the plan, which are copied one by one.
const RECORDS: usize = 2;

/// The generations of the two stores: the second has the lower one.
const GENERATIONS: [u8; 2] = [2, 1];

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The directory is switched before the source is frozen.
    SwitchedFirst,
    /// Records are copied before the source is frozen.
    CopiedFirst,
    /// The destination is thawed before the directory is switched.
    ThawedFirst,
    /// A write does not compare that its cluster has no mark.
    FreezeNotCompared,
    /// A copied record is put without comparing the mark of this move.
    CopyNotGuarded,
    /// The leftovers at the source are deleted without comparing the mark.
    ForgetNotGuarded,
    /// The directory is switched without comparing its entry.
    SwitchNotCompared,
    /// The term is not copied.
    TermNotCopied,
    /// A term at the destination takes the generation of that store, though the one before it had a higher.
    GenerationNotRaised,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Moves that are begun.
    pub moves: u8,
    /// Moves that are given up.
    pub aborts: u8,
    /// Updates by clients.
    pub writes: u8,
    /// Acquisitions of the plan.
    pub acquisitions: u8,
    /// Requests that arrive late.
    pub delays: u8,
}

/// The move, or one with a flaw, within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// What is wrong.
    pub flaw: Option<Flaw>,
    /// How much may happen.
    pub bounds: Bounds,
}

/// A fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The generation of the term.
    pub generation: u8,
    /// The number of the term.
    pub number: u8,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The clusters; the plan begins in the first.
    pub clusters: [Cluster; 2],
    /// The directory's entry of the plan.
    pub directory: Directory,
    /// The updates that were acknowledged, a bit each.
    pub acknowledged: u8,
    /// The greatest token so far.
    pub greatest: Token,
    /// Whether an owner had one that was not greater.
    pub fell: bool,
    /// Requests that are under way.
    pub late: Vec<Request>,
    /// What has been used up of the bounds.
    pub spent: Spent,
}

/// What has been used up of the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    aborts: u8,
    writes: u8,
    acquisitions: u8,
    delays: u8,
}

/// What a cluster has of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// The key `move`.
    pub mark: Option<Mark>,
    /// Grows with each change of it.
    pub revision: u8,
    /// Whether the key `spec` is there.
    pub present: bool,
    /// Each record: the updates that are in it, a bit each.
    pub records: [u8; RECORDS],
    /// Which records the present move has copied.
    pub copied: [bool; RECORDS],
    /// The last term.
    pub term: Token,
}

/// The key `move` of a plan in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// What it says.
    pub kind: Kind,
    /// Of which move.
    pub id: u8,
    /// When it was put.
    pub revision: u8,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Records are being copied to here.
    Arriving,
    /// The plan is here and is not written.
    Frozen,
    /// The plan was here.
    Departed,
}

/// The directory's entry of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Directory {
    /// In which cluster the plan is.
    pub at: usize,
    /// How many moves were begun.
    pub begun: u8,
    /// The move that is under way.
    pub moving: Option<Moving>,
    /// Grows with each change.
    pub revision: u8,
}

/// A move that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moving {
    /// Its number.
    pub id: u8,
    /// The destination.
    pub to: usize,
    /// What was decided.
    pub decision: Decision,
}

/// What was decided about a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Nothing yet.
    Open,
    /// The plan is at the destination.
    Moved,
    /// The plan stays.
    GivenUp,
}

/// A transaction with what it compares: `at` is a cluster, `mark` and `directory` are revisions.
#[expect(missing_docs, reason = "the fields are explained above, and each transaction in docs/scale.md")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Directory: begins a move.
    Begin { directory: u8 },
    /// Destination: puts the mark.
    Arrive { at: usize, mark: u8, id: u8 },
    /// Source: puts the mark.
    Freeze { at: usize, mark: u8, id: u8 },
    /// Destination: puts a record.
    Copy { at: usize, mark: u8, record: usize, value: u8 },
    /// Directory: the plan is at the destination.
    Switch { directory: u8, to: usize },
    /// Directory: the plan stays.
    Abort { directory: u8 },
    /// Destination: puts the definition and the term, deletes the mark.
    Thaw { at: usize, mark: u8, term: Token },
    /// Source: deletes the plan, puts another mark.
    Forget { at: usize, mark: u8 },
    /// Either cluster: deletes the mark of a move that is not to be, with what it has copied.
    Undo { at: usize, mark: u8 },
    /// Directory: no move is under way.
    Close { directory: u8 },
    /// A client updates a record.
    Write { at: usize, record: usize, seen: u8, number: u8 },
    /// A client acquires the plan.
    Acquire { at: usize, term: Token },
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A request is sent and carried out.
    Send(Request),
    /// A request is sent and stays under way.
    Delay(Request),
    /// The request with this index arrives.
    Deliver(usize),
}

impl Cluster {
    fn new(present: bool, term: Token) -> Self {
        let (records, copied) = ([0; RECORDS], [false; RECORDS]);
        Self { mark: None, revision: 0, present, records, copied, term }
    }

    /// Whether the plan is here and may be written.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.present && self.mark.is_none()
    }

    fn is(&self, kind: Kind, id: u8) -> bool {
        self.mark.is_some_and(|mark| mark.kind == kind && mark.id == id)
    }

    /// The revision of the mark, 0 without one.
    fn marked(&self) -> u8 {
        self.mark.map_or(0, |mark| mark.revision)
    }

    fn mark(&mut self, kind: Kind, id: u8) {
        self.revision += 1;
        self.mark = Some(Mark { kind, id, revision: self.revision });
    }

    fn clear(&mut self) {
        *self = Self { mark: self.mark, revision: self.revision, ..Self::new(false, self.term) };
    }
}

impl Directory {
    fn put(&mut self, at: usize, moving: Option<Moving>) {
        *self = Self { at, moving, revision: self.revision + 1, begun: self.begun };
    }

    /// The move under way, with another decision.
    fn decided(&self, decision: Decision) -> Option<Moving> {
        self.moving.map(|moving| Moving { decision, ..moving })
    }
}

impl Transfer {
    fn has(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The requests of a process that reads the stores now and carries the move on.
    fn steps(self, state: &State) -> Vec<Request> {
        let mut steps = undone(state);
        let directory = state.directory.revision;
        let Some(Moving { id, to, decision }) = state.directory.moving else {
            if state.directory.begun < self.bounds.moves {
                steps.push(Request::Begin { directory });
            }
            return steps;
        };
        let (source, destination) = (&state.clusters[1 - to], &state.clusters[to]);
        let arriving = destination.is(Kind::Arriving, id);
        let frozen = source.is(Kind::Frozen, id);
        let copies = match decision {
            Decision::Open => frozen || self.has(Flaw::CopiedFirst),
            Decision::Moved => self.has(Flaw::SwitchedFirst),
            Decision::GivenUp => false,
        };
        if arriving && copies {
            let copy = |record: usize| Request::Copy {
                at: to,
                mark: destination.marked(),
                record,
                value: source.records[record],
            };
            steps.extend((0..RECORDS).filter(|record| !destination.copied[*record]).map(copy));
        }
        let complete = arriving && destination.copied == [true; RECORDS];
        if complete && (decision == Decision::Moved || self.has(Flaw::ThawedFirst)) {
            steps.push(Request::Thaw { at: to, mark: destination.marked(), term: source.term });
        }
        match decision {
            Decision::Open => steps.extend(self.towards(state, id, to)),
            Decision::Moved => steps.extend(self.after(state, id, to)),
            Decision::GivenUp if !frozen && !arriving => steps.push(Request::Close { directory }),
            Decision::GivenUp => {}
        }
        steps
    }

    /// What is to be done until a decision, besides copying.
    fn towards(self, state: &State, id: u8, to: usize) -> Vec<Request> {
        let (source, destination) = (&state.clusters[1 - to], &state.clusters[to]);
        let directory = state.directory.revision;
        let arriving = destination.is(Kind::Arriving, id);
        let frozen = source.is(Kind::Frozen, id);
        let complete = frozen && destination.copied == [true; RECORDS];
        let mut steps = Vec::new();
        if !arriving && !destination.present {
            steps.push(Request::Arrive { at: to, mark: destination.marked(), id });
        }
        if !frozen && source.present {
            steps.push(Request::Freeze { at: 1 - to, mark: source.marked(), id });
        }
        if arriving && (complete || self.has(Flaw::SwitchedFirst)) {
            steps.push(Request::Switch { directory, to });
        }
        if state.spent.aborts < self.bounds.aborts {
            steps.push(Request::Abort { directory });
        }
        steps
    }

    /// What is to be done after the switch, besides the thaw.
    fn after(self, state: &State, id: u8, to: usize) -> Vec<Request> {
        let source = &state.clusters[1 - to];
        let mut steps = Vec::new();
        if self.has(Flaw::SwitchedFirst) && source.is_open() {
            steps.push(Request::Freeze { at: 1 - to, mark: 0, id });
        }
        if state.clusters[to].is_open() && source.is(Kind::Frozen, id) {
            steps.push(Request::Forget { at: 1 - to, mark: source.marked() });
        }
        if state.clusters[to].is_open() && source.is(Kind::Departed, id) {
            steps.push(Request::Close { directory: state.directory.revision });
        }
        steps
    }

    /// The requests of clients, which ask any cluster that has the plan.
    fn clients(self, state: &State) -> Vec<Request> {
        let mut requests = Vec::new();
        for (at, cluster) in state.clusters.iter().enumerate() {
            let asked = cluster.is_open() || cluster.present && self.has(Flaw::FreezeNotCompared);
            if asked && state.spent.writes < self.bounds.writes {
                let number = state.spent.writes;
                let write =
                    |record: usize| Request::Write { at, record, seen: cluster.records[record], number };
                requests.extend((0..RECORDS).map(write));
            }
            if cluster.is_open() && state.spent.acquisitions < self.bounds.acquisitions {
                requests.push(Request::Acquire { at, term: cluster.term });
            }
        }
        requests
    }

    /// Carries a request out, or refuses it.
    fn handle(self, state: &mut State, request: Request) {
        match request {
            Request::Begin { .. }
            | Request::Switch { .. }
            | Request::Abort { .. }
            | Request::Close { .. } => self.handle_directory(state, request),
            Request::Write { at, record, seen, number } => {
                let cluster = &mut state.clusters[at];
                let may = cluster.is_open() || cluster.present && self.has(Flaw::FreezeNotCompared);
                if may && cluster.records[record] == seen {
                    cluster.records[record] |= 1 << number;
                    state.acknowledged |= 1 << number;
                }
            }
            Request::Acquire { at, term } => {
                let cluster = &mut state.clusters[at];
                if cluster.is_open() && cluster.term == term {
                    let before = if self.has(Flaw::GenerationNotRaised) { 0 } else { term.generation };
                    let generation = GENERATIONS[at].max(before);
                    cluster.term = Token { generation, number: term.number + 1 };
                    state.fell |= cluster.term <= state.greatest;
                    state.greatest = state.greatest.max(cluster.term);
                }
            }
            Request::Arrive { at, .. }
            | Request::Freeze { at, .. }
            | Request::Copy { at, .. }
            | Request::Thaw { at, .. }
            | Request::Forget { at, .. }
            | Request::Undo { at, .. } => self.handle_mark(&mut state.clusters[at], request),
        }
    }

    fn handle_directory(self, state: &mut State, request: Request) {
        let entry = &mut state.directory;
        match request {
            Request::Begin { directory } if directory == entry.revision => {
                entry.begun += 1;
                let moving = Moving { id: entry.begun, to: 1 - entry.at, decision: Decision::Open };
                entry.put(entry.at, Some(moving));
            }
            Request::Switch { directory, to }
                if directory == entry.revision || self.has(Flaw::SwitchNotCompared) =>
            {
                entry.put(to, entry.decided(Decision::Moved));
            }
            Request::Abort { directory } if directory == entry.revision => {
                entry.put(entry.at, entry.decided(Decision::GivenUp));
                state.spent.aborts += 1;
            }
            Request::Close { directory } if directory == entry.revision => entry.put(entry.at, None),
            _ => {}
        }
    }

    fn handle_mark(self, cluster: &mut Cluster, request: Request) {
        let marked = cluster.marked();
        let id = cluster.mark.map_or(0, |mark| mark.id);
        match request {
            Request::Arrive { mark, id, .. } if mark == marked && !cluster.present => {
                cluster.clear();
                cluster.mark(Kind::Arriving, id);
            }
            Request::Freeze { mark, id, .. } if mark == marked && cluster.present => {
                cluster.mark(Kind::Frozen, id);
            }
            Request::Copy { mark, record, value, .. } if mark == marked || self.has(Flaw::CopyNotGuarded) => {
                cluster.records[record] = value;
                cluster.copied[record] |= !cluster.present;
            }
            Request::Thaw { mark, term, .. } if mark == marked => {
                cluster.mark = None;
                cluster.present = true;
                cluster.copied = [false; RECORDS];
                if !self.has(Flaw::TermNotCopied) {
                    cluster.term = term;
                }
            }
            Request::Forget { mark, .. } if mark == marked || self.has(Flaw::ForgetNotGuarded) => {
                cluster.clear();
                cluster.mark(Kind::Departed, id);
            }
            Request::Undo { mark, .. } if mark == marked => {
                if !cluster.present {
                    cluster.clear();
                }
                cluster.mark = None;
            }
            _ => {}
        }
    }
}

/// The marks of moves that are over or given up: the directory says so.
fn undone(state: &State) -> Vec<Request> {
    let moving = state.directory.moving.filter(|moving| moving.decision != Decision::GivenUp);
    let is_due =
        |mark: &Mark| mark.kind != Kind::Departed && moving.is_none_or(|Moving { id, .. }| id != mark.id);
    let marks = state.clusters.iter().enumerate().filter_map(|(at, cluster)| Some((at, cluster.mark?)));
    marks
        .filter(|(_, mark)| is_due(mark))
        .map(|(at, mark)| Request::Undo { at, mark: mark.revision })
        .collect()
}

impl State {
    /// Counts what is bounded, when it is sent.
    fn count(&mut self, request: Request) {
        match request {
            Request::Write { .. } => self.spent.writes += 1,
            Request::Acquire { .. } => self.spent.acquisitions += 1,
            _ => {}
        }
    }
}

impl Model for Transfer {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = Token { generation: GENERATIONS[0], number: 1 };
        let none = Token { generation: 0, number: 0 };
        vec![State {
            clusters: [Cluster::new(true, first), Cluster::new(false, none)],
            directory: Directory { at: 0, begun: 0, moving: None, revision: 0 },
            acknowledged: 0,
            greatest: first,
            fell: false,
            late: Vec::new(),
            spent: Spent::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for request in self.steps(state).into_iter().chain(self.clients(state)) {
            actions.push(Action::Send(request));
            if state.spent.delays < self.bounds.delays {
                actions.push(Action::Delay(request));
            }
        }
        actions.extend((0..state.late.len()).map(Action::Deliver));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(request) => {
                state.count(request);
                self.handle(&mut state, request);
            }
            Action::Delay(request) => {
                state.count(request);
                state.spent.delays += 1;
                state.late.push(request);
                state.late.sort_unstable();
            }
            Action::Deliver(index) => {
                let request = state.late.remove(index);
                self.handle(&mut state, request);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_PLACE, |_, state: &State| {
                state.clusters.iter().filter(|cluster| cluster.is_open()).count() <= 1
            }),
            Property::always(KEPT, |_, state: &State| {
                let has_all = |cluster: &Cluster| {
                    let here = cluster.records.iter().fold(0, |all: u8, record| all | record);
                    state.acknowledged & !here == 0
                };
                state.clusters.iter().filter(|cluster| cluster.is_open()).all(has_all)
            }),
            Property::always(TOKENS, |_, state: &State| !state.fell),
            Property::always(AT_THE_END, |model: &Self, state: &State| {
                let mut possible = Vec::new();
                model.actions(state, &mut possible);
                let settled = state.directory.moving.is_none();
                !possible.is_empty() || settled && state.clusters[state.directory.at].is_open()
            }),
            Property::sometimes(RETURNED, |_, state: &State| {
                let departed = |mark: Mark| mark.kind == Kind::Departed;
                state.clusters[0].is_open() && state.clusters[1].mark.is_some_and(departed)
            }),
            Property::sometimes(CARRIED, |_, state: &State| {
                state.clusters[1].is_open() && state.clusters[1].records != [0; RECORDS]
            }),
            Property::sometimes(GIVEN_UP, |_, state: &State| {
                let settled = state.directory.moving.is_none() && state.clusters[0].is_open();
                settled && state.spent.aborts > 0 && state.directory.begun == 1
            }),
        ]
    }
}
