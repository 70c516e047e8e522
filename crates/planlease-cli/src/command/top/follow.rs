//! Follows the output of the task that the screen shows, as `logs -f` does: read piece by piece, and never
//! faster than the screen takes it.

use std::{
    future::{Future, pending},
    pin::Pin,
};

use planlease::{Coordinator, Error, PlanName, TaskId, error_chain};
use planlease_observe::{Characters, Event, Outputs, TaskOutput, Wanted};
use planlease_top::Top;

use crate::command::logs::words;

/// How many lines that were there before are shown.
const TAIL: u64 = 500;

/// Waits for the next event, and brings the output back to be asked again.
type Step = Pin<Box<dyn Future<Output = (TaskOutput, Result<Option<Event>, Error>)>>>;

/// The output that is followed, if one is.
pub(super) struct Follower {
    coordinator: Coordinator,
    followed: Option<Followed>,
}

/// An output.
struct Followed {
    plan: PlanName,
    task: TaskId,
    /// `None` after the end.
    step: Option<Step>,
    /// What was cut at the end of a piece.
    characters: Characters,
}

/// What comes of an output.
#[derive(Debug)]
pub(super) struct Piece(Result<Option<Event>, Error>);

impl Follower {
    /// Follows nothing yet.
    pub(super) fn new(coordinator: Coordinator) -> Self {
        Self { coordinator, followed: None }
    }

    /// Follows what the screen shows now, and nothing else.
    pub(super) fn turn_to(&mut self, shown: Option<(&PlanName, &TaskId)>) {
        let present = self.followed.as_ref().map(|one| (&one.plan, &one.task));
        if present == shown {
            return;
        }
        self.followed = shown.map(|(plan, task)| {
            let mut wanted = Wanted::of(plan.clone(), task.clone());
            wanted.follow = true;
            wanted.from.tail = Some(TAIL);
            let kept = Outputs::of(&self.coordinator);
            let output = TaskOutput::new(self.coordinator.clone(), kept, wanted);
            let (plan, task) = (plan.clone(), task.clone());
            Followed { plan, task, step: Some(step(output)), characters: Characters::default() }
        });
    }

    /// Waits for what comes next; for ever if nothing is followed, and after the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Piece {
        let Some(followed) = &mut self.followed else { return pending().await };
        let Some(running) = &mut followed.step else { return pending().await };
        let (output, event) = running.as_mut().await;
        followed.step = matches!(event, Ok(Some(_))).then(|| step(output));
        Piece(event)
    }

    /// Shows it.
    pub(super) fn bring(&mut self, piece: Piece, top: &mut Top) {
        let Some(followed) = &mut self.followed else { return };
        match piece.0 {
            Ok(Some(Event::Output { bytes, .. })) => top.written(&followed.characters.take(&bytes)),
            Ok(Some(event)) => {
                top.written(&followed.characters.rest());
                if let Some(line) = words::of_event(&event) {
                    top.noted(&line, matches!(event, Event::Trouble { .. } | Event::NotKept { .. }));
                }
                if let Event::Stored(stored) = event {
                    top.written(&stored.text);
                }
            }
            Ok(None) => {
                top.written(&followed.characters.rest());
                top.noted("there is no more: no further attempt comes by itself", false);
            }
            Err(error) => {
                let why = error_chain(&error);
                top.noted(&format!("the output cannot be read: {why}; Esc and l read it again"), true);
            }
        }
    }
}

fn step(mut output: TaskOutput) -> Step {
    Box::pin(async move {
        let event = output.next().await;
        (output, event)
    })
}
