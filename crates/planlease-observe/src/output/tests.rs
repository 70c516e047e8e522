//! What is kept of an output, and what readers see of it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use planlease_core::{PlanName, TaskId};

use super::{
    files::{Chunk, Files, millis},
    *,
};

fn id(task: &str, attempt: u32) -> AttemptId {
    let (plan, task) = (PlanName::new("p").unwrap(), TaskId::new(task).unwrap());
    AttemptId { plan, task, attempt, token: "1.1".parse().unwrap() }
}

fn outputs(folder: &tempfile::TempDir) -> Outputs {
    Outputs::new(folder.path(), "store").per_attempt(4000)
}

fn folder(outputs: &Outputs, id: &AttemptId) -> PathBuf {
    outputs.find(&id.plan, &id.task, id.attempt, None).unwrap().unwrap()
}

/// Writes lines of ten bytes, a hundred milliseconds apart.
fn write(files: &mut Files, lines: std::ops::Range<u64>) {
    for n in lines {
        let bytes = format!("{n:09}\n").into_bytes();
        files.write(&[Chunk { offset: n * 10, at: 1_000 + n * 100, bytes }]);
    }
}

fn all(reader: &mut Reader) -> (String, u64, Piece) {
    let (mut text, mut gaps) = (String::new(), 0);
    loop {
        match reader.read_next().unwrap() {
            Piece::Bytes { bytes, .. } => text += std::str::from_utf8(&bytes).unwrap(),
            Piece::Gap(bytes) => gaps += bytes,
            last => return (text, gaps, last),
        }
    }
}

#[test]
fn a_reader_sees_what_is_written_and_then_the_end() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut files = Files::new(outputs.place(&id)).opened();
    let mut reader = Reader::open(&folder(&outputs, &id), From::default()).unwrap();
    assert_eq!(reader.read_next().unwrap(), Piece::Nothing);
    write(&mut files, 0..3);
    assert_eq!(all(&mut reader), ("000000000\n000000001\n000000002\n".into(), 0, Piece::Nothing));
    write(&mut files, 3..4);
    files.end(Some(("exited with code 0".into(), 40)));
    let (text, gaps, last) = all(&mut reader);
    assert_eq!((text.as_str(), gaps), ("000000003\n", 0));
    let Piece::End(Some(end)) = last else { panic!("{last:?}") };
    assert_eq!((end.total, end.how.as_deref()), (40, Some("exited with code 0")));
}

#[test]
fn the_end_of_a_writer_without_a_word_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut files = Files::new(outputs.place(&id)).opened();
    write(&mut files, 0..1);
    let mut reader = Reader::open(&folder(&outputs, &id), From::default()).unwrap();
    assert_eq!(all(&mut reader).2, Piece::Nothing);
    drop(files); // As the kernel does when the process is killed.
    assert_eq!(all(&mut reader).2, Piece::End(None));
}

#[test]
fn the_oldest_output_goes_and_a_slow_reader_learns_how_much() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut files = Files::new(outputs.place(&id)).opened();
    write(&mut files, 0..10);
    let folder = folder(&outputs, &id);
    let mut slow = Reader::open(&folder, From::default()).unwrap();
    assert!(matches!(slow.read_next().unwrap(), Piece::Bytes { offset: 0, .. }));
    let read = slow.offset();
    write(&mut files, 10..1000);
    files.end(None);
    let (text, gaps, _) = all(&mut slow);
    assert_eq!(read + gaps + u64::try_from(text.len()).unwrap(), 10_000);
    assert!(text.ends_with("000000999\n") && text.len() <= 4000 && text.len() >= 3000, "{}", text.len());
    let bytes: u64 =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 12_000, "{bytes}");
}

