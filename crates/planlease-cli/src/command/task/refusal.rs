//! The exit status of a refused update, by why it was refused.

use planlease::{Refused, core::transition::Refusal};

use crate::exit::Exit;

/// The status of an update that was refused.
pub(super) fn exit_of_refused(refused: &Refused) -> Exit {
    match refused {
        Refused::Conflict(_) => Exit::Stale,
        Refused::NotAllowed(refusal, _) => exit_of(refusal),
        Refused::AuthorityLost(_) => Exit::AuthorityLost,
        Refused::Dependency | Refused::Full(_) | Refused::Pool(_) => Exit::Blocked,
        Refused::Halted(_) | Refused::FleetPaused(_) => Exit::Halted,
        Refused::NoSuchTask => Exit::NoSuchTask,
        _ => Exit::Unexpected,
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::ClaimedBy { .. } => Exit::Claimed,
        Refusal::StaleAttempt { .. } => Exit::Stale,
        _ => Exit::WrongTransition,
    }
}

#[cfg(test)]
mod tests {
    use planlease::core::transition::TaskStatus;

    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_own_status() {
        let by_other = Refusal::ClaimedBy { by: "x".into() };
        let late = Refusal::StaleAttempt { given: 1, present: 2 };
        let wrong = Refusal::WrongStatus { verb: "start", status: TaskStatus::Completed };
        let exits = [by_other, late, wrong].map(|refusal| exit_of(&refusal));
        assert_eq!(exits, [Exit::Claimed, Exit::Stale, Exit::WrongTransition]);
    }
}
