//! The protocol holds in every state of the model, and each thing left out of it is found.

use std::collections::BTreeSet;

use clap::ValueEnum;
use planlease_model::{
    bounds::{Bounds, SCENARIOS, SECONDS, SESSION_STATES, Scenario},
    check::{Finding, exhaust, has_circle},
    flaws::{Flaw, Protocol},
    model::Ownership,
    properties, time,
};

/// Checks one scenario; returns which of the interesting things happened.
fn holds(scenario: &Scenario) -> BTreeSet<&'static str> {
    let verdict = exhaust(Ownership { protocol: Protocol::SOUND, bounds: scenario.bounds }, 1);
    assert_eq!(verdict.found(Finding::Broken), [""; 0], "{}", scenario.name);
    assert_eq!(verdict.unique, scenario.states, "{}", scenario.name);
    verdict.found(Finding::Sometimes).into_iter().collect()
}

#[test]
fn the_protocol_holds_in_every_state() {
    let happened: BTreeSet<_> = SCENARIOS.iter().flat_map(holds).collect();
    let of_interest: BTreeSet<_> = properties::SOMETIMES.iter().map(|(name, _)| *name).collect();
    assert_eq!(of_interest.difference(&happened).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn a_holder_stops_before_its_lease_can_expire() {
    let verdict = exhaust(time::Session { protocol: Protocol::SOUND, seconds: SECONDS }, 1);
    assert_eq!(verdict.found(Finding::Broken), [""; 0]);
    assert_eq!(verdict.found(Finding::Never), [""; 0]);
    assert_eq!(verdict.unique, SESSION_STATES);
}

/// What is judged at the end of a run is judged of every run only if every run has an end.
#[test]
fn no_run_goes_in_circles() {
    let late = Bounds { timeouts: 1, losses: 1, writes: 1, ..Bounds::CALM };
    let forced = Bounds { timeouts: 1, forces: 1, writes: 0, operator_writes: 1, ..Bounds::CALM };
    let line = Bounds { processes: 3, writes: 0, losses: 1, ..Bounds::CALM };
    for bounds in [late, forced, line] {
        assert!(!has_circle(&Ownership { protocol: Protocol::SOUND, bounds }), "{bounds:?}");
    }
}

/// That the flaw breaks its property, and first of all that one.
#[track_caller]
fn breaks(flaw: Flaw, expected: &str) {
    assert_eq!(flaw.breaks(), expected);
    let (broken, story) = flaw.counterexample();
    assert_eq!(broken, expected, "{flaw:?}:\n{story}");
}

#[test]
fn a_write_without_the_guard_is_accepted_from_a_former_owner() {
    breaks(Flaw::WriteUnguarded, properties::GUARDED);
}

#[test]
fn a_write_without_the_record_is_carried_out_twice() {
    breaks(Flaw::RecordNotCompared, properties::TRUTH);
}

#[test]
fn a_release_without_the_guard_ends_another_term() {
    breaks(Flaw::ReleaseUnguarded, properties::OWN_END);
}

#[test]
fn a_removal_without_the_term_takes_an_owners_key() {
    breaks(Flaw::RemovalBlind, properties::OWN_END);
}

#[test]
fn a_takeover_without_a_second_read_makes_two_owners() {
    breaks(Flaw::NoSecondLook, properties::ONE_OWNER);
}

#[test]
fn a_takeover_without_the_term_reuses_a_token() {
    breaks(Flaw::TermNotCompared, properties::TOKENS);
}

#[test]
fn a_takeover_that_guesses_the_term_gives_a_token_again() {
    breaks(Flaw::TermGuessed, properties::TOKENS);
}

#[test]
fn a_token_that_is_a_lease_id_falls() {
    breaks(Flaw::TokenFromLease, properties::TOKENS);
}

#[test]
fn a_key_without_a_lease_outlives_its_session() {
    breaks(Flaw::KeyUnleased, properties::LEASED);
}

#[test]
fn recovery_before_the_takeover_takes_live_claims() {
    breaks(Flaw::RecoveryTooEarly, properties::LIVING);
}

#[test]
fn a_takeover_without_recovery_leaves_orphans() {
    breaks(Flaw::RecoveryLeftOut, properties::NO_ORPHAN);
}

#[test]
fn a_write_repeated_under_a_new_id_is_misreported() {
    breaks(Flaw::NewOpId, properties::TRUTH);
}

#[test]
fn an_unknown_outcome_reported_as_refused_is_wrong() {
    breaks(Flaw::UnknownReportedAsRefused, properties::TRUTH);
}

#[test]
fn a_refusal_for_a_reason_that_can_pass_is_no_proof() {
    breaks(Flaw::RefusalTrusted, properties::TRUTH);
}

#[test]
fn an_overwritten_write_is_misreported_without_history() {
    breaks(Flaw::HistoryNotRead, properties::TRUTH);
}

#[test]
fn a_forgotten_candidate_blocks_the_queue() {
    breaks(Flaw::PlaceForgotten, properties::NOT_IN_VAIN);
}

#[test]
fn a_late_candidate_is_missed_while_the_plan_is_owned() {
    breaks(Flaw::LookTooEarly, properties::NOT_IN_VAIN);
}

#[test]
fn a_late_join_after_the_search_blocks_the_queue() {
    breaks(Flaw::JoinNotOutdated, properties::NOT_IN_VAIN);
}

#[test]
fn a_deadline_counted_from_the_answer_comes_too_late() {
    breaks(Flaw::DeadlineFromAnswer, time::IN_TIME);
}

#[test]
fn a_deadline_without_a_margin_comes_too_late_for_a_slow_clock() {
    breaks(Flaw::NoMargin, time::IN_TIME);
}

#[test]
fn a_mismatched_renewal_answer_sets_a_late_deadline() {
    breaks(Flaw::AnswerMistaken, time::IN_TIME);
}

const DOC: &str = include_str!("../../../docs/model.md");

#[test]
fn documented_counterexamples_are_the_printed_ones() {
    for flaw in [Flaw::WriteUnguarded, Flaw::DeadlineFromAnswer, Flaw::PlaceForgotten] {
        let (_, story) = flaw.counterexample();
        let block = format!("--flaw {}\n```\n\n```text\n{story}```\n", flaw.name());
        assert!(DOC.contains(&block), "docs/model.md lacks:\n{block}");
    }
}

#[test]
fn the_documentation_knows_every_flaw_and_what_it_breaks() {
    for flaw in Flaw::value_variants() {
        let start = format!("| `{}` |", flaw.name());
        let row = DOC.lines().find(|line| line.starts_with(&start));
        assert!(
            row.is_some_and(|row| row.ends_with(&format!("| {} |", flaw.breaks()))),
            "{start} in {row:?}"
        );
    }
}

#[test]
fn documented_bounds_and_states_are_those_of_this_run() {
    for Scenario { name, bounds, states } in SCENARIOS {
        let Bounds { processes, tasks, acquisitions, writes, .. } = bounds;
        let Bounds { crashes, losses, timeouts, forces, operator_writes, .. } = bounds;
        let row = format!(
            "| {name} | {processes} | {tasks} | {acquisitions} | {writes} | {crashes} | {losses} | {timeouts} | {forces} | {operator_writes} | {} |",
            grouped(states)
        );
        assert!(DOC.contains(&row), "docs/model.md lacks:\n{row}");
    }
    assert!(DOC.contains(&format!("{SECONDS} s, {} states", grouped(SESSION_STATES))));
}

#[test]
fn the_documentation_lists_every_property() {
    for (name, _) in properties::ALWAYS {
        assert!(DOC.contains(&format!("- {name}")), "docs/model.md lacks: {name}");
    }
}

/// With a comma before each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(String::from_utf8_lossy);
    let head = (first > 0).then_some(head.into());
    let groups: Vec<_> = head.into_iter().chain(groups).collect();
    groups.join(",")
}
