//! Tests of the outline: nesting, text, code, headings, and what cannot be read.

use super::*;

fn outline(text: &str) -> Vec<(String, Option<usize>, usize)> {
    let text = Text::decode("t.md", text.as_bytes()).unwrap();
    let outline = Outline::read(&text, &mut Report::new(&text));
    outline.items.into_iter().map(|item| (item.text, item.parent, item.details.len())).collect()
}

#[test]
fn boxes_nest_by_columns() {
    let text = "- [ ] a\n  - [ ] b\n      - [ ] c\n  - [ ] d\n - [ ] e\n\n\t- [ ] f\n- g\n  - [ ] h\n";
    let parents: Vec<_> = outline(text).into_iter().map(|(text, parent, _)| (text, parent)).collect();
    let expected = [("a", None), ("b", Some(0)), ("c", Some(1)), ("d", Some(0)), ("e", None), ("f", Some(4))];
    let expected: Vec<_> = expected.map(|(text, parent)| (text.to_owned(), parent)).into();
    assert_eq!(parents[..6], expected);
    assert_eq!(parents[6], ("h".to_owned(), None), "`g` has no box, and ended the list above");
}

#[test]
fn text_belongs_to_the_item_above() {
    let text = "- [ ] a goes\n  on\n  - detail\n\n  a paragraph\n  - [ ] b\nlazy\n\nnot any more\n";
    assert_eq!(outline(text), [("a goes on".into(), None, 2), ("b lazy".into(), Some(0), 0)]);
}

#[test]
fn code_and_comments_hold_no_tasks() {
    let text = Text::decode(
        "t.md",
        "---\nid: 1\n---\n- [ ] a\n  ```\n  - [ ] b\n  ```\n<!-- - [ ] c -->\n<!--\n- [ ] d\n-->\n    - [ ] e\n"
            .as_bytes(),
    )
    .unwrap();
    let outline = Outline::read(&text, &mut Report::new(&text));
    let texts: Vec<&str> = outline.items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["a", "e"]);
}

#[test]
fn underlined_text_is_a_heading() {
    let text = "Title\n=====\n\nIntro\n\nNow\n---\n- [ ] a\n\n---\n\n  Later\n  --\n- [ ] b\n  ---\n| c |\n---\n- d\n---\n";
    let text = Text::decode("t.md", text.as_bytes()).unwrap();
    let outline = Outline::read(&text, &mut Report::new(&text));
    let sections: Vec<_> = outline.sections.iter().map(|section| (section.level, section.text)).collect();
    assert_eq!(sections, [(1, "Title"), (2, "Now"), (2, "Later")]);
    assert_eq!(outline.items.iter().map(|item| item.section).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for text in
        ["- [ ] a\n- [ b\n", "- [ ] a\n```\n- [ ] b\n", "- [ ] a\n- ( ) b\n", "- [ ] a\n<!-- b\n- [ ] c\n"]
    {
        let text = Text::decode("t.md", text.as_bytes()).unwrap();
        let mut report = Report::new(&text);
        Outline::read(&text, &mut report);
        let problems = report.into_problems();
        assert_eq!((problems.listed.len(), problems.listed[0].line), (1, 2), "{problems}");
    }
}
