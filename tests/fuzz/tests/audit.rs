//! The audit and the decisions that it replays, on histories that no process of ours has made: no panic,
//! findings bounded in number and length; and on those that one could have made, no finding at all.

use bolero::{TypeGenerator, check};
use planlease_core::{
    Generation, LeaseId, OrchestratorId, Revision, TaskId, WallTime,
    audit::{Audit, VIOLATIONS_KEPT},
    codec,
    orphan::{self, Alive},
    record::{CandidateRecord, Ending, Guard, Role, TRANSITIONS_KEPT, TaskRecord, TermRecord, Writer},
    spec::PlanSpec,
    term::{self, Candidate, Queue, Successor},
    transition::{self, TaskStatus, Write},
};
use planlease_fuzz::{
    INPUT_BYTES,
    deadline::{Deadline, EACH},
    history::{History, changes},
    records::Kind,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The longest sentence about one violation. It may quote a record, whose content is arbitrary.
const MAX_SENTENCE: usize = 1024;

#[test]
fn no_history_breaks_the_audit() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<(History, bool)>().for_each(|(history, seeded)| {
        deadline.within(history.clone(), || {
            let (sets, present) = history.play();
            let mut audit = Audit::new();
            if *seeded {
                audit.seed(present.entries);
            }
            sets.iter().for_each(|set| audit.apply(set));
            let report = audit.report();
            let found = u64::try_from(report.violations.len()).unwrap();
            assert!(report.violations.len() <= VIOLATIONS_KEPT && found <= report.violations_found);
            assert_eq!(report.revisions, u64::try_from(sets.len()).unwrap());
            for violation in &report.violations {
                assert!(violation.text.len() <= MAX_SENTENCE, "{} bytes", violation.text.len());
            }
        });
    });
}

#[test]
fn a_history_of_our_own_breaks_no_rule() {
    check!().with_max_len(INPUT_BYTES).with_type::<History>().for_each(|history| {
        let mut audit = Audit::new();
        history.straight().play().0.iter().for_each(|set| audit.apply(set));
        assert_eq!(audit.report().violations, []);
    });
}

#[test]
fn violations_are_counted_beyond_those_that_are_kept() {
    use planlease_core::{
        PlanName,
        change::{Entry, KeyChange, RawChangeSet},
        keys::{Key, PlanKey},
    };
    let plan = PlanName::new("p").unwrap();
    let mut audit = Audit::new();
    for n in 1..=i64::try_from(VIOLATIONS_KEPT).unwrap() + 50 {
        let revision = Revision::from_wire(n).unwrap();
        let entry = Entry {
            value: vec![b'x'; 100_000],
            modified: revision,
            created: revision,
            version: 1,
            lease: None,
        };
        let change = KeyChange { key: Key::Plan(plan.clone(), PlanKey::Term), entry: Some(entry) };
        audit.apply(&RawChangeSet { revision, changes: vec![change] });
    }
    let report = audit.report();
    assert_eq!(report.violations.len(), VIOLATIONS_KEPT);
    assert_eq!(report.violations_found, u64::try_from(VIOLATIONS_KEPT).unwrap() + 50);
}

/// A number at the edge of what some type holds, or one of the usual ones.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Edge(u8);

impl Edge {
    fn value(self) -> Value {
        let edges = [json!(0), json!(1), json!(7), json!(u32::MAX), json!(i64::MAX), json!(u64::MAX)];
        edges[usize::from(self.0) % edges.len()].clone()
    }

    fn revision(self) -> Revision {
        Revision::from_wire([1, 2, 7, i64::MAX - 1, i64::MAX][usize::from(self.0) % 5])
            .expect("they are positive")
    }

    fn lease(self) -> LeaseId {
        LeaseId::from_wire([1, 2, 42, i64::MAX][usize::from(self.0) % 4]).expect("they are positive")
    }
}

/// A task's record as another program may have written it.
#[derive(Clone, Debug, TypeGenerator)]
struct Record {
    status: u8,
    numbers: [Edge; 4],
    claimed: bool,
    transitions: u8,
}

impl Record {
    /// `None` if it cannot be read.
    fn read(&self) -> Option<TaskRecord> {
        let mut record = Kind::Task.example();
        record["status"] = TaskStatus::ALL[usize::from(self.status) % 5].as_str().into();
        for (field, edge) in ["attempt", "failures", "lost"].into_iter().zip(self.numbers) {
            record[field] = edge.value();
        }
        record["claim"]["guard"]["owner"]["revision"] = self.numbers[3].value();
        if !self.claimed {
            record.as_object_mut().expect("a record is an object").remove("claim");
        }
        let transition = record["transitions"][0].clone();
        record["transitions"] = vec![transition; usize::from(self.transitions)].into();
        codec::decode(record.to_string().as_bytes()).ok()
    }
}

