//! Ranges: their borders, limits, orders and filters, and reading the past.

use etcd_client::{GetOptions, SortOrder, SortTarget};
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{names, put, refused, revision};

/// Writes the keys one after the other, each with its name as value; returns their revisions.
async fn written(env: &mut TestEnv, keys: &[&str]) -> Vec<i64> {
    let mut revisions = Vec::new();
    for name in keys {
        let key = env.key(name);
        revisions.push(put(&env.client, &key, name).await);
    }
    revisions
}

/// The names of what the options bring below the test's prefix.
async fn listed(env: &mut TestEnv, options: GetOptions) -> Vec<String> {
    let prefix = env.key("");
    let answer = env.client.get(prefix.as_str(), Some(options)).await.unwrap();
    names(&answer, &prefix).into_iter().map(str::to_owned).collect()
}

#[case]
async fn a_range_has_its_first_key_and_not_its_last(mut env: TestEnv) {
    written(&mut env, &["a", "b", "c", "d"]).await;
    let options = GetOptions::new().with_range(env.key("d"));
    let answer = env.client.get(env.key("b"), Some(options)).await.unwrap();
    assert_eq!(names(&answer, &env.key("")), ["b", "c"]);
    assert_eq!((answer.count(), answer.more()), (2, false));
    let one = env.client.get(env.key("b"), None).await.unwrap();
    assert_eq!(names(&one, &env.key("")), ["b"]);
}

#[case]
async fn a_prefix_is_a_range(mut env: TestEnv) {
    written(&mut env, &["a", "b/", "b/1", "b/2", "b0", "c"]).await;
    let answer = env.client.get(env.key("b/"), Some(GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!(names(&answer, &env.key("")), ["b/", "b/1", "b/2"]);
}

#[case(alone)]
async fn every_key_is_in_the_range_of_all_keys(mut env: TestEnv) {
    for key in ["a", "b", "\u{7f}"] {
        put(&env.client, key, "").await;
    }
    let answer = env.client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(names(&answer, ""), ["a", "b", "\u{7f}"]);
    let answer = env.client.get("b", Some(GetOptions::new().with_from_key())).await.unwrap();
    assert_eq!(names(&answer, ""), ["b", "\u{7f}"]);
}

#[case]
async fn a_range_that_ends_before_it_begins_is_empty(mut env: TestEnv) {
    written(&mut env, &["a", "b"]).await;
    for end in ["a", "b"] {
        let options = GetOptions::new().with_range(env.key(end));
        let answer = env.client.get(env.key("b"), Some(options)).await.unwrap();
        assert_eq!((answer.kvs().len(), answer.count()), (0, 0), "{end}");
    }
}

#[case]
async fn keys_come_in_the_order_of_their_bytes(mut env: TestEnv) {
    written(&mut env, &["b", "ab", "a", "B", "a/", "ä", "10", "9"]).await;
    let all = listed(&mut env, GetOptions::new().with_prefix()).await;
    assert_eq!(all, ["10", "9", "B", "a", "a/", "ab", "b", "ä"]);
}

#[case]
async fn a_limit_cuts_and_says_that_there_is_more(mut env: TestEnv) {
    written(&mut env, &["a", "b", "c"]).await;
    for (limit, found, more) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false), (0, 3, false)] {
        let options = GetOptions::new().with_prefix().with_limit(limit);
        let answer = env.client.get(env.key(""), Some(options)).await.unwrap();
        assert_eq!((answer.kvs().len(), answer.more()), (found, more), "limit {limit}");
    }
}

#[case]
async fn a_limit_counts_what_it_cuts(mut env: TestEnv) {
    written(&mut env, &["a", "b", "c"]).await;
    let options = GetOptions::new().with_prefix().with_limit(1);
    let answer = env.client.get(env.key(""), Some(options)).await.unwrap();
    assert_eq!(answer.count(), 3);
}

#[case]
async fn pages_at_one_revision_fit_together(mut env: TestEnv) {
    let at = written(&mut env, &["a", "b", "c", "d", "e"]).await[4];
    let mut all = Vec::new();
    let mut from = env.key("").into_bytes();
    loop {
        let end = env.key("\u{7f}");
        let options = GetOptions::new().with_range(end).with_limit(2).with_revision(at);
        let page = env.client.get(from, Some(options)).await.unwrap();
        all.extend(names(&page, &env.key("")).into_iter().map(str::to_owned));
        // What changes between two pages must not be seen.
        put(&env.client, &env.key("cc"), "late").await;
        let Some(last) = page.kvs().last().filter(|_| page.more()) else { break };
        from = [last.key(), &[0]].concat();
    }
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
}

#[case]
async fn count_only_brings_no_keys(mut env: TestEnv) {
    written(&mut env, &["a", "b", "c"]).await;
    let options = GetOptions::new().with_prefix().with_count_only();
    let answer = env.client.get(env.key(""), Some(options)).await.unwrap();
    assert_eq!((answer.count(), answer.kvs().len(), answer.more()), (3, 0, false));
}

