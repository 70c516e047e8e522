//! Histories with one thing wrong each: the audit has to find exactly that.

use std::collections::BTreeSet;

use super::*;
use crate::{
    approval::ApprovalOf,
    record::{CandidateRecord, Role, Writer},
    spec::TaskSpec,
    term::{self, Successor},
    time::WallTime,
    transition::{Change, Write, apply},
};

/// What is put, and the lease that it lives on.
type Value = (Vec<u8>, Option<LeaseId>);

/// Builds a history change set by change set, correctly unless a test changes it.
struct History {
    audit: Audit,
    revision: i64,
    tasks: BTreeMap<TaskId, TaskRecord>,
    term: Option<TermRecord>,
}

fn plan() -> PlanName {
    PlanName::new("p").unwrap()
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn lease(n: i64) -> LeaseId {
    LeaseId::from_wire(n).unwrap()
}

fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

fn writer(guard: Guard) -> Writer {
    let role = match guard {
        Guard::Worker { .. } => Role::Worker,
        Guard::Unowned => Role::Operator,
        Guard::Owner { .. } | Guard::Import => Role::Owner,
    };
    Writer { who: "o".into(), role, term: None, guard }
}

impl History {
    /// A plan of tasks `1` and `2`, the second depending on the first.
    fn new() -> Self {
        let mut history = Self { audit: Audit::new(), revision: 1, tasks: BTreeMap::new(), term: None };
        let spec = history.spec();
        let mut changes = vec![(PlanKey::Spec, Some((definition::encode_spec(&spec).unwrap().0, None)))];
        for task in &spec.tasks {
            let record = TaskRecord::new(writer(Guard::Import), Uuid::nil());
            changes.push((PlanKey::Task(task.id.clone()), Some((codec::encode(&record).unwrap(), None))));
            history.tasks.insert(task.id.clone(), record);
        }
        history.commit(changes);
        history
    }

    fn spec(&self) -> PlanSpec {
        let mut second = TaskSpec::new(id("2"), "second");
        second.depends_on.push(id("1"));
        PlanSpec { tasks: vec![TaskSpec::new(id("1"), "first"), second], ..PlanSpec::default() }
    }

    /// Commits values (with the lease, and the create revision if not this one) in one revision; returns it.
    fn commit(&mut self, changes: Vec<(PlanKey, Option<Value>)>) -> Revision {
        self.revision += 1;
        let now = revision(self.revision);
        let changes = changes
            .into_iter()
            .map(|(key, value)| KeyChange {
                key: Key::Plan(plan(), key),
                entry: value.map(|(value, lease)| Entry {
                    value,
                    modified: now,
                    created: now,
                    version: 1,
                    lease,
                }),
            })
            .collect();
        self.audit.apply(&RawChangeSet { revision: now, changes });
        now
    }

    /// Acquires for the session `n`, as one transaction; returns the guard.
    fn acquire(&mut self, n: i64) -> Guard {
        let owner = CandidateRecord::new(OrchestratorId::new(format!("o{n}")).unwrap(), "h", 1, WallTime(0));
        let successor = Successor { record: owner, lease: lease(n), guard: None };
        let next = term::succeed(self.term.as_ref(), Generation(1), &successor, WallTime(0)).term;
        self.term = Some(next.clone());
        let at = self.commit(vec![
            (PlanKey::Owner(lease(n)), Some((b"{}".to_vec(), Some(lease(n))))),
            (PlanKey::Term, Some((codec::encode(&next).unwrap(), None))),
        ]);
        Guard::Owner { lease: lease(n), revision: at }
    }

    fn expire(&mut self, n: i64) {
        self.commit(vec![(PlanKey::Owner(lease(n)), None)]);
    }

    fn release(&mut self, n: i64) {
        let ended = term::end(self.term.as_ref().unwrap(), Ending::Clean, WallTime(0));
        self.term = Some(ended.clone());
        self.commit(vec![
            (PlanKey::Owner(lease(n)), None),
            (PlanKey::Term, Some((codec::encode(&ended).unwrap(), None))),
        ]);
    }

    fn change(&mut self, task: &str, change: &Change, guard: &Guard) {
        let op_id = Uuid::from_u128(u128::try_from(self.revision).unwrap() + 1);
        self.change_as(task, change, guard, op_id);
    }

    fn change_as(&mut self, task: &str, change: &Change, guard: &Guard, op_id: Uuid) {
        let write = Write { writer: writer(guard.clone()), attempt: None, at: WallTime(0), op_id };
        let next = apply(&self.tasks[&id(task)], change, &write).unwrap();
        self.put(task, next);
    }

    fn put(&mut self, task: &str, record: TaskRecord) {
        self.commit(vec![(PlanKey::Task(id(task)), Some((codec::encode(&record).unwrap(), None)))]);
        self.tasks.insert(id(task), record);
    }

    #[track_caller]
    fn check(&self, expected: &[(Rule, &str)]) {
        let found = self.audit.report().violations;
        let is_expected = found.len() == expected.len()
            && found.iter().zip(expected).all(|(v, (rule, text))| v.rule == *rule && v.text.contains(text));
        assert!(is_expected, "{found:#?}");
    }
}

#[test]
fn a_correct_history_has_no_violations_and_counts_checks() {
    let mut history = History::new();
    let first = history.acquire(7);
    history.change("1", &Change::Start, &first);
    history.change("1", &Change::Complete(None), &first);
    history.release(7);
    let second = history.acquire(8);
    history.change("2", &Change::Start, &second);
    history.expire(8);
    let third = history.acquire(9);
    history.change("2", &Change::Lose(crate::spec::OnLost::Retry, "gone".into()), &third);
    history.check(&[]);
    let report = history.audit.report();
    assert_eq!((report.terms, report.unclean, report.updates, report.plans), (3, 1, 6, 1));
    for rule in [Rule::OneOwner, Rule::Guarded, Rule::Path, Rule::Dependencies, Rule::WholePlan, Rule::Leased]
    {
        assert!(report.checks[&rule] > 0, "{rule:?} was never checked");
    }
}

#[test]
fn a_write_of_a_former_owner_is_found() {
    let mut history = History::new();
    let first = history.acquire(7);
    history.change("1", &Change::Start, &first);
    history.expire(7);
    history.change("1", &Change::Complete(None), &first);
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);
}

