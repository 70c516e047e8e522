//! A watch's stream: several watches on it, cancel, progress, and what is refused.

use etcd_client::WatchOptions;
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};

use crate::probe::{Watch, in_short, put, revision};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        one_stream_carries_several_watches,
        an_id_may_be_chosen_and_is_refused_when_taken,
        a_cancelled_watch_says_so_and_is_silent_then,
        one_watch_is_cancelled_and_the_others_go_on,
        progress_is_sent_on_request,
        a_watch_of_an_empty_range_is_refused,
    ]
}

async fn one_stream_carries_several_watches(fixture: Fixture) {
    let (all, a, b) = (fixture.key(""), fixture.key("a"), fixture.key("b"));
    let mut watch = Watch::begin(&fixture.client, &a, WatchOptions::new()).await;
    watch.stream().watch(b.as_str(), None).await.unwrap();
    let created = watch.message().await;
    assert!(created.created() && created.watch_id() != watch.id);
    put(&fixture.client, &b, "1").await;
    let message = watch.message().await;
    assert_eq!(message.watch_id(), created.watch_id());
    assert_eq!(in_short(&message.events()[0], &all), "+b=1");
    put(&fixture.client, &a, "1").await;
    assert_eq!(watch.message().await.watch_id(), watch.id);
}

async fn an_id_may_be_chosen_and_is_refused_when_taken(fixture: Fixture) {
    let (all, a) = (fixture.key(""), fixture.key("a"));
    let chosen = || WatchOptions::new().with_watch_id(77);
    let mut watch = Watch::begin(&fixture.client, &a, chosen()).await;
    assert_eq!(watch.id, 77);
    watch.stream().watch(a.as_str(), Some(chosen())).await.unwrap();
    let refused = watch.message().await;
    assert!(refused.created() && refused.canceled(), "{refused:?}");
    assert_eq!(refused.watch_id(), -1);
    // The first one is none the worse for it.
    put(&fixture.client, &a, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+a=1"]);
}

async fn a_cancelled_watch_says_so_and_is_silent_then(fixture: Fixture) {
    let (all, a, b) = (fixture.key(""), fixture.key("a"), fixture.key("b"));
    let mut watch = Watch::begin(&fixture.client, &a, WatchOptions::new()).await;
    let id = watch.id;
    watch.stream().cancel(id).await.unwrap();
    let cancelled = watch.message().await;
    assert!(
        cancelled.canceled() && cancelled.watch_id() == id && cancelled.compact_revision() == 0,
        "{cancelled:?}"
    );
    put(&fixture.client, &a, "1").await;
    // The stream itself is alive: the next thing on it is the next watch, not the put.
    watch.stream().watch(b.as_str(), None).await.unwrap();
    assert!(watch.message().await.created());
    put(&fixture.client, &b, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+b=1"]);
}

async fn one_watch_is_cancelled_and_the_others_go_on(fixture: Fixture) {
    let a = fixture.key("a");
    let mut watch = Watch::begin(&fixture.client, &a, WatchOptions::new()).await;
    watch.stream().watch(a.as_str(), None).await.unwrap();
    let second = watch.message().await.watch_id();
    let first = watch.id;
    watch.stream().cancel(first).await.unwrap();
    assert!(watch.message().await.canceled());
    put(&fixture.client, &a, "1").await;
    assert_eq!(watch.message().await.watch_id(), second);
}

async fn progress_is_sent_on_request(fixture: Fixture) {
    let a = fixture.key("a");
    let mut watch = Watch::begin(&fixture.client, &a, WatchOptions::new()).await;
    let now = put(&fixture.client, &fixture.key("elsewhere"), "1").await;
    watch.stream().request_progress().await.unwrap();
    let progress = watch.message().await;
    // It concerns all watches of the stream, and says so by a number that no watch has.
    assert_eq!(progress.watch_id(), -1, "{progress:?}");
    assert!(progress.events().is_empty() && !progress.canceled());
    assert!(revision(progress.header()) >= now);
}

async fn a_watch_of_an_empty_range_is_refused(mut fixture: Fixture) {
    let options = WatchOptions::new().with_range(fixture.key("a"));
    let mut stream = fixture.client.watch(fixture.key("b"), Some(options)).await.unwrap();
    let refused = stream.message().await.unwrap().unwrap();
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1, "{refused:?}");
}
