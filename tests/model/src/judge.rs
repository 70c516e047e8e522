//! What no accepted transaction may do, judged by the store before it and after it.
//!
//! It sees no compares and no senders: like the audit, it knows only what was stored.

use planlease_core::{FencingToken, transition};

use crate::{
    bridge::{self, Authority, Task, Term},
    etcd::{Kept, Place, Store},
};

/// A rule that a change can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An ownership begins only when none is effective, and is effective then.
    OneOwner,
    /// Its token is greater than all before.
    Token,
    /// The guard that a write names exists.
    Guarded,
    /// The record can follow the one before it.
    Path,
    /// A claim is ended by its claimant, or when its claimant is gone.
    Living,
    /// An effective ownership is ended by its own end, never by that of another.
    OwnEnd,
    /// A release that was reported as carried out has happened.
    Released,
}

/// The rules that were broken, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broken(u8);

impl Broken {
    /// Adds a rule, if it does not hold.
    pub fn unless(&mut self, holds: bool, rule: Rule) {
        if !holds {
            self.0 |= 1 << rule as u8;
        }
    }

    /// Whether this rule was broken.
    #[must_use]
    pub fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u8 != 0
    }

    /// Whether any was.
    #[must_use]
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

/// Judges a change by a transaction; `greatest`: the greatest token so far, which is kept up to date.
#[must_use]
pub fn judge(before: &Store, after: &Store, greatest: &mut Option<FencingToken>) -> Broken {
    let mut broken = Broken::default();
    judge_term(before, after, greatest, &mut broken);
    for (old, new) in before.tasks.iter().zip(&after.tasks) {
        if old.modified != new.modified {
            judge_write(before, old.value, new.value, &mut broken);
        }
    }
    broken
}

fn judge_term(before: &Store, after: &Store, greatest: &mut Option<FencingToken>, broken: &mut Broken) {
    let value = |term: Option<Kept<Term>>| term.map(|term| term.value);
    let (old, new) = (value(before.term), value(after.term));
    let was_owner = bridge::owner(before);
    match new {
        Some(term) if term.ended.is_none() && old != new => {
            broken.unless(was_owner.is_none(), Rule::OneOwner);
            broken
                .unless(bridge::owner(after).is_some_and(|place| place.lease == term.lease), Rule::OneOwner);
            let token = term.record().token();
            broken.unless(greatest.is_none_or(|greatest| token > greatest), Rule::Token);
            *greatest = (*greatest).max(Some(token));
        }
        _ => {
            let ends = |old: Term| {
                old.ended.is_none() && new == Some(Term { ended: new.and_then(|new| new.ended), ..old })
            };
            let stays = was_owner.is_none() || bridge::owner(after) == was_owner;
            broken.unless(if old == new { stays } else { old.is_some_and(ends) }, Rule::OwnEnd);
        }
    }
}

fn judge_write(before: &Store, old: Task, new: Task, broken: &mut Broken) {
    let (guarded, place) = match new.authority {
        Authority::Owner(place, _) => (before.has(place), Some(place)),
        Authority::Operator(Some(place)) => (before.has(place), None),
        Authority::Operator(None) => (before.line.is_empty(), None),
        Authority::Import => (false, None),
    };
    broken.unless(guarded, Rule::Guarded);
    broken.unless(transition::is_allowed(&old.record(), &new.record()).is_ok(), Rule::Path);
    let left = |claim: Place| new.claim == Some(claim) || place == Some(claim) || !before.has(claim);
    broken.unless(old.claim.is_none_or(left), Rule::Living);
}