#[test]
fn a_write_without_an_owner_while_there_is_one_is_found() {
    let mut history = History::new();
    history.acquire(7);
    history.change("1", &Change::Skip("x".into()), &Guard::Unowned);
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);
}

#[test]
fn a_second_owner_is_found() {
    let mut history = History::new();
    history.acquire(7);
    history.acquire(8);
    history.check(&[(Rule::OneOwner, "while another process owned the plan")]);
}

#[test]
fn a_term_number_that_is_used_again_is_found() {
    let mut history = History::new();
    history.acquire(7);
    history.release(7);
    history.term = None;
    history.acquire(8);
    history.check(&[(Rule::OneOwner, "term 1 follows term 1")]);
}

#[test]
fn a_write_that_was_applied_twice_is_found() {
    let mut history = History::new();
    let owner = history.acquire(7);
    let op_id = Uuid::from_u128(42);
    history.change_as("1", &Change::Start, &owner, op_id);
    history.change_as("1", &Change::Progress("again".into()), &owner, op_id);
    history.check(&[(Rule::OnceOnly, "applied at revision")]);
    assert!(history.audit.find_write(op_id).is_some());
}

#[test]
fn a_lost_update_is_found() {
    let mut history = History::new();
    let owner = history.acquire(7);
    let stale = history.tasks[&id("1")].clone();
    history.change("1", &Change::Start, &owner);
    history.change("1", &Change::Complete(None), &owner);
    history.tasks.insert(id("1"), stale); // Somebody who read before writes as if nothing had happened.
    history.change("1", &Change::Start, &owner);
    history.check(&[(Rule::Path, "from completed to in_progress")]);
}

#[test]
fn a_start_before_its_dependency_is_found() {
    let mut history = History::new();
    let owner = history.acquire(7);
    history.change("2", &Change::Start, &owner);
    history.check(&[(Rule::Dependencies, "task 2 was started before 1")]);
}

