//! A watch's stream: several watches on it, cancel, progress, and what is refused.

use etcd_client::WatchOptions;
use planlease_tests::{TestEnv, case};

use crate::probe::{Watch, in_short, put, revision};

#[case]
async fn one_stream_carries_several_watches(env: TestEnv) {
    let (all, a, b) = (env.key(""), env.key("a"), env.key("b"));
    let mut watch = Watch::begin(&env.client, &a, WatchOptions::new()).await;
    watch.stream().watch(b.as_str(), None).await.unwrap();
    let created = watch.message().await;
    assert!(created.created() && created.watch_id() != watch.id);
    put(&env.client, &b, "1").await;
    let message = watch.message().await;
    assert_eq!(message.watch_id(), created.watch_id());
    assert_eq!(in_short(&message.events()[0], &all), "+b=1");
    put(&env.client, &a, "1").await;
    assert_eq!(watch.message().await.watch_id(), watch.id);
}

#[case]
async fn an_id_may_be_chosen_and_is_refused_when_taken(env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let chosen = || WatchOptions::new().with_watch_id(77);
    let mut watch = Watch::begin(&env.client, &a, chosen()).await;
    assert_eq!(watch.id, 77);
    watch.stream().watch(a.as_str(), Some(chosen())).await.unwrap();
    let refused = watch.message().await;
    assert!(refused.created() && refused.canceled(), "{refused:?}");
    assert_eq!(refused.watch_id(), -1);
    // The first one is none the worse for it.
    put(&env.client, &a, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+a=1"]);
}

#[case]
async fn a_cancelled_watch_says_so_and_is_silent_then(env: TestEnv) {
    let (all, a, b) = (env.key(""), env.key("a"), env.key("b"));
    let mut watch = Watch::begin(&env.client, &a, WatchOptions::new()).await;
    let id = watch.id;
    watch.stream().cancel(id).await.unwrap();
    let cancelled = watch.message().await;
    assert!(
        cancelled.canceled() && cancelled.watch_id() == id && cancelled.compact_revision() == 0,
        "{cancelled:?}"
    );
    put(&env.client, &a, "1").await;
    // The stream itself is alive: the next thing on it is the next watch, not the put.
    watch.stream().watch(b.as_str(), None).await.unwrap();
    assert!(watch.message().await.created());
    put(&env.client, &b, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+b=1"]);
}

#[case]
async fn one_watch_is_cancelled_and_the_others_go_on(env: TestEnv) {
    let a = env.key("a");
    let mut watch = Watch::begin(&env.client, &a, WatchOptions::new()).await;
    watch.stream().watch(a.as_str(), None).await.unwrap();
    let second = watch.message().await.watch_id();
    let first = watch.id;
    watch.stream().cancel(first).await.unwrap();
    assert!(watch.message().await.canceled());
    put(&env.client, &a, "1").await;
    assert_eq!(watch.message().await.watch_id(), second);
}

#[case]
async fn progress_is_sent_on_request(env: TestEnv) {
    let a = env.key("a");
    let mut watch = Watch::begin(&env.client, &a, WatchOptions::new()).await;
    let now = put(&env.client, &env.key("elsewhere"), "1").await;
    watch.stream().request_progress().await.unwrap();
    let progress = watch.message().await;
    // It concerns all watches of the stream, and says so by a number that no watch has.
    assert_eq!(progress.watch_id(), -1, "{progress:?}");
    assert!(progress.events().is_empty() && !progress.canceled());
    assert!(revision(progress.header()) >= now);
}

#[case]
async fn a_watch_of_an_empty_range_is_refused(mut env: TestEnv) {
    let options = WatchOptions::new().with_range(env.key("a"));
    let mut stream = env.client.watch(env.key("b"), Some(options)).await.unwrap();
    let refused = stream.message().await.unwrap().unwrap();
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1, "{refused:?}");
}
