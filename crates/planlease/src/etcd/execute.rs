//! Execution of transactions: as they are, under a guard, or in one request with others.

use planlease_core::PlanName;

use super::{
    authority_guard::Guarded,
    client::Etcd,
    send::{Admission, Pending},
    txn::{Reply, Transaction},
};

/// A transaction to execute.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    /// The transaction as it is.
    Plain(&'a Transaction),
    /// A transaction under the guard of an authority. The reply says whether the guard held.
    Guarded(&'a Guarded),
    /// The same, in one request with the other writes of the moment; made by [`Guarded::coalesced`].
    Coalesced(&'a PlanName, Guarded),
}

impl<'a> From<&'a Transaction> for Request<'a> {
    fn from(txn: &'a Transaction) -> Self {
        Self::Plain(txn)
    }
}

impl<'a> From<&'a Guarded> for Request<'a> {
    fn from(write: &'a Guarded) -> Self {
        Self::Guarded(write)
    }
}

impl Guarded {
    /// The write as one that shares a request with the other writes of the moment. Nothing but puts and reads
    /// of single keys may be in it. `plan`: no plan's transactions hold up those of another one by their
    /// number.
    pub(crate) fn coalesced(self, plan: &PlanName) -> Request<'_> {
        Request::Coalesced(plan, self)
    }
}

impl Etcd {
    /// Executes a transaction: sends it until it is answered, or its time is up.
    ///
    /// After a lost answer the *same* transaction is sent again: so it has to be one whose repetition does no
    /// harm and whose refusal shows whether it had been carried out (a create revision, a term, an `op_id`).
    ///
    /// # Cancel safety
    /// A dropped future leaves it unknown whether it is carried out.
    pub(crate) fn execute<'a>(
        &'a self,
        request: impl Into<Request<'a>>,
        admission: Admission,
    ) -> Pending<'a, Reply> {
        self.execute_request(request.into(), admission)
    }

    fn execute_request<'a>(&'a self, request: Request<'a>, admission: Admission) -> Pending<'a, Reply> {
        match request {
            Request::Plain(txn) => Box::pin(self.transact(txn, admission)),
            Request::Guarded(write) => Box::pin(self.transact_guarded(write, admission)),
            Request::Coalesced(plan, write) => Box::pin(self.coalesce(plan, write, self.budget(admission))),
        }
    }
}
