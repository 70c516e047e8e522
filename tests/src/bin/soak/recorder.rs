//! The recorder: keeps the history up to date, past everything that is broken, and notes when it knew what.

use std::time::Duration;

use crate::world::{Crew, Phase, World};

/// How long one member is listened to without a word before another one is asked. It may be stopped, or cut
/// off.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the recorder", record(world.clone()));
    crew.join("the recorder's notes", note(world.clone()));
}

async fn record(world: World) {
    let mut member = 0;
    while world.phase() != Phase::Over {
        member = (member + 1) % world.cluster.members().len();
        let Ok(client) = world.cluster.client(member).await else { continue };
        let mut follow = std::pin::pin!(world.history.follow(&client));
        loop {
            let before = world.history.recorded();
            tokio::select! {
                biased; // The end, then news of the connection; silence only if there is none.
                () = world.until(Phase::Over) => return,
                _why = &mut follow => break,
                () = tokio::time::sleep(QUIET) => if world.history.recorded() == before { break },
            }
        }
        world.pause(Duration::from_millis(100)).await; // Else a member that refuses would be asked without end.
    }
}

/// Up to which revision the history was known at what time: a revision that was recorded had happened by
/// then.
async fn note(world: World) {
    let mut last = 0;
    while world.phase() != Phase::Over {
        let recorded = world.history.recorded();
        if recorded > last {
            world.actions.known(recorded);
            last = recorded;
        }
        world.pause(Duration::from_millis(50)).await;
    }
}
