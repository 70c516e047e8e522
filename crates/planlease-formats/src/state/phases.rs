//! The phases of a state file: each task names its own, in one of several forms.

use std::collections::BTreeMap;

use planlease_core::{
    codec,
    spec::{MAX_TEXT, PhaseSpec},
};

use super::{
    found::Found,
    json::{Json, Placed},
};

/// Puts the tasks into their phases, and gives these in the order in which they come.
pub(super) fn assign(found: &mut [Found<'_>]) -> Vec<PhaseSpec> {
    let mut phases: Vec<PhaseSpec> = Vec::new();
    let mut numbers: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut taken: BTreeMap<String, ()> = BTreeMap::new();
    for task in found {
        let Some((number, name)) = phase(task.placed) else { continue };
        let known = numbers.entry((number.clone(), name.clone())).or_insert_with(|| {
            // Two phases of one number are two phases all the same.
            let mut unique = number.clone();
            while taken.insert(unique.clone(), ()).is_some() {
                unique.push('\'');
            }
            phases.push(PhaseSpec { number: unique.clone(), name: name.clone(), ..PhaseSpec::default() });
            unique
        });
        task.spec.phase = Some(known.clone());
    }
    phases
}

/// Number and name of a task's phase: `Phase 2: Gap Analysis`, or `2` with the name in a field of its own.
fn phase(task: &Placed) -> Option<(String, String)> {
    let text = match &task.get("phase")?.value {
        Json::Text(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    if text.is_empty() {
        return None;
    }
    let text = codec::shorten(&text, MAX_TEXT);
    let named = text.strip_prefix("Phase ").and_then(|rest| rest.split_once(':'));
    if let Some((number, name)) = named.filter(|(number, _)| !number.trim().is_empty()) {
        return Some((number.trim().to_owned(), name.trim().to_owned()));
    }
    let name = task.get("phaseName").and_then(Placed::text).map(str::trim).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| text.clone(), |name| codec::shorten(name, MAX_TEXT));
    Some((text, name))
}