#[test]
fn a_key_that_would_outlive_its_owner_is_found() {
    let mut history = History::new();
    history.commit(vec![(PlanKey::Owner(lease(7)), Some((b"{}".to_vec(), None)))]);
    history.check(&[(Rule::Leased, "outlive")]);
}

#[test]
fn half_a_plan_is_found() {
    let mut history = History::new();
    history.commit(vec![(PlanKey::Spec, None), (PlanKey::Task(id("1")), None)]);
    history.check(&[(Rule::WholePlan, "1 of its tasks were left")]);
}

/// The values of a definition with these tasks, and of records of them that are new.
fn edited(tasks: &[&str], new: &[&str]) -> Vec<(PlanKey, Option<Value>)> {
    let tasks = tasks.iter().map(|name| TaskSpec::new(id(name), *name)).collect();
    let spec = PlanSpec { tasks, ..PlanSpec::default() };
    let record = TaskRecord::new(writer(Guard::Import), Uuid::nil());
    let record = |name: &&str| (PlanKey::Task(id(name)), Some((codec::encode(&record).unwrap(), None)));
    let head = (PlanKey::Spec, Some((definition::encode_spec(&spec).unwrap().0, None)));
    new.iter().map(record).chain([head]).collect()
}

#[test]
fn an_edited_plan_is_whole_and_keeps_begun_tasks() {
    let mut history = History::new();
    let mut edit = edited(&["1", "3"], &["3"]);
    edit.push((PlanKey::Task(id("2")), None));
    history.commit(edit);
    history.check(&[]);

    let mut history = History::new();
    history.commit(edited(&["1", "2", "3"], &[]));
    history.check(&[(Rule::WholePlan, "1 of its 3 tasks missing")]);

    let mut history = History::new();
    let owner = history.acquire(1);
    history.change("1", &Change::Start, &owner);
    let mut edit = edited(&["2"], &[]);
    edit.push((PlanKey::Task(id("1")), None));
    history.commit(edit);
    history.check(&[(Rule::WholePlan, "task 1 was deleted, but it had begun")]);

    let mut history = History::new();
    history.commit(vec![(PlanKey::Task(id("1")), None)]);
    history.check(&[(Rule::WholePlan, "task 1 was deleted, but it belongs to the plan")]);

    // A record that is there is not the edit's to write, but for the approval that the plan asks for.
    let asked = |task: &str, change: fn(&mut TaskRecord)| {
        let mut history = History::new();
        let mut record = TaskRecord { writer: writer(Guard::Import), ..history.tasks[&id(task)].clone() };
        record.require_approval(Some(ApprovalOf::Before));
        change(&mut record);
        let mut edit = edited(&["1", "2"], &[]);
        edit.push((PlanKey::Task(id(task)), Some((codec::encode(&record).unwrap(), None))));
        history.commit(edit);
        history
    };
    asked("1", |_| {}).check(&[]);
    asked("1", |record| record.failures = 1).check(&[(Rule::Guarded, "by a right that did not exist")]);
    let mut history = History::new();
    history.commit(edited(&["1", "2"], &["1"]));
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);
}

#[test]
fn a_value_that_is_not_what_its_key_says_is_found() {
    let mut history = History::new();
    history.commit(vec![(PlanKey::Task(id("1")), Some((b"{".to_vec(), None)))]);
    let report = history.audit.report();
    assert_eq!(report.violations[0].rule, Rule::Readable);
}

#[test]
fn each_rule_has_a_name_and_a_promise_of_its_own() {
    let names = Rule::ALL.map(Rule::name);
    assert_eq!(
        names,
        [
            "one-owner",
            "guarded",
            "once-only",
            "path",
            "dependencies",
            "whole-plan",
            "leased",
            "pools",
            "readable"
        ],
        "scripts rely on them"
    );
    let promises: BTreeSet<&str> = Rule::ALL.map(Rule::promise).into();
    assert!(promises.len() == Rule::ALL.len() && promises.iter().all(|text| text.len() > 10), "{promises:?}");
}

#[test]
fn a_write_after_the_terms_end_is_found_despite_a_key() {
    let mut history = History::new();
    let owner = history.acquire(7);
    let ended = term::end(history.term.as_ref().unwrap(), Ending::Clean, WallTime(0));
    history.commit(vec![(PlanKey::Term, Some((codec::encode(&ended).unwrap(), None)))]);
    history.change("1", &Change::Start, &owner);
    history.check(&[
        (Rule::OneOwner, "was ended, but its owner stayed"),
        (Rule::Guarded, "by a right that did not exist"),
    ]);
}

