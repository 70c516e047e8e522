//! The steps of [`Ownership`].

use planlease_core::transition::TaskStatus;
use stateright::Model;

use crate::{
    bridge::{self, End, Term},
    etcd::{Answer, Compare, Lease, Op, Store, Txn},
    model::{Action, Actor, Decision, Ownership, State},
    process::{Call, Chore, Phase, Process, Purpose, Reply},
};

impl super::Narrated for Ownership {
    fn begin(&self, _: &State) -> Option<String> {
        None
    }

    fn step(&self, before: &State, action: &Action, after: &State) -> Option<String> {
        let writes = |n: u8, what: String| {
            format!(
                "{} sends write {}: {what}{}",
                of(n),
                after.reported.len(),
                sent(after, Actor::Process(n))
            )
        };
        let asks = |n: u8, what: &str| format!("{} {what}{}", of(n), sent(after, Actor::Process(n)));
        Some(match *action {
            Action::Acquire(n) => format!("{} asks for the plan", of(n)),
            Action::StepForward(n) => asks(n, "hears that the one before it has left, and asks to take over"),
            Action::Recover(n) if after.reported.len() == before.reported.len() => {
                format!("{} finds no orphan, and begins to hand out work", of(n))
            }
            Action::Recover(n) => writes(n, call(after, Actor::Process(n)).map(recovery)?),
            Action::Start(n, task) => writes(n, format!("start task {}", task + 1)),
            Action::Complete(n, task) => writes(n, format!("complete task {}", task + 1)),
            Action::Release(n) => asks(n, "lets go"),
            Action::Chore(n) => match before.processes[usize::from(n)].chore? {
                Chore::Outdate => format!(
                    "{} writes its registration again, so that none of its requests takes a place late",
                    of(n)
                ),
                Chore::Look if call(after, Actor::Process(n)) == call(before, Actor::Process(n)) => {
                    format!("{} finds no place that it does not know of", of(n))
                }
                Chore::Look => asks(n, "finds a place that it does not know of, and leaves it"),
            },
            Action::Crash(n) => format!("{} crashes", of(n)),
            Action::Force => {
                let first = before.store.line.first().map(|place| bridge::name(place.lease))?;
                format!("the operator forces {first} out{}", sent(after, Actor::Operator))
            }
            Action::Decide(task, decision) => {
                let verb = if decision == Decision::Retry { "retry" } else { "skip" };
                let conditions = sent(after, Actor::Operator);
                format!(
                    "the operator sends write {}: {verb} task {}{conditions}",
                    after.reported.len(),
                    task + 1
                )
            }
            Action::Handle(actor) => {
                let call = call(before, actor)?;
                let answer = handled(before, after, &call.txn);
                format!(
                    "etcd, to {}'s {}: {answer}{}",
                    who(actor),
                    kind(&call.txn),
                    heard(after, actor, call)
                )
            }
            Action::HandleLate(index) => {
                let (actor, txn) = &before.late[usize::from(index)];
                format!("etcd, to {}'s {} (late): {}", who(*actor), kind(txn), handled(before, after, txn))
            }
            Action::TimeOut(actor) => {
                let kind = kind(&call(before, actor)?.txn);
                format!("{} gets no answer to its {kind} in time; it is still under way", who(actor))
            }
            Action::SendAgain(actor) => {
                let is_same = call(before, actor)?.txn == call(after, actor)?.txn;
                format!("{} sends it again{}", who(actor), if is_same { "" } else { ", with a new op id" })
            }
            Action::GiveUp(actor) => match call(before, actor)?.purpose {
                Purpose::Write(_, _, op) => {
                    let reported = outcome(after.reported[usize::from(op.write)]);
                    format!("{} does not send it again, and takes it as {reported}", who(actor))
                }
                _ => format!("{} does not send it again", who(actor)),
            },
            Action::Expire(n) => match effects(&before.store, &after.store) {
                effects if effects.is_empty() => format!("{}'s lease expires", of(n)),
                effects => format!("{}'s lease expires: {effects}", of(n)),
            },
        })
    }

    fn end(&self, state: &State) -> Option<String> {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let waiting = state.processes.iter().find(|process| matches!(process.phase, Phase::Behind(_)))?;
        (actions.is_empty() && !state.broken.any())
            .then(|| format!("{} waits, and nothing more happens", bridge::name(waiting.lease)))
    }
}

fn of(n: u8) -> &'static str {
    bridge::name(Lease(n))
}

fn who(actor: Actor) -> &'static str {
    match actor {
        Actor::Process(n) => of(n),
        Actor::Operator => "the operator",
    }
}

fn call(state: &State, actor: Actor) -> Option<&Call> {
    match actor {
        Actor::Process(n) => state.processes[usize::from(n)].call.as_ref(),
        Actor::Operator => state.operator.as_ref(),
    }
}

/// What a request compares.
fn sent(state: &State, actor: Actor) -> String {
    call(state, actor).map(|call| conditions(&call.txn)).unwrap_or_default()
}

fn conditions(txn: &Txn) -> String {
    let compares: Vec<String> = txn.when.iter().map(|compare| condition(*compare)).collect();
    if compares.is_empty() {
        ", whatever is there".to_owned()
    } else {
        format!(", if {}", compares.join(" and "))
    }
}

