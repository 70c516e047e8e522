//! Ranges: their borders, limits, orders and filters, and reading the past.

use etcd_client::{GetOptions, SortOrder, SortTarget};
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};
use tonic::Code;

use crate::probe::{names, put, refused, revision};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_range_has_its_first_key_and_not_its_last,
        a_prefix_is_a_range,
        a_range_that_ends_before_it_begins_is_empty,
        keys_come_in_the_order_of_their_bytes,
        a_limit_cuts_and_says_that_there_is_more,
        a_limit_counts_what_it_cuts,
        pages_at_one_revision_fit_together,
        count_only_brings_no_keys,
        keys_only_brings_no_values,
        answers_are_sorted_by_each_target_in_both_orders,
        a_sorted_answer_is_cut_after_it_was_sorted,
        revisions_filter_keys,
        a_past_read_has_the_present_revision_in_its_header,
        a_future_revision_is_refused,
        a_serializable_read_answers_like_any_other,
        a_read_without_a_key_is_refused,
    ]
}

/// Writes the keys one after the other, each with its name as value; returns their revisions.
async fn written(fixture: &mut Fixture, keys: &[&str]) -> Vec<i64> {
    let mut revisions = Vec::new();
    for name in keys {
        let key = fixture.key(name);
        revisions.push(put(&fixture.client, &key, name).await);
    }
    revisions
}

/// The names of what the options bring below the test's prefix.
async fn listed(fixture: &mut Fixture, options: GetOptions) -> Vec<String> {
    let prefix = fixture.key("");
    let answer = fixture.client.get(prefix.as_str(), Some(options)).await.unwrap();
    names(&answer, &prefix).into_iter().map(str::to_owned).collect()
}

async fn a_range_has_its_first_key_and_not_its_last(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b", "c", "d"]).await;
    let options = GetOptions::new().with_range(fixture.key("d"));
    let answer = fixture.client.get(fixture.key("b"), Some(options)).await.unwrap();
    assert_eq!(names(&answer, &fixture.key("")), ["b", "c"]);
    assert_eq!((answer.count(), answer.more()), (2, false));
    let one = fixture.client.get(fixture.key("b"), None).await.unwrap();
    assert_eq!(names(&one, &fixture.key("")), ["b"]);
}

async fn a_prefix_is_a_range(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b/", "b/1", "b/2", "b0", "c"]).await;
    let answer = fixture.client.get(fixture.key("b/"), Some(GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!(names(&answer, &fixture.key("")), ["b/", "b/1", "b/2"]);
}

pub(crate) async fn every_key_is_in_the_range_of_all_keys(mut fixture: Fixture) {
    for key in ["a", "b", "\u{7f}"] {
        put(&fixture.client, key, "").await;
    }
    let answer = fixture.client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(names(&answer, ""), ["a", "b", "\u{7f}"]);
    let answer = fixture.client.get("b", Some(GetOptions::new().with_from_key())).await.unwrap();
    assert_eq!(names(&answer, ""), ["b", "\u{7f}"]);
}

async fn a_range_that_ends_before_it_begins_is_empty(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b"]).await;
    for end in ["a", "b"] {
        let options = GetOptions::new().with_range(fixture.key(end));
        let answer = fixture.client.get(fixture.key("b"), Some(options)).await.unwrap();
        assert_eq!((answer.kvs().len(), answer.count()), (0, 0), "{end}");
    }
}

async fn keys_come_in_the_order_of_their_bytes(mut fixture: Fixture) {
    written(&mut fixture, &["b", "ab", "a", "B", "a/", "ä", "10", "9"]).await;
    let all = listed(&mut fixture, GetOptions::new().with_prefix()).await;
    assert_eq!(all, ["10", "9", "B", "a", "a/", "ab", "b", "ä"]);
}

async fn a_limit_cuts_and_says_that_there_is_more(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b", "c"]).await;
    for (limit, found, more) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false), (0, 3, false)] {
        let options = GetOptions::new().with_prefix().with_limit(limit);
        let answer = fixture.client.get(fixture.key(""), Some(options)).await.unwrap();
        assert_eq!((answer.kvs().len(), answer.more()), (found, more), "limit {limit}");
    }
}

async fn a_limit_counts_what_it_cuts(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b", "c"]).await;
    let options = GetOptions::new().with_prefix().with_limit(1);
    let answer = fixture.client.get(fixture.key(""), Some(options)).await.unwrap();
    assert_eq!(answer.count(), 3);
}

async fn pages_at_one_revision_fit_together(mut fixture: Fixture) {
    let at = written(&mut fixture, &["a", "b", "c", "d", "e"]).await[4];
    let mut all = Vec::new();
    let mut from = fixture.key("").into_bytes();
    loop {
        let end = fixture.key("\u{7f}");
        let options = GetOptions::new().with_range(end).with_limit(2).with_revision(at);
        let page = fixture.client.get(from, Some(options)).await.unwrap();
        all.extend(names(&page, &fixture.key("")).into_iter().map(str::to_owned));
        // What changes between two pages must not be seen.
        put(&fixture.client, &fixture.key("cc"), "late").await;
        let Some(last) = page.kvs().last().filter(|_| page.more()) else { break };
        from = [last.key(), &[0]].concat();
    }
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
}

