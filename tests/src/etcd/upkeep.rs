//! What an operator does to a running cluster: compacting, defragmenting, alarms, moving the leader.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Etcd, Member};
use crate::wait::SOON;

impl Member {
    /// What it counts, in the text format of Prometheus.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.place.client_port)).await.expect("it runs");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("it listens");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    }
}

impl Etcd {
    /// A client of one member, past its proxy.
    ///
    /// # Panics
    ///
    /// If its address is not one, which it is.
    pub async fn client(&self, member: usize) -> Client {
        let limit = Duration::from_secs(10);
        let member = &self.members[member];
        let options = member.place.options(limit);
        Client::connect([member.endpoint()], Some(options)).await.expect("the address of a member")
    }

    /// The present revision.
    ///
    /// # Panics
    ///
    /// If the first member does not answer; as everything here.
    pub async fn revision(&self) -> i64 {
        let answer = self.client(0).await.get("\0", None).await.expect("an answer");
        answer.header().expect("every answer has one").revision()
    }

    /// Forgets the history before the present revision, and frees its space.
    ///
    /// # Panics
    ///
    /// See [`Etcd::revision`].
    pub async fn compact(&self) -> i64 {
        let revision = self.revision().await;
        let options = CompactionOptions::new().with_physical();
        self.client(0).await.compact(revision, Some(options)).await.expect("a revision of the present");
        revision
    }

    /// Gives freed space back to the file system, on every member. A member that does it answers no request
    /// meanwhile.
    ///
    /// # Panics
    ///
    /// See [`Etcd::revision`].
    pub async fn defragment(&self) {
        for member in 0..self.members.len() {
            self.client(member).await.defragment().await.expect("an answer");
        }
    }

    /// Writes unrelated keys, `filler/…`, until etcd raises its alarm about space. The quota has to be
    /// small.
    ///
    /// # Panics
    ///
    /// If it does not come soon. Also see [`Etcd::revision`].
    pub async fn fill(&self) {
        let mut client = self.client(0).await;
        let filled = async {
            for n in 0_u32.. {
                let put = client.put(format!("filler/{n}"), vec![0; 256 * 1024], None).await;
                if let Err(error) = put {
                    assert!(error.to_string().contains("space exceeded"), "{error}");
                    break;
                }
            }
        };
        tokio::time::timeout(SOON, filled).await.expect("a small quota is used up soon");
    }

    /// Ends all alarms.
    ///
    /// # Panics
    ///
    /// See [`Etcd::revision`].
    pub async fn disarm(&self) {
        let mut client = self.client(0).await;
        let raised = client.alarm(AlarmAction::Get, AlarmType::None, None).await.expect("an answer");
        for alarm in raised.alarms() {
            let mut options = AlarmOptions::new();
            options.with_member(alarm.member_id());
            client.alarm(AlarmAction::Deactivate, alarm.alarm(), Some(options)).await.expect("an answer");
        }
    }

    /// Makes another member the leader; its number.
    ///
    /// # Panics
    ///
    /// If there is no leader, or no other member that could be.
    pub async fn move_leader(&self) -> usize {
        let leader = self.leader().await.id.get().copied();
        let (from, to) = (0..self.members.len())
            .filter(|number| self.members[*number].is_running())
            .partition::<Vec<_>, _>(|number| self.members[*number].id.get().copied() == leader);
        let (from, to) = (from[0], to[0]);
        let id = *self.members[to].id.get().expect("it has reported its id");
        self.client(from).await.move_leader(id).await.expect("the leader can leave");
        to
    }
}
