//! Compares: every target with every operator, of keys that are missing, and of whole ranges.

use etcd_client::{Compare, CompareOp, PutOptions};
use planlease_tests::{TestEnv, case};

use crate::probe::{put, put_op, txn};

async fn holds(env: &mut TestEnv, compare: Compare) -> bool {
    env.client.txn(txn([compare], [], [])).await.unwrap().succeeded()
}

#[case]
async fn every_operator_works_on_every_target(mut env: TestEnv) {
    let a = env.key("a");
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    let created = put(&env.client, &a, "x").await;
    let options = PutOptions::new().with_lease(lease);
    let answer = env.client.put(a.as_str(), "m", Some(options)).await.unwrap();
    let modified = answer.header().unwrap().revision();
    type Target = fn(&str, CompareOp, i64) -> Compare;
    let targets: [(&str, Target, i64); 4] = [
        ("version", |key, op, number| Compare::version(key, op, number), 2),
        ("created", |key, op, number| Compare::create_revision(key, op, number), created),
        ("modified", |key, op, number| Compare::mod_revision(key, op, number), modified),
        ("lease", |key, op, number| Compare::lease(key, op, number), lease),
    ];
    for (name, target, actual) in targets {
        // Whether the actual number is less than, equal to, greater than, not equal to the given one.
        for (given, expected) in [
            (actual - 1, [false, false, true, true]),
            (actual, [false, true, false, false]),
            (actual + 1, [true, false, false, true]),
        ] {
            let operators = [CompareOp::Less, CompareOp::Equal, CompareOp::Greater, CompareOp::NotEqual];
            for (operator, expected) in operators.into_iter().zip(expected) {
                let held = holds(&mut env, target(&a, operator, given)).await;
                assert_eq!(held, expected, "{name}: {actual} {operator:?} {given}");
            }
        }
    }
}

#[case]
async fn a_missing_key_has_zero_everywhere_and_no_value(mut env: TestEnv) {
    let a = env.key("a");
    assert!(holds(&mut env, Compare::version(&*a, CompareOp::Equal, 0)).await);
    assert!(holds(&mut env, Compare::create_revision(&*a, CompareOp::Less, 1)).await);
    assert!(holds(&mut env, Compare::mod_revision(&*a, CompareOp::Greater, -1)).await);
    assert!(holds(&mut env, Compare::lease(&*a, CompareOp::Equal, 0)).await);
    // No compare of a value holds, not even with the empty one, nor that it is another.
    for operator in [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::Greater] {
        assert!(!holds(&mut env, Compare::value(&*a, operator, "")).await, "{operator:?}");
        assert!(!holds(&mut env, Compare::value(&*a, operator, "x")).await, "{operator:?}");
    }
}

#[case]
async fn a_compare_of_a_range_holds_if_it_holds_for_every_key(mut env: TestEnv) {
    let (a, b) = (env.key("r/a"), env.key("r/b"));
    let range = |operator, number| Compare::version(env.key("r/"), operator, number).with_prefix();
    let (one, two) = (range(CompareOp::Equal, 1), range(CompareOp::Equal, 2));
    let more = range(CompareOp::Greater, 0);
    put(&env.client, &a, "1").await;
    put(&env.client, &b, "1").await;
    assert!(holds(&mut env, one.clone()).await);
    put(&env.client, &b, "2").await;
    assert!(!holds(&mut env, one).await);
    assert!(!holds(&mut env, two).await);
    assert!(holds(&mut env, more).await);
}

#[case]
async fn a_compare_of_an_empty_range_says_that_it_is_empty(mut env: TestEnv) {
    let range = |operator, number| Compare::create_revision(env.key("r/"), operator, number).with_prefix();
    let (empty, taken) = (range(CompareOp::Equal, 0), range(CompareOp::Greater, 0));
    let value = Compare::value(env.key("r/"), CompareOp::NotEqual, "x").with_prefix();
    assert!(holds(&mut env, empty.clone()).await);
    assert!(!holds(&mut env, taken.clone()).await);
    assert!(!holds(&mut env, value).await);
    let key = env.key("r/a");
    put(&env.client, &key, "1").await;
    assert!(!holds(&mut env, empty).await);
    assert!(holds(&mut env, taken).await);
}

/// How planlease acquires and takes over: both are one compare of a range.
#[case]
async fn the_first_candidate_has_the_lowest_create_revision(mut env: TestEnv) {
    let prefix = env.key("owner/");
    let empty = || Compare::create_revision(&*prefix, CompareOp::Equal, 0).with_prefix();
    let first = env.key("owner/9");
    let second = env.key("owner/1");
    assert!(env.client.txn(txn([empty()], [put_op(&*first, "")], [])).await.unwrap().succeeded());
    assert!(!env.client.txn(txn([empty()], [put_op(&*second, "")], [])).await.unwrap().succeeded());
    let waiting = put(&env.client, &second, "").await;
    let next = || {
        [
            Compare::create_revision(&*second, CompareOp::Equal, waiting),
            Compare::create_revision(&*prefix, CompareOp::Greater, waiting - 1).with_prefix(),
        ]
    };
    assert!(!env.client.txn(txn(next(), [], [])).await.unwrap().succeeded());
    env.client.delete(first.as_str(), None).await.unwrap();
    assert!(env.client.txn(txn(next(), [], [])).await.unwrap().succeeded());
}

#[case]
async fn a_compare_of_values_is_a_compare_of_bytes(mut env: TestEnv) {
    let a = env.key("a");
    put(&env.client, &a, "b").await;
    for (operator, given, expected) in [
        (CompareOp::Equal, "b", true),
        (CompareOp::Equal, "", false),
        (CompareOp::Less, "ba", true),
        (CompareOp::Less, "c", true),
        (CompareOp::Greater, "ab", true),
        (CompareOp::Greater, "", true),
        (CompareOp::NotEqual, "b", false),
        (CompareOp::NotEqual, "B", true),
    ] {
        assert_eq!(
            holds(&mut env, Compare::value(&*a, operator, given)).await,
            expected,
            "b {operator:?} {given}"
        );
    }
}
