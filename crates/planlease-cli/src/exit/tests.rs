//! The statuses are distinct, in their range, and all of them are in the documents.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_exit_status_is_distinct() {
    let codes: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(codes.len(), Exit::ALL.len());
    let kinds: BTreeSet<Exit> = Exit::ALL.into_iter().collect();
    assert_eq!(kinds.len(), Exit::ALL.len());
}

#[test]
fn statuses_of_planlease_are_between_100_and_those_of_shells() {
    for exit in Exit::ALL.iter().filter(|exit| **exit > Exit::Child(u8::MAX)) {
        assert!((100..125).contains(&exit.code()), "{exit:?}");
    }
}

#[test]
fn the_documents_list_every_status() {
    let text = include_str!("../../../../docs/operations.md");
    let table = text.split("## Exit statuses").nth(1).and_then(|text| text.split("\n#").next()).unwrap();
    let mut listed = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with('|')) {
        for part in row.split('|').nth(1).unwrap_or_default().split(',') {
            let mut ends = part.trim().split('–').filter_map(|number| number.parse::<u8>().ok());
            if let Some(first) = ends.next() {
                listed.extend(first..=ends.next().unwrap_or(first));
            }
        }
    }
    let missing: Vec<_> = Exit::ALL.iter().filter(|exit| !listed.contains(&exit.code())).collect();
    assert_eq!(missing, Vec::<&Exit>::new());
    let ours: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).chain([75, 126, 127]).collect();
    assert!(listed.is_subset(&ours), "{:?}", listed.difference(&ours));
}

#[test]
fn the_statuses_never_change() {
    insta::assert_snapshot!(Exit::table());
}

#[test]
fn the_names_never_change_and_are_documented() {
    let text = include_str!("../../../../docs/operations.md");
    let listed = text.split("### Errors as JSON").nth(1).and_then(|text| text.split("\n#").next()).unwrap();
    let names: Vec<String> =
        Exit::ALL.iter().skip(1).map(|exit| format!("{} `{}`", exit.code(), exit.name())).collect();
    for name in names {
        assert!(
            listed.split_whitespace().collect::<Vec<_>>().join(" ").contains(&name),
            "{name} is not in docs/operations.md"
        );
    }
    assert_eq!(Exit::Child(7).name(), "child");
}
