//! What the fence kit says.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::fence::{FenceChecked, FenceList},
};

impl Tabular for FenceChecked {
    fn table(&self, _now: WallTime) -> String {
        if self.admitted {
            format!("{}: token {} is admitted\n", plain(&self.resource), self.token)
        } else {
            String::new()
        }
    }
}

impl Tabular for FenceList {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["RESOURCE", "HIGHEST TOKEN"]);
        for one in &self.resources {
            table.row([Cell::text(&one.resource), one.highest.into()]);
        }
        table.render("no resource has seen a token yet")
    }
}
