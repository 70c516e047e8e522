//! What subscribers rely on, tried on a scripted feed.

mod history;
mod hub;
mod script;
mod store;

/// Subscribers live in tasks of their own, and share the watcher.
#[test]
fn handles_travel_between_threads() {
    fn travels<T: Send + Sync + 'static>() {}
    travels::<crate::Watcher>();
    travels::<crate::Subscription>();
    travels::<crate::Snapshot>();
}
