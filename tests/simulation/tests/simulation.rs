//! The simulation itself: the same seed is the same run, what was found stays found, and what is broken is found. The seeds
//! of every run of all tests are run by `cargo xtask test`, the deliberate bugs by `cargo xtask bugs`.

use planlease_simulation::{options::Options, run::run, scenarios};

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in [3, 5] {
        let [one, other] = [run(&Options::draw(seed)), run(&Options::draw(seed))];
        assert_eq!((one.digest, &one.figures), (other.digest, &other.figures), "seed {seed}");
        assert!(one.figures["task updates"] > 10, "seed {seed} does next to nothing: {:?}", one.figures);
    }
    assert_ne!(run(&Options::draw(3)).digest, run(&Options::draw(4)).digest);
}

#[test]
fn what_was_found_stays_mended() {
    for scenario in scenarios::all() {
        let outcome = run(&scenario.options);
        assert_eq!(outcome.violations, [], "{}", scenario.found);
    }
}
