//! The server: the embedded one, on a disk that loses what was not synced; and within it, past the network,
//! the recorder of the history and the hand that compacts and revokes.

use std::sync::Arc;

use etcd_client::{Client, GetOptions};
use planlease::core::{codec, record::Registration};
use planlease_embedded::{Options, Server};

use super::Ended;
use crate::{
    network,
    world::{World, lock},
};

/// Serves until it is killed.
///
/// # Errors
/// If it cannot start: the disk is damaged.
pub async fn run(world: Arc<World>) -> Ended {
    let options = Options::in_memory(world.options.seed);
    let server = Server::open_on(world.disk.clone(), options)?;
    let client = server.client().await;
    let serving = server.serve(network::incoming().await?, std::future::pending());
    tokio::select! {
        biased; // None of them ends.
        served = serving => served?,
        why = record(&world, &client) => world.problem(format!("the history cannot be recorded: {why}")),
        () = keep_house(&world, client.clone()) => {}
    }
    Ok(())
}

async fn record(world: &World, client: &Client) -> String {
    world.history.follow(client).await
}

/// Compacts and revokes on request.
async fn keep_house(world: &World, mut client: Client) {
    loop {
        world.compact.notified().await;
        let hosts = std::mem::take(&mut *lock(&world.revoke));
        if hosts.is_empty() {
            let recorded = world.history.recorded();
            if recorded > 0 && client.compact(recorded, None).await.is_ok() {
                world.count("compacted up to the present");
            }
            continue;
        }
        let range = world.history.layout().orchestrators();
        let options = GetOptions::new().with_range(range.end);
        let Ok(registered) = client.get(range.start, Some(options)).await else { continue };
        for kv in registered.kvs() {
            let of = codec::decode::<Registration>(kv.value()).map(|registration| registration.host);
            if !of.is_ok_and(|of| hosts.contains(&of)) {
                continue;
            }
            lock(&world.revoked).insert(kv.lease()); // Also if it turns out that it was gone already.
            if client.lease_revoke(kv.lease()).await.is_ok() {
                world.count("leases revoked");
            }
        }
    }
}
