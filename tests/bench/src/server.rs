//! The local server against etcd, on the same work by the same client: puts, transactions, ranges, watches.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp, WatchOptions, WatchStream};
use futures_util::{StreamExt as _, future::join_all, stream};
use planlease_tests::test_env::TestEnv;
use tokio::time::Instant;

use crate::{
    Args,
    report::{Report, share},
    site,
};

/// How long each round lasts.
const ROUND: Duration = Duration::from_secs(1);

/// How many keys a range reads, and how large their values are.
const KEYS: usize = 1_000;
const VALUE: [u8; 300] = [b'x'; 300];

/// Puts, beside watches on streams of their own, of keys that do not change.
const BESIDE: &str = "put beside 1,000 watches that wait";
const WAITING: usize = 1_000;

/// What is measured.
const WORK: [(&str, usize, &str); 9] = [
    ("put", 1, "/s"),
    ("put", 64, "/s"),
    (BESIDE, 1, "/s"),
    (BESIDE, 64, "/s"),
    ("conditional transaction", 1, "/s"),
    ("conditional transaction", 64, "/s"),
    ("range of 1,000 keys", 1, "/s"),
    ("get", 64, "/s"),
    ("put to event", 1, "ms"),
];

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let mut envs = Vec::new();
    for site in site::all(args).await {
        let env = site.env("server").await;
        let mut client = env.client.clone();
        for n in 0..KEYS {
            client.put(env.key(&format!("range/{n:04}")), VALUE, None).await.unwrap();
        }
        envs.push((site, env));
    }
    if let [(_, local), (_, etcd)] = envs.as_slice() {
        for (what, in_flight, unit) in WORK {
            let [mut theirs, mut ours] = [const { Vec::new() }; 2];
            for _ in 0..args.rounds {
                theirs.push(run(etcd, what, in_flight).await);
                ours.push(run(local, what, in_flight).await);
            }
            let what = format!("{what}, {in_flight} in flight");
            report.compare("server", "both", &what, unit, &[("etcd", theirs), ("local server", ours)]);
        }
    }
}

async fn run(env: &TestEnv, what: &str, in_flight: usize) -> f64 {
    if what == "put to event" {
        return watched(env).await;
    }
    let _waiting = if what == BESIDE { waiting(env).await } else { Vec::new() };
    let began = Instant::now();
    let all = (0..in_flight).map(async |n| {
        let mut client = env.client.clone();
        let key = env.key(&format!("{what}/{n}"));
        let mut seen = client.put(key.clone(), VALUE, None).await.unwrap().header().unwrap().revision();
        let mut count = 0;
        while began.elapsed() < ROUND {
            match what {
                "put" | BESIDE => drop(client.put(key.clone(), VALUE, None).await.unwrap()),
                "get" => drop(client.get(key.clone(), None).await.unwrap()),
                "conditional transaction" => seen = conditional(&mut client, &key, seen).await,
                _ => {
                    let below = GetOptions::new().with_prefix();
                    let read = client.get(env.key("range/"), Some(below)).await.unwrap();
                    assert_eq!(read.kvs().len(), KEYS);
                }
            }
            count += 1;
        }
        f64::from(count)
    });
    join_all(all).await.into_iter().sum::<f64>() / began.elapsed().as_secs_f64()
}

async fn conditional(client: &mut Client, key: &str, seen: i64) -> i64 {
    let same = Compare::mod_revision(key, CompareOp::Equal, seen);
    let put = TxnOp::put(key, VALUE, None);
    let txn = Txn::new().when([same]).and_then([put]).or_else([TxnOp::get(key, None)]);
    let answer = client.txn(txn).await.unwrap();
    assert!(answer.succeeded());
    answer.header().unwrap().revision()
}

async fn waiting(env: &TestEnv) -> Vec<WatchStream> {
    let client = env.server.client().await;
    let watches = (0..WAITING).map(async |n| {
        let mut client = client.clone();
        client.watch(env.key(&format!("waiting/{n}")), None).await.unwrap()
    });
    stream::iter(watches).buffer_unordered(64).collect().await
}

/// The median of what an event takes to its watcher, from before the put.
async fn watched(env: &TestEnv) -> f64 {
    let key = env.key("watched/key");
    let below = WatchOptions::new().with_prefix();
    let mut watcher = env.server.client().await;
    let mut events = watcher.watch(env.key("watched/"), Some(below)).await.unwrap();
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < ROUND {
        let mut client = env.client.clone();
        let sent = Instant::now();
        let event = async {
            while events.message().await.unwrap().unwrap().events().is_empty() {}
            sent.elapsed().as_secs_f64() * 1000.0
        };
        let (put, event) = tokio::join!(client.put(key.clone(), VALUE, None), event);
        put.unwrap();
        took.push(event);
    }
    share(&took, 0.5)
}
