//! Reads the files of issue trackers: Taskmaster and Ralph in JSON, beads in lines of JSON, Backlog.md in
//! files with front matter.

mod backlog;
mod beads;
pub(crate) mod fields;
mod ralph;
mod taskmaster;

pub(crate) use self::{
    backlog::word_in,
    beads::{USUAL, is_order},
    ralph::state_field,
};

use crate::{
    assemble::{self, Found},
    draft::Draft,
    format::Format,
    order::Order,
    problem::Problems,
    report::Report,
    state::{
        fault::Faults,
        json::{self, Json, Placed},
    },
    text::Text,
};

/// A draft, and how many entries of the file are no tasks.
pub(crate) type Read = (Draft, usize);

/// Reads a file of a tracker. `name`: what the plan is called if the file does not say; `tag`: which list of
/// its tasks is read, where it has several.
///
/// # Errors
/// If the file is no JSON.
pub(crate) fn read(
    format: Format,
    name: &str,
    tag: Option<&str>,
    text: &Text<'_>,
    report: &mut Report<'_>,
) -> Result<Read, Problems> {
    let (mut found, others) = match format {
        Format::Backlog => backlog::read(text, report),
        Format::Beads => beads::read(&lines(text)?, report),
        Format::Ralph => (ralph::read(&document(text)?, report), 0),
        _ => taskmaster::read(&document(text)?, tag, report),
    };
    if found.title.is_empty() {
        name.clone_into(&mut found.title);
    }
    found.how_to_write_a_task = how_to_write_a_task(format);
    Ok((assemble::draft(complete(found), Order::Free, report), others))
}

/// The tags of a file of Taskmaster that have tasks: each is a plan of its own. Empty for a file that cannot
/// be read.
pub(crate) fn tags(text: &Text<'_>) -> Vec<String> {
    let Ok(root) = document(text) else { return Vec::new() };
    let lists = taskmaster::lists(&root);
    let full = lists.iter().filter(|list| !taskmaster::is_empty(list));
    full.filter_map(|list| list.tag).map(str::to_owned).collect()
}

/// How many tasks a file of Taskmaster has, in all of its lists.
pub(crate) fn count(text: &Text<'_>) -> usize {
    document(text).map_or(0, |root| taskmaster::count_all(&root))
}

/// All objects of a file, in the order in which they begin.
pub(crate) fn objects(format: Format, text: &Text<'_>) -> Vec<Placed> {
    let roots = if format == Format::Beads { lines(text) } else { document(text).map(|root| vec![root]) };
    let (mut objects, mut left) = (Vec::new(), roots.unwrap_or_default());
    while let Some(value) = left.pop() {
        match &value.value {
            Json::List(items) => left.extend(items.iter().cloned()),
            Json::Object(fields) => left.extend(fields.iter().map(|field| field.value.clone())),
            _ => continue,
        }
        if matches!(value.value, Json::Object(_)) {
            objects.push(value);
        }
    }
    objects.sort_by_key(|object| object.at);
    objects
}

fn how_to_write_a_task(format: Format) -> &'static str {
    match format {
        Format::Backlog => "A task is a file with `id:` and `title:` in its front matter.",
        Format::Beads => "A task is a line `{\"id\": \"a-1\", \"title\": \"What to do\"}`.",
        Format::Ralph => "A task is `{\"id\": \"US-001\", \"title\": \"What to do\", \"passes\": false}`.",
        _ => "A task is `{\"id\": 1, \"title\": \"What to do\", \"status\": \"pending\"}`.",
    }
}

/// The same with parents above what is part of them, which is how their order is read.
fn complete(mut found: Found) -> Found {
    for place in 0..found.entries.len() {
        let (mut above, mut steps) = (found.entries[place].parent, 0_usize);
        while let Some(one) = above {
            steps += 1;
            if one == place || steps > found.entries.len() {
                found.entries[place].parent = None;
                break;
            }
            above = found.entries[one].parent;
        }
    }
    found
}

fn document(text: &Text<'_>) -> Result<Placed, Problems> {
    let mut faults = Faults::of_plan_file(text);
    let root = json::parse(text, &mut faults);
    faults.finish()?;
    Ok(root.unwrap_or(Placed { at: 0, value: Json::Null }))
}

/// The documents in the lines of a text.
fn lines(text: &Text<'_>) -> Result<Vec<Placed>, Problems> {
    let mut faults = Faults::of_plan_file(text);
    let mut found = Vec::new();
    for (at, line) in text.lines().filter(|(_, line)| !line.trim().is_empty()) {
        match json::parse_part(text, at..at + line.len(), &mut faults) {
            Some(value) => found.push(value),
            None => break,
        }
    }
    faults.finish()?;
    Ok(found)
}

#[cfg(test)]
mod tests;
