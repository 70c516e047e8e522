//! `fleet pause`, `fleet resume`, `fleet status`, `orchestrator cordon`, `drain` and `uncordon`, `owner
//! move`.

use std::{fmt::Write as _, time::Duration};

use planlease::core::{WallTime, steering::Eligibility};

use super::tabular::Tabular;
use crate::{
    printable::plain,
    time::duration,
    wire::{
        halt::HaltedBy,
        steering::{EligibilityView, FleetView, MoveView},
    },
};

/// The first line of what is shown of a paused fleet, with an empty one below; nothing of another.
pub(crate) fn fleet_paused(pause: Option<&HaltedBy>, now: WallTime) -> String {
    pause.map_or_else(String::new, |pause| {
        let paused = pause.sentence(now);
        format!("nothing starts: the fleet was {paused}; `planlease fleet resume` ends that\n\n")
    })
}

impl Tabular for FleetView {
    fn table(&self, now: WallTime) -> String {
        let mut text = match (&self.paused, self.changed, self.now) {
            (Some(before), _, _) => format!("the fleet was {}\n", before.sentence(now)),
            (None, true, "paused") => {
                "the fleet is paused: nothing new starts in this namespace\n".to_owned()
            }
            (None, true, _) => "the fleet is running again\n".to_owned(),
            (None, false, _) => "the fleet is not paused\n".to_owned(),
        };
        for cordon in &self.cordons {
            let (by, why, ago) = (plain(&cordon.by), plain(&cordon.why), cordon.at.age(now));
            writeln!(
                text,
                "{} is {} by {by} since {ago}: {why}",
                plain(cordon.orchestrator.as_str()),
                cordon.state
            )
            .expect("a text can always be written to");
        }
        for request in &self.moves {
            write!(text, "{}", request.table(now)).expect("a text can always be written to");
        }
        text
    }
}

impl Tabular for EligibilityView {
    fn table(&self, _now: WallTime) -> String {
        let id = plain(self.orchestrator.as_str());
        match (self.state, &self.owns) {
            (Eligibility::Eligible, _) if self.was_cordoned == Some(false) => {
                format!("{id} was not cordoned; nothing was changed\n")
            }
            (Eligibility::Eligible, _) => format!("{id} takes plans again\n"),
            (Eligibility::Cordoned, _) => {
                format!("{id} is cordoned: it takes no new plan and keeps what it has\n")
            }
            (Eligibility::Draining, None) => format!("{id} is draining: it gives its plans away\n"),
            (Eligibility::Draining, Some(owns)) if owns.is_empty() => {
                format!("{id} is drained: it owns nothing, and takes nothing until it is uncordoned\n")
            }
            (Eligibility::Draining, Some(owns)) => {
                let owns: Vec<&str> = owns.iter().map(planlease::PlanName::as_str).collect();
                format!("{id} is draining, and still owns {}\n", owns.join(", "))
            }
        }
    }
}

impl Tabular for MoveView {
    fn table(&self, _now: WallTime) -> String {
        let (plan, from, to) = (&self.plan, plain(self.from.as_str()), plain(self.to.as_str()));
        if self.done {
            return format!("{plan} moved from {from} to {to}\n");
        }
        let within = duration(Duration::from_secs(self.deadline_s));
        format!("{plan} is to move from {from} to {to}; running tasks have {within}: {}\n", plain(&self.why))
    }
}
