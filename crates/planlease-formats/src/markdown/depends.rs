//! The dependencies that a task's description names: `(depends: 1.1, 2.3)`.

/// A dependency as written, with its offset in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) at: usize,
}

/// All dependencies that a description names. `is_prose` tells whether an offset is outside of code: what is
/// quoted there is not meant.
pub(super) fn named<'a>(description: &'a str, is_prose: impl Fn(usize) -> bool) -> Vec<Named<'a>> {
    let mut named = Vec::new();
    for (at, group) in groups(description, "depends:") {
        if is_prose(at) {
            let mut start = at + "(depends:".len();
            for part in group.split([',', ';']) {
                let id = part.trim();
                let is_none = id.is_empty() || id.eq_ignore_ascii_case("none");
                if !is_none {
                    named.push(Named { id, at: start + (part.len() - part.trim_start().len()) });
                }
                start += part.len() + 1;
            }
        }
    }
    named
}

/// Where a description says in words of its own that it depends on something: `(depends on all of it)`,
/// `depends: 1.1` without brackets.
pub(super) fn paraphrased(description: &str, is_prose: impl Fn(usize) -> bool) -> Option<usize> {
    const WORD: &str = "depends";
    let lower = description.to_ascii_lowercase(); // Of the same length, so that offsets stay.
    let understood: Vec<usize> = groups(description, "depends:").map(|(open, _)| open + 1).collect();
    let says_so = |at: usize| {
        let rest = lower[at + WORD.len()..].trim_start();
        let names_a_number = |rest: &str| rest.trim_start().starts_with(|c: char| c.is_ascii_digit());
        match rest.strip_prefix("on ") {
            Some(rest) => lower[..at].ends_with('(') || names_a_number(rest),
            None => rest.strip_prefix(':').is_some_and(names_a_number),
        }
    };
    let mut places = lower.match_indices(WORD).map(|(at, _)| at);
    places.find(|&at| understood.binary_search(&at).is_err() && says_so(at) && is_prose(at))
}

/// Groups in brackets that begin with a word, whatever its case: where they begin, and what follows the word.
fn groups<'a>(text: &'a str, word: &'static str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let open = from + text[from..].find('(')?;
            from = open + 1;
            let Some((start, rest)) = text[from..].split_at_checked(word.len()) else { continue };
            if start.eq_ignore_ascii_case(word) {
                let close = rest.find(')')?; // Without one there is none for any later group either.
                from += word.len() + close;
                return Some((open, &rest[..close]));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(description: &str) -> Vec<&str> {
        named(description, |at| !description[..at].contains('`'))
            .into_iter()
            .inspect(|named| assert!(description[named.at..].starts_with(named.id), "{named:?}"))
            .map(|named| named.id)
            .collect()
    }

    #[test]
    fn dependencies_are_named_in_brackets() {
        for (description, expected) in [
            ("Do (depends: 1.1)", &["1.1"][..]),
            ("Do (depends:1.1,2.3 ,  4.5) it (Depends: 6.7)", &["1.1", "2.3", "4.5", "6.7"]),
            ("Do (see (x)) (depends: 1.1-1.3; Phase 2)", &["1.1-1.3", "Phase 2"]),
            ("Do (depends: none)", &[]),
            ("Do (depends: )", &[]),
            ("Do (depends: 1.1", &[]),
            ("Do depends: 1.1", &[]),
            ("Explain `(depends: 1.1)`", &[]),
            ("ä(ö (depends: 1.1)", &["1.1"]),
        ] {
            assert_eq!(ids(description), expected, "{description:?}");
        }
    }

    #[test]
    fn other_words_for_it_are_noticed() {
        for (description, expected) in [
            ("Do (Depends on 1.1)", Some(4)),
            ("Do (depends on all of phase 1)", Some(4)),
            ("Do, depends on 1.1", Some(4)),
            ("Do depends: 1.1", Some(3)),
            ("Do [depends: 1.1]", Some(4)),
            ("Do (depends: 1.1", Some(4)),
            ("Do (depends: 1.1) depends:1.2", Some(18)),
            ("Do (depends: 1.1)", None),
            ("See what depends on it", None),
            ("Parse depends: groups", None),
        ] {
            assert_eq!(paraphrased(description, |_| true), expected, "{description:?}");
            assert_eq!(paraphrased(description, |_| false), None);
        }
    }
}
