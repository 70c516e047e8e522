//! Stored records of every kind: with any bytes, they are read or refused in a few words; what is
//! read can be written back; what an older reader does not know it keeps, or refuses to read at all.

use bolero::{TypeGenerator, check};
use planlease_core::codec;
use planlease_fuzz::{
    INPUT_BYTES,
    confine::{MIB, is_confined},
    deadline::{Deadline, EACH},
    edit::{self, Edit},
    records::{ALL, Kind, MAX_MESSAGE, WORDS},
};
use serde_json::{Value, json};

#[test]
fn arbitrary_bytes_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    check!().for_each(|bytes: &[u8]| {
        deadline.within(bytes.to_vec(), || {
            for kind in ALL {
                drop(kind.check(bytes));
            }
        });
    });
}

#[derive(Clone, Debug, TypeGenerator)]
struct Edited {
    kind: u8,
    edits: Vec<Edit>,
}

#[test]
fn edited_records_are_read_or_refused() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Edited>().for_each(|Edited { kind, edits }| {
        let kind = ALL[usize::from(*kind) % ALL.len()];
        let mut bytes = kind.example().to_string().into_bytes();
        edit::make(&mut bytes, edits, WORDS);
        deadline.within((kind, bytes.clone()), || drop(kind.check(&bytes)));
    });
}

/// Replaces one value inside a record by another: what is left is JSON of the right shape, nearly.
#[derive(Clone, Debug, TypeGenerator)]
struct Replaced {
    kind: u8,
    at: u16,
    by: u8,
}

fn values() -> Vec<Value> {
    let numbers =
        [json!(0), json!(-1), json!(u32::MAX), json!(i64::MAX), json!(u64::MAX), json!(1.5), json!(1e300)];
    let texts =
        ["", "0", "-1", "ffffffffffffffff", "a/b", "\0", "1.1", "pending", "owner", "unowned", "import"];
    let long = json!("x".repeat(2000));
    let nested = (0..100).fold(json!(1), |inside, _| json!([inside]));
    numbers
        .into_iter()
        .chain(texts.map(Value::from))
        .chain([Value::Null, json!(true), json!([]), json!({}), long, nested])
        .collect()
}

/// Every value inside a value, by its path.
fn paths(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| paths(value, &format!("{here}/{key}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| paths(value, &format!("{here}/{i}"), found));
        }
        _ => {}
    }
}

#[test]
fn records_with_other_values_in_them_are_read_or_refused() {
    let (deadline, values) = (Deadline::of(EACH), values());
    check!().with_max_len(INPUT_BYTES).with_type::<Vec<Replaced>>().for_each(|replaced| {
        let Some(first) = replaced.first() else { return };
        let kind = ALL[usize::from(first.kind) % ALL.len()];
        let mut record = kind.example();
        for Replaced { at, by, .. } in replaced.iter().take(3) {
            let mut found = Vec::new();
            paths(&record, "", &mut found);
            let path = &found[usize::from(*at) % found.len()];
            let by = &values[usize::from(*by) % values.len()];
            record.pointer_mut(path).expect("it was found there").clone_from(by);
        }
        deadline.within((kind, record.clone()), || drop(kind.check(record.to_string().as_bytes())));
    });
}

#[test]
fn every_kind_is_read_and_written_back_as_it_is() {
    for kind in ALL {
        assert_eq!(kind.check(kind.example().to_string().as_bytes()).unwrap(), kind.example(), "{kind:?}");
    }
}

#[test]
fn a_newer_format_is_refused_with_the_remedy() {
    for kind in ALL.into_iter().filter(|kind| kind.is_versioned()) {
        for version in 4..=255 {
            let mut record = kind.example();
            record["v"] = version.into();
            let message = kind.check(record.to_string().as_bytes()).unwrap_err();
            assert!(message.contains("use a newer planlease"), "{kind:?} of format {version}: {message}");
        }
        for no_version in [json!(-1), json!(256), json!("1"), json!(null), json!(1.5)] {
            let mut record = kind.example();
            record["v"] = no_version.clone();
            kind.check(record.to_string().as_bytes()).expect_err("it has no format version");
        }
    }
}

