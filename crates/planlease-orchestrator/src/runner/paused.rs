//! What a runner reports of the pause of its plan: a plan in which nothing starts is not silent.

use super::execution::Runner;
use crate::report::Report;

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
}
