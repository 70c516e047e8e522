//! `task claim`: the tasks that a claim obtained.

use std::time::Duration;

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{time::duration, wire::claim::ClaimView};

impl Tabular for ClaimView {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["CLAIMED", "ATTEMPT", "DESCRIPTION"]);
        for task in &self.tasks {
            table.row([
                Cell::from(&task.task),
                Cell::text(task.attempt.to_string()),
                Cell::text(&task.description),
            ]);
        }
        let mut text = table.render("nothing is ready");
        if let Some(limit) = self.tasks.iter().find_map(|task| task.limit_s) {
            let limit = duration(Duration::from_secs(limit));
            text.push_str(&format!(
                "The claim ends after {limit}; `planlease task progress` extends it by as much.\n"
            ));
        }
        text
    }
}
