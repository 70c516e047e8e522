//! The variables that a command of a hold has, besides those of its caller.

use planlease::{Lock, Ownership};

use crate::{options::env, trace};

/// A variable and its value; `None` removes it.
type Variable = (&'static str, Option<String>);

/// The variables of an owner's command. Those of a task, which this process itself may have, are removed.
///
/// # Errors
/// Never in practice: the authority of an ownership can be written as JSON.
pub fn of_owner(ownership: &Ownership) -> Result<Vec<Variable>, serde_json::Error> {
    let delegation = serde_json::to_string(&ownership.delegate())?;
    let context = planlease::trace::context(ownership.span());
    let own = [
        (env::PLAN, Some(ownership.plan().to_string())),
        (env::FENCING_TOKEN, Some(ownership.token().to_string())),
        (env::OWNERSHIP, Some(delegation)),
        (env::TASK, None),
        (env::DESCRIPTION, None),
        (env::ATTEMPT, None),
        (env::LAST_PROGRESS, None),
        (env::INPUTS, None),
    ];
    Ok(own.into_iter().chain(trace::variables(context.as_ref())).collect())
}

/// The variables of a command that runs under a lock.
#[must_use]
pub fn of_lock(lock: &Lock) -> [Variable; 2] {
    [(env::LOCK, Some(lock.name().to_string())), (env::LOCK_TOKEN, Some(lock.token().to_string()))]
}
