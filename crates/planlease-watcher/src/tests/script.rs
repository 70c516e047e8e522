//! A feed that tests write: the namespace of a [`World`], which can fall silent, forget its history and fail.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use planlease::{Error, Feed, History, RawSnapshot};
use planlease_core::{BootTime, Revision};
use tokio::sync::watch;

use crate::{
    model::World,
    source::{Rest, Source, Tail},
    subscription::{Delivery, Subscription},
    watcher::{Options, Watcher},
};

/// How long a test waits for what has to come. Paused time: it costs nothing.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(crate) struct Script {
    /// Which of several watchers of one world.
    number: usize,
    stage: Arc<Mutex<Stage>>,
    stirred: watch::Sender<()>,
}

pub(crate) struct Stage {
    pub(crate) world: World,
    /// The history is gone up to this revision.
    pub(crate) compacted: Option<Revision>,
    /// This watcher receives nothing.
    pub(crate) silent: [bool; 2],
    /// What the next lists fail with.
    pub(crate) list_failures: VecDeque<Error>,
    /// What the feed says next, before anything else.
    pub(crate) said: VecDeque<Result<Feed, Error>>,
    pub(crate) lists: usize,
    pub(crate) tails: usize,
}

impl Script {
    pub(crate) fn new(world: World) -> Self {
        let stage = Stage {
            world,
            compacted: None,
            silent: [false; 2],
            list_failures: VecDeque::new(),
            said: VecDeque::new(),
            lists: 0,
            tails: 0,
        };
        Self { number: 0, stage: Arc::new(Mutex::new(stage)), stirred: watch::Sender::new(()) }
    }

    /// Does something to the stage.
    pub(crate) fn stir<T>(&self, act: impl FnOnce(&mut Stage) -> T) -> T {
        let result = act(&mut self.stage());
        self.stirred.send_replace(());
        result
    }

    /// Does something to the world.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.stir(|stage| act(&mut stage.world))
    }

    /// The same world, for a second watcher.
    pub(crate) fn second(&self) -> Self {
        Self { number: 1, ..self.clone() }
    }

    pub(crate) fn watcher(&self, changes_kept: usize) -> Watcher {
        Watcher::follow(self.clone(), Options { changes_kept })
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap()
    }
}

impl Source for Script {
    type Rest = ScriptRest;
    type Tail = ScriptTail;

    async fn list(&self) -> Result<(RawSnapshot, ScriptRest), Error> {
        let mut stage = self.stage();
        stage.lists += 1;
        if let Some(failure) = stage.list_failures.pop_front() {
            return Err(failure);
        }
        let mut rest = ScriptRest(stage.world.list());
        Ok((rest.page(), rest))
    }

    fn tail(&self, from: Revision) -> ScriptTail {
        self.stage().tails += 1;
        ScriptTail { script: self.clone(), stirred: self.stirred.subscribe(), from, connected: false }
    }

    async fn history(&self, _: Revision, _: Revision, _: usize) -> Result<Option<History>, Error> {
        Ok(None)
    }

    fn now(&self) -> BootTime {
        BootTime::since_boot(Duration::from_secs(1))
    }
}

/// How many entries a page has.
const PAGE: usize = 3;

pub(crate) struct ScriptRest(RawSnapshot);

impl ScriptRest {
    fn page(&mut self) -> RawSnapshot {
        let entries = &mut self.0.entries;
        let entries = entries.drain(..PAGE.min(entries.len())).collect();
        RawSnapshot { entries, ..self.0 }
    }
}

impl Rest for ScriptRest {
    async fn next(&mut self) -> Result<Option<RawSnapshot>, Error> {
        Ok((!self.0.entries.is_empty()).then(|| self.page()))
    }
}

pub(crate) struct ScriptTail {
    script: Script,
    stirred: watch::Receiver<()>,
    from: Revision,
    connected: bool,
}

impl Tail for ScriptTail {
    async fn next(&mut self) -> Result<Feed, Error> {
        loop {
            self.stirred.borrow_and_update();
            if let Some(feed) = self.there() {
                return feed;
            }
            if self.stirred.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl ScriptTail {
    fn there(&mut self) -> Option<Result<Feed, Error>> {
        let mut stage = self.script.stage();
        if let Some(said) = stage.said.pop_front() {
            return Some(said);
        }
        if !self.connected {
            self.connected = true;
            return Some(Ok(Feed::Connected));
        }
        if stage.silent[self.script.number] {
            return None;
        }
        if let Some(compacted) = stage.compacted.filter(|compacted| self.from <= *compacted) {
            return Some(Ok(Feed::Compacted(compacted)));
        }
        let sets: Vec<_> =
            stage.world.history.iter().filter(|set| set.revision >= self.from).cloned().collect();
        self.from = sets.last()?.revision.next();
        Some(Ok(Feed::Changes(sets)))
    }
}

/// The next delivery, which has to come.
pub(crate) async fn next(subscription: &mut Subscription) -> Delivery {
    let delivery = tokio::time::timeout(LONG, subscription.next()).await;
    delivery.expect("a delivery has to come").expect("the stream must not have ended")
}
