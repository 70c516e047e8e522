//! `plan pause`, `resume`, `cancel`, `archive`; and how a halt is shown elsewhere.

use planlease::core::WallTime;

use super::tabular::Tabular;
use crate::{
    printable::plain,
    wire::halt::{HaltView, HaltedBy},
};

impl Tabular for HaltView {
    fn table(&self, now: WallTime) -> String {
        let Self { plan, now: state, .. } = self;
        match (self.changed, &self.before) {
            (true, _) => format!("{plan} is {state}"),
            (false, Some(before)) => {
                let HaltedBy { how, by, at, why } = before;
                format!("{plan} is {how} already: by {} {} ago: {}", plain(by), at.age(now), plain(why))
            }
            (false, None) => format!("{plan} was not halted; nothing was changed"),
        }
    }
}

impl HaltedBy {
    /// `paused by me@host 3m ago: why`
    pub(crate) fn sentence(&self, now: WallTime) -> String {
        format!("{} by {} {} ago: {}", self.how, plain(&self.by), self.at.age(now), plain(&self.why))
    }
}
