//! The lock delay: how long after an end that was not orderly the plan stays free. Every way to an ownership
//! asks here.
//!
//! The delay counts from when this process first saw that the owner is gone: nothing else measures the time
//! in between, and wall clocks decide nothing. The coordinator remembers that moment, so a second try waits
//! for the rest only.

use std::time::Duration;

use planlease_core::{
    PlanName, Revision,
    change::Entry,
    codec,
    keys::{Key, PlanKey},
    spec::PlanSpec,
    term::{Queue, needs_lock_delay},
    unreadable,
};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Compare, Op, Transaction},
};

/// The lock delay as one acquisition knows it.
#[derive(Debug)]
pub(super) struct LockDelay {
    /// What the caller asks for in place of the plan's own.
    asked: Option<Duration>,
    /// The plan's own, and the revision of the definition that says so.
    own: Option<(Revision, Duration)>,
    /// The term after which it is over: the revision of its record.
    over: Option<Revision>,
}

impl LockDelay {
    pub(super) fn new(asked: Option<Duration>) -> Self {
        Self { asked, own: None, over: None }
    }

    fn length(&self) -> Option<Duration> {
        self.asked.or(self.own.map(|(_, delay)| delay))
    }

    /// Whether it is known that there is none.
    pub(super) fn is_zero(&self) -> bool {
        self.length().is_some_and(|delay| delay.is_zero())
    }

    /// Whether a transaction may follow this term at once, however it ended.
    pub(super) fn is_over_after(&self, term: Revision) -> bool {
        self.is_zero() || self.over == Some(term)
    }

    /// What a transaction compares that relies on it: the definition is as it was read.
    pub(super) fn compare(&self, spec: &[u8]) -> Option<Compare> {
        let (revision, _) = self.own.filter(|_| self.asked.is_none())?;
        Some(Compare::Modified(spec.to_vec(), Some(revision)))
    }

    /// Takes note of the definition's key; its value may have been left out.
    pub(super) fn note(&mut self, spec: &Entry) {
        if self.own.is_some_and(|(revision, _)| revision == spec.modified) {
            return;
        }
        self.over = None;
        // A definition that cannot be read is an error only where the delay is needed.
        let read = codec::decode_within::<PlanSpec>(&spec.value, codec::MAX_SPEC_PART).ok();
        self.own = read.map(|read| (spec.modified, read.policy.lock_delay()));
    }

    /// How much of it is left before the term of this queue may be followed. One read if the plan's own is
    /// not known yet.
    pub(super) async fn left(
        &mut self,
        coordinator: &Coordinator,
        plan: &PlanName,
        queue: &Queue,
    ) -> Result<Duration, Error> {
        let Some((revision, _)) = queue.term.as_ref().filter(|(_, term)| needs_lock_delay(term)) else {
            return Ok(Duration::ZERO);
        };
        let length = match self.length() {
            Some(length) => length,
            None => {
                let spec = coordinator.layout().of(plan, &PlanKey::Spec);
                let mut reply = coordinator
                    .etcd()
                    .execute(&Transaction::default().then([Op::Get(spec)]), Admission::TURN)
                    .await?;
                let entry = reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
                self.note(&entry);
                let key = Key::Plan(plan.clone(), PlanKey::Spec);
                unreadable::read::<PlanSpec>(&key, &entry.value)?.policy.lock_delay()
            }
        };
        let elapsed = coordinator.unowned_for(plan, *revision).unwrap_or_default();
        let left = length.saturating_sub(elapsed);
        if left.is_zero() {
            self.over = Some(*revision);
        }
        Ok(left)
    }
}
