//! What an owner that goes on without etcd would need from the others: each thing left out of it is found.

use planlease_model::{
    check::{Finding, exhaust, follow},
    outage::{Action, BEYOND, EXCLUSIVE, Flaw, Outage, PASSED_ON, WAITS},
};

const FLAWS: [Flaw; 9] = [
    Flaw::OneNotAwaited,
    Flaw::NewcomersAcquire,
    Flaw::NoPromise,
    Flaw::UnderWayNotBound,
    Flaw::CountedFromTheAnswer,
    Flaw::MembersLeased,
    Flaw::FastClock,
    Flaw::AdmittedTooEarly,
    Flaw::OperatorAdmits,
];

/// With this flaw, and few processes.
fn small(flaw: Flaw) -> Outage {
    let (peers, newcomers) = if flaw == Flaw::OneNotAwaited { (2, 0) } else { (1, 1) };
    Outage { flaw: Some(flaw), peers, newcomers, seconds: 4 }
}

#[test]
fn promises_of_a_closed_membership_are_safe() {
    for (peers, newcomers) in [(2, 0), (1, 1)] {
        let verdict = exhaust(Outage { flaw: None, peers, newcomers, seconds: 5 }, 1);
        assert_eq!(verdict.found(Finding::Broken), [""; 0], "{peers} peers, {newcomers} newcomers");
        assert_eq!(verdict.found(Finding::Sometimes), [BEYOND, PASSED_ON, WAITS]);
    }
}

#[test]
fn each_flaw_of_going_on_without_etcd_is_found() {
    for flaw in FLAWS {
        let verdict = exhaust(small(flaw), 1);
        assert_eq!(verdict.found(Finding::Broken), [EXCLUSIVE], "{flaw:?}");
    }
}

/// That these steps make two processes run with the flaw, and do not without it.
#[track_caller]
fn breaks(flaw: Flaw, steps: &[Action]) {
    let model = small(flaw);
    let broken = follow(&model, steps).expect("every step can happen");
    assert_eq!(broken.running(), 2, "{flaw:?}: {broken:?}");
    let sound = follow(&Outage { flaw: None, ..model }, steps);
    assert!(sound.is_none_or(|state| state.running() <= 1), "without {flaw:?}");
}

/// The sequences of `docs/failure-model.md`.
#[test]
fn documented_sequences_make_two_processes_run() {
    use Action::{
        Acquire, Admit, Ask, Confirm, Expire, Handle, OwnerSwitches, Receive, Start, Switches, Tick,
    };
    let omitted = [
        Tick,
        OwnerSwitches,
        Ask,
        Switches(1),
        Confirm(1),
        Receive(1),
        Tick,
        Expire,
        Acquire(0),
        Handle(0),
        Start(0),
    ];
    breaks(Flaw::OneNotAwaited, &omitted);
    let until_the_expiry = [Tick, OwnerSwitches, Ask, Switches(0), Confirm(0), Receive(0), Tick, Expire];
    let newcomer = [Acquire(1), Handle(1), Start(1)];
    breaks(Flaw::NewcomersAcquire, &[&until_the_expiry[..], &newcomer].concat());
    let reconnected = [Switches(0), Acquire(0), Handle(0), Start(0)];
    breaks(Flaw::NoPromise, &[&until_the_expiry[..], &reconnected].concat());
    let under_way = [
        Tick,
        OwnerSwitches,
        Ask,
        Acquire(0),
        Switches(0),
        Confirm(0),
        Receive(0),
        Tick,
        Expire,
        Handle(0),
        Start(0),
    ];
    breaks(Flaw::UnderWayNotBound, &under_way);
    let admitted = [
        Tick,
        OwnerSwitches,
        Ask,
        Switches(0),
        Confirm(0),
        Receive(0),
        OwnerSwitches,
        Tick,
        Admit(1),
        Expire,
        Acquire(1),
        Handle(1),
        Start(1),
    ];
    breaks(Flaw::AdmittedTooEarly, &admitted);
}