#[test]
fn a_reader_begins_where_it_wants() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut files = Files::new(outputs.place(&id)).opened();
    write(&mut files, 0..200);
    files.end(None);
    let folder = folder(&outputs, &id);
    let read = |from| all(&mut Reader::open(&folder, from).unwrap()).0.lines().count();
    assert_eq!(read(From::default()), 200);
    for lines in [0, 1, 99, 100, 101, 200] {
        assert_eq!(read(From { tail: Some(lines), ..From::default() }), usize::try_from(lines).unwrap());
    }
    assert_eq!(read(From { tail: Some(1000), ..From::default() }), 200);
    assert_eq!(read(From { since: Some(1_000 + 150 * 100), ..From::default() }), 50);
    assert_eq!(read(From { since: Some(0), ..From::default() }), 200);
    assert_eq!(read(From { since: Some(u64::MAX), ..From::default() }), 0);
    assert_eq!(read(From { since: Some(1_000 + 150 * 100), tail: Some(7), ..From::default() }), 7);
    let first = Reader::open(&folder, From { offset: 15, ..From::default() }).unwrap().read_next().unwrap();
    assert!(matches!(first, Piece::Bytes { offset: 15, at: 1_100, .. }), "{first:?}");
}

#[test]
fn output_that_the_disk_did_not_take_is_a_gap() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut files = Files::new(outputs.place(&id)).opened();
    write(&mut files, 0..2);
    write(&mut files, 5..6); // What was dropped in between never came here.
    files.end(None);
    let mut reader = Reader::open(&folder(&outputs, &id), From::default()).unwrap();
    let (text, gaps, _) = all(&mut reader);
    assert_eq!((text.as_str(), gaps), ("000000000\n000000001\n000000005\n", 30));
}

/// Makes the files of an attempt so many seconds old.
fn age(folder: &PathBuf, seconds: u64) {
    let at = UNIX_EPOCH + Duration::from_millis(millis() - seconds * 1000);
    for entry in fs::read_dir(folder).unwrap() {
        fs::File::options().write(true).open(entry.unwrap().path()).unwrap().set_modified(at).unwrap();
    }
}

#[test]
fn a_sweep_keeps_what_is_written_and_what_is_new() {
    let home = tempfile::tempdir().unwrap();
    let outputs = Outputs::new(home.path(), "store").per_attempt(1 << 20);
    let living = Files::new(outputs.place(&id("1", 1))).opened();
    for attempt in 1..=4 {
        let mut files = Files::new(outputs.place(&id("2", attempt))).opened();
        write(&mut files, 0..1000);
        files.end(None);
        age(&folder(&outputs, &id("2", attempt)), 10 - u64::from(attempt));
    }
    let swept = outputs.sweep().unwrap();
    assert_eq!((swept.removed, swept.kept), (0, 5));
    let swept = outputs.clone().total(60_000).sweep().unwrap();
    assert_eq!((swept.removed, swept.kept), (2, 3), "{swept:?}");
    assert!(swept.bytes <= 60_000);
    let id = id("2", 4);
    assert!(outputs.find(&id.plan, &id.task, 1, None).unwrap().is_none());
    assert!(outputs.find(&id.plan, &id.task, 4, None).unwrap().is_some(), "the oldest go first");
    let swept = outputs.clone().keep(Duration::ZERO).sweep().unwrap();
    assert_eq!(swept.kept, 1, "the one that is written stays");
    drop(living);
}

#[tokio::test]
async fn a_disk_that_stands_still_costs_output_and_a_moment() {
    let home = tempfile::tempdir().unwrap();
    let (outputs, id) = (outputs(&home), id("1", 1));
    let mut recorder = Recorder::start(&outputs.place(&id));
    // No writer runs as long as this does not wait: the queue fills up, and nothing here blocks.
    for _ in 0..1000 {
        recorder.add(b"0123456789");
    }
    recorder.room().await;
    recorder.finish("exited with code 0".into()).await;
    let (text, gaps, last) = all(&mut Reader::open(&folder(&outputs, &id), From::default()).unwrap());
    assert!(matches!(last, Piece::End(Some(ref end)) if end.total == 10_000), "{last:?}");
    assert_eq!(u64::try_from(text.len()).unwrap() + gaps, 10_000, "what is missing is known");
    assert!(gaps > 0);
}
