//! A run of a model as a list of steps that people can read: who does what, what etcd answers.

mod ownership;
mod session;

use stateright::{Model, Path};

/// A model whose runs can be narrated.
pub trait Narrated: Model {
    /// How it begins, if there is something to say.
    fn begin(&self, state: &Self::State) -> Option<String>;

    /// One step; `None` if it is left out.
    fn step(&self, before: &Self::State, action: &Self::Action, after: &Self::State) -> Option<String>;

    /// How it ends.
    fn end(&self, state: &Self::State) -> Option<String>;
}

/// The run, step by step, and at its end which property it breaks.
#[must_use]
pub fn report<M: Narrated>(model: &M, path: Path<M::State, M::Action>, broken: &str) -> String {
    let path: Vec<_> = path.into_vec();
    let mut steps: Vec<String> = path.first().and_then(|(first, _)| model.begin(first)).into_iter().collect();
    for pair in path.windows(2) {
        if let [(before, Some(action)), (after, _)] = pair {
            steps.extend(model.step(before, action, after));
        }
    }
    steps.extend(path.last().and_then(|(last, _)| model.end(last)));
    let numbered = steps.iter().enumerate().map(|(index, step)| format!("{:>2}  {step}\n", index + 1));
    numbered.chain([format!("    Broken: {broken}.\n")]).collect()
}
