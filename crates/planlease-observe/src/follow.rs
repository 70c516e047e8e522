//! The output of a task, attempt by attempt: from the files of this host, from the host that keeps it, or,
//! where neither can be had, what etcd has of it.

use std::time::Duration;

use planlease::{Changes, Coordinator, Error, Feed, TaskView, error_chain};
use planlease_core::{
    OrchestratorId, PlanName, TaskId, TermNumber,
    keys::{KeyRange, PlanKey},
    logs::LogsRecord,
    record::OutputRecord,
    spec::Policies,
    standing::may_be_retried,
    transition::TaskStatus,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    output::{End, From, Outputs, Piece, Reader},
    remote::{Ask, Remote, RemoteError},
    serve::LOOK_EVERY,
};

/// How long to wait before a host is asked again that did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How many hosts are asked for an attempt whose orchestrator is gone.
const MOST_ASKED: usize = 16;

/// After how long without output it is looked whether the attempt still runs.
const SILENT: Duration = Duration::from_secs(5);

/// How often an attempt that runs is looked for, 100 ms apart, before that it is not found is reported.
const STARTING: u32 = 20;

/// How often a read that fails is tried by a reader that does not follow.
const TRIES: u32 = 3;

/// The longest wait for a change of the record, before it is read in any case.
const LOOK_IN_ANY_CASE: Duration = Duration::from_secs(5);

/// What is wanted of a task's output.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wanted {
    /// Of which plan.
    pub plan: PlanName,
    /// Of which task.
    pub task: TaskId,
    /// Of which attempt; `None`: the present one, or the last one.
    pub attempt: Option<u32>,
    /// Whether to go on as more comes, over further attempts if none is named.
    pub follow: bool,
    /// Where to begin.
    pub from: From,
}

impl Wanted {
    /// The whole output of the present attempt, or the last one.
    #[must_use]
    pub fn of(plan: PlanName, task: TaskId) -> Self {
        Self { plan, task, attempt: None, follow: false, from: From::default() }
    }
}

