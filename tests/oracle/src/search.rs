//! Linearizability of the calls on one task, searched for without knowing the order of the writes.
//!
//! The check of [`crate::order`] takes the revisions' word for the order in which things happened. This one
//! does not: it looks for *some* order in which a register that can be compared and set gives the answers
//! that were given. stateright's tester does the search; it is exponential in how many calls overlap, so it
//! is asked about short histories only.

use std::time::Duration;

use planlease_core::{PlanName, Revision, TaskId};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::{
    history::TaskWrite,
    journal::{Call, Reply, What},
};

/// The longest history that is searched, in calls.
pub const CALLS_MAX: usize = 24;

/// A record as a register: which write it holds.
#[derive(Clone, Debug, Default)]
struct Register(Option<Revision>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Read,
    /// Holds `to` afterwards, if it held `seen`.
    Set {
        seen: Option<Revision>,
        to: Option<Revision>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Held(Option<Revision>),
    Set(bool),
}

impl SequentialSpec for Register {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Read => Ret::Held(self.0),
            Op::Set { seen, to } => {
                let same = self.0 == *seen;
                if same {
                    self.0 = *to;
                }
                Ret::Set(same)
            }
        }
    }
}

/// Whether the calls on one task can be put in an order. `None` if there are too many of them to be asked.
#[must_use]
pub fn check(writes: &[TaskWrite], calls: &[Call], plan: &PlanName, task: &TaskId) -> Option<bool> {
    let mine: Vec<&TaskWrite> =
        writes.iter().filter(|write| write.plan == *plan && write.task == *task).collect();
    if mine.iter().skip(1).any(|write| write.before.is_none()) {
        return None; // The plan was deleted and made again: not one register.
    }
    let mut steps = Vec::new();
    let mut reported = Vec::new();
    for call in calls.iter().filter(|call| call.plan == *plan) {
        let (began, ended) = (call.began, call.reported.as_ref().map(|(ended, _)| *ended));
        match (&call.what, call.reported.as_ref().map(|(_, reported)| reported)) {
            (What::Write { task: of, .. }, Some(Reply::Committed(op_id, revision))) if of == task => {
                let write = mine.iter().find(|write| write.record.op_id == *op_id);
                let seen = write.and_then(|write| write.before);
                reported.push(*revision);
                steps.push((began, ended, Op::Set { seen, to: Some(*revision) }, Ret::Set(true)));
            }
            (What::Read(of) | What::Write { task: of, .. }, Some(Reply::Record(present))) if of == task => {
                steps.push((began, ended, Op::Read, Ret::Held(*present)));
            }
            (What::Write { task: of, .. }, Some(Reply::Refused(_, present @ Some(_)))) if of == task => {
                steps.push((began, ended, Op::Read, Ret::Held(*present)));
            }
            _ => {}
        }
    }
    // Writes without an answer took effect at some time.
    let others = mine.iter().filter(|write| !reported.contains(&write.revision));
    let others = others.map(|write| (write.before, Some(write.revision)));
    // Nor of the end of the record.
    let gone = mine.iter().filter(|write| write.gone.is_some()).map(|write| (Some(write.revision), None));
    let others: Vec<_> = others.chain(gone).collect();
    if steps.is_empty() || steps.len() + others.len() > CALLS_MAX {
        return None;
    }
    Some(is_linearizable(&steps, &others))
}

type Step = (Duration, Option<Duration>, Op, Ret);

fn is_linearizable(steps: &[Step], others: &[(Option<Revision>, Option<Revision>)]) -> bool {
    let mut tester = LinearizabilityTester::new(Register::default());
    // Each call is a thread of its own, so that calls of one client may overlap; the times show what came
    // before what.
    for (index, (seen, to)) in others.iter().enumerate() {
        let _ = tester.on_invoke(steps.len() + index, Op::Set { seen: *seen, to: *to });
    }
    let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
    for (index, (began, ended, ..)) in steps.iter().enumerate() {
        moments.push((*began, false, index));
        moments.extend(ended.map(|ended| (ended, true, index)));
    }
    // At one instant, beginnings come first: what touches, overlaps.
    moments.sort_unstable();
    for (_, is_answer, index) in moments {
        let (_, _, op, ret) = steps[index];
        let entered = if is_answer {
            tester.on_return(index, ret).map(drop)
        } else {
            tester.on_invoke(index, op).map(drop)
        };
        if entered.is_err() {
            return false;
        }
    }
    tester.is_consistent()
}
