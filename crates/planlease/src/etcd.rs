//! etcd as the rest of the crate sees it: transactions, ranges, leases and watches that fail over, time out,
//! are bounded and say what is known about their outcome. No type of `etcd-client` leaves this module.

mod batch;
mod channel;
mod commit;
mod fault;
mod known;
mod lane;
mod lease;
mod numbers;
mod pages;
mod right;
mod together;
mod turns;
mod txn;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd_client::Client;
use futures_util::future::join_all;
use planlease_core::{
    LeaseId, Revision,
    change::Entry,
    keys::{Key, Layout},
    life::Marks,
};
use tokio::time::{Instant, timeout};

use self::{
    commit::Commits,
    lane::{Endpoints, Lane},
    turns::{Turn, Turns},
};
pub(crate) use self::{
    fault::{Fault, FaultKind},
    known::Known,
    lease::KeepAlive,
    pages::{PAGE, Page, Pages},
    right::{Fenced, Right},
    txn::{Branch, Compare, MAX_BYTES, Op, Reply, Transaction},
    watch::{QUIET, Watch, WatchEvent, WatchMessage, WatchSpec},
};
use crate::{clock::Random, config::Config, retry::Backoff};

/// The largest message that is decoded: a page of the largest values, with room to spare.
const MAX_DECODED: usize = 64 * 1024 * 1024;

/// The first and the longest wait before a request is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A key with what etcd keeps under it.
pub(crate) type Row = (Vec<u8>, Entry);

/// What a member says about itself.
#[derive(Clone, Debug)]
pub(crate) struct MemberStatus {
    pub(crate) version: String,
    pub(crate) db_size: i64,
    pub(crate) is_learner: bool,
    pub(crate) has_leader: bool,
    pub(crate) alarms: Vec<String>,
    pub(crate) revision: i64,
    pub(crate) cluster_id: u64,
}

/// A key, and how far the cluster has come.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cluster_id: u64,
    pub(crate) marks: Marks,
    pub(crate) entry: Option<Entry>,
}

/// The connections to one etcd. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Requests with one answer.
    unary: Lane,
    /// Renewals alone, so that no large answer delays them.
    renewals: Lane,
    /// Watches alone.
    watches: Lane,
    endpoints: Arc<Endpoints>,
    random: Random,
    turns: Turns,
    commits: Commits,
    /// The newest revision that any answer was of.
    newest: AtomicU64,
}

impl Etcd {
    pub(crate) fn new(config: Config) -> Self {
        let random = Random::new(config.seed);
        let store = Layout::new(&config.root, &config.namespace).key(&Key::Store);
        let endpoints = Arc::new(Endpoints::new(config, store));
        let lane = |require_leader| Lane::new(Arc::clone(&endpoints), require_leader);
        let (unary, renewals, watches) = (lane(false), lane(true), lane(true));
        Self {
            inner: Arc::new(Inner {
                unary,
                renewals,
                watches,
                endpoints,
                random,
                turns: Turns::new(),
                commits: Commits::new(),
                newest: AtomicU64::new(0),
            }),
        }
    }

    /// From now on every new connection has to lead to this cluster.
    pub(crate) fn pin(&self, known: Known) {
        self.inner.endpoints.pin(known);
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.endpoints.config
    }

    pub(crate) fn random(&self) -> &Random {
        &self.inner.random
    }

    pub(crate) fn traffic(&self) -> BTreeMap<String, u64> {
        self.inner.endpoints.traffic.counts()
    }

    /// Sends a transaction until it is answered, or the operation's time is up.
    ///
    /// After a lost answer the *same* transaction is sent again: so it has to be one whose repetition does no
    /// harm and whose refusal shows whether it had been carried out (a create revision, a term, an `op_id`).
    ///
    /// It waits at most the operation's time for its turn, and has as much again from then on.
    pub(crate) async fn settle(&self, txn: &Transaction) -> Result<Reply, Fault> {
        let _turn = self.turn().await?;
        self.settle_at_once(txn).await
    }