fn condition(compare: Compare) -> String {
    match compare {
        Compare::Created(lease, Some(at)) => format!("{}'s key is of revision {}", bridge::name(lease), at.0),
        Compare::Created(lease, None) => format!("{} is not in the queue", bridge::name(lease)),
        Compare::Empty => "the queue is empty".to_owned(),
        Compare::NoneBefore(at) => format!("no key is older than revision {}", at.0),
        Compare::TermModified(Some(at)) => format!("the term is of revision {}", at.0),
        Compare::TermModified(None) => "there is no term".to_owned(),
        Compare::Registered(lease, at) => {
            format!("{}'s registration is of revision {}", bridge::name(lease), at.0)
        }
        Compare::TaskModified(task, at) => format!("task {} is of revision {}", task + 1, at.0),
    }
}

/// What a transaction is, by what it does.
fn kind(txn: &Txn) -> String {
    let of_op = |op: &Op| match op {
        Op::Join(_) => Some("request".to_owned()),
        Op::Task(_, task) => Some(format!("write {}", task.op.write + 1)),
        Op::Term(Term { ended: None, .. }) => Some("takeover".to_owned()),
        Op::Term(Term { ended: Some(End::Forced), .. }) => Some("force".to_owned()),
        Op::Term(_) => Some("release".to_owned()),
        Op::Leave(_) | Op::Past(_) => None,
    };
    txn.then.iter().find_map(of_op).unwrap_or_else(|| "removal".to_owned())
}

/// What becomes of an orphan.
fn recovery(call: &Call) -> String {
    let of_op = |op: &Op| match op {
        Op::Task(task, value) => Some(format!("orphaned task {} back to {}", task + 1, words(value.status))),
        _ => None,
    };
    call.txn.then.iter().find_map(of_op).unwrap_or_default()
}

/// What etcd answers, and what has changed.
fn handled(before: &State, after: &State, txn: &Txn) -> String {
    let effects = effects(&before.store, &after.store);
    match before.store.clone().handle(txn) {
        Answer::Done(_) if effects.is_empty() => "carried out, to no effect".to_owned(),
        Answer::Done(at) => format!("carried out at revision {}: {effects}", at.0),
        Answer::NoSuchLease => "refused: there is no such lease".to_owned(),
        Answer::Refused => {
            let failed = txn.when.iter().find(|compare| !before.store.holds(**compare));
            let why = failed.map(|compare| condition(*compare)).unwrap_or_default();
            let instead = if effects.is_empty() { effects } else { format!("; but {effects}") };
            format!("refused, it is not so that {why}{instead}")
        }
    }
}

/// What differs between two stores.
fn effects(before: &Store, after: &Store) -> String {
    let mut effects = Vec::new();
    let old = before.term.map(|term| term.value);
    let new = after.term.map(|term| term.value).filter(|term| Some(*term) != old);
    for place in before.line.iter().filter(|place| !after.has(**place)) {
        effects.push(format!("{}'s key is gone", bridge::name(place.lease)));
    }
    for place in after.line.iter().filter(|place| !before.has(**place)) {
        if new.is_none_or(|term| term.lease != place.lease || term.ended.is_some()) {
            effects.push(format!("{} is in the queue", bridge::name(place.lease)));
        }
    }
    match new {
        Some(Term { number, lease, ended: None, .. }) => {
            effects.push(format!("{} owns the plan, token 1.{number}", bridge::name(lease)));
        }
        Some(Term { number, ended: Some(_), .. }) => effects.push(format!("term {number} is ended")),
        None => {}
    }
    for (task, (old, new)) in before.tasks.iter().zip(&after.tasks).enumerate() {
        if old != new {
            let claim = new.value.claim.map(|place| format!(" by {}", bridge::name(place.lease)));
            effects.push(format!(
                "task {} is {}{}",
                task + 1,
                words(new.value.status),
                claim.unwrap_or_default()
            ));
        }
    }
    effects.join(", ")
}

/// What the sender makes of the answer.
fn heard(after: &State, actor: Actor, call: &Call) -> String {
    if let Purpose::Write(_, _, op) = call.purpose {
        return format!("; {} takes it as {}", who(actor), outcome(after.reported[usize::from(op.write)]));
    }
    let Actor::Process(n) = actor else { return String::new() };
    let Process { phase, call, .. } = &after.processes[usize::from(n)];
    match (phase, call) {
        (Phase::Behind(waiting), _) => {
            format!("; {} waits behind {}", of(n), bridge::name(waiting.before.lease))
        }
        (Phase::Seeking, Some(call)) if call.purpose == Purpose::TakeOver => {
            format!("; {} is first, and asks to take over{}", of(n), conditions(&call.txn))
        }
        (Phase::Seeking, Some(_)) => format!("; {} asks again", of(n)),
        (Phase::Lost, _) => format!("; {} knows that its session is over", of(n)),
        _ => String::new(),
    }
}

fn outcome(reported: Reply) -> &'static str {
    match reported {
        Reply::Nothing => "nothing",
        Reply::Committed | Reply::Proven => "carried out",
        Reply::Refused => "not carried out",
        Reply::Unknown => "unknown",
    }
}

fn words(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::InProgress => "in progress",
        other => other.as_str(),
    }
}