fn guard(n: u8, edge: Edge) -> Guard {
    match n % 4 {
        0 => {
            Guard::Owner { lease: LeaseId::from_wire(42).expect("it is positive"), revision: edge.revision() }
        }
        1 => Guard::Worker {
            orchestrator: OrchestratorId::new("o-1").expect("a name"),
            revision: edge.revision(),
        },
        2 => Guard::Unowned,
        _ => Guard::Import,
    }
}

#[derive(Clone, Debug, TypeGenerator)]
struct Action {
    record: Record,
    change: u8,
    role: u8,
    guard: (u8, Edge),
    attempt: Option<u32>,
}

#[test]
fn the_audit_agrees_on_every_change_of_every_task() {
    check!().with_max_len(INPUT_BYTES).with_type::<Action>().for_each(|action| {
        let Some(record) = action.record.read() else { return };
        let change = changes()[usize::from(action.change) % changes().len()].clone();
        let writer = Writer {
            who: "o-1".into(),
            role: [Role::Owner, Role::Worker, Role::Operator][usize::from(action.role) % 3],
            term: None,
            guard: guard(action.guard.0, action.guard.1),
        };
        let write = Write { writer, attempt: action.attempt, at: WallTime(i64::MAX), op_id: Uuid::nil() };
        let Ok(next) = transition::apply(&record, &change, &write) else { return };
        assert!(next.transitions.len() <= TRANSITIONS_KEPT.max(record.transitions.len()));
        let coherent = record.claim.is_some() == (record.status == TaskStatus::InProgress);
        if coherent {
            assert_eq!(transition::is_allowed(&record, &next), Ok(()), "{change:?}");
        }
    });
}

#[test]
fn any_two_records_can_be_compared_and_any_orphan_recovered() {
    let spec: PlanSpec = codec::decode(Kind::Spec.example().to_string().as_bytes()).unwrap();
    check!().with_max_len(INPUT_BYTES).with_type::<(Record, Record, u8, Edge)>().for_each(
        |(before, after, which, edge)| {
            let (Some(before), Some(after)) = (before.read(), after.read()) else { return };
            drop(transition::is_allowed(&before, &after));
            let alive = Alive { owner: guard(*which, *edge), workers: [].into(), limits: [].into() };
            if orphan::is_orphan(&after, &alive) {
                for task in ["1.1", "1.2", "unknown"] {
                    drop(orphan::recovery(&spec, &TaskId::new(task).unwrap(), &after));
                }
            }
        },
    );
}

#[derive(Clone, Debug, TypeGenerator)]
struct Queued {
    candidates: Vec<(Edge, Edge, bool)>,
    term: Option<(Edge, Edge, Edge)>,
    ended: bool,
}

#[test]
fn every_queue_leads_to_a_decision() {
    let record: CandidateRecord = codec::decode(Kind::Candidate.example().to_string().as_bytes()).unwrap();
    check!().with_max_len(INPUT_BYTES).with_type::<Queued>().for_each(
        |Queued { candidates, term, ended }| {
            let candidates: Vec<Candidate> = candidates
                .iter()
                .map(|(lease, joined, ours)| Candidate {
                    lease: lease.lease(),
                    joined: joined.revision(),
                    record: ours.then(|| record.clone()),
                })
                .collect();
            let term = term.as_ref().and_then(|(number, lease, revision)| {
                let mut term = Kind::Term.example();
                term["number"] = number.value();
                term["generation"] = number.value();
                term["lease"] = lease.lease().to_string().into();
                if !ended {
                    term.as_object_mut().unwrap().remove("ended");
                }
                let term: TermRecord = codec::decode(term.to_string().as_bytes()).ok()?;
                Some((revision.revision(), term))
            });
            let line = Queue::new(candidates, term);
            assert!(line.candidates().is_sorted_by_key(|candidate| candidate.joined));
            drop(line.guard());
            for candidate in line.candidates() {
                drop((line.standing(candidate.lease), candidate.name()));
            }
            drop(term::hand_over(&line, &record.orchestrator));
            let last = line.term.as_ref().map(|(_, term)| term);
            let successor =
                Successor { record: record.clone(), lease: LeaseId::from_wire(1).unwrap(), guard: None };
            let next = term::succeed(last, Generation(1), &successor, WallTime(0));
            assert!(last.is_none_or(|last| last.number <= next.term.number));
            drop(term::end(&next.term, Ending::Clean, WallTime(i64::MIN)));
        },
    );
}
