//! The cluster: members of etcd behind proxies, and what the soak asks of them. Unlike the harness's, these
//! requests may fail: something is always broken here.

use std::{fmt, time::Duration};

use etcd_client::{Client, CompactionOptions, ConnectOptions};
use futures_util::future::join_all;
use planlease_tests::{
    etcd::{Etcd, Member},
    proxy::Proxy,
};

/// How long a request of the soak's own may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The cluster under test.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) etcd: Etcd,
    /// More proxies, before each member, for watchers only: what they do not hear others may go on with.
    watchers: Vec<Proxy>,
}

impl Cluster {
    pub(crate) async fn start(members: usize) -> Self {
        let etcd = Etcd::builder()
            .members(members)
            .proxied(true)
            .argument("--log-level=warn")
            // A member that was away for a while is given a snapshot, and not the log: the other way of
            // catching up.
            .argument("--snapshot-count=2000")
            .argument("--experimental-snapshot-catchup-entries=500")
            .start()
            .await;
        let address =
            |endpoint: String| endpoint.trim_start_matches("http://").parse().expect("a loopback address");
        let watchers = etcd.endpoints().into_iter().map(address).map(Proxy::before).collect();
        Self { etcd, watchers }
    }

    /// Where clients find it.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.etcd.proxied_endpoints()
    }

    /// Where watchers find it that can be cut off alone.
    pub(crate) fn watchers_endpoints(&self) -> Vec<String> {
        self.watchers.iter().map(Proxy::endpoint).collect()
    }

    pub(crate) fn cut_watchers(&self) {
        self.watchers.iter().for_each(Proxy::cut);
    }

    /// Ends all faults of the network.
    pub(crate) fn heal(&self) {
        self.etcd.heal();
        self.watchers.iter().for_each(Proxy::heal);
    }

    /// The members themselves, for those who must not be disturbed.
    pub(crate) fn direct_endpoints(&self) -> Vec<String> {
        self.etcd.endpoints()
    }

    pub(crate) fn members(&self) -> &[Member] {
        self.etcd.members()
    }

    /// A client of etcd's own at one member, past its proxy.
    pub(crate) async fn client(&self, member: usize) -> Result<Client, etcd_client::Error> {
        let options = ConnectOptions::new().with_connect_timeout(LIMIT);
        Client::connect([self.members()[member].endpoint()], Some(options)).await
    }

    /// Starts members again that were killed, and waits until they answer. Not a future: the harness's cannot
    /// be sent from one thread to another.
    pub(crate) fn restart(&self, members: impl IntoIterator<Item = usize>) {
        let restarts = members.into_iter().map(|member| self.members()[member].restart());
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(join_all(restarts)));
    }

    /// Has another member lead, if there is one; says whether it was done.
    pub(crate) async fn move_leader(&self, to: usize) -> bool {
        self.try_move_leader(to).await.is_ok()
    }

    async fn try_move_leader(&self, to: usize) -> Result<(), etcd_client::Error> {
        let target = id(&mut self.client(to).await?).await?;
        for from in 0..self.members().len() {
            let mut client = self.client(from).await?;
            let leads = tokio::time::timeout(LIMIT, client.status()).await.is_ok_and(|status| {
                status.is_ok_and(|status| {
                    status.header().is_some_and(|header| header.member_id() == status.leader())
                })
            });
            if leads && from != to {
                let _ = tokio::time::timeout(LIMIT, client.move_leader(target)).await;
            }
        }
        Ok(())
    }

    /// Forgets the history up to this revision.
    pub(crate) async fn compact(&self, up_to: i64) -> bool {
        for member in 0..self.members().len() {
            let Ok(mut client) = self.client(member).await else { continue };
            let compacted = client.compact(up_to, Some(CompactionOptions::new()));
            if tokio::time::timeout(LIMIT, compacted).await.is_ok_and(|done| done.is_ok()) {
                return true;
            }
        }
        false
    }

    pub(crate) fn keep_data(&self) {
        self.etcd.keep_data();
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd {}, {} member(s)", self.etcd.version(), self.members().len())
    }
}

async fn id(client: &mut Client) -> Result<u64, etcd_client::Error> {
    let status = tokio::time::timeout(LIMIT, client.status());
    let status = status.await.map_err(|_| etcd_client::Error::WatchError("no answer".to_owned()))??;
    Ok(status.header().map_or(0, etcd_client::ResponseHeader::member_id))
}
