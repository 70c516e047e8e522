//! What a runner makes of a pause of its plan: it reports it, since a plan in which nothing starts is not
//! silent, and gives the plan back where the orchestrator ends when it is idle.

use planlease_core::record::HaltRecord;

use super::execution::{Ended, Runner, Stop};
use crate::{options::Plans, report::Report};

impl Runner {
    /// Reports that the plan was paused or resumed since it was last reported.
    pub(super) fn report_pause(&mut self) {
        let pause = self.view.halts().paused.as_ref();
        let pause = pause.map(|(_, record)| (record.by.clone(), record.why.clone()));
        if pause != self.pause {
            self.pause.clone_from(&pause);
            let plan = self.ownership.plan().clone();
            self.shared.reporter.send(&Report::Paused { plan, why: pause });
        }
    }

    /// The pause for which the plan is given back: one that only a person ends, and that an orchestrator
    /// which ends when it is idle does not wait for. To be asked when nothing runs here.
    pub(super) fn idle_in_pause(&self, stop: Stop) -> Option<Ended> {
        if stop != Stop::Run || self.shared.options.plans != Plans::All || !self.happened().is_empty() {
            return None;
        }
        if let Some((_, pause)) = &self.view.halts().paused {
            return Some(paused(false, pause));
        }
        self.shared.steering.borrow().pause.as_ref().map(|pause| paused(true, pause))
    }
}

fn paused(fleet: bool, pause: &HaltRecord) -> Ended {
    Ended::Paused { fleet, by: pause.by.clone(), why: pause.why.clone() }
}
