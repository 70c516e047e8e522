//! What was found stays found. That the same seed is the same run (`simulate --twice`) and the seeds of every
//! run of all tests need a build of their own, which `cargo xtask test` makes; that deliberate bugs are found
//! is checked by `cargo xtask bugs`.

use planlease_simulation::{run::run, scenarios};

#[test]
fn fixed_bugs_stay_fixed() {
    for scenario in scenarios::all() {
        let outcome = run(&scenario.options);
        assert_eq!(outcome.violations, [], "{}", scenario.found);
        assert!(outcome.figures["task updates"] > 10, "it does next to nothing: {:?}", outcome.figures);
    }
}
