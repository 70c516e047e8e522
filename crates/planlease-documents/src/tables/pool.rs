//! `pool`: how many permits a pool has, and who has them.

use planlease::core::{WallTime, counted};

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::pool::{PoolChanged, PoolDetail, PoolList},
};

impl Tabular for PoolList {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["POOL", "SIZE", "USED", "FREE", "DESCRIPTION"]);
        for pool in &self.pools {
            table.row([
                Cell::text(pool.pool.as_str()),
                Cell::text(size(pool)),
                Cell::text(pool.used.to_string()),
                Cell::text(pool.free.to_string()),
                Cell::text(pool.description.as_deref().unwrap_or("-")),
            ]);
        }
        table.render("no pools; `planlease pool set NAME SIZE` defines one")
    }
}

impl Tabular for PoolDetail {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["PERMIT", "PLAN", "TASK", "ATTEMPT", "CLAIMED BY", "SINCE"]);
        for permit in &self.permits {
            let text = |text: &Option<String>| Cell::text(text.as_deref().unwrap_or("-"));
            table.row([
                Cell::text(permit.number.to_string()),
                text(&permit.plan),
                text(&permit.task),
                Cell::text(permit.attempt.map_or_else(|| "-".to_owned(), |attempt| attempt.to_string())),
                text(&permit.by),
                Cell::text(permit.since.as_ref().map_or_else(|| "-".to_owned(), |since| since.age(now))),
            ]);
        }
        let mut head = format!("pool {}: {} of {} in use", self.pool, self.used, size(self));
        if let Some(why) = &self.unreadable {
            head = format!("{head}; its definition cannot be read: {why}");
        }
        if let Some(description) = &self.description {
            head = format!("{head} ({description})");
        }
        format!("{}\n\n{}", plain(&head), table.render("no permit is taken"))
    }
}

fn size(pool: &PoolDetail) -> String {
    match (pool.size, &pool.unreadable) {
        (Some(size), _) => size.to_string(),
        (None, Some(_)) => "unreadable".to_owned(),
        (None, None) => "not defined".to_owned(),
    }
}

impl Tabular for PoolChanged {
    fn table(&self, _now: WallTime) -> String {
        let would = if self.dry_run { "would have" } else { "has" };
        let mut text = match (self.size, self.before) {
            (Some(size), Some(before)) if before == size => {
                format!("pool {} {would} {}, as before", self.pool, counted(size, "permit"))
            }
            (Some(size), Some(before)) => {
                format!("pool {} {would} {}; it had {before}", self.pool, counted(size, "permit"))
            }
            (Some(size), None) => format!("pool {} {would} {}", self.pool, counted(size, "permit")),
            (None, _) if self.dry_run => format!("pool {} would be deleted", self.pool),
            (None, _) => format!("pool {} was deleted", self.pool),
        };
        if let Some(size) = self.size.filter(|size| self.used > *size) {
            let until = match size {
                0 => "it has permits again".to_owned(),
                size => format!("fewer than {size} are"),
            };
            text.push_str(&format!("; {} in use: nothing that uses it starts until {until}", self.used));
        }
        format!("{}\n", plain(&text))
    }
}