    /// As [`Etcd::settle`], without waiting for a turn: for those who see themselves to it that they are few.
    async fn settle_at_once(&self, txn: &Transaction) -> Result<Reply, Fault> {
        txn.check_limits()?;
        let (mut reply, uncertain) = self
            .repeat(self.config().operation_timeout, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MAX_DECODED);
                let before = self.inner.newest.load(Ordering::Relaxed);
                let answer = kv.txn(txn.to_wire()).await.map_err(Fault::of)?;
                let reply = Reply::from_wire(answer.0)?;
                self.check_newest(before, reply.revision)?;
                Ok(reply)
            })
            .await?;
        reply.uncertain = uncertain;
        Ok(reply)
    }

    /// As [`Etcd::settle`], under a right.
    pub(crate) async fn settle_fenced(&self, write: &Fenced) -> Result<Reply, Fault> {
        let _turn = self.turn().await?;
        self.settle_fenced_at_once(write).await
    }

    /// As [`Etcd::settle_at_once`], under a right.
    async fn settle_fenced_at_once(&self, write: &Fenced) -> Result<Reply, Fault> {
        let mut reply = self.settle_at_once(&write.whole()).await?;
        if reply.branch == Branch::Otherwise {
            reply.right = write.right.holds(reply.last_row().as_ref());
        }
        Ok(reply)
    }

    /// Refuses an answer that is older than what was known when it was asked for: some versions of etcd give
    /// stale ones after a member was paused. Another endpoint is asked then.
    fn check_newest(&self, before: u64, answered: Revision) -> Result<(), Fault> {
        if answered.get() < before {
            return Err(Fault::stale(answered.get(), before));
        }
        self.inner.newest.fetch_max(answered.get(), Ordering::Relaxed);
        Ok(())
    }

    /// Asks for a lease of this id and TTL; returns the TTL that the server granted. The id is chosen by the
    /// caller, so that a grant whose answer was lost is recognised when it is asked for again.
    pub(crate) async fn grant(&self, id: LeaseId, ttl: Duration) -> Result<Duration, Fault> {
        let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(whole).unwrap_or(i64::MAX);
        let granted = self
            .retry(|client| async move {
                let options = etcd_client::LeaseGrantOptions::new().with_id(id.to_wire());
                let mut leases = client.lease_client();
                match leases.grant(seconds, Some(options)).await.map_err(Fault::of) {
                    Ok(answer) => Ok(answer.ttl()),
                    Err(fault) if fault.kind == FaultKind::LeaseExists => {
                        let answer = leases.time_to_live(id.to_wire(), None).await.map_err(Fault::of)?;
                        // It may have expired, or been revoked, since: then it says -1 and 0.
                        if answer.ttl() > 0 { Ok(answer.granted_ttl()) } else { Err(Fault::lease_gone()) }
                    }
                    Err(fault) => Err(fault),
                }
            })
            .await?;
        Ok(Duration::from_secs(u64::try_from(granted).unwrap_or(0)))
    }

    /// Ends a lease; one that is gone already is fine.
    pub(crate) async fn revoke(&self, id: LeaseId) -> Result<(), Fault> {
        let revoked = self
            .retry(|client| async move {
                client.lease_client().revoke(id.to_wire()).await.map_err(Fault::of).map(drop)
            })
            .await;
        match revoked {
            Err(fault) if fault.kind != FaultKind::LeaseNotFound => Err(fault),
            _ => Ok(()),
        }
    }

    /// How long a lease has left, to the second; `None` if it is gone. One that was granted and has run out
    /// exists until etcd revokes it, and has nothing left.
    pub(crate) async fn lease_left(&self, id: LeaseId) -> Result<Option<Duration>, Fault> {
        let answer = self
            .retry(|client| async move {
                client.lease_client().time_to_live(id.to_wire(), None).await.map_err(Fault::of)
            })
            .await?;
        let left = Duration::from_secs(u64::try_from(answer.ttl()).unwrap_or(0));
        Ok((answer.granted_ttl() > 0).then_some(left))
    }

    /// Everything that the server has, as the file that `etcdutl snapshot restore` reads.
    pub(crate) async fn save(&self) -> Result<Vec<u8>, Fault> {
        self.retry(|client| async move {
            let mut parts = client.maintenance_client().snapshot().await.map_err(Fault::of)?;
            let mut file = Vec::new();
            while let Some(part) = parts.message().await.map_err(Fault::of)? {
                file.extend_from_slice(part.blob());
            }
            Ok(file)
        })
        .await
    }

    /// Opens a stream of renewals with its first renewal.
    pub(crate) async fn keep_alive(&self, id: LeaseId) -> Result<KeepAlive, Fault> {
        KeepAlive::open(&self.inner.renewals, id).await
    }

    /// Opens a stream of watches with its first watch.
    pub(crate) async fn watch(&self, first: &WatchSpec) -> Result<Watch, Fault> {
        Watch::open(&self.inner.watches, first).await
    }

    /// Reads one key, and how far the cluster has come, from one member: a linearizable read, then its
    /// status.
    pub(crate) async fn look(&self, key: &[u8]) -> Result<Seen, Fault> {
        self.retry(|client| async move { look(&client, key).await }).await
    }

    /// What the present member says about itself. The first request of a coordinator. Where no server accepts
    /// a connection it is tried for the time of a connection only; one that does, and does not answer, may be
    /// about to elect a leader, and has the time of an operation.
    pub(crate) async fn status(&self) -> Result<MemberStatus, Fault> {
        let Config { connect_timeout, operation_timeout, connector, .. } = self.config();
        let brief = connector.connect_timeout((*connect_timeout).min(*operation_timeout));
        let status = async |budget| {
            let status = self.repeat(budget, |client| async move { member_status(&client).await }).await;
            status.map(|(status, _)| status)
        };
        match status(brief).await {
            Err(fault) if fault.is_worth_repeating(false) && fault.kind != FaultKind::Unreachable => {
                status(operation_timeout.saturating_sub(brief)).await
            }
            other => other,
        }
    }

    /// Reads the key that every user may read, trying for so long.
    pub(crate) async fn ping(&self, within: Duration) -> Result<(), Fault> {
        let endpoints = &self.inner.endpoints;
        self.repeat(within, async |client| endpoints.ping(&client).await).await.map(drop)
    }

    /// What each configured endpoint says about itself; all are asked at once.
    pub(crate) async fn status_of_each(&self) -> Vec<(String, Result<MemberStatus, Fault>)> {
        let config = self.config();
        let status = async |endpoint| {
            let client =
                channel::connect(config, endpoint, false, self.inner.endpoints.traffic.clone()).await?;
            match timeout(config.request_timeout, member_status(&client)).await {
                Ok(status) => status.map_err(|fault| fault.before_any_answer(endpoint)),
                Err(_) => Err(Fault::timeout(config.request_timeout)),
            }
        };
        let each = config.endpoints.iter();
        join_all(each.map(async |endpoint| (endpoint.to_string(), status(endpoint).await))).await
    }

    /// Calls until there is an answer, or the operation's time is up; when its turn has come.
    async fn retry<T, F>(&self, call: impl Fn(Arc<Client>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let _turn = self.turn().await?;
        self.repeat(self.config().operation_timeout, call).await.map(|(answer, _)| answer)
    }

    async fn turn(&self) -> Result<Turn<'_>, Fault> {
        let Config { request_timeout, operation_timeout, .. } = *self.config();
        self.inner.turns.next(request_timeout, operation_timeout).await
    }

    /// Calls until there is an answer, on one endpoint after the other, with growing delays. Says whether a
    /// try before the answered one may have been carried out too.
    async fn repeat<T, F>(
        &self,
        budget: Duration,
        call: impl Fn(Arc<Client>) -> F,
    ) -> Result<(T, bool), Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let deadline = Instant::now() + budget;
        let mut backoff = Backoff::new(RETRY.0, RETRY.1, Some(budget));
        let mut uncertain = false;
        let mut last: Option<Fault> = None;
        loop {
            let mut fault = match self.inner.unary.call(deadline, &call).await {
                Ok(answer) => return Ok((answer, uncertain)),
                // The last try was cut off: the one before it says more about why.
                Err(fault) if Instant::now() >= deadline => fault.or_weightier(last.take()),
                Err(fault) => fault,
            };
            uncertain |= !fault.not_executed;
            fault.not_executed = !uncertain; // One try that may have happened makes the whole uncertain.
            if !fault.is_worth_repeating(self.inner.endpoints.is_pinned()) {
                return Err(fault);
            }
            let Some(delay) = backoff.next(&self.inner.random) else { return Err(fault) };
            tracing::debug!(%fault, ?delay, "trying again");
            last = Some(fault);
            tokio::time::sleep(delay).await;
        }
    }
}

