//! `phases`: how far each phase is.

use std::fmt::Write as _;

use planlease::core::WallTime;

use super::{
    status::count,
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{cells::done, printable::plain, wire::phases::PhaseList};

impl Tabular for PhaseList {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["PHASE", "STATE", "DONE", "RUNNING", "FAILED", "READY", "NAME"]);
        for phase in &self.phases {
            table.row([
                Cell::text(&phase.number),
                Cell::text(phase.state.replace('_', " ")),
                done(&phase.summary).into(),
                count(phase.summary.in_progress),
                count(phase.summary.failed),
                count(phase.ready.len()),
                Cell::text(&phase.name),
            ]);
        }
        let mut text = table.render("the plan has no phases");
        for phase in &self.phases {
            if let Some(task) = &phase.starts_after {
                let _ = writeln!(text, "phase {} starts when {task} is done", plain(&phase.number));
            }
            if !phase.parallel_with.is_empty() {
                let others = plain(&phase.parallel_with.join(", "));
                let _ = writeln!(text, "phase {} takes turns with {others}", plain(&phase.number));
            }
            let to_verify = if phase.verification_non_blocking { " (non-blocking)" } else { "" };
            for criterion in &phase.verification {
                let _ =
                    writeln!(text, "phase {} verify{to_verify}: {}", plain(&phase.number), plain(criterion));
            }
        }
        text
    }
}