/// Commits one key that belongs to no plan.
fn commit_key(history: &mut History, key: Key, value: Option<Vec<u8>>) -> Revision {
    history.revision += 1;
    let now = revision(history.revision);
    let entry =
        value.map(|value| Entry { value, modified: now, created: now, version: 1, lease: Some(lease(99)) });
    history.audit.apply(&RawChangeSet { revision: now, changes: vec![KeyChange { key, entry }] });
    now
}

#[test]
fn a_generation_of_the_store_that_goes_back_is_found() {
    let mut history = History::new();
    let mut adopt = |generation| {
        let store = StoreRecord {
            v: codec::FormatVersion::default(),
            generation: Generation(generation),
            cluster_id: "c".into(),
            created_at: WallTime(0),
            raft_term: None,
            raft_index: None,
            extra: crate::extra::Extra::default(),
        };
        commit_key(&mut history, Key::Store, Some(codec::encode(&store).unwrap()));
        history.audit.report().violations.len()
    };
    assert_eq!([adopt(1), adopt(2), adopt(2)], [0, 0, 0]);
    assert_eq!(adopt(1), 1);
    history.check(&[(Rule::OneOwner, "went back to 1")]);
}

#[test]
fn a_worker_writes_only_while_its_registration_is_there() {
    let mut history = History::new();
    let worker = OrchestratorId::new("w").unwrap();
    let key = || Key::Orchestrator(worker.clone());
    let registered = commit_key(&mut history, key(), Some(b"{}".to_vec()));
    let guard = Guard::Worker { orchestrator: worker.clone(), revision: registered };
    history.change("1", &Change::Start, &guard);
    history.check(&[]);
    commit_key(&mut history, key(), None);
    history.change("1", &Change::Complete(None), &guard);
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);
}

#[test]
fn a_plan_with_a_record_too_many_is_found() {
    let mut history = History::new();
    history.commit(edited(&["1", "2"], &["3"]));
    history.check(&[(Rule::WholePlan, "with 3 task records, 0 of its 2 tasks missing")]);
}

#[test]
fn a_definition_that_cannot_be_read_is_found() {
    let mut history = History::new();
    history.commit(vec![(PlanKey::Spec, Some((b"no definition".to_vec(), None)))]);
    history.check(&[(Rule::Readable, "not a valid PlanSpec")]);
}

#[test]
fn a_deleted_term_is_found() {
    let mut history = History::new();
    history.acquire(7);
    history.release(7);
    history.commit(vec![(PlanKey::Term, None)]);
    history.check(&[(Rule::OneOwner, "the term was deleted")]);
}

#[test]
fn a_registration_without_a_lease_is_found() {
    let mut history = History::new();
    history.revision += 1;
    let now = revision(history.revision);
    let entry = Entry { value: b"{}".to_vec(), modified: now, created: now, version: 1, lease: None };
    let key = Key::Orchestrator(OrchestratorId::new("w").unwrap());
    history
        .audit
        .apply(&RawChangeSet { revision: now, changes: vec![KeyChange { key, entry: Some(entry) }] });
    history.check(&[(Rule::Leased, "the registration of w has no lease")]);
}

#[test]
fn the_first_candidate_owns_only_under_its_own_open_term() {
    // The lease of the term, but another place in the queue: it left and joined again.
    let mut history = History::new();
    history.acquire(7);
    history.expire(7);
    let joined = history.commit(vec![(PlanKey::Owner(lease(7)), Some((b"{}".to_vec(), Some(lease(7)))))]);
    history.change("1", &Change::Start, &Guard::Owner { lease: lease(7), revision: joined });
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);

    // The first in the queue, but the open term is another session's.
    let mut history = History::new();
    history.acquire(7);
    history.expire(7);
    let joined = history.commit(vec![(PlanKey::Owner(lease(8)), Some((b"{}".to_vec(), Some(lease(8)))))]);
    history.change("1", &Change::Start, &Guard::Owner { lease: lease(8), revision: joined });
    history.check(&[(Rule::Guarded, "by a right that did not exist")]);
}

