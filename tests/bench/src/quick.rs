//! `--quick`: each section for a moment, on one etcd, and what it came to against its limit. A limit stands
//! where a loss would be noticed and the noise of a short run is not; the full run says how it is.

use std::fmt;

use crate::report::Report;

/// What a figure must not pass.
struct Limit {
    section: &'static str,
    what: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Least(least) => value >= least,
            Self::Most(most) => value <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(least) => write!(f, "≥ {least}"),
            Self::Most(most) => write!(f, "≤ {most}"),
        }
    }
}

const fn least(section: &'static str, what: &'static str, bound: f64) -> Limit {
    Limit { section, what, bound: Bound::Least(bound) }
}

const fn most(section: &'static str, what: &'static str, bound: f64) -> Limit {
    Limit { section, what, bound: Bound::Most(bound) }
}

/// At least one for each section. Where there are two cores only, a busy machine passes some of them.
const LIMITS: [Limit; 23] = [
    most("contention", "library, tight loop: of these lost", 0.0),
    most("contention", "a command per update: of these lost", 0.0),
    most("events", "watches on etcd", 1.0),
    most("events", "memory of the sidecar per idle subscriber", 20.0),
    most("large", "plan import, per task: 10,000 against 1,000", 1.2),
    most("large", "status, per task: 10,000 against 1,000", 1.2),
    most("large", "next, per task: 10,000 against 1,000", 1.2),
    least(
        "ownership",
        "acquire and release, 1 at a time, pairs: planlease against two bare transactions",
        0.8,
    ),
    least(
        "ownership",
        "acquire and release, 16 at a time, pairs: planlease against two bare transactions",
        0.65,
    ),
    most("ownership", "released, to the next owner: planlease against delete, event, transaction", 1.6),
    most("program", "status: most memory", 32.0),
    most("program", "task complete: most memory", 32.0),
    most("race", "planlease task claim: rounds without exactly one winner", 0.0),
    most("scale", "first snapshot of 10000 tasks: planlease against plain ranges", 2.5),
    least("server", "put, 64 in flight: local server against etcd", 0.8),
    most("takeover", "SIGKILL of run to the next owner, 5 times", 50.0),
    most("takeover", "SIGKILL of hold to the next owner, 5 times", 50.0),
    most("takeover", "SIGKILL of library to the next owner, 5 times", 50.0),
    least("updates", "64 in flight, updates: planlease against hand-batched, all or nothing", 0.65),
    least("updates", "256 in flight, updates: planlease against hand-batched, all or nothing", 0.65),
    most("updates", "64 in flight, CPU here: planlease against hand-batched, all or nothing", 3.0),
    least("watch", "100 subscribers, reached all: planlease against watches", 1.0),
    most("watch", "100 subscribers, lagged", 0.0),
];

/// Prints what was measured against its limits; what was not measured is left out. Whether all of them hold.
pub(crate) fn judged(report: &Report) -> bool {
    println!("\n| section | what | measured | limit | |\n| --- | --- | --- | --- | --- |");
    let mut all = true;
    for Limit { section, what, bound } in &LIMITS {
        for (on, value) in report.medians(section, what) {
            let holds = bound.holds(value);
            all &= holds;
            let word = if holds { "" } else { "PASSED" };
            println!("| {section} | {what}, on {on} | {value:.2} | {bound} | {word} |");
        }
    }
    all
}
