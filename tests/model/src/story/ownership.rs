//! The steps of [`Ownership`].

use planlease_core::transition::TaskStatus;
use stateright::Model;

use crate::{
    bridge::{self, End, Term},
    etcd::{Answer, Compare, Lease, Op, Store, Txn},
    model::{Action, Actor, Decision, Ownership, State},
    process::{Call, Phase, Process, Purpose, Told},
};

impl super::Told for Ownership {
    fn begin(&self, _: &State) -> Option<String> {
        None
    }

    fn step(&self, before: &State, action: &Action, after: &State) -> Option<String> {
        Some(match *action {
            Action::Acquire(n) => format!("{} asks for the plan", of(n)),
            Action::StepForward(n) => {
                format!(
                    "{} hears that the one before it has left, and asks to take over{}",
                    of(n),
                    sent(after, n)
                )
            }
            Action::Recover(n) if after.told.len() > before.told.len() => {
                let what = call(after, Actor::Process(n)).map(written).unwrap_or_default();
                format!(
                    "{} finds an orphan, and sends write {}: {what}{}",
                    of(n),
                    after.told.len(),
                    sent(after, n)
                )
            }
            Action::Recover(n) => format!("{} finds no orphan, and begins to hand out work", of(n)),
            Action::Start(n, task) => {
                format!(
                    "{} sends write {}: start task {}{}",
                    of(n),
                    after.told.len(),
                    task + 1,
                    sent(after, n)
                )
            }
            Action::Complete(n, task) => {
                format!(
                    "{} sends write {}: complete task {}{}",
                    of(n),
                    after.told.len(),
                    task + 1,
                    sent(after, n)
                )
            }
            Action::Release(n) => format!("{} lets go{}", of(n), sent(after, n)),
            Action::Leave(n) => format!("{} finds itself in line and leaves{}", of(n), sent(after, n)),
            Action::Crash(n) => format!("{} crashes", of(n)),
            Action::Force => {
                let txn = after.operator.as_ref().map(|call| conditions(&call.txn)).unwrap_or_default();
                format!(
                    "the operator forces {} out{txn}",
                    before.store.line.first().map_or("nobody", |p| bridge::name(p.lease))
                )
            }
            Action::Decide(task, decision) => {
                let txn = after.operator.as_ref().map(|call| conditions(&call.txn)).unwrap_or_default();
                let verb = if decision == Decision::Retry { "retry" } else { "skip" };
                format!("the operator sends write {}: {verb} task {}{txn}", after.told.len(), task + 1)
            }
            Action::Handle(actor) => {
                let call = call(before, actor)?;
                format!(
                    "etcd, to {}: {}{}",
                    request(actor, &call.txn),
                    handled(before, after, &call.txn),
                    heard(after, actor, call)
                )
            }
            Action::HandleLate(index) => {
                let (actor, txn) = &before.late[usize::from(index)];
                format!("etcd, to {} (late): {}", request(*actor, txn), handled(before, after, txn))
            }
            Action::TimeOut(actor) => {
                let txn = &call(before, actor)?.txn;
                format!(
                    "{} gets no answer to {} in time; it is still under way",
                    who(actor),
                    own_request(txn)
                )
            }
            Action::SendAgain(actor) => {
                let (old, new) = (call(before, actor)?, call(after, actor)?);
                let id = if old.txn == new.txn { "" } else { ", with a new op id" };
                format!("{} sends it again{id}", who(actor))
            }
            Action::GiveUp(actor) => {
                let told = match call(before, actor)?.purpose {
                    Purpose::Write(_, _, op) => format!(": {}", outcome(after.told[usize::from(op.write)])),
                    _ => String::new(),
                };
                format!("{} does not send it again{told}", who(actor))
            }
            Action::Expire(n) => {
                let effects = effects(&before.store, &after.store);
                format!(
                    "{}'s lease expires{}",
                    of(n),
                    if effects.is_empty() { effects } else { format!(": {effects}") }
                )
            }
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

/// What the request of a process compares.
fn sent(state: &State, n: u8) -> String {
    call(state, Actor::Process(n)).map(|call| conditions(&call.txn)).unwrap_or_default()
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
        Compare::Created(lease, None) => format!("{} is not in line", bridge::name(lease)),
        Compare::Empty => "nobody is in line".to_owned(),
        Compare::NoneBefore(at) => format!("no key is older than revision {}", at.0),
        Compare::TermModified(Some(at)) => format!("the term is of revision {}", at.0),
        Compare::TermModified(None) => "there is no term".to_owned(),
        Compare::TaskModified(task, at) => format!("task {} is of revision {}", task + 1, at.0),
    }
}

fn request(actor: Actor, txn: &Txn) -> String {
    format!("{}'s {}", who(actor), kind(txn))
}

fn own_request(txn: &Txn) -> String {
    format!("its {}", kind(txn))
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

fn written(call: &Call) -> String {
    let of_op = |op: &Op| match op {
        Op::Task(task, value) => Some(format!("task {} back to {}", task + 1, words(value.status))),
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
            effects.push(format!("{} is in line", bridge::name(place.lease)));
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
        return format!("; {} takes it as {}", who(actor), outcome(after.told[usize::from(op.write)]));
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

fn outcome(told: Told) -> &'static str {
    match told {
        Told::Nothing => "nothing",
        Told::Committed | Told::Proven => "carried out",
        Told::Refused => "not carried out",
        Told::Unknown => "unknown",
    }
}

fn words(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::InProgress => "in progress",
        other => other.as_str(),
    }
}
