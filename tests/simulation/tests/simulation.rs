//! What was found stays found. That the same seed is the same run (`simulate --twice`), the seeds of every run of all tests,
//! and that deliberate bugs are found, need a build of their own: `cargo xtask test` does all three.

use planlease_simulation::{run::run, scenarios};

#[test]
fn what_was_found_stays_mended() {
    for scenario in scenarios::all() {
        let outcome = run(&scenario.options);
        assert_eq!(outcome.violations, [], "{}", scenario.found);
        assert!(outcome.figures["task updates"] > 10, "it does next to nothing: {:?}", outcome.figures);
    }
}
