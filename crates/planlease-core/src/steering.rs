//! What operators ask of a whole fleet: that nothing starts, that an orchestrator takes nothing new, or
//! that it gives away what it has, and that a plan moves to a named orchestrator.
//!
//! The keys stand side by side, so that one read and one watch bring all of them to each orchestrator. A
//! pause and a cordon count by their keys alone, whatever their values: the transactions compare the
//! keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    change::Entry,
    codec::{self, FormatVersion},
    extra::Extra,
    id::{OrchestratorId, PlanName},
    keys::{Key, SteeringKey},
    record::{Halt, HaltRecord},
    time::WallTime,
};

/// Whether an orchestrator takes work, as lists show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Eligibility {
    /// It takes whatever is free.
    #[default]
    Eligible,
    /// It takes no new plan and claims no new task. It keeps the plans that it owns, and goes on in them.
    Cordoned,
    /// As cordoned; besides, it gives the plans away that it owns.
    Draining,
}

impl Eligibility {
    /// The word for it, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
        }
    }
}

impl std::fmt::Display for Eligibility {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an orchestrator takes nothing new (`steering/orchestrators/{orchestrator}`). On no lease: a
/// process that starts again under the same name finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CordonRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// `cordoned` or `draining`.
    pub state: Eligibility,
    /// How long a draining orchestrator lets running tasks go on, in seconds, by its own clock from when
    /// it sees this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u64>,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: WallTime,
    /// Why.
    pub why: String,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A request to move a plan to a named orchestrator (`steering/moves/{plan}`). On a lease of its own, so
/// that it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// The present owner.
    pub from: OrchestratorId,
    /// The orchestrator that is to own the plan.
    pub to: OrchestratorId,
    /// How long the present owner lets running tasks go on, in seconds, by its own clock from when the
    /// candidate waits in the queue.
    pub deadline_s: u64,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: WallTime,
    /// Why.
    pub why: String,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MoveRecord {
    /// Whether it asks for nothing any more, since this owner is not the one that was to give the plan away.
    #[must_use]
    pub fn is_spent(&self, owner: &OrchestratorId) -> bool {
        self.from != *owner
    }

    /// Whether the candidate joins the queue of a plan with this owner, as far as one is known.
    #[must_use]
    pub fn begins_with(&self, owner: Option<&OrchestratorId>) -> bool {
        owner.is_some_and(|owner| !self.is_spent(owner))
    }

    /// Whether a candidate that waits goes on with it. Between two owners it may be the next one, and the
    /// owner may be the candidate itself, which has not heard of it yet.
    #[must_use]
    pub fn goes_on_with(&self, owner: Option<&OrchestratorId>) -> bool {
        owner.is_none_or(|owner| !self.is_spent(owner) || *owner == self.to)
    }
}

/// All that is asked of a fleet, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Nothing new starts in the namespace while it is there.
    pub pause: Option<HaltRecord>,
    /// The orchestrators that take nothing new.
    pub cordons: BTreeMap<OrchestratorId, CordonRecord>,
    /// The plans that are to move.
    pub moves: BTreeMap<PlanName, MoveRecord>,
}

impl Steering {
    /// What these keys say.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        let mut steering = Self::default();
        for (key, entry) in entries {
            steering.apply(&key, Some(&entry));
        }
        steering
    }

    /// Applies a change of one key; other keys change nothing.
    pub fn apply(&mut self, key: &Key, entry: Option<&Entry>) {
        let Key::Steering(key) = key else { return };
        match key {
            SteeringKey::Pause => self.pause = entry.map(|entry| pause(&entry.value)),
            SteeringKey::Cordon(id) => match entry {
                Some(entry) => drop(self.cordons.insert(id.clone(), cordon(&entry.value))),
                None => drop(self.cordons.remove(id)),
            },
            // A request that cannot be read asks for nothing.
            SteeringKey::Move(plan) => match entry.and_then(|entry| codec::decode(&entry.value).ok()) {
                Some(request) => drop(self.moves.insert(plan.clone(), request)),
                None => drop(self.moves.remove(plan)),
            },
        }
    }

    /// Whether this orchestrator takes work.
    #[must_use]
    pub fn eligibility(&self, id: &OrchestratorId) -> Eligibility {
        self.cordons.get(id).map_or(Eligibility::Eligible, |cordon| cordon.state)
    }

    /// The plans that are to move to this orchestrator, with the requests. One that was carried out stays
    /// until it is withdrawn or ends by itself: [`MoveRecord::is_spent`] says so of the plan's owner.
    pub fn moves_to<'a>(
        &'a self,
        id: &'a OrchestratorId,
    ) -> impl Iterator<Item = (&'a PlanName, &'a MoveRecord)> {
        self.moves.iter().filter(move |(_, request)| request.to == *id)
    }

    /// The request by which this owner is to give the plan away.
    #[must_use]
    pub fn move_of(&self, plan: &PlanName, owner: &OrchestratorId) -> Option<&MoveRecord> {
        self.moves.get(plan).filter(|request| !request.is_spent(owner))
    }
}

/// The pause that a value says; one that cannot be read pauses as well.
#[must_use]
pub fn pause(value: &[u8]) -> HaltRecord {
    codec::decode(value).unwrap_or_else(|error| HaltRecord::unreadable(Halt::Paused, error.to_string()))
}

/// The cordon that a value says; one that cannot be read is a cordon as well.
#[must_use]
pub fn cordon(value: &[u8]) -> CordonRecord {
    codec::decode(value).unwrap_or_else(|error| CordonRecord {
        v: FormatVersion::default(),
        state: Eligibility::Cordoned,
        deadline_s: None,
        by: "an unknown writer".to_owned(),
        at: WallTime(0),
        why: error.to_string(),
        extra: Extra::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;

    fn entry(value: &[u8]) -> Entry {
        let revision = Revision::from_wire(1).unwrap();
        Entry { value: value.to_vec(), created: revision, modified: revision, version: 1, lease: None }
    }

    #[test]
    fn a_move_counts_until_another_owner_has_the_plan() {
        let id = |name: &str| OrchestratorId::new(name).unwrap();
        let (one, two, three) = (id("one"), id("two"), id("three"));
        let request = MoveRecord {
            v: FormatVersion::default(),
            from: one.clone(),
            to: two.clone(),
            deadline_s: 1,
            by: "x".to_owned(),
            at: WallTime(0),
            why: "y".to_owned(),
            extra: Extra::default(),
        };
        // The owner; whether the candidate joins the queue, and whether it stays there.
        let table = [
            (Some(&one), true, true),
            (None, false, true),
            (Some(&two), false, true),
            (Some(&three), false, false),
        ];
        for (owner, begins, goes_on) in table {
            assert_eq!(
                (request.begins_with(owner), request.goes_on_with(owner)),
                (begins, goes_on),
                "owned by {owner:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_pauses_and_cordons_by_its_key() {
        let (id, plan) = (OrchestratorId::new("a").unwrap(), PlanName::new("p").unwrap());
        let keys =
            [SteeringKey::Pause, SteeringKey::Cordon(id.clone()), SteeringKey::Move(plan)].map(Key::Steering);
        let mut steering = Steering::of(keys.clone().map(|key| (key, entry(b"{"))));
        assert!(steering.pause.is_some() && steering.moves.is_empty());
        assert_eq!(steering.eligibility(&id), Eligibility::Cordoned);
        for key in keys {
            steering.apply(&key, None);
        }
        assert_eq!(steering, Steering::default());
    }
}