async fn count_only_brings_no_keys(mut fixture: Fixture) {
    written(&mut fixture, &["a", "b", "c"]).await;
    let options = GetOptions::new().with_prefix().with_count_only();
    let answer = fixture.client.get(fixture.key(""), Some(options)).await.unwrap();
    assert_eq!((answer.count(), answer.kvs().len(), answer.more()), (3, 0, false));
}

async fn keys_only_brings_no_values(mut fixture: Fixture) {
    let at = written(&mut fixture, &["a"]).await[0];
    let options = GetOptions::new().with_prefix().with_keys_only();
    let answer = fixture.client.get(fixture.key(""), Some(options)).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.key_str().unwrap(), kv.value()), (fixture.key("a").as_str(), &b""[..]));
    assert_eq!((kv.mod_revision(), kv.version()), (at, 1));
}

async fn answers_are_sorted_by_each_target_in_both_orders(mut fixture: Fixture) {
    // Orders: key a b c; created b a c; modified c a b; version a=1 c=2 b=3; value b c a.
    for (name, value) in [("b", "9"), ("a", "9"), ("c", "9"), ("b", "9"), ("c", "2")] {
        let key = fixture.key(name);
        put(&fixture.client, &key, value).await;
    }
    let (a, b) = (fixture.key("a"), fixture.key("b"));
    fixture.client.delete(a.as_str(), None).await.unwrap();
    put(&fixture.client, &a, "3").await;
    put(&fixture.client, &b, "1").await;
    let orders = [
        (SortTarget::Key, ["a", "b", "c"]),
        (SortTarget::Create, ["b", "c", "a"]),
        (SortTarget::Mod, ["c", "a", "b"]),
        (SortTarget::Version, ["a", "c", "b"]),
        (SortTarget::Value, ["b", "c", "a"]),
    ];
    for (target, mut expected) in orders {
        let sorted = |order| GetOptions::new().with_prefix().with_sort(target, order);
        assert_eq!(listed(&mut fixture, sorted(SortOrder::Ascend)).await, expected, "{target:?}");
        expected.reverse();
        assert_eq!(listed(&mut fixture, sorted(SortOrder::Descend)).await, expected, "{target:?}");
    }
}

async fn a_sorted_answer_is_cut_after_it_was_sorted(mut fixture: Fixture) {
    written(&mut fixture, &["c", "a", "b"]).await;
    let newest = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Descend);
    assert_eq!(listed(&mut fixture, newest.with_limit(1)).await, ["b"]);
    let oldest = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend);
    assert_eq!(listed(&mut fixture, oldest.with_limit(2)).await, ["c", "a"]);
}

async fn revisions_filter_keys(mut fixture: Fixture) {
    let created = written(&mut fixture, &["a", "b", "c"]).await;
    let changed = written(&mut fixture, &["a"]).await[0];
    let all = || GetOptions::new().with_prefix();
    assert_eq!(listed(&mut fixture, all().with_min_mod_revision(created[2])).await, ["a", "c"]);
    assert_eq!(listed(&mut fixture, all().with_max_mod_revision(created[2])).await, ["b", "c"]);
    assert_eq!(listed(&mut fixture, all().with_min_create_revision(created[1])).await, ["b", "c"]);
    assert_eq!(listed(&mut fixture, all().with_max_create_revision(created[1])).await, ["a", "b"]);
    let narrow = all().with_min_mod_revision(changed).with_max_create_revision(created[0]);
    assert_eq!(listed(&mut fixture, narrow).await, ["a"]);
}

async fn a_past_read_has_the_present_revision_in_its_header(mut fixture: Fixture) {
    let before = written(&mut fixture, &["a", "b"]).await[1];
    put(&fixture.client, &fixture.key("a"), "new").await;
    fixture.client.delete(fixture.key("b"), None).await.unwrap();
    let now = put(&fixture.client, &fixture.key("c"), "new").await;
    let options = GetOptions::new().with_prefix().with_revision(before);
    let answer = fixture.client.get(fixture.key(""), Some(options)).await.unwrap();
    assert_eq!(names(&answer, &fixture.key("")), ["a", "b"]);
    assert_eq!((answer.kvs()[0].value(), answer.kvs()[0].version()), (&b"a"[..], 1));
    assert!(revision(answer.header()) >= now);
    let earlier = GetOptions::new().with_prefix().with_revision(before - 1).with_count_only();
    assert_eq!(fixture.client.get(fixture.key(""), Some(earlier)).await.unwrap().count(), 1);
}

async fn a_future_revision_is_refused(mut fixture: Fixture) {
    let now = written(&mut fixture, &["a"]).await[0];
    let options = GetOptions::new().with_revision(now + 1_000_000);
    let result = fixture.client.get(fixture.key("a"), Some(options)).await;
    refused(result, Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision");
}

async fn a_serializable_read_answers_like_any_other(mut fixture: Fixture) {
    // On the member that has answered the write, it cannot be stale.
    written(&mut fixture, &["a"]).await;
    let options = GetOptions::new().with_prefix().with_serializable();
    assert_eq!(listed(&mut fixture, options).await, ["a"]);
}

async fn a_read_without_a_key_is_refused(mut fixture: Fixture) {
    let result = fixture.client.get("", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}
