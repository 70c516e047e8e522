//! Queues: one for each plan's ownership, one for each lock.
//!
//! A queue is a range of keys, one per candidate, in the order of their create revisions: etcd's own recipes
//! for elections and mutexes, so that `etcdctl elect` waits in the same queue and is waited for. What is
//! common to both is here: a [`place`] in a queue, from the key that joins to the one that leaves; the
//! [`backoff`] of a waiter; and what becomes of [`abandoned`] places and ownerships whose handles were dropped. What the
//! first place means is decided above: an ownership begins with a term ([`crate::ownership`]), a lock with
//! being first ([`crate::lock`]).

mod abandoned;
mod backoff;
mod ending;
mod place;
mod reservation;

pub(crate) use self::{
    abandoned::Abandoned,
    backoff::QueueBackoff,
    ending::{Ticket, end_term},
    place::{Place, candidate},
    reservation::Reservation,
};
