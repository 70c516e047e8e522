//! The timers of a plan while a command runs in a hold.

use planlease::{Ownership, TimerEvent};

use super::work::Notice;

/// Keeps the timers of the plan, and shows what they do. Does not end: a loss is dealt with where the command
/// is.
pub(super) async fn keep(ownership: &Ownership, recovers: bool, show: impl Fn(Notice<'_>)) {
    let mut keeper = ownership.timer_keeper(recovers);
    loop {
        match keeper.next().await {
            Ok(TimerEvent::Recovered(tasks)) => show(Notice::Recovered(tasks.len())),
            Ok(TimerEvent::Due { task, why }) => show(Notice::Due(&task, &why)),
            Ok(TimerEvent::Trouble(why)) => show(Notice::NotDoneYet(&why)),
            Ok(_) => {}
            Err(_) => std::future::pending().await,
        }
    }
}
