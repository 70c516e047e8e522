//! Checks a model: exhaustively, or until a property is broken by the shortest run that breaks it.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
};

use stateright::{Checker, HasDiscoveries, Model};

use crate::story::{self, Narrated};

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// States that are different.
    pub unique: usize,
    /// States that were looked at, those reached on several ways counted as often.
    pub looked_at: usize,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    /// Every property, in the order of the model.
    pub properties: Vec<(&'static str, Finding)>,
}

/// What was found about a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Holds in every state.
    Always,
    /// Does not hold in some state.
    Broken,
    /// Holds in some state.
    Sometimes,
    /// Holds in no state.
    Never,
}

impl Verdict {
    /// The properties of which this was found.
    #[must_use]
    pub fn found(&self, finding: Finding) -> Vec<&'static str> {
        self.properties.iter().filter(|(_, found)| *found == finding).map(|(name, _)| *name).collect()
    }
}

/// Goes through every state; stops early only if something is broken.
#[must_use]
pub fn exhaust<M>(model: M, threads: usize) -> Verdict
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Send + Sync + Clone + PartialEq + Debug,
    M::Action: Clone + PartialEq + Debug,
{
    let checker =
        model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let discovered = checker.discoveries();
    let finding = |name, is_failure| match (discovered.contains_key(name), is_failure) {
        (false, true) => Finding::Always,
        (true, true) => Finding::Broken,
        (true, false) => Finding::Sometimes,
        (false, false) => Finding::Never,
    };
    let properties = checker.model().properties().into_iter();
    Verdict {
        unique: checker.unique_state_count(),
        looked_at: checker.state_count(),
        depth: checker.max_depth(),
        properties: properties
            .map(|property| {
                (property.name, finding(property.name, property.expectation.discovery_is_failure()))
            })
            .collect(),
    }
}

/// The shortest run that breaks something: which property, and the story. `None` if none of at most so many
/// steps does.
///
/// The checker keeps the last discovery of many, not the first. So it is asked for runs of one step, of two,
/// and so on.
#[must_use]
pub fn shortest<M>(model: &M, most_steps: usize) -> Option<(&'static str, String)>
where
    M: Narrated + Clone + Send + Sync + 'static,
    M::State: Hash + Send + Sync + Clone + PartialEq + Debug,
    M::Action: Clone + PartialEq + Debug,
{
    (1..=most_steps).find_map(|steps| {
        let checker = model
            .clone()
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .target_max_depth(steps + 2) // It counts states, and leaves the last one out.
            .spawn_bfs()
            .join();
        let broken = checker.model().properties().into_iter().find(|property| {
            property.expectation.discovery_is_failure() && checker.discovery(property.name).is_some()
        })?;
        let path = checker.discovery(broken.name)?;
        Some((broken.name, story::report(model, path, broken.name)))
    })
}

/// Where these steps lead from the first state; `None` if one of them cannot happen.
#[must_use]
pub fn follow<M>(model: &M, steps: &[M::Action]) -> Option<M::State>
where
    M: Model,
    M::Action: Clone + PartialEq,
{
    let start = model.init_states().into_iter().next()?;
    steps.iter().try_fold(start, |state, step| {
        let mut possible = Vec::new();
        model.actions(&state, &mut possible);
        if possible.contains(step) { model.next_state(&state, step.clone()) } else { None }
    })
}

/// Whether a run can come back to a state where it has been: then it need not come to an end.
#[must_use]
pub fn has_circle<M>(model: &M) -> bool
where
    M: Model,
    M::State: Hash + Eq,
{
    let mut seen: HashMap<u64, bool> = HashMap::new(); // Whether the state lies on the present way.
    let mut way: Vec<(u64, Vec<M::State>)> = Vec::new();
    for start in model.init_states() {
        let mut next = Some(start);
        loop {
            if let Some(state) = next.take() {
                let key = key(&state);
                match seen.get(&key) {
                    Some(true) => return true,
                    Some(false) => {}
                    None => {
                        seen.insert(key, true);
                        way.push((key, model.next_states(&state)));
                    }
                }
            }
            let Some((key, ahead)) = way.last_mut() else { break };
            next = ahead.pop();
            if next.is_none() {
                seen.insert(*key, false);
                way.pop();
            }
        }
    }
    false
}

fn key(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to three; then stays there, or starts over.
    struct Counter {
        starts_over: bool,
    }

    impl Model for Counter {
        type State = u8;
        type Action = ();

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, state: &u8, actions: &mut Vec<()>) {
            if *state < 3 || self.starts_over {
                actions.push(());
            }
        }

        fn next_state(&self, state: &u8, (): ()) -> Option<u8> {
            Some((state + 1) % 4)
        }
    }

    #[test]
    fn a_circle_is_found_and_a_chain_is_none() {
        assert!(has_circle(&Counter { starts_over: true }));
        assert!(!has_circle(&Counter { starts_over: false }));
    }
}
