//! The plans that wait for an owner and have work for this orchestrator, kept from one watch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use planlease::{Coordinator, PlanView};
use planlease_core::{
    OrchestratorId, PlanName,
    keys::{Key, PlanKey},
    offer::Offer,
    sharing::{Waiting, has_work_for},
};
use planlease_watcher::{Change, Delivery, Filter, Snapshot, Subscription, Watcher};

/// The plans that wait for an owner, as one orchestrator sees them.
#[derive(Debug)]
pub(super) struct Market {
    coordinator: Coordinator,
    offer: Offer,
    watcher: Option<Watcher>,
    subscription: Option<Subscription>,
    /// In the order in which they are to be acquired.
    waiting: BTreeSet<Waiting>,
    places: BTreeMap<PlanName, Waiting>,
}

/// What is new besides the plans that wait.
#[derive(Debug)]
pub(super) enum News {
    /// What was known of a plan does not hold any more: it was edited, appeared, or is gone.
    Other(PlanName),
    /// A stored record cannot be read.
    Unreadable(String),
    /// The watch ended, for this reason. The next call begins another one.
    Ended(String),
}

impl Market {
    /// The market of a coordinator's namespace, for an orchestrator with this offer.
    pub(super) fn new(coordinator: Coordinator, offer: Offer) -> Self {
        Self {
            coordinator,
            offer,
            watcher: None,
            subscription: None,
            waiting: BTreeSet::new(),
            places: BTreeMap::new(),
        }
    }

    /// Waits until something has changed; what is new. The plans that wait are up to date then.
    ///
    /// Cancel safe: nothing is lost if the future is dropped.
    pub(super) async fn news(&mut self) -> Vec<News> {
        let watcher = self.watcher.get_or_insert_with(|| Watcher::start(self.coordinator.clone()));
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            None => match watcher.subscribe(Filter::default(), None).await {
                Ok(subscription) => self.subscription.insert(subscription),
                Err(error) => {
                    self.watcher = None;
                    return vec![News::Ended(error.to_string())];
                }
            },
        };
        let Some(delivery) = subscription.next().await else {
            let why = watcher.error().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
            (self.watcher, self.subscription) = (None, None);
            return vec![News::Ended(why)];
        };
        // It may be newer than the delivery; the next ones bring nothing new then.
        let Some(present) = watcher.snapshot() else { return Vec::new() };
        let Delivery::Changes(set) = delivery else { return self.look_at_all(&present) };
        let news = set.changes.iter().filter_map(news_of).collect();
        // An orchestrator that is gone leaves orphans in plans that are not named.
        if set.resynced || set.changes.iter().any(|change| matches!(change, Change::OrchestratorGone(_))) {
            self.look_at_all(&present);
            return news;
        }
        let touched: BTreeSet<&PlanName> = set.changes.iter().filter_map(Change::plan).collect();
        for plan in touched {
            self.look(plan, &present);
        }
        news
    }

    /// The plan that is to be acquired next, but for those that are `passed` over.
    pub(super) fn first(&self, passed: impl Fn(&PlanName) -> bool) -> Option<Arc<PlanView>> {
        let first = self.waiting.iter().find(|waiting| !passed(&waiting.plan))?;
        self.watcher.as_ref()?.snapshot()?.plan(&first.plan).cloned()
    }

    /// The present owner of a plan, as far as one is known.
    pub(super) fn owner(&self, plan: &PlanName) -> Option<OrchestratorId> {
        let present = self.watcher.as_ref()?.snapshot()?;
        present.plan(plan)?.queue().owner().map(|(_, term)| term.owner.orchestrator.clone())
    }

    /// Takes a plan off, which is acquired now.
    pub(super) fn take(&mut self, plan: &PlanName) {
        if let Some(place) = self.places.remove(plan) {
            self.waiting.remove(&place);
        }
    }

    fn look_at_all(&mut self, present: &Snapshot) -> Vec<News> {
        self.waiting.clear();
        self.places.clear();
        for plan in present.plans() {
            self.look(plan.name(), present);
        }
        present.unreadable().map(|unreadable| News::Unreadable(unreadable.to_string())).collect()
    }

    /// Looks at one plan again.
    fn look(&mut self, name: &PlanName, present: &Snapshot) {
        self.take(name);
        let Some(plan) = present.plan(name).filter(|plan| is_free(plan)) else { return };
        let takes = |task: &_| self.offer.takes_task(task).is_ok();
        let alive = |id: &_, revision| present.orchestrator(id).is_some_and(|one| one.revision == revision);
        if self.offer.takes_plan(name, &plan.spec().labels) && has_work_for(plan, takes, alive) {
            let place = Waiting::of(plan);
            self.waiting.insert(place.clone());
            self.places.insert(name.clone(), place);
        }
    }
}

/// Whether no process owns the plan or waits for it, and it is not halted.
fn is_free(plan: &PlanView) -> bool {
    plan.queue().candidates().is_empty() && plan.queue().unreadable.is_empty() && plan.halt().is_none()
}

fn news_of(change: &Change) -> Option<News> {
    match change {
        Change::PlanAppeared(plan) | Change::Redefined(plan) => Some(News::Other(plan.name().clone())),
        Change::PlanGone { plan } => Some(News::Other(plan.clone())),
        Change::Unreadable { key: Key::Plan(plan, PlanKey::Spec), reason: Some(reason) } => {
            Some(News::Unreadable(format!("the definition of plan {plan} cannot be read: {reason}")))
        }
        _ => None,
    }
}
