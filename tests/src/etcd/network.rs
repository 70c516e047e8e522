//! The network between the members: who hears whom. Needs the proxies.

use super::{Etcd, Member, Wire};
use crate::proxy::{Direction, Way};

impl Member {
    pub(super) fn wire(&self) -> &Wire {
        self.place.wire.as_ref().expect("a cluster that was started with `proxied(true)`")
    }

    fn known_id(&self) -> u64 {
        *self.id.get().expect("every member has reported its id before the cluster was given out")
    }
}

impl Etcd {
    /// The client URLs of all members, through their proxies.
    ///
    /// # Panics
    ///
    /// If the cluster was not started with [`super::Builder::proxied`]; as everything about the network.
    #[must_use]
    pub fn proxied_endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.proxy().endpoint()).collect()
    }

    /// From now on `to` does not hear what `from` says, while `from` may hear `to`. No error is reported:
    /// what is sent waits, as with a firewall that drops packets, and arrives after [`Etcd::heal`], if a
    /// receiver still listens.
    ///
    /// # Panics
    ///
    /// See [`Etcd::proxied_endpoints`].
    pub fn deafen(&self, from: usize, to: usize) {
        let (sender, listener) = (&self.members[from], &self.members[to]);
        // Members talk over connections that the sender made, and over those that the listener made to ask
        // for more.
        listener.wire().peer.set_for_peer(sender.known_id(), Direction::ToServer, Way::Held);
        sender.wire().peer.set_for_peer(listener.known_id(), Direction::ToClient, Way::Held);
    }

    /// Cuts a member off from all others, in both directions, in silence. Its clients still reach it.
    ///
    /// # Panics
    ///
    /// See [`Etcd::proxied_endpoints`].
    pub fn isolate(&self, member: usize) {
        for other in (0..self.members.len()).filter(|other| *other != member) {
            self.deafen(member, other);
            self.deafen(other, member);
        }
    }

    /// Ends all faults of the network, between the members and before their clients.
    ///
    /// # Panics
    ///
    /// See [`Etcd::proxied_endpoints`].
    pub fn heal(&self) {
        for member in &self.members {
            member.wire().client.heal();
            member.wire().peer.heal();
        }
    }
}
