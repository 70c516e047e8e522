//! The steps of [`Session`].

use planlease_core::session::Status;

use crate::time::{Action, Session, Stage, State, TTL_S};

impl super::Narrated for Session {
    fn begin(&self, state: &State) -> Option<String> {
        let granted = state.expires - TTL_S;
        Some(format!(
            "0 s: the holder asks for a lease of {TTL_S} s; etcd grants it at {granted} s, the answer arrives at {} s; {}",
            state.now,
            belief(state)
        ))
    }

    fn step(&self, before: &State, action: &Action, after: &State) -> Option<String> {
        let what = match *action {
            Action::Tick => return None,
            Action::TickMissed => "the holder's clock has missed a second".to_owned(),
            Action::Wake => match after.holder.status() {
                Status::Lost(reason) => format!("the holder wakes up and stops: {reason}"),
                Status::Live { .. } if after.renewals != before.renewals => {
                    let given_up = before.renewals.iter().any(|renewal| renewal.awaited);
                    format!(
                        "the holder {}sends a renewal",
                        if given_up { "gives up the last renewal and " } else { "" }
                    )
                }
                Status::Live { .. } => "the holder wakes up".to_owned(),
            },
            Action::Handle(index) => {
                let whose = if before.renewals[usize::from(index)].awaited { "the" } else { "an earlier" };
                format!("etcd handles {whose} renewal: the lease lives until {} s", after.expires)
            }
            Action::Answer(index) => {
                let renewal = before.renewals[usize::from(index)];
                let whose = if renewal.awaited { "the" } else { "the earlier" };
                match renewal.stage {
                    Stage::Refused => "the answer arrives: there is no such lease".to_owned(),
                    Stage::Sent | Stage::Renewed => {
                        format!("the answer to {whose} renewal arrives; {}", belief(after))
                    }
                }
            }
            Action::Break => "the stream of renewals breaks".to_owned(),
            Action::Expire => format!("etcd drops the lease; {}", belief(after)),
        };
        Some(format!("{}{what}", time(after)))
    }

    fn end(&self, _: &State) -> Option<String> {
        None
    }
}

/// etcd's time, and the holder's if it is another.
fn time(state: &State) -> String {
    match state.lost {
        0 => format!("{} s: ", state.now),
        _ => format!("{} s ({} s on the holder's clock): ", state.now, state.clock()),
    }
}

fn belief(state: &State) -> String {
    match state.deadline() {
        Some(deadline) => format!("the holder believes in it until {deadline} s"),
        None => "the holder does not believe in it".to_owned(),
    }
}