#[case]
async fn keys_only_brings_no_values(mut env: TestEnv) {
    let at = written(&mut env, &["a"]).await[0];
    let options = GetOptions::new().with_prefix().with_keys_only();
    let answer = env.client.get(env.key(""), Some(options)).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.key_str().unwrap(), kv.value()), (env.key("a").as_str(), &b""[..]));
    assert_eq!((kv.mod_revision(), kv.version()), (at, 1));
}

#[case]
async fn answers_are_sorted_by_each_target_in_both_orders(mut env: TestEnv) {
    // Orders: key a b c; created b a c; modified c a b; version a=1 c=2 b=3; value b c a.
    for (name, value) in [("b", "9"), ("a", "9"), ("c", "9"), ("b", "9"), ("c", "2")] {
        let key = env.key(name);
        put(&env.client, &key, value).await;
    }
    let (a, b) = (env.key("a"), env.key("b"));
    env.client.delete(a.as_str(), None).await.unwrap();
    put(&env.client, &a, "3").await;
    put(&env.client, &b, "1").await;
    let orders = [
        (SortTarget::Key, ["a", "b", "c"]),
        (SortTarget::Create, ["b", "c", "a"]),
        (SortTarget::Mod, ["c", "a", "b"]),
        (SortTarget::Version, ["a", "c", "b"]),
        (SortTarget::Value, ["b", "c", "a"]),
    ];
    for (target, mut expected) in orders {
        let sorted = |order| GetOptions::new().with_prefix().with_sort(target, order);
        assert_eq!(listed(&mut env, sorted(SortOrder::Ascend)).await, expected, "{target:?}");
        expected.reverse();
        assert_eq!(listed(&mut env, sorted(SortOrder::Descend)).await, expected, "{target:?}");
    }
}

#[case]
async fn a_sorted_answer_is_cut_after_it_was_sorted(mut env: TestEnv) {
    written(&mut env, &["c", "a", "b"]).await;
    let newest = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Descend);
    assert_eq!(listed(&mut env, newest.with_limit(1)).await, ["b"]);
    let oldest = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend);
    assert_eq!(listed(&mut env, oldest.with_limit(2)).await, ["c", "a"]);
}

#[case]
async fn revisions_filter_keys(mut env: TestEnv) {
    let created = written(&mut env, &["a", "b", "c"]).await;
    let changed = written(&mut env, &["a"]).await[0];
    let all = || GetOptions::new().with_prefix();
    assert_eq!(listed(&mut env, all().with_min_mod_revision(created[2])).await, ["a", "c"]);
    assert_eq!(listed(&mut env, all().with_max_mod_revision(created[2])).await, ["b", "c"]);
    assert_eq!(listed(&mut env, all().with_min_create_revision(created[1])).await, ["b", "c"]);
    assert_eq!(listed(&mut env, all().with_max_create_revision(created[1])).await, ["a", "b"]);
    let narrow = all().with_min_mod_revision(changed).with_max_create_revision(created[0]);
    assert_eq!(listed(&mut env, narrow).await, ["a"]);
}

#[case]
async fn a_past_read_has_the_present_revision_in_its_header(mut env: TestEnv) {
    let before = written(&mut env, &["a", "b"]).await[1];
    put(&env.client, &env.key("a"), "new").await;
    env.client.delete(env.key("b"), None).await.unwrap();
    let now = put(&env.client, &env.key("c"), "new").await;
    let options = GetOptions::new().with_prefix().with_revision(before);
    let answer = env.client.get(env.key(""), Some(options)).await.unwrap();
    assert_eq!(names(&answer, &env.key("")), ["a", "b"]);
    assert_eq!((answer.kvs()[0].value(), answer.kvs()[0].version()), (&b"a"[..], 1));
    assert!(revision(answer.header()) >= now);
    let earlier = GetOptions::new().with_prefix().with_revision(before - 1).with_count_only();
    assert_eq!(env.client.get(env.key(""), Some(earlier)).await.unwrap().count(), 1);
}

#[case]
async fn a_future_revision_is_refused(mut env: TestEnv) {
    let now = written(&mut env, &["a"]).await[0];
    let options = GetOptions::new().with_revision(now + 1_000_000);
    let result = env.client.get(env.key("a"), Some(options)).await;
    refused(result, Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision");
}

#[case]
async fn a_serializable_read_answers_like_any_other(mut env: TestEnv) {
    // On the member that has answered the write, it cannot be stale.
    written(&mut env, &["a"]).await;
    let options = GetOptions::new().with_prefix().with_serializable();
    assert_eq!(listed(&mut env, options).await, ["a"]);
}

#[case]
async fn a_read_without_a_key_is_refused(mut env: TestEnv) {
    let result = env.client.get("", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}
