//! `locks`: who has which lock of a plan, and who waits.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::wire::lock::LockList;

impl Tabular for LockList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["LOCK", "HELD BY", "ON", "SINCE", "WAITING"]);
        for one in &self.locks {
            let holder = &one.holder;
            let on = holder.host.as_ref().map_or_else(|| "-".to_owned(), Clone::clone);
            table.row([
                Cell::text(&one.lock),
                Cell::text(&holder.who),
                Cell::text(on),
                Cell::text(holder.since.as_ref().map_or_else(|| "-".to_owned(), |since| since.age(now))),
                Cell::text(one.waiting.len().to_string()),
            ]);
        }
        table.render("no locks in the plan")
    }
}
