//! Members that come and go while the cluster runs.

use etcd_client::MemberAddOptions;

use super::{Etcd, Member, Place, START_LIMIT};
use crate::wait::until;

impl Etcd {
    /// Adds a member to the running cluster, which starts empty and learns from the others; its number. With
    /// `learner` it only learns: it does not vote, and refuses most of what clients ask.
    ///
    /// # Panics
    ///
    /// If the others do not agree, or it does not come up.
    pub async fn add_member(&mut self, learner: bool) -> usize {
        let number = self.members.len();
        let folder = self.folder.as_ref().expect("it is kept until the end");
        let place = Place::new(number, &self.builder, folder.path());
        let mut options = MemberAddOptions::new();
        if learner {
            options = options.with_is_learner();
        }
        let mut client = self.client(0).await;
        let urls = [place.peer_url()];
        until("agreement on a new member", START_LIMIT, async || {
            // Refused while members are not known to be healthy, which takes some seconds after a start.
            client.member_add(urls.clone(), Some(options.clone())).await.map_err(|error| error.to_string())
        })
        .await;
        let cluster = self.members.iter().filter(|member| member.is_running()).map(|m| m.place.as_peer());
        let cluster = cluster.chain([place.as_peer()]).collect::<Vec<_>>().join(",");
        let binary = self.members[0].binary.clone();
        let member = Member::new(place, &self.builder, &binary, &cluster, "existing");
        member.start().expect("others of its kind run");
        until("answer of the new member", START_LIMIT, async || {
            let status = member.status().await?;
            status.leads.ok_or_else(|| "no leader".to_owned())
        })
        .await;
        self.members.push(member);
        number
    }

    /// Removes a member from the cluster. Its process finds that out and ends; its number stays taken.
    ///
    /// # Panics
    ///
    /// If the others do not agree.
    pub async fn remove_member(&self, number: usize) {
        let id = *self.members[number].id.get().expect("it has reported its id");
        let through =
            (0..self.members.len()).find(|other| *other != number && self.members[*other].is_running());
        let mut client = self.client(through.expect("another member runs")).await;
        until("agreement on a removal", START_LIMIT, async || {
            client.member_remove(id).await.map_err(|error| error.to_string())
        })
        .await;
    }
}

impl Member {
    /// Whether its process runs, paused or not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().is_some() && self.ended().is_none()
    }
}
