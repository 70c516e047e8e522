//! Answers that get lost *after* the request went through, and requests that get lost: every operation finds
//! out what became of it, and nothing happens twice.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{join, join_all};
use planlease::{
    AcquireOptions, Authority, AuthorityLoss, BatchOutcome, Coordinator, Endpoint, Identity, Imported,
    Outcome, Ownership, Refused, TaskView, TryAcquire, TryLock, UpdateRequest,
    connect::{Connecting, Connection, Connector, SocketConnector},
};
use planlease_core::{
    LockName, OrchestratorId, TaskId, TermNumber,
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::helpers::{audit, background, committed, id, imported, in_queue, plan, spec, try_acquire};

/// Loses the answer to the next request after [`Loss::arm`]: the request arrives, the connection breaks
/// before the answer does. After [`Loss::arm_request`] the request itself does not arrive.
///
/// Only connections for requests with one answer are meant, not those of watches and renewals: they are the
/// first one that a coordinator makes, and the one that it makes when that one broke.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// What the request has to hold whose answer is to be lost, if one is.
    armed: Arc<Mutex<Option<&'static str>>>,
    /// Whether the request itself is to be lost.
    before_arrival: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    /// How long there is no connection after that.
    pub(crate) outage: Arc<Mutex<Duration>>,
    down: Arc<Mutex<Option<tokio::time::Instant>>>,
    next_is_unary: Arc<AtomicBool>,
}

impl Loss {
    pub(crate) fn new() -> Self {
        Self {
            armed: Arc::default(),
            before_arrival: Arc::default(),
            lost: Arc::default(),
            outage: Arc::default(),
            down: Arc::default(),
            next_is_unary: Arc::new(AtomicBool::new(true)),
        }
    }

    fn arm(&self) {
        self.arm_for("");
    }

    /// The same for the next request that holds this text.
    pub(crate) fn arm_for(&self, text: &'static str) {
        self.lost.store(false, Ordering::SeqCst);
        self.before_arrival.store(false, Ordering::SeqCst);
        *self.armed.lock().unwrap() = Some(text);
    }

    /// Loses the next request that holds this text.
    fn arm_request(&self, text: &'static str) {
        self.arm_for(text);
        self.before_arrival.store(true, Ordering::SeqCst);
    }

    /// Whether these bytes are of the request that is waited for; then it is not waited for any more.
    fn is_it(&self, bytes: &[u8]) -> bool {
        let mut armed = self.armed.lock().unwrap();
        let found = armed.is_some_and(|text| {
            text.is_empty() || bytes.windows(text.len()).any(|window| window == text.as_bytes())
        });
        if found {
            *armed = None;
        }
        found
    }

    /// Whether an answer was lost since; a test in which none was has tested nothing.
    #[track_caller]
    pub(crate) fn check(&self) {
        assert!(self.lost.load(Ordering::SeqCst), "no answer was lost");
    }
}

impl Connector for Loss {
    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let connecting = SocketConnector.connect(endpoint);
        let loss = self.clone();
        Box::pin(async move {
            if loss.down.lock().unwrap().is_some_and(|until| tokio::time::Instant::now() < until) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let inner = connecting.await?;
            let unary = loss.next_is_unary.swap(false, Ordering::SeqCst);
            let lossy = Lossy { inner, loss, unary, victim: false, cut: false };
            let connection: Box<dyn Connection> = Box::new(lossy);
            Ok(connection)
        })
    }
}

struct Lossy {
    inner: Box<dyn Connection>,
    loss: Loss,
    unary: bool,
    /// It sent the request whose answer is to be lost.
    victim: bool,
    cut: bool,
}

impl Lossy {
    /// Breaks the connection: something is lost with it.
    fn cut_off(&mut self) {
        self.cut = true;
        self.loss.next_is_unary.store(true, Ordering::SeqCst);
        let outage = *self.loss.outage.lock().unwrap();
        *self.loss.down.lock().unwrap() = Some(tokio::time::Instant::now() + outage);
        self.loss.lost.store(true, Ordering::SeqCst);
    }
}

