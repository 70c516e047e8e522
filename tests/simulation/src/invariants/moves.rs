//! A plan that is to move goes to its target, or the move ends otherwise within its bound: an owner that is
//! asked to give a plan to one orchestrator does not give it to another, and a request is gone when its time
//! is over. However it came about, a plan is handed over only to an orchestrator that waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use planlease::{
    MOVE_SLACK,
    core::{
        LeaseId, OrchestratorId, PlanName,
        change::RawChangeSet,
        codec,
        keys::{Key, PlanKey, SteeringKey},
        record::{CandidateRecord, Ending, TermRecord},
        steering::MoveRecord,
    },
};

use super::{
    Evidence,
    spans::{Spans, spans},
};
use crate::world::lock;

/// How long after its time a request may be there: its lease expires by itself.
const EXPIRY: Duration = Duration::from_secs(15);

/// Which moves went wrong.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let spans = spans(evidence);
    let mut violations = hand_overs(evidence, &spans);
    let healed = evidence.world.healed.get().copied().unwrap_or_default();
    let over = evidence.world.ended.get().copied().unwrap_or_default();
    for (plan, request, span) in requests(&spans) {
        let lasts = Duration::from_secs(request.deadline_s) + MOVE_SLACK + EXPIRY;
        if span.ended.unwrap_or(over) > span.began.max(healed) + lasts {
            violations.push(format!(
                "the request of revision {} to move {plan} to {} was still there {lasts:?} later",
                span.from, request.to
            ));
        }
    }
    violations.extend(reported(evidence));
    violations
}

fn requests(spans: &Spans) -> impl Iterator<Item = (&PlanName, MoveRecord, &super::spans::Span)> {
    spans.iter().flat_map(|(key, spans)| {
        spans.iter().filter_map(move |span| match key {
            SteeringKey::Move(plan) => Some((plan, codec::decode(&span.value).ok()?, span)),
            _ => None,
        })
    })
}

/// What became of hand-overs.
fn hand_overs(evidence: &Evidence<'_>, spans: &Spans) -> Vec<String> {
    let mut seen: BTreeSet<(PlanName, u64)> = BTreeSet::new();
    let mut waiting: Waiting = BTreeMap::new();
    let mut violations = Vec::new();
    for set in evidence.world.history.sets() {
        follow(&mut waiting, &set);
        for change in &set.changes {
            let (Key::Plan(plan, PlanKey::Term | PlanKey::PastTerm(_)), Some(entry)) =
                (&change.key, &change.entry)
            else {
                continue;
            };
            let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
            let Some(Ending::HandedOver { to }) = term.ended.map(|end| end.how) else { continue };
            if !seen.insert((plan.clone(), term.number.0)) {
                continue;
            }
            if !waiting.iter().any(|((of, _), name)| of == plan && *name == to) {
                violations.push(format!(
                    "{plan} was handed over to {to} at revision {}, which did not wait for it",
                    set.revision
                ));
            }
            let from = &term.owner.orchestrator;
            let steered = from.as_str().starts_with("service") || from.as_str().starts_with("orchestrator");
            let asked = requests(spans).find(|(of, request, span)| {
                *of == plan && request.from == *from && span.holds_at(set.revision)
            });
            if let Some((_, request, _)) = asked.filter(|(_, request, _)| steered && request.to != to) {
                violations
                    .push(format!("{plan} was to move from {from} to {}, and went to {to}", request.to));
            }
        }
    }
    violations
}

/// Who is in which queue, and as whom.
type Waiting = BTreeMap<(PlanName, LeaseId), OrchestratorId>;

/// What a transaction makes of the queues.
fn follow(waiting: &mut Waiting, set: &RawChangeSet) {
    for change in &set.changes {
        let Key::Plan(plan, PlanKey::Owner(lease)) = &change.key else { continue };
        let place = (plan.clone(), *lease);
        let candidate = change.entry.as_ref().map(|entry| codec::decode::<CandidateRecord>(&entry.value));
        match candidate {
            Some(Ok(candidate)) => drop(waiting.insert(place, candidate.orchestrator)),
            Some(Err(_)) | None => drop(waiting.remove(&place)),
        }
    }
}

/// What `owner move` reported.
fn reported(evidence: &Evidence<'_>) -> Vec<String> {
    let mut owners: BTreeSet<(PlanName, OrchestratorId)> = BTreeSet::new();
    for set in evidence.world.history.sets() {
        for change in &set.changes {
            let (Key::Plan(plan, PlanKey::Term), Some(entry)) = (&change.key, &change.entry) else {
                continue;
            };
            if let Ok(term) = codec::decode::<TermRecord>(&entry.value) {
                owners.insert((plan.clone(), term.owner.orchestrator));
            }
        }
    }
    let moved = lock(&evidence.world.moved);
    let wrong = moved.iter().filter_map(|moved| {
        let (at, to) = moved.to.as_ref()?;
        let never = !owners.contains(&(moved.plan.clone(), to.clone()));
        never
            .then(|| format!("{} was reported to be {to}'s at revision {at}, which never had it", moved.plan))
    });
    wrong.collect()
}