#[test]
fn an_audit_goes_on_from_a_snapshot() {
    let mut whole = History::new();
    let owner = whole.acquire(7);
    let Guard::Owner { revision: joined, .. } = owner else { unreachable!("an owner") };
    let entry = |value: Vec<u8>, lease| Entry { value, modified: joined, created: joined, version: 1, lease };
    let spec = definition::encode_spec(&whole.spec()).unwrap().0;
    let term = codec::encode(whole.term.as_ref().unwrap()).unwrap();
    let tasks = whole.tasks.clone().into_iter();
    let tasks = tasks.map(|(id, record)| (PlanKey::Task(id), codec::encode(&record).unwrap()));
    let entries = tasks.chain([(PlanKey::Spec, spec), (PlanKey::Term, term)]);
    let entries = entries.map(|(key, value)| (Key::Plan(plan(), key), entry(value, None)));
    let candidate = (Key::Plan(plan(), PlanKey::Owner(lease(7))), entry(b"{}".to_vec(), Some(lease(7))));
    let mut later = History { audit: Audit::new(), ..whole };
    later.audit.seed(entries.chain([candidate]));

    later.change("1", &Change::Start, &owner);
    later.check(&[]);
    later.change("2", &Change::Start, &owner);
    later.check(&[(Rule::Dependencies, "task 2 was started before 1")]);
    let report = later.audit.report();
    assert_eq!((report.revisions, report.updates, report.plans), (2, 2, 1));
}

#[test]
fn an_operator_may_write_while_the_queue_is_empty() {
    let mut history = History::new();
    history.change("1", &Change::Skip("x".into()), &Guard::Unowned);
    history.check(&[]);
    assert_eq!(history.audit.report().revisions, 2);
}

#[test]
fn the_report_keeps_some_violations_and_counts_all() {
    let mut history = History::new();
    for _ in 0..=VIOLATIONS_KEPT {
        history.commit(vec![(PlanKey::Owner(lease(7)), Some((b"{}".to_vec(), None)))]);
    }
    let report = history.audit.report();
    assert_eq!(report.violations.len(), VIOLATIONS_KEPT);
    assert_eq!(report.violations_found, VIOLATIONS_KEPT as u64 + 1);
}

#[test]
fn excerpts_that_differ_from_the_definition_are_found() {
    use crate::excerpt::{ExcerptsRecord, encode_excerpts};
    let write = |history: &mut History, spec: &PlanSpec, of: Option<i64>| {
        let (v, extra) = (codec::FormatVersion::default(), crate::extra::Extra::default());
        let record = ExcerptsRecord { v, of: of.map(revision), policy: spec.policy.clone(), extra };
        let mut changes = vec![(PlanKey::Excerpts, Some((codec::encode(&record).unwrap(), None)))];
        let excerpts = encode_excerpts(spec, &[]).unwrap();
        let excerpt = |(name, excerpt)| (PlanKey::Excerpt(name), Some((excerpt, None)));
        changes.extend(excerpts.into_iter().map(excerpt));
        history.commit(changes);
    };
    let mut history = History::new();
    let right = history.spec();
    let mut wrong = right.clone();
    wrong.tasks[1].depends_on.clear();
    // Not of this definition, or not complete yet: they do not count.
    for of in [None, Some(99)] {
        write(&mut history, &wrong, of);
    }
    write(&mut history, &right, Some(2));
    history.check(&[]);
    write(&mut history, &wrong, Some(2));
    let mut lenient = right.clone();
    lenient.policy.max_retries += 1;
    write(&mut history, &lenient, Some(2));
    history.check(&[
        (Rule::WholePlan, "the excerpt of task 2"),
        (Rule::WholePlan, "another policy than the definition"),
    ]);
    // A task that they do not have is looked for in the definition; so is one whose excerpt cannot be read.
    let mut fewer = right.clone();
    fewer.tasks.pop();
    write(&mut history, &fewer, Some(2));
    history.commit(vec![(PlanKey::Excerpt(id("1")), Some((b"\xff".to_vec(), None)))]);
    assert_eq!(history.audit.report().violations_found, 2);
}
