//! Keeping the view of a plan as etcd has it, by the watch on its keys or by reading it again.

use planlease::{Error, Feed, PlanView, error_chain};
use planlease_core::keys::{Key, PlanKey};

use super::{
    execution::{ASK_AGAIN, Runner},
    left::Left,
};
use crate::report::Report;

impl Runner {
    /// The plan as it is now, whose definition may have been edited.
    pub(super) fn see(&mut self, view: PlanView) {
        if view.defined() != self.view.defined() {
            self.timers.redefine(view.spec());
            self.left = Left::by(&self.shared.options.offer(), view.spec());
        }
        self.view = view;
    }

    pub(super) async fn reread(&mut self) -> Result<(), String> {
        match self.ownership.session().coordinator().plan(self.ownership.plan()).await {
            Ok(view) => {
                self.see(view);
                Ok(())
            }
            Err(Error::PlanNotFound(_)) => Err("the plan was deleted".to_owned()),
            Err(error) => {
                self.shared.reporter.send(&Report::Trouble(error_chain(&error)));
                Ok(())
            }
        }
    }

    /// Applies what other processes did to the tasks.
    pub(super) async fn apply(&mut self, feed: Result<Feed, Error>) -> Result<(), String> {
        self.in_touch = !matches!(feed, Ok(Feed::Broken(_)) | Err(_));
        match feed {
            Ok(Feed::Changes(sets)) => {
                let mut stale = false;
                for change in sets.into_iter().flat_map(|set| set.changes) {
                    match (change.key, change.entry) {
                        (Key::Plan(_, PlanKey::Task(id)), Some(entry)) => {
                            self.view.apply_entry(id, &entry);
                        }
                        (
                            Key::Plan(
                                _,
                                PlanKey::Pause | PlanKey::Close | PlanKey::Spec | PlanKey::Unknown(_),
                            ),
                            _,
                        ) => stale = true,
                        _ => {}
                    }
                }
                if stale { self.reread().await } else { Ok(()) }
            }
            Ok(Feed::Compacted(_)) => self.reread().await,
            Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => Ok(()),
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                tokio::time::sleep(ASK_AGAIN).await; // The watch itself does not wait.
                Ok(())
            }
        }
    }
}