/// What is rewritten by others than its writer, and where in it a newer version may say more.
const KEPT: &[(Kind, &[&str])] = &[
    (Kind::Task, &["", "/claim", "/transitions/0"]),
    (Kind::Term, &["", "/owner"]),
    (Kind::Registration, &[""]),
    (Kind::Spec, &["", "/phases/0", "/tasks/0", "/tasks/1", "/policy"]),
];

#[test]
fn fields_unknown_to_an_older_reader_are_kept() {
    let more = json!({ "deep": [1, -1, 0.5, null, "ä", { "a": true }], "large": u64::MAX });
    for (kind, places) in KEPT {
        for place in *places {
            let mut record = kind.example();
            record.pointer_mut(place).expect("it is there")["news"] = more.clone();
            let written = kind.check(record.to_string().as_bytes()).unwrap();
            assert_eq!(written, record, "{kind:?} {place}");
        }
    }
}

#[test]
fn unknown_fields_do_no_harm() {
    for kind in ALL {
        let mut found = Vec::new();
        paths(&kind.example(), "", &mut found);
        for place in found {
            let mut record = kind.example();
            if let Some(Value::Object(map)) = record.pointer_mut(&place) {
                map.insert("news".into(), json!([1]));
                drop(kind.check(record.to_string().as_bytes()));
            }
        }
    }
}

#[test]
fn a_message_about_a_record_is_short_however_long_the_record_is() {
    for kind in ALL {
        let mut found = Vec::new();
        paths(&kind.example(), "", &mut found);
        for place in found {
            let mut record = kind.example();
            *record.pointer_mut(&place).expect("it is there") = "x".repeat(100_000).into();
            if let Err(message) = kind.check(record.to_string().as_bytes()) {
                assert!(message.len() <= MAX_MESSAGE);
            }
        }
    }
}

/// How much memory reading may take for each byte of a value, and how much the process has for itself.
const MEMORY: (u64, u64) = (100, 200 * MIB);

#[test]
fn reading_takes_memory_in_proportion_to_the_value() {
    if !is_confined("reading_takes_memory_in_proportion_to_the_value", MEMORY.0 * MIB + MEMORY.1) {
        return;
    }
    for (kind, before, repeated) in [
        (Kind::Task, r#"{"v":1,"news":"#, "["),
        (Kind::Task, r#"{"v":1,"news":["#, "0,"),
        (Kind::Task, r#"{"v":1,"news":["#, "[],"),
        (Kind::Task, r#"{"v":1,"news":["#, "{},"),
        (Kind::Task, r#"{"v":1,"#, r#""":0,"#),
        (Kind::Task, r#"{"v":1,"transitions":["#, "{},"),
        (Kind::Spec, r#"{"title":"","tasks":["#, r#"{"id":"1","description":""},"#),
        (Kind::Spec, r#"{"title":"","tasks":[],"phases":["#, r#"{"number":"","name":""},"#),
    ] {
        let mut bytes = before.as_bytes().to_vec();
        bytes.extend(repeated.bytes().cycle().take(1024 * 1024));
        drop(kind.check(&bytes));
        let whole = match kind {
            Kind::Spec => [
                before,
                &repeated.repeat(1024 * 1024 / repeated.len() - 1),
                repeated.trim_end_matches(','),
                "]}",
            ],
            _ => [before, "", "", ""],
        };
        drop(kind.check(whole.concat().as_bytes()));
    }
}

#[test]
fn a_text_is_cut_to_the_size_that_is_asked_for() {
    check!().with_max_len(INPUT_BYTES).with_type::<(String, u16)>().for_each(|(text, max)| {
        let max = 64 + usize::from(*max) % 512;
        let short = codec::shorten(text, max);
        assert!(short.len() <= max, "{} of {max}", short.len());
        assert!(text.len() > max || short == *text);
    });
}
