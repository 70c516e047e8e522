//! Temporary.
use std::time::Duration;
use planlease::{*, core::{OrchestratorId, PlanName, transition::Change}};
use crate::{cluster::Cluster, plans};
use rand::SeedableRng as _;
pub(crate) async fn repro() {
    let cluster = Cluster::start(1).await;
    let config = |ends: Vec<String>| Config { request_timeout: Duration::from_secs(1), operation_timeout: Duration::from_secs(8), ttl: Duration::from_secs(6), ..Config::with_endpoints(ends.iter().map(|e| e.parse().unwrap()).collect()) };
    let a = Coordinator::connect(config(cluster.endpoints())).await.unwrap();
    let d = Coordinator::connect(config(cluster.direct_endpoints())).await.unwrap();
    let proxy = cluster.members()[0].proxy();
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let spec = plans::draw("x", false, &mut random);
    let name = |n: &str| PlanName::new(n).unwrap();
    let settle = || tokio::time::sleep(Duration::from_millis(700));
    // 1
    let x = name("x");
    let trap = proxy.hold_request("KV/Txn");
    println!("1 import: {:?}", a.import(&x, &spec, |_| {}).await.map_err(|e| e.to_string()));
    println!("1 delete: {:?}", d.delete_plan(&x).await.map_err(|e| e.to_string()));
    println!("1 sprung {}", trap.has_sprung()); trap.deliver(); settle().await;
    println!("1 after the late request, the deleted plan is there: {}", d.plan(&x).await.is_ok());
    // 2
    let y = name("y");
    d.import(&y, &spec, |_| {}).await.unwrap();
    let trap = proxy.hold_request("KV/Txn");
    println!("2 delete: {:?}", a.delete_plan(&y).await.map_err(|e| e.to_string()));
    println!("2 import again: {:?}", d.import(&y, &spec, |_| {}).await.map_err(|e| e.to_string()));
    println!("2 sprung {}", trap.has_sprung()); trap.deliver(); settle().await;
    println!("2 after the late request, the new plan is there: {}", d.plan(&y).await.is_ok());
    // 3
    let z = name("z");
    d.import(&z, &spec, |_| {}).await.unwrap();
    let sess = async |c: &Coordinator, n: &str| c.open_session(Identity { id: Some(OrchestratorId::new(n).unwrap()), ..Identity::of_process() }).await.unwrap();
    let (s, t, u) = (sess(&a, "s").await, sess(&d, "t").await, sess(&d, "u").await);
    let TryAcquire::Acquired(owned) = t.try_acquire(&z).await.unwrap() else { panic!() };
    let _ = a.line(&z).await;
    let trap = proxy.hold_request("KV/Txn");
    let opts = |s| AcquireOptions { wait: Some(Duration::from_secs(s)), ..AcquireOptions::default() };
    println!("3 waiting: {:?}", s.acquire(&z, opts(4)).await.map(|_| ()).map_err(|e| e.to_string()));
    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("3 line: {}", d.line(&z).await.unwrap().candidates().len());
    println!("3 sprung {}", trap.has_sprung()); trap.deliver(); settle().await;
    println!("3 line after the late request: {:?}", d.line(&z).await.unwrap().candidates().iter().map(|c| c.name()).collect::<Vec<_>>());
    owned.release().await.unwrap();
    println!("3 u: {:?}", u.acquire(&z, opts(20)).await.map(|o| o.term().number).map_err(|e| e.to_string()));
    println!("3 line: {:?}", d.line(&z).await.unwrap().candidates().iter().map(|c| c.name()).collect::<Vec<_>>());
    // 3b: acquired, released, and the late join comes
    let w = name("w");
    d.import(&w, &spec, |_| {}).await.unwrap();
    let _ = a.line(&w).await;
    let trap = proxy.hold_request("KV/Txn");
    let owned = s.acquire(&w, opts(6)).await.unwrap();
    println!("3b acquired term {}", owned.term().number);
    println!("3b released: {:?}", owned.release().await.map_err(|e| e.to_string()));
    println!("3b sprung {}", trap.has_sprung()); trap.deliver(); settle().await;
    println!("3b line after the late request: {:?}", d.line(&w).await.unwrap().candidates().iter().map(|c| c.name()).collect::<Vec<_>>());
    println!("3b u: {:?}", u.acquire(&w, opts(20)).await.map(|o| o.term().number).map_err(|e| e.to_string()));
    // 4
    let v = name("v");
    d.import(&v, &spec, |_| {}).await.unwrap();
    let s2 = sess(&a, "s2").await;
    let TryAcquire::Acquired(owned) = s2.try_acquire(&v).await.unwrap() else { panic!() };
    let view = a.plan(&v).await.unwrap();
    let task = view.ready().next().unwrap().clone();
    let auth = owned.authority();
    let Outcome::Committed(one) = auth.start(&view, &task).await.unwrap() else { panic!() };
    let trap = proxy.hold_request("KV/Txn");
    println!("4 first output: {:?}", auth.write_findings(&task, 1, "first").await.map_err(|e| e.to_string()));
    let _ = auth.update(&one, Some(1), &Change::Return("again".into())).await.unwrap();
    let view = a.plan(&v).await.unwrap();
    let _ = auth.start(&view, &task).await.unwrap();
    println!("4 second output: {:?}", auth.write_findings(&task, 2, "second").await.map_err(|e| e.to_string()));
    println!("4 sprung {}", trap.has_sprung()); trap.deliver(); settle().await;
    println!("4 output now: {:?}", d.findings(&v, &task).await.unwrap().map(|f| (f.attempt, f.text)));
    // 5: an import whose closing session cannot be revoked
}
