//! A companion frees what a dead process had, and nothing too early; and each thing left out of it is found.

use planlease_model::{
    check::{Finding, exhaust},
    companion::{DEAD_FIRST, FREED, Flaw, LATE, OWN_LEASE, Takeover},
};

#[test]
fn a_companion_frees_nothing_too_early() {
    let verdict = exhaust(Takeover { flaw: None }, 1);
    assert_eq!(verdict.found(Finding::Broken), [""; 0]);
    assert_eq!(verdict.found(Finding::Sometimes), [FREED, LATE]);
}

#[test]
fn each_flaw_of_a_companion_is_found() {
    for (flaw, breaks) in [
        (Flaw::CommandsNotAwaited, DEAD_FIRST),
        (Flaw::CommandsBeforeOwner, DEAD_FIRST),
        (Flaw::HangUpTrusted, DEAD_FIRST),
        (Flaw::NotAnnounced, DEAD_FIRST),
        (Flaw::LeaseNotNamed, OWN_LEASE),
    ] {
        let verdict = exhaust(Takeover { flaw: Some(flaw) }, 1);
        assert_eq!(verdict.found(Finding::Broken), [breaks], "{flaw:?}");
    }
}
