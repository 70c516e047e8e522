//! `locks`: who has which lock of a plan, or of the namespace, and who waits.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::wire::lock::LockList;

impl Tabular for LockList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["LOCK", "HELD BY", "ON", "SINCE", "WAITING"]);
        let holders = self.locks.iter().flat_map(|one| {
            [&one.holder].into_iter().chain(&one.more_holders).map(move |holder| (one, holder))
        });
        for (one, holder) in holders {
            let on = holder.host.as_ref().map_or_else(|| "-".to_owned(), Clone::clone);
            table.row([
                Cell::text(&one.lock),
                Cell::text(&holder.who),
                Cell::text(on),
                Cell::text(holder.since.as_ref().map_or_else(|| "-".to_owned(), |since| since.age(now))),
                Cell::text(one.waiting.len().to_string()),
            ]);
        }
        table.render(if self.plan.is_some() { "no locks in the plan" } else { "no locks in the namespace" })
    }
}