/// See [`Etcd::look`].
async fn look(client: &Client, key: &[u8]) -> Result<Seen, Fault> {
    let read = Transaction::default().then([Op::Get(key.to_vec())]);
    let answer = client.kv_client().txn(read.to_wire()).await.map_err(Fault::of)?.0;
    let (member, raft_term) =
        answer.header.as_ref().map_or((0, 0), |header| (header.member_id, header.raft_term));
    let mut reply = Reply::from_wire(answer)?;
    // After the read, this member has seen all that any other one had committed before. Behind a proxy it may
    // be another one that answers now; and some versions show their status to root only.
    let raft_index = match client.maintenance_client().status().await.map_err(Fault::of) {
        Ok(status) if status.header().is_some_and(|header| header.member_id() == member) => {
            Some(status.raft_index().max(status.raft_applied_index())).filter(|index| *index > 0)
        }
        Ok(_) => None,
        Err(fault) if fault.is_connections() => return Err(fault),
        Err(_) => None,
    };
    let marks = Marks { raft_term, raft_index, revision: reply.revision };
    Ok(Seen { cluster_id: reply.cluster_id, marks, entry: reply.row() })
}

async fn member_status(client: &Client) -> Result<MemberStatus, Fault> {
    let status = client.maintenance_client().status().await.map_err(Fault::of)?;
    Ok(MemberStatus {
        version: status.version().to_owned(),
        db_size: status.db_size(),
        is_learner: status.is_learner(),
        has_leader: status.leader() != 0,
        alarms: status.errors().to_vec(),
        revision: status.header().map_or(0, etcd_client::ResponseHeader::revision),
        cluster_id: status.header().map_or(0, etcd_client::ResponseHeader::cluster_id),
    })
}