impl AsyncRead for Lossy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if self.victim && read.is_ready() && has_answer(&buf.filled()[before..]) {
            buf.set_filled(before);
            self.cut_off();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

/// Whether these bytes, which begin with a frame of HTTP/2, hold a part of an answer: headers or data, and
/// not just what the protocol says for itself (acknowledgements, windows, pings).
fn has_answer(mut frames: &[u8]) -> bool {
    while let [a, b, c, kind, ..] = *frames {
        if kind <= 1 {
            return true;
        }
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        frames = frames.get(9 + length..).unwrap_or_default();
    }
    false
}

impl AsyncWrite for Lossy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.unary && self.loss.is_it(buf) {
            if self.loss.before_arrival.load(Ordering::SeqCst) {
                self.cut_off();
                return Poll::Ready(Ok(buf.len())); // Sent, for all that the caller knows.
            }
            self.victim = true;
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A coordinator whose answers can be lost. Its sessions are renewed so seldom that a renewal never gets in
/// the way.
async fn lossy(env: &TestEnv) -> (Coordinator, Loss) {
    let loss = Loss::new();
    let ttl = Duration::from_secs(600);
    let config = env.config.clone().ttl(ttl).connector(Arc::new(loss.clone()));
    (Coordinator::connect(config).await.unwrap(), loss)
}

async fn lossy_session(coordinator: &Coordinator, name: &str) -> planlease::Session {
    let identity = Identity::of_process().id(OrchestratorId::new(name).unwrap());
    coordinator.open_session(identity).await.unwrap()
}

/// Waits until what was acquired is watched, which is a moment later: the connection for that is not to be
/// taken for one for requests.
async fn watched(coordinator: &Coordinator) {
    until("a watch", SOON, async || {
        let traffic = coordinator.traffic();
        if traffic.contains_key("Watch") { Ok(()) } else { Err(traffic) }
    })
    .await;
}

#[case]
async fn an_acquisition_whose_answer_is_lost_is_one_ownership(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    coordinator.plan(&plan()).await.unwrap(); // The term is known: the next request is the one that acquires.
    loss.arm();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else {
        panic!("held by whom?")
    };
    loss.check();
    assert_eq!(owner.term().number, TermNumber(1), "one term, not two");
    owner.release().await.unwrap();
    session.close().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_takeover_whose_answer_is_lost_is_one_ownership(env: TestEnv) {
    let observer = imported(&env).await;
    let first = env.session("first").await;
    let TryAcquire::Acquired(owner) = first.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    let (coordinator, loss) = lossy(&env).await;
    let second = lossy_session(&coordinator, "second").await;
    let waiting = background({
        let second = second.clone();
        async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
    });
    in_queue(&observer, 2).await;
    loss.arm();
    owner.release().await.unwrap();
    let next = waiting.await.unwrap();
    loss.check();
    assert_eq!(next.term().number, TermNumber(2));
    next.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn an_update_whose_answer_is_lost_is_committed_once(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    let owner = try_acquire(&session).await.unwrap();
    watched(&coordinator).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    loss.arm();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    loss.check();
    assert_eq!(started.record.attempt, 1);
    loss.arm();
    let batch = [(started, Change::Complete(None))];
    let outcome = owner.authority().update_all(&batch).await.unwrap().remove(0);
    loss.check();
    let done = committed(outcome);
    let audited = audit(&env).await;
    assert_eq!(audited.audit.find_write(done.record.op_id), Some(done.revision));
    assert_eq!(audited.report.updates, 5, "three at the import, and these two once each");
}

/// The answer is lost, and etcd cannot be reached for longer than the operation lasts.
#[case]
async fn submit_finds_an_unknown_outcome_by_its_op_id(env: TestEnv) {
    let observer = imported(&env).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let view = observer.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let loss = Loss::new();
    // Long enough for a busy server to answer, so that there is an answer to be lost.
    let (connector, short) = (Arc::new(loss.clone()), Duration::from_secs(3));
    let settings = env.config.clone().connector(connector).request_timeout(short).operation_timeout(short);
    let coordinator = Coordinator::connect(settings).await.unwrap();
    let authority = coordinator.delegated(&owner.delegate());
    // Over before `submit` has given up looking for the outcome.
    *loss.outage.lock().unwrap() = short + Duration::from_millis(100);
    loss.arm_for("one try");
    let note = Change::Progress("one try".to_owned());
    let outcome = authority.update(&started, &note).await.unwrap();
    loss.check();
    let Outcome::Unknown { op_id, .. } = outcome else { panic!("{outcome:?}") };
    let unknown =
        observer.history(&plan()).find_update(&id("1"), started.revision, op_id).await.unwrap().unwrap();
    until("the end of the outage", SOON, async || {
        coordinator.ping(short).await.map_err(|error| error.to_string())
    })
    .await;
    loss.arm_for("submitted");
    let request = UpdateRequest::new(id("1"), Change::Progress("submitted".to_owned()));
    let noted = committed(authority.submit_on(&unknown, &request).await.unwrap());
    loss.check();
    let present = observer.task(&plan(), &id("1")).await.unwrap().unwrap();
    assert_eq!(noted, present, "carried out, and found");
    let audited = audit(&env).await;
    assert_eq!(audited.report.updates, 3 + 3, "three at the import, and these three once each");
}

/// An owner whose task 1 is in progress, and its authority in a process whose next request that holds
/// "never arrived" does not arrive.
struct Unheard {
    owner: Box<Ownership>,
    started: TaskView,
    coordinator: Coordinator,
    authority: Authority,
    loss: Loss,
}

impl Unheard {
    async fn new(env: &TestEnv) -> Self {
        let observer = imported(env).await;
        let owner = try_acquire(&env.session("owner").await).await.unwrap();
        let view = observer.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let (loss, short) = (Loss::new(), Duration::from_secs(3));
        let settings = env.config.clone().connector(Arc::new(loss.clone()));
        let settings = settings.request_timeout(short).operation_timeout(short);
        let coordinator = Coordinator::connect(settings).await.unwrap();
        let authority = coordinator.delegated(&owner.delegate());
        *loss.outage.lock().unwrap() = short + Duration::from_millis(100);
        loss.arm_request("never arrived");
        Self { owner, started, coordinator, authority, loss }
    }
}

/// Releases the plan as soon as a request is lost, while the update goes on: the record stays as it was, so
/// only the guard shows that the update cannot come any more.
async fn released_during<T>(owner: Box<Ownership>, loss: &Loss, update: impl Future<Output = T>) -> T {
    let released = async {
        until("a lost request", SOON, async || {
            if loss.lost.load(Ordering::SeqCst) { Ok(()) } else { Err("not sent yet") }
        })
        .await;
        owner.release().await.unwrap();
    };
    join(update, released).await.0
}

/// A result of task 1 that never arrives.
fn never_arrives() -> UpdateRequest {
    UpdateRequest::new(id("1"), Change::Complete(Some("never arrived".to_owned()))).of_attempt(1)
}

/// What is kept of the late results of task 1.
async fn kept(coordinator: &Coordinator) -> Vec<Option<String>> {
    let late = coordinator.late_results(&plan(), &id("1")).await.unwrap();
    late.into_iter().map(|result| result.said).collect()
}

#[case]
async fn an_unanswered_result_without_its_owner_is_kept_as_late(env: TestEnv) {
    let Unheard { owner, started, coordinator, authority, loss } = Unheard::new(&env).await;
    let request = never_arrives();
    let submitted = authority.submit_on(&started, &request);
    let outcome = released_during(owner, &loss, submitted).await.unwrap();
    loss.check();
    let lost = matches!(outcome, Outcome::Refused(Refused::AuthorityLost(AuthorityLoss::Ownership(_))));
    assert!(lost, "{outcome:?}");
    let stats = coordinator.stats();
    assert_eq!((stats.unknown, stats.settled_refused), (1, 1), "unknown at first");
    assert_eq!(kept(&coordinator).await, [Some("never arrived".to_owned())]);
    audit(&env).await;
}

#[case]
async fn an_unanswered_batch_without_its_owner_is_kept_as_late(env: TestEnv) {
    let Unheard { owner, coordinator, authority, loss, .. } = Unheard::new(&env).await;
    let requests = [never_arrives()];
    let submitted = authority.submit_atomic(&requests);
    let outcome = released_during(owner, &loss, submitted).await.unwrap();
    loss.check();
    let BatchOutcome::Refused(refused) = outcome else { panic!("{outcome:?}") };
    let lost = |why: &Refused| matches!(why, Refused::AuthorityLost(AuthorityLoss::Ownership(_)));
    assert!(refused.len() == 1 && lost(&refused[0].1), "{refused:?}");
    assert_eq!(kept(&coordinator).await, [Some("never arrived".to_owned())]);
    audit(&env).await;
}

/// The hard case: by the time the writer asks again, another writer has overwritten its record.
#[case]
async fn an_overwritten_update_without_answer_is_found_in_history(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    let owner = try_acquire(&session).await.unwrap();
    watched(&coordinator).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let delegated = env.coordinator().await.delegated(&owner.delegate());
    let over = background(written_over(delegated, id("1"), "mine"));
    loss.arm();
    let mine = owner.authority().update_attempt(&task, 1, &Change::Progress("mine".into())).await.unwrap();
    let mine = committed(mine);
    loss.check();
    let yours = over.await.unwrap();
    assert!(mine.revision < yours.revision);
    let audited = audit(&env).await;
    assert_eq!(audited.audit.find_write(mine.record.op_id), Some(mine.revision));
    assert_eq!(audited.audit.find_write(yours.record.op_id), Some(yours.revision));
}

/// Writes over what comes to a task, as soon as it comes.
async fn written_over(delegated: Authority, task: TaskId, what: &str) -> TaskView {
    loop {
        let present = delegated.modify(&task, |record| {
            (record.progress.as_deref() == Some(what)).then(|| Change::Progress("yours".into()))
        });
        let written = committed(present.await.unwrap());
        if written.record.progress.as_deref() == Some("yours") {
            return written;
        }
    }
}

/// They share a request; by the time it is sent again, one of them is written over.
#[case]
async fn coalesced_updates_without_answer_are_committed_once(env: TestEnv) {
    const TASKS: u64 = 40;
    let observer = env.coordinator().await;
    let tasks = (0..TASKS).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    observer.admin().import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    let owner = try_acquire(&session).await.unwrap();
    watched(&coordinator).await;
    let (authority, view) = (owner.authority(), coordinator.plan(&plan()).await.unwrap());
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    let started: Vec<_> = authority.update_all(&starts).await.unwrap().into_iter().map(committed).collect();
    let over = background(written_over(observer.delegated(&owner.delegate()), id("7"), "mine of 7"));
    loss.arm_for("mine of 9"); // The first one leaves alone.
    let outcomes = join_all(started.iter().map(async |task| {
        let change = Change::Progress(format!("mine of {}", task.id));
        committed(authority.update(task, &change).await.unwrap())
    }))
    .await;
    loss.check();
    let over = over.await.unwrap();
    let audited = audit(&env).await;
    for mine in outcomes {
        assert_eq!(audited.audit.find_write(mine.record.op_id), Some(mine.revision));
        assert!(mine.id != over.id || mine.revision < over.revision);
    }
    assert_eq!(audited.report.updates, 3 * TASKS + 1, "at the import, the start, and these once each");
}

#[case]
async fn a_release_whose_answer_is_lost_has_released(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    let owner = try_acquire(&session).await.unwrap();
    watched(&coordinator).await;
    loss.arm();
    owner.release().await.unwrap();
    loss.check();
    assert!(coordinator.queue(&plan()).await.unwrap().candidates().is_empty());
    audit(&env).await;
}

#[case]
async fn a_lock_whose_answers_are_lost_is_had_once_and_released(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let session = lossy_session(&coordinator, "one").await;
    let name = LockName::new("git").unwrap();
    for round in 0..2 {
        loss.arm();
        let lock = session.lock(&plan(), &name, None).await.unwrap();
        watched(&coordinator).await;
        loss.check();
        assert_eq!(coordinator.locks(&plan()).await.unwrap()[0].queue.candidates().len(), 1);
        let next = env.session(&format!("next-{round}")).await;
        assert!(matches!(next.try_lock(&plan(), &name).await.unwrap(), TryLock::HeldBy(_)));
        loss.arm();
        lock.release().await.unwrap();
        loss.check();
        assert_eq!(coordinator.locks(&plan()).await.unwrap().items, []);
    }
}

#[case]
async fn an_edit_whose_answer_is_lost_is_carried_out_once(env: TestEnv) {
    imported(&env).await;
    let (coordinator, loss) = lossy(&env).await;
    let mut edited = spec();
    edited.tasks.remove(2);
    let view = coordinator.plan(&plan()).await.unwrap();
    loss.arm_for("edit_id"); // The read before it is answered.
    let done = coordinator.admin().edit(&plan(), &edited).await.unwrap();
    loss.check();
    let now = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(done.revision, Some(now.defined()));
    assert!(now.defined() > view.defined() && now.tasks().len() == 2);
    audit(&env).await;
}

#[case]
async fn an_import_whose_answer_is_lost_has_imported(env: TestEnv) {
    let (coordinator, loss) = lossy(&env).await;
    loss.arm();
    let imported = coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    loss.check();
    assert!(matches!(imported, Imported::Created(_)), "{imported:?}");
    loss.arm();
    coordinator.admin().delete(&plan()).await.unwrap();
    loss.check();
    audit(&env).await;
}

#[case]
async fn a_large_import_goes_on_after_lost_answers(env: TestEnv) {
    let (coordinator, loss) = lossy(&env).await;
    let mut large = spec();
    let task = |n| TaskSpec::new(id(&format!("9.{n}")), "x".repeat(200));
    large.tasks.extend((0..600).map(task));
    let imported = coordinator.admin().import(&plan(), &large, |_| loss.arm()).await.unwrap();
    loss.check();
    assert!(matches!(imported, Imported::Created(_)), "{imported:?}");
    assert_eq!(coordinator.plan(&plan()).await.unwrap().tasks().len(), 603);
    audit(&env).await;
}

#[case]
async fn a_session_whose_grant_is_not_answered_is_opened_once(mut env: TestEnv) {
    let (coordinator, loss) = lossy(&env).await;
    loss.arm();
    let session = lossy_session(&coordinator, "one").await;
    loss.check();
    let lease = session.lease();
    let keys = env.client.lease_time_to_live(lease.to_wire(), None).await.unwrap();
    assert!(keys.ttl() > 0, "the lease is there");
    assert_eq!(env.coordinator().await.orchestrators().await.unwrap().len(), 1);
    session.close().await.unwrap();
    let gone = env.client.lease_time_to_live(lease.to_wire(), None).await.unwrap();
    assert_eq!(gone.ttl(), -1, "and it does not outlive the session");
}
