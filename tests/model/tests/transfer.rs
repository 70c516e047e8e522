//! A plan moves between clusters without a loss and without a second place to write; each flaw is found.

use planlease_model::{
    check::{Finding, exhaust, has_circle},
    transfer::{AT_THE_END, Bounds, CARRIED, Flaw, GIVEN_UP, KEPT, ONE_PLACE, RETURNED, TOKENS, Transfer},
};

/// There and back.
const TWICE: Bounds = Bounds { moves: 2, aborts: 1, writes: 1, acquisitions: 2, delays: 1 };

/// One move, and more that goes wrong.
const ONCE: Bounds = Bounds { moves: 1, aborts: 1, writes: 2, acquisitions: 2, delays: 2 };

#[test]
fn a_plan_moves_between_clusters_and_loses_nothing() {
    let verdict = exhaust(Transfer { flaw: None, bounds: TWICE }, 1);
    assert_eq!(verdict.found(Finding::Broken), [""; 0]);
    assert_eq!(verdict.found(Finding::Sometimes), [RETURNED, CARRIED, GIVEN_UP]);
    let verdict = exhaust(Transfer { flaw: None, bounds: ONCE }, 1);
    assert_eq!(verdict.found(Finding::Broken), [""; 0]);
}

/// What is judged at the end of a run is judged of every run only if every run has an end.
#[test]
fn no_move_goes_in_circles() {
    assert!(!has_circle(&Transfer { flaw: None, bounds: TWICE }));
}

#[test]
fn each_flaw_of_a_move_is_found() {
    for (flaw, breaks) in [
        (Flaw::SwitchedFirst, ONE_PLACE),
        (Flaw::CopiedFirst, KEPT),
        (Flaw::ThawedFirst, ONE_PLACE),
        (Flaw::FreezeNotCompared, KEPT),
        (Flaw::CopyNotGuarded, KEPT),
        (Flaw::ForgetNotGuarded, AT_THE_END),
        (Flaw::SwitchNotCompared, AT_THE_END),
        (Flaw::TermNotCopied, TOKENS),
        (Flaw::GenerationNotRaised, TOKENS),
    ] {
        let verdict = exhaust(Transfer { flaw: Some(flaw), bounds: TWICE }, 1);
        let broken = verdict.found(Finding::Broken);
        assert!(broken.contains(&breaks), "{flaw:?} breaks {broken:?}, not {breaks}");
    }
}
