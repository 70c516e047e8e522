//! The words that say that something comes first, in every spelling: `blocked by`, `blocked-by`, `blockedBy`.

/// How sure it is that a word states a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Used for little else.
    Strong,
    /// The same with its `on`.
    On,
    /// A common word: names have to follow.
    Weak,
    /// A word that needs a colon, or is prose: `(wait: 1.1)`.
    Label,
    /// As likely to be prose, wherever it stands.
    Hint,
}

/// The words, longer ones before those that they begin with. Blanks stand for what may join them.
pub(super) const WORDS: [(&str, Sort); 55] = [
    ("dependencies", Sort::Strong),
    ("dependency", Sort::Strong),
    ("dependent", Sort::Strong),
    ("depending", Sort::Weak),
    ("depends upon", Sort::On),
    ("depends on", Sort::On),
    ("depends to", Sort::On),
    ("depends", Sort::Strong),
    ("depend upon", Sort::On),
    ("depend on", Sort::On),
    ("depend to", Sort::On),
    ("depend", Sort::Strong),
    ("deps", Sort::Strong),
    ("dep", Sort::Strong),
    ("requires", Sort::Weak),
    ("required", Sort::Weak),
    ("require", Sort::Weak),
    ("requiring", Sort::Weak),
    ("needs", Sort::Weak),
    ("need", Sort::Weak),
    ("after", Sort::Weak),
    ("follows", Sort::Weak),
    ("follow", Sort::Weak),
    ("following", Sort::Weak),
    ("blocked by", Sort::Weak),
    ("blocked on", Sort::Weak),
    ("blocker", Sort::Label),
    ("blockers", Sort::Label),
    ("awaits", Sort::Weak),
    ("await", Sort::Weak),
    ("awaiting", Sort::Weak),
    ("waits for", Sort::Weak),
    ("waits on", Sort::Weak),
    ("waits", Sort::Label),
    ("wait for", Sort::Weak),
    ("wait on", Sort::Weak),
    ("wait", Sort::Label),
    ("waiting for", Sort::Weak),
    ("waiting on", Sort::Weak),
    ("waiting", Sort::Label),
    ("gated by", Sort::Weak),
    ("gated on", Sort::Weak),
    ("preceded by", Sort::Weak),
    ("predecessors", Sort::Weak),
    ("predecessor", Sort::Weak),
    ("pre requisites", Sort::Weak),
    ("pre requisite", Sort::Weak),
    ("pre reqs", Sort::Weak),
    ("pre req", Sort::Weak),
    ("once", Sort::Hint),
    ("when", Sort::Hint),
    ("as soon as", Sort::Hint),
    ("until", Sort::Hint),
    ("unblocked by", Sort::Hint),
    ("only if", Sort::Hint),
];

/// What may join two words, or stand between them.
pub(super) fn is_joint(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '_' | '‐' | '‑')
}

/// The length of the words that a text begins with, and their sort.
pub(super) fn opening(text: &str) -> Option<(usize, Sort)> {
    let first = text.bytes().next()?.to_ascii_lowercase();
    for (words, sort) in &WORDS {
        if words.as_bytes().first() == Some(&first)
            && let Some(length) = length(text, words)
        {
            return Some((length, *sort));
        }
    }
    None
}

/// How long these words are at the beginning of a text, whatever their case and what joins them; `None` if it
/// begins with others.
fn length(text: &str, words: &str) -> Option<usize> {
    let mut rest = text;
    for word in words.split(' ') {
        if rest.len() < text.len() {
            rest = rest.trim_start_matches(is_joint);
        }
        let (start, after) = rest.split_at_checked(word.len())?;
        if !start.eq_ignore_ascii_case(word) {
            return None;
        }
        rest = after;
    }
    (!rest.starts_with(char::is_alphanumeric)).then(|| text.len() - rest.len())
}

/// Words in front of the number of a task that speak of it, and of no dependency.
const MENTIONS: &str = "also and as at by cf chapter covered e eg for from i ie in is \
    item items like of on or parallel part phase phases related relates req requirement requirements reqs \
    same section see step steps task tasks to via with";

/// Whether words only mention the task whose number follows.
pub(super) fn is_mention(words: &str) -> bool {
    let first = words.split(is_joint).next().unwrap_or_default();
    let is_version = ["v", "version", "python", "node"].iter().any(|word| first.eq_ignore_ascii_case(word));
    is_version || MENTIONS.split(' ').any(|word| first.eq_ignore_ascii_case(word))
}

/// The words that misspelt ones may stand for. Short words are too much like others.
pub(super) fn meant(words: &str) -> Option<&'static str> {
    const SHORT: usize = 6;
    const ONE_IN: usize = 4; // Of so many letters one may be wrong.
    let said = letters(words);
    let wrong = said.len() / ONE_IN;
    let candidates = WORDS.into_iter().filter(|(_, sort)| *sort != Sort::Hint).map(|(known, _)| known);
    let near = candidates.filter_map(|known| {
        let known_letters = letters(known);
        let is_alike = known_letters.len().abs_diff(said.len()) <= wrong
            && known_letters.len() >= SHORT
            && known_letters.as_bytes().first() == said.as_bytes().first();
        let distance = is_alike.then(|| strsim::osa_distance(&known_letters, &said))?;
        (distance <= wrong).then_some((distance, known))
    });
    near.min().map(|(_, known)| known).filter(|_| said.len() >= SHORT)
}

/// The letters of a text, in lower case.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_of_a_word_is_known() {
        for (text, sort) in [
            ("blocked by 1", Sort::Weak),
            ("Blocked-By: 1", Sort::Weak),
            ("blockedBy 1", Sort::Weak),
            ("BLOCKED_BY", Sort::Weak),
            ("blockedby", Sort::Weak),
            ("waits-for: 1", Sort::Weak),
            ("waitFor", Sort::Weak),
            ("wait: 1", Sort::Label),
            ("prereq: 1", Sort::Weak),
            ("pre-reqs", Sort::Weak),
            ("Prerequisites", Sort::Weak),
            ("dependsOn", Sort::On),
            ("depends-upon", Sort::On),
            ("depends to: 1", Sort::On),
            ("depends", Sort::Strong),
            ("once 1", Sort::Hint),
        ] {
            assert_eq!(opening(text).map(|(_, sort)| sort), Some(sort), "{text:?}");
        }
        assert_eq!(opening("blocked-by: 1"), Some(("blocked-by".len(), Sort::Weak)));
        for text in ["blockedbyme", "whenever", "dependable", "1.1", "", "ä"] {
            assert_eq!(opening(text), None, "{text:?}");
        }
    }

    #[test]
    fn no_word_hides_a_longer_one() {
        for (at, (word, sort)) in WORDS.into_iter().enumerate() {
            assert_eq!(opening(word), Some((word.len(), sort)), "{at}");
            assert!(sort == Sort::Hint || !is_mention(word), "{word}");
        }
    }

    #[test]
    fn a_misspelt_word_is_taken_for_the_nearest() {
        for (words, known) in [
            ("depnds", Some("depends")),
            ("Dependes", Some("depends")),
            ("depnds on", Some("depends on")),
            ("dependancies", Some("dependencies")),
            ("wiats-for", Some("waits for")),
            ("blockd by", Some("blocked by")),
            ("prerequsites", Some("pre requisites")),
            ("requirements", None),
            ("requests", None),
            ("affects", None),
            ("blocks", None),
            ("before", None),
            ("alter", None),
        ] {
            assert_eq!(meant(words), known, "{words}");
        }
    }
}