/// From where an output comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The files of this host.
    Files,
    /// The host at this address.
    Host(String),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    Attempt {
        /// Its number.
        attempt: u32,
        /// The orchestrator, worker or person that works on it.
        by: String,
        /// From where it is read.
        source: Source,
    },
    /// Output.
    Output {
        /// Of which attempt.
        attempt: u32,
        /// Where it begins, in bytes from the beginning of the attempt.
        offset: u64,
        /// When it was written, in milliseconds since 1970, to 50 ms.
        at: u64,
        /// The bytes, as the command wrote them.
        bytes: Vec<u8>,
    },
    /// So many bytes are not kept.
    LeftOut {
        /// Of which attempt.
        attempt: u32,
        /// How many.
        bytes: u64,
    },
    /// What etcd has of an attempt whose output cannot be had elsewhere.
    Stored(OutputRecord),
    /// An attempt ended.
    Ended {
        /// Its number.
        attempt: u32,
        /// How, if that was recorded: else the process that ran it is gone.
        how: Option<End>,
    },
    /// There is no output of an attempt: it is kept nowhere that can be reached.
    NotKept {
        /// Its number.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// A host does not answer; it is asked again as long as the attempt runs.
    Trouble {
        /// Of which attempt.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// The attempt has not begun.
    NotBegun {
        /// Its number; 1 if none is named.
        attempt: u32,
        /// Where the task stands.
        status: TaskStatus,
    },
}

/// The output of a task, as it comes.
#[derive(Debug)]
pub struct TaskOutput {
    coordinator: Coordinator,
    outputs: Option<Outputs>,
    wanted: Wanted,
    state: State,
    /// The attempt that is read, or comes next.
    attempt: Option<u32>,
    /// From where on it is read.
    from: From,
    /// Whether something of it was shown.
    begun: bool,
    /// The trouble that was reported last.
    trouble: Option<String>,
    /// How often reading failed.
    failures: u32,
    /// Since when nothing comes.
    silent_since: Option<Instant>,
    /// Whether the attempt has ended by its record, although its output has not.
    is_over: bool,
}

#[derive(Debug)]
enum State {
    Look,
    /// Until this moment.
    Pause(Instant),
    Local(Reader),
    Remote(Box<Remote>),
    Wait(Box<Changes>),
    Done,
}

impl TaskOutput {
    /// The output of a task. `outputs`: what this host keeps.
    #[must_use]
    pub fn new(coordinator: Coordinator, outputs: Option<Outputs>, wanted: Wanted) -> Self {
        let (attempt, from) = (wanted.attempt, wanted.from);
        let state = State::Look;
        Self {
            coordinator,
            outputs,
            wanted,
            state,
            attempt,
            from,
            begun: false,
            trouble: None,
            failures: 0,
            silent_since: None,
            is_over: false,
        }
    }

    /// Waits for what comes next; `None` at the end: that of the attempt, or, if further ones are followed,
    /// when none comes without a person's decision.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::TaskNotFound`], and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let event = match &mut self.state {
                State::Done => return Ok(None),
                State::Pause(until) => {
                    sleep_until(*until).await;
                    self.state = State::Look;
                    None
                }
                State::Wait(changes) => {
                    wait(changes).await?;
                    self.state = State::Look;
                    None
                }
                State::Look => self.look().await?,
                State::Local(reader) => match read(reader).await {
                    Ok(piece) => self.took(piece).await?,
                    Err(error) => self.failed(error.to_string()),
                },
                State::Remote(remote) => match remote.next().await {
                    Ok(piece) => self.took(piece).await?,
                    Err(error) => self.failed(error.to_string()),
                },
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// What a piece means.
    async fn took(&mut self, piece: Piece) -> Result<Option<Event>, Error> {
        let attempt = self.attempt.unwrap_or(1);
        self.begun = true;
        if piece != Piece::Nothing {
            self.silent_since = None;
        }
        Ok(match piece {
            Piece::Bytes { offset, at, bytes } => {
                self.from = From { offset: offset + length(&bytes), ..From::default() };
                Some(Event::Output { attempt, offset, at, bytes })
            }
            Piece::Gap(bytes) => {
                self.from.offset += bytes;
                Some(Event::LeftOut { attempt, bytes })
            }
            Piece::Nothing if self.wanted.follow => {
                let since = *self.silent_since.get_or_insert_with(Instant::now);
                if self.is_over {
                    // Its end was not recorded, and its writer is not known: it died at the beginning.
                    self.go_on();
                    return Ok(Some(Event::Ended { attempt, how: None }));
                }
                if since.elapsed() >= SILENT {
                    self.silent_since = None;
                    self.is_over = !self.runs(attempt).await?; // What was written before is still to be read.
                }
                if matches!(self.state, State::Local(_)) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                None
            }
            Piece::Nothing => {
                self.state = State::Done;
                None
            }
            Piece::End(how) => {
                self.go_on();
                Some(Event::Ended { attempt, how })
            }
        })
    }

    /// Whether the attempt is in progress, by its record.
    async fn runs(&self, attempt: u32) -> Result<bool, Error> {
        let view = self.coordinator.task(&self.wanted.plan, &self.wanted.task).await?;
        Ok(view.is_some_and(|view| {
            view.record.status == TaskStatus::InProgress && view.record.attempt == attempt
        }))
    }

    /// After an attempt: the next one, if it is wanted.
    fn go_on(&mut self) {
        let further = self.wanted.follow && self.wanted.attempt.is_none();
        self.state = if further { State::Look } else { State::Done };
        self.attempt = self.attempt.map(|attempt| attempt.saturating_add(1));
        self.from = From { tail: None, offset: 0, ..self.wanted.from };
        self.begun = false;
        self.trouble = None;
        self.failures = 0;
        self.silent_since = None;
        self.is_over = false;
    }

    /// A host or a disk does not answer: reported once, and tried again.
    fn failed(&mut self, why: String) -> Option<Event> {
        self.state = State::Pause(Instant::now() + ASK_AGAIN);
        self.failures += 1;
        if !self.wanted.follow && self.failures >= TRIES {
            self.state = State::Done;
        }
        if self.trouble.as_ref() == Some(&why) {
            return None;
        }
        self.trouble = Some(why.clone());
        Some(Event::Trouble { attempt: self.attempt.unwrap_or(1), why })
    }

    /// Looks where the attempt is, and begins to read it.
    async fn look(&mut self) -> Result<Option<Event>, Error> {
        let (plan, task) = (self.wanted.plan.clone(), self.wanted.task.clone());
        let Some(view) = self.coordinator.task(&plan, &task).await? else {
            self.coordinator.plan(&plan).await?.task(&task)?;
            return Err(Error::PlanNotFound(plan));
        };
        let record = &view.record;
        let attempt = *self.attempt.get_or_insert(record.attempt.max(1));
        if attempt > record.attempt {
            return self.not_begun(&view, attempt).await;
        }
        let start = record.transitions.iter().rev().find(|step| {
            step.from != step.to && step.to == TaskStatus::InProgress && step.attempt == attempt
        });
        let (by, term) = start.map_or((String::new(), None), |step| (step.by.clone(), step.term));
        let runs = record.status == TaskStatus::InProgress && record.attempt == attempt;
        if let Some(reader) = self.local(attempt, term).await? {
            self.state = State::Local(reader);
            return Ok(self.begins(attempt, by, Source::Files));
        }
        let why = match self.remote(attempt, term, &by).await? {
            Ok((remote, address)) => {
                self.state = State::Remote(Box::new(remote));
                return Ok(self.begins(attempt, by, Source::Host(address)));
            }
            Err(why) => why,
        };
        if runs && self.wanted.follow {
            if self.failures < STARTING {
                // It was started a moment ago: its files come after its record.
                self.failures += 1;
                self.state = State::Pause(Instant::now() + LOOK_EVERY);
                return Ok(None);
            }
            return Ok(self.failed(why));
        }
        self.elsewhere(attempt, why).await
    }

    fn begins(&mut self, attempt: u32, by: String, source: Source) -> Option<Event> {
        (!self.begun || self.trouble.take().is_some()).then_some(Event::Attempt { attempt, by, source })
    }

    async fn not_begun(&mut self, view: &TaskView, attempt: u32) -> Result<Option<Event>, Error> {
        let first = view.record.attempt == 0 || self.wanted.attempt.is_some();
        if !self.wanted.follow || self.is_settled(view).await? {
            self.state = State::Done;
            let status = view.record.status;
            return Ok(first.then_some(Event::NotBegun { attempt, status }));
        }
        let key = self.coordinator.layout().of(&self.wanted.plan, &PlanKey::Task(self.wanted.task.clone()));
        let range = KeyRange { end: [&key[..], &[0]].concat(), start: key };
        self.state = State::Wait(Box::new(self.coordinator.raw().changes(range, view.revision.next())));
        Ok(None)
    }

    /// Whether no further attempt comes without a person's decision.
    async fn is_settled(&self, view: &TaskView) -> Result<bool, Error> {
        let record = &view.record;
        Ok(match record.status {
            TaskStatus::Completed | TaskStatus::Skipped => true,
            TaskStatus::Failed if record.parked.is_some() || record.lost_for_good => true,
            TaskStatus::Failed => {
                let plan = self.coordinator.plan(&self.wanted.plan).await?;
                !may_be_retried(record, Policies::of(plan.spec()).of_task(&view.id))
            }
            _ => false,
        })
    }

    /// The files of this host, if they have it.
    async fn local(&self, attempt: u32, term: Option<TermNumber>) -> Result<Option<Reader>, Error> {
        let Some(outputs) = self.outputs.clone() else { return Ok(None) };
        let (plan, task, from) = (self.wanted.plan.clone(), self.wanted.task.clone(), self.from);
        let open = move || {
            let folder = outputs.find(&plan, &task, attempt, term)?;
            folder.map(|folder| Reader::open(&folder, from)).transpose()
        };
        match tokio::task::spawn_blocking(open).await {
            Ok(Ok(reader)) => Ok(reader),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the output that is kept on this host cannot be read");
                Ok(None) // Another user's, say: its orchestrator may serve it.
            }
            Err(_) => Ok(None),
        }
    }

    /// The host that keeps it; or why there is none.
    async fn remote(
        &self,
        attempt: u32,
        term: Option<TermNumber>,
        by: &str,
    ) -> Result<Result<(Remote, String), String>, Error> {
        let ask = Ask {
            plan: &self.wanted.plan,
            task: &self.wanted.task,
            attempt,
            term,
            from: self.from,
            follow: self.wanted.follow,
        };
        let mut why =
            format!("{} serves no logs, or is gone", if by.is_empty() { "its process" } else { by });
        for at in self.candidates(by).await? {
            match Remote::open(&at, &ask).await {
                Ok(remote) => return Ok(Ok((remote, at.address))),
                Err(RemoteError::NotKept) => {}
                Err(error) => why = format!("{} does not answer: {error}", at.address),
            }
        }
        Ok(Err(why))
    }

    /// The listeners to ask: that of the process itself; if it is gone, the others, one of which may be on
    /// the same host.
    async fn candidates(&self, by: &str) -> Result<Vec<LogsRecord>, Error> {
        if let Ok(id) = OrchestratorId::new(by)
            && let Some(logs) = self.coordinator.logs_of(&id).await?
        {
            return Ok(vec![logs]);
        }
        let all = self.coordinator.logs().await?;
        Ok(all.into_iter().map(|(_, logs)| logs).take(MOST_ASKED).collect())
    }

    /// What etcd has of it.
    async fn elsewhere(&mut self, attempt: u32, why: String) -> Result<Option<Event>, Error> {
        let begun = self.begun;
        let found = self.coordinator.findings(&self.wanted.plan, &self.wanted.task).await;
        let stored = match found {
            Ok(found) => found.and_then(|found| found.output).filter(|output| output.attempt == attempt),
            Err(error @ Error::Unreadable(_)) => {
                tracing::warn!("{}", error_chain(&error));
                None
            }
            Err(error) => return Err(error),
        };
        self.go_on();
        Ok(Some(match stored {
            _ if begun => Event::Ended { attempt, how: None },
            Some(output) => Event::Stored(output),
            None => Event::NotKept { attempt, why },
        }))
    }
}

/// Reads more, on a thread that may block.
async fn read(reader: &mut Reader) -> std::io::Result<Piece> {
    let mut ahead = reader.clone(); // If this future is dropped, the reader is where it was.
    let reading = tokio::task::spawn_blocking(move || {
        let piece = ahead.read_next();
        (ahead, piece)
    });
    let (ahead, piece) = reading.await.map_err(std::io::Error::other)?;
    *reader = ahead;
    piece
}

/// Waits until the record may have changed.
async fn wait(changes: &mut Changes) -> Result<(), Error> {
    let changed = async {
        loop {
            match changes.next().await? {
                Feed::Changes(_) | Feed::Compacted(_) => return Ok(()),
                Feed::Connected | Feed::Alive(_) | Feed::Broken(_) => {}
            }
        }
    };
    timeout(LOOK_IN_ANY_CASE, changed).await.unwrap_or(Ok(()))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
