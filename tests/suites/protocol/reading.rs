//! What an operation on one task reads, counted in requests and in bytes received: the same in a plan of 100
//! tasks, in one of 10,000 and in one of 100,000. And the excerpts of the definition by which it is so: older
//! versions neither write nor heed them.

use std::sync::Arc;

use planlease::{AcquireOptions, Coordinator, Outcome, Ownership, Refused, UpdateRequest};
use planlease_core::{
    PlanName, Revision, TaskId, codec, definition,
    excerpt::{ExcerptsRecord, WHOLE},
    keys::{Key, PlanKey},
    order::Why,
    spec::{Group, PhaseSpec, PlanSpec, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{TestEnv, backend::Backend, case, plain, proxy::Proxy};

use crate::helpers::{audit, committed, id, plan};

/// Tasks of which each waits for three before it, but for every tenth, which waits for none; in an order that
/// is not that of their keys.
fn depending(tasks: usize) -> PlanSpec {
    let name = |n: usize| id(&format!("{}.{n}", n % 7));
    let task = |n: usize| {
        let before = if n.is_multiple_of(10) { 0..0 } else { 1..4 };
        let depends_on = before.filter_map(|back| n.checked_sub(back)).map(name).collect();
        TaskSpec { depends_on, ..TaskSpec::new(name(n), format!("do thing number {n}, with all due care")) }
    };
    PlanSpec { title: "large".into(), tasks: (0..tasks).map(task).collect(), ..PlanSpec::default() }
}

/// A coordinator whose answers are counted.
struct Counted {
    proxy: Proxy,
    coordinator: Coordinator,
}

impl Counted {
    async fn new(env: &TestEnv) -> Self {
        let upstream = env.server.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap();
        let proxy = Proxy::before(upstream);
        let mut config = env.config.clone();
        config.endpoints = vec![proxy.endpoint().parse().unwrap()];
        Self { coordinator: Coordinator::connect(config).await.unwrap(), proxy }
    }

    fn so_far(&self) -> (u64, u64) {
        let traffic = self.coordinator.traffic();
        let unary = traffic.iter().filter(|(method, _)| !method.starts_with("Lease"));
        (unary.map(|(_, count)| count).sum(), self.proxy.answered())
    }

    /// Does it; what it came to, how many requests it took, and how many bytes the answers had.
    async fn cost<T>(&self, operation: impl AsyncFnOnce(&Coordinator) -> T) -> (T, u64, u64) {
        let before = self.so_far();
        let result = operation(&self.coordinator).await;
        let after = self.so_far();
        (result, after.0 - before.0, after.1 - before.1)
    }

    /// The same, within these bounds.
    #[track_caller]
    fn within((requests, bytes): (u64, u64), most: (u64, u64), what: &str) {
        assert!(requests <= most.0, "{what}: {requests} requests, more than {}", most.0);
        assert!(bytes <= most.1, "{what}: {bytes} bytes, more than {}", most.1);
    }
}

const KIB: u64 = 1024;

/// A start reads twice if its task waits for others: etcd cannot look up in one request what it has just
/// read the names of.
#[case(one_at_a_time)]
async fn the_cost_of_an_operation_is_that_of_its_task(env: TestEnv) {
    for tasks in [100, 10_000] {
        operations_cost_that_of_their_task(&env, tasks).await;
    }
    audit(&env).await;
}

/// On one server: to import so many takes longer than all that follows.
#[plain(on_embedded_in_folder)]
async fn the_cost_is_the_same_among_100_000_tasks() {
    let server = Arc::new(Backend::EmbeddedInFolder.start().await);
    operations_cost_that_of_their_task(&TestEnv::on(server, "large").await, 100_000).await;
}

/// The bounds do not depend on the number of tasks.
async fn operations_cost_that_of_their_task(env: &TestEnv, tasks: usize) {
    let (spec, name) = (depending(tasks), PlanName::new(format!("plan-{tasks}")).unwrap());
    env.coordinator().await.admin().import(&name, &spec, |_| {}).await.unwrap();
    let counted = Counted::new(env).await;
    let operator = counted.coordinator.as_operator(&name, "me");
    let submit = async |task: &str, change| {
        let request = UpdateRequest::new(id(task), change);
        let (outcome, requests, bytes) = counted.cost(async |_| operator.submit(&request).await).await;
        committed(outcome.unwrap());
        (requests, bytes)
    };
    let done = || Change::Complete(Some("done".into()));
    for free in ["0.0", "3.10", "6.20"] {
        Counted::within(submit(free, Change::Start).await, (2, 64 * KIB), "start");
        Counted::within(submit(free, Change::Progress("half".into())).await, (2, 8 * KIB), "progress");
        Counted::within(submit(free, done()).await, (2, 8 * KIB), "complete");
    }
    Counted::within(submit("1.1", Change::Start).await, (3, 64 * KIB), "start after others");
    Counted::within(submit("1.1", Change::Fail("no".into())).await, (2, 8 * KIB), "fail");

    let waiting = TaskId::new("3.3").unwrap();
    let (excerpt, requests, bytes) = counted.cost(async |one| one.excerpt(&name, &waiting).await).await;
    Counted::within((requests, bytes), (2, 64 * KIB), "excerpt");
    let excerpt = excerpt.unwrap();
    assert_eq!(excerpt.blockers().map(|wait| wait.on.as_str()).collect::<Vec<_>>(), ["2.2", "1.1"]);
    let (refused, requests, bytes) =
        counted.cost(async |_| operator.submit(&UpdateRequest::new(waiting, Change::Start)).await).await;
    assert!(matches!(refused.unwrap(), Outcome::Refused(Refused::Dependency)));
    Counted::within((requests, bytes), (2, 64 * KIB), "a start that is refused");
}

/// A worker's result names its own guard: the record is all that is read. A late one reads and writes a key
/// of its own besides.
#[case(one_at_a_time)]
async fn a_result_reads_its_record_alone_also_if_it_is_late(env: TestEnv) {
    let name = plan();
    env.coordinator().await.admin().import(&name, &depending(1_000), |_| {}).await.unwrap();
    let counted = Counted::new(&env).await;
    let session = env.session("owner").await;
    let ownership: Ownership = session.acquire(&name, AcquireOptions::default()).await.unwrap();
    let authority = counted.coordinator.delegated(&ownership.delegate());
    let start = UpdateRequest::new(id("0.0"), Change::Start);
    let started = committed(authority.submit(&start).await.unwrap());
    let complete = UpdateRequest::new(id("0.0"), Change::Complete(None)).of_attempt(started.record.attempt);
    let (done, requests, bytes) = counted.cost(async |_| authority.submit(&complete).await).await;
    committed(done.unwrap());
    Counted::within((requests, bytes), (2, 8 * KIB), "complete");

    let late = UpdateRequest::new(id("0.0"), Change::Fail("no".into())).of_attempt(started.record.attempt);
    let (refused, requests, bytes) = counted.cost(async |_| authority.submit(&late).await).await;
    assert!(matches!(refused.unwrap(), Outcome::Refused(Refused::NotAllowed(..))));
    Counted::within((requests, bytes), (3, 8 * KIB), "a late result");
    assert_eq!(counted.coordinator.late_results(&name, &id("0.0")).await.unwrap().len(), 1);
    ownership.release().await.unwrap();
}

/// What a watcher has seen may be out of date: what was taken since is not claimed twice, and what is ready
/// since is found.
#[case(one_at_a_time)]
async fn a_claim_on_a_seen_plan_reads_nothing_unless_it_changed(env: TestEnv) {
    let name = plan();
    env.coordinator().await.admin().import(&name, &depending(1_000), |_| {}).await.unwrap();
    let counted = Counted::new(&env).await;
    let session = env.session("worker").await;
    let other = session.coordinator().worker(&session, &name).unwrap();
    let seen = counted.coordinator.plan(&name).await.unwrap();
    let authority = counted.coordinator.operator(&seen, "me").unwrap();
    let (claimed, requests, _) = counted.cost(async |_| authority.claim_on(&seen, 1, &[]).await).await;
    assert_eq!(claimed.unwrap().tasks[0].id, id("0.0"));
    assert_eq!(requests, 1, "besides the lease of the claim");

    let taken = other.claim(1, &[]).await.unwrap().tasks.remove(0).id;
    let next = authority.claim_on(&seen, 1, &[]).await.unwrap();
    assert_eq!(next.tasks.len(), 1);
    assert!(next.tasks[0].id != taken && next.tasks[0].id != id("0.0"), "{:?}", next.tasks);
}

/// The keys of the excerpts, and what the definition's state is that they are of.
async fn excerpts(coordinator: &Coordinator) -> (usize, Option<Revision>) {
    let found = coordinator.raw().snapshot(&coordinator.layout().excerpts(&plan())).await.unwrap();
    let of = found.entries.iter().find(|(key, _)| matches!(key, Key::Plan(_, PlanKey::Excerpts)));
    let of = of.and_then(|(_, entry)| codec::decode::<ExcerptsRecord>(&entry.value).unwrap().of);
    (found.entries.len(), of)
}

/// What a version without excerpts leaves of them when it imports a plan: nothing.
async fn without_excerpts(env: &TestEnv, coordinator: &Coordinator) {
    let range = coordinator.layout().excerpts(&plan());
    let options = etcd_client::DeleteOptions::new().with_range(range.end);
    env.client.kv_client().delete(range.start, Some(options)).await.unwrap();
}

/// Changes the definition as a version does that does not know excerpts: they stay as they are.
async fn edited_by_an_older_version(env: &TestEnv, coordinator: &Coordinator, spec: &PlanSpec) {
    let (head, parts) = definition::encode_spec(spec).unwrap();
    let key = |key| coordinator.layout().of(&plan(), &key);
    let mut etcd = env.client.kv_client();
    for (n, part) in (1..).zip(parts) {
        etcd.put(key(PlanKey::SpecPart(n)), part, None).await.unwrap();
    }
    etcd.put(key(PlanKey::Spec), head, None).await.unwrap();
}

#[case]
async fn a_plan_of_an_older_version_gets_its_excerpts_by_a_start(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let spec = depending(WHOLE + 1);
    coordinator.admin().import(&plan(), &spec, |_| {}).await.unwrap();
    let defined = coordinator.plan(&plan()).await.unwrap().defined();
    assert_eq!(excerpts(&coordinator).await, (2, Some(defined)));
    without_excerpts(&env, &coordinator).await;
    // Whatever reads does not write.
    let excerpt = coordinator.excerpt(&plan(), &id("1.1")).await.unwrap();
    assert_eq!(excerpt.spec(), spec.task(&id("1.1")));
    assert_eq!(excerpts(&coordinator).await, (0, None));

    let operator = coordinator.as_operator(&plan(), "me");
    committed(operator.submit(&UpdateRequest::new(id("0.0"), Change::Start)).await.unwrap());
    assert_eq!(excerpts(&coordinator).await, (2, Some(defined)));
    assert_eq!(coordinator.plan(&plan()).await.unwrap().defined(), defined, "the definition is as it was");
    assert_eq!(coordinator.excerpt(&plan(), &id("1.1")).await.unwrap().spec(), spec.task(&id("1.1")));
    audit(&env).await;
}

#[case]
async fn excerpts_of_another_definition_decide_nothing(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let mut spec = depending(100);
    coordinator.admin().import(&plan(), &spec, |_| {}).await.unwrap();
    spec.tasks[0].depends_on.push(id("3.10"));
    spec.tasks[0].description = "different".into();
    edited_by_an_older_version(&env, &coordinator, &spec).await;
    let excerpt = coordinator.excerpt(&plan(), &id("0.0")).await.unwrap();
    assert_eq!(excerpt.spec().unwrap().description, "different");
    let operator = coordinator.as_operator(&plan(), "me");
    let start = UpdateRequest::new(id("0.0"), Change::Start);
    let refused = operator.submit(&start).await.unwrap();
    assert!(matches!(refused, Outcome::Refused(Refused::Dependency)), "{refused:?}");
    // The attempt has written those of the present definition.
    let defined = coordinator.plan(&plan()).await.unwrap().defined();
    assert_eq!(excerpts(&coordinator).await.1, Some(defined));
    let waits: Vec<_> = coordinator.excerpt(&plan(), &id("0.0")).await.unwrap().waits().to_vec();
    assert_eq!(waits.iter().map(|wait| wait.on.as_str()).collect::<Vec<_>>(), ["3.10"]);

    // A process that died while it wrote them.
    let unfinished = ExcerptsRecord {
        v: codec::FormatVersion::default(),
        of: None,
        policy: spec.policy.clone(),
        extra: planlease_core::Extra::default(),
    };
    let key = coordinator.layout().of(&plan(), &PlanKey::Excerpts);
    env.client.kv_client().put(key, codec::encode(&unfinished).unwrap(), None).await.unwrap();
    assert_eq!(coordinator.excerpt(&plan(), &id("0.0")).await.unwrap().waits(), waits);
}

#[case]
async fn excerpts_follow_edits_and_go_with_the_plan(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let mut spec = depending(100);
    coordinator.admin().import(&plan(), &spec, |_| {}).await.unwrap();
    spec.sequential.push(Group { tasks: vec![id("3.10"), id("6.20")], ..Group::default() });
    spec.tasks[10].description = "different".into();
    let edited = coordinator.admin().edit(&plan(), &spec).await.unwrap();
    assert_eq!(excerpts(&coordinator).await.1, edited.revision);
    let view = coordinator.plan(&plan()).await.unwrap();
    for task in &spec.tasks {
        let excerpt = coordinator.excerpt(&plan(), &task.id).await.unwrap();
        assert_eq!((excerpt.spec(), excerpt.waits()), (Some(task), view.graph().waits(&task.id)));
        assert_eq!(excerpt.status(&task.id), Some(TaskStatus::Pending));
    }
    let excerpt = coordinator.excerpt(&plan(), &id("6.20")).await.unwrap();
    assert_eq!(excerpt.waits()[0].why, Why::Sequence);

    // A small plan is read whole.
    coordinator.admin().delete(&plan()).await.unwrap();
    assert_eq!(excerpts(&coordinator).await, (0, None));
    coordinator.admin().import(&plan(), &depending(WHOLE), |_| {}).await.unwrap();
    assert_eq!(excerpts(&coordinator).await, (0, None));
    coordinator.admin().edit(&plan(), &depending(WHOLE + 20)).await.unwrap();
    assert_eq!(excerpts(&coordinator).await.0, 2);
    coordinator.admin().edit(&plan(), &depending(WHOLE)).await.unwrap();
    assert_eq!(excerpts(&coordinator).await, (0, None));
    audit(&env).await;
}

#[case]
async fn an_order_of_phases_counts_whole_phases(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let in_phase = |phase: &str, n: usize, depends_on: Vec<TaskId>| TaskSpec {
        phase: Some(phase.to_owned()),
        depends_on,
        ..TaskSpec::new(id(&format!("{phase}.{n}")), "do it")
    };
    let before = |n: usize| n.checked_sub(1).map(|n| id(&format!("1.{n}"))).into_iter().collect();
    let mut tasks: Vec<_> = (0..=WHOLE).map(|n| in_phase("1", n, before(n))).collect();
    tasks.push(in_phase("2", 1, Vec::new()));
    let phase = |number: &str| PhaseSpec { number: number.to_owned(), ..PhaseSpec::default() };
    let in_turn = Group { phases: vec!["1".to_owned(), "2".to_owned()], ..Group::default() };
    let phases = vec![phase("1"), phase("2")];
    let spec = PlanSpec { tasks, phases, sequential: vec![in_turn], ..PlanSpec::default() };
    coordinator.admin().import(&plan(), &spec, |_| {}).await.unwrap();
    assert!(excerpts(&coordinator).await.1.is_some());

    let operator = coordinator.as_operator(&plan(), "me");
    let skip = async |n: usize| {
        let skip = Change::Skip("not needed".to_owned());
        committed(operator.submit(&UpdateRequest::new(id(&format!("1.{n}")), skip)).await.unwrap());
    };
    let start = UpdateRequest::new(id("2.1"), Change::Start);
    // What ends the phase is all that the task waits for itself; the rest of the phase is not done.
    skip(WHOLE).await;
    let excerpt = coordinator.excerpt(&plan(), &id("2.1")).await.unwrap();
    assert_eq!(excerpt.blockers().count(), 1);
    let refused = operator.submit(&start).await.unwrap();
    assert!(matches!(refused, Outcome::Refused(Refused::Dependency)), "{refused:?}");
    for n in 0..WHOLE {
        skip(n).await;
    }
    committed(operator.submit(&start).await.unwrap());
}
