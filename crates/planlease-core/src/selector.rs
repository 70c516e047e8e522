//! Label selectors: which plans, or tasks, are meant by their labels. The grammar is that of `kubectl -l`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest selector, in bytes: it is stored in registrations.
pub const MAX_SELECTOR: usize = 4 * 1024;

/// Requirements on labels, all of which have to be met. Without any, everything is selected.
///
/// | written | met if |
/// | --- | --- |
/// | `key` | there is a label with this key |
/// | `!key` | there is none |
/// | `key=value`, `key==value` | a label has this key and this value |
/// | `key!=value` | none has |
/// | `key in (a,b)` | a label has this key and one of these values |
/// | `key notin (a,b)` | none has |
///
/// ```
/// use planlease_core::selector::Selector;
///
/// let selector: Selector = "team=payments, env!=prod".parse()?;
/// assert!(selector.matches([("team", "payments"), ("env", "test")]));
/// assert!(!selector.matches([("team", "payments"), ("env", "prod")]));
/// # Ok::<(), planlease_core::selector::InvalidSelector>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

/// What a requirement says of the labels with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Missing,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no label selector: {why}; write `key=value`, `key!=value`, `key in (a,b)`, `key` or `!key`, separated by commas"
)]
pub struct InvalidSelector {
    text: String,
    why: String,
}

impl Selector {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something with these labels is selected. A key may occur with several values.
    pub fn matches<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        if self.is_empty() {
            return true;
        }
        let labels: Vec<(&str, &str)> = labels.into_iter().collect();
        self.0.iter().all(|requirement| requirement.is_met(&labels))
    }

    /// The same for labels that are single words, as tasks have them: `gpu` is the key `gpu` without a value,
    /// `team=payments` the key `team` with a value.
    #[must_use]
    pub fn matches_words(&self, labels: &BTreeSet<String>) -> bool {
        self.matches(labels.iter().map(|label| label.split_once('=').unwrap_or((label, ""))))
    }
}

impl Requirement {
    fn is_met(&self, labels: &[(&str, &str)]) -> bool {
        let mut values = labels.iter().filter(|(key, _)| *key == self.key).map(|(_, value)| *value);
        match &self.operator {
            Operator::Exists => values.next().is_some(),
            Operator::Missing => values.next().is_none(),
            Operator::In(wanted) => values.any(|value| wanted.contains(value)),
            Operator::NotIn(unwanted) => !values.any(|value| unwanted.contains(value)),
        }
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let invalid = |why: String| InvalidSelector { text: text.chars().take(200).collect(), why };
        if text.len() > MAX_SELECTOR {
            return Err(invalid(format!("it is longer than {MAX_SELECTOR} bytes")));
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let parts = split(text).map_err(invalid)?;
        let requirements = parts.into_iter().map(requirement).collect::<Result<_, _>>();
        requirements.map(Self).map_err(invalid)
    }
}

/// The requirements: what stands between commas outside of parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if inside => return Err("a parenthesis is opened twice".to_owned()),
            ')' if !inside => return Err("a parenthesis is closed that is not open".to_owned()),
            '(' | ')' => inside = c == '(',
            ',' if !inside => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("a parenthesis is not closed".to_owned());
    }
    parts.push(&text[begin..]);
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let part = part.trim();
    if let Some(list) = part.strip_suffix(')') {
        return in_list(list);
    }
    let one = |value: &str| Ok::<_, String>(BTreeSet::from([word(value, "value")?]));
    if let Some((name, value)) = part.split_once("!=") {
        return Ok(Requirement { key: key(name)?, operator: Operator::NotIn(one(value)?) });
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement { key: key(name)?, operator: Operator::In(one(value)?) });
    }
    if let Some(name) = part.strip_prefix('!') {
        return Ok(Requirement { key: key(name)?, operator: Operator::Missing });
    }
    Ok(Requirement { key: key(part)?, operator: Operator::Exists })
}

/// `key in (a,b` or `key notin (a,b`.
fn in_list(text: &str) -> Result<Requirement, String> {
    let Some((head, list)) = text.split_once('(') else { return Err("a list has no beginning".to_owned()) };
    let Some((name, operator)) = head.trim().rsplit_once(char::is_whitespace) else {
        return Err("a list stands behind `in` or `notin`".to_owned());
    };
    let values = list.split(',').map(|value| word(value, "value")).collect::<Result<_, _>>()?;
    let operator = match operator {
        "in" => Operator::In(values),
        "notin" => Operator::NotIn(values),
        other => return Err(format!("`{other}` is neither `in` nor `notin`")),
    };
    Ok(Requirement { key: key(name)?, operator })
}

fn key(text: &str) -> Result<String, String> {
    let key = word(text, "key")?;
    if key.is_empty() { Err("a key is missing".to_owned()) } else { Ok(key) }
}

fn word(text: &str, what: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || "=!(),".contains(*c)) {
        Some(c) => Err(format!("a {what} cannot contain {c:?}")),
        None => Ok(text.to_owned()),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, requirement) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let (sign, word, values) = match &self.operator {
            Operator::Exists => return f.write_str(key),
            Operator::Missing => return write!(f, "!{key}"),
            Operator::In(values) => ("=", "in", values),
            Operator::NotIn(values) => ("!=", "notin", values),
        };
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match values[..] {
            [value] => write!(f, "{key}{sign}{value}"),
            _ => write!(f, "{key} {word} ({})", values.join(",")),
        }
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        selector.parse::<Selector>().unwrap().matches(labels.iter().copied())
    }

    #[test]
    fn each_operator_selects_as_kubectl_does() {
        let labels = [("team", "payments"), ("env", "test"), ("empty", "")];
        for (selector, wanted) in [
            ("", true),
            ("team=payments", true),
            (" team == payments , env != prod ", true),
            ("team=billing", false),
            ("env!=test", false),
            ("other!=x", true),
            ("env in (prod, test)", true),
            ("env in (prod)", false),
            ("env notin (prod,stage)", true),
            ("env notin (test)", false),
            ("other notin (x)", true),
            ("other in (x)", false),
            ("team", true),
            ("!team", false),
            ("!other", true),
            ("empty=", true),
            ("team=payments,!env", false),
        ] {
            assert_eq!(selects(selector, &labels), wanted, "{selector}");
        }
    }

    #[test]
    fn words_are_keys_with_or_without_a_value() {
        let labels = BTreeSet::from(["gpu".to_owned(), "team=a".to_owned(), "team=b".to_owned()]);
        for (selector, wanted) in
            [("gpu", true), ("!gpu", false), ("team=b", true), ("team!=a", false), ("team in (c)", false)]
        {
            assert_eq!(selector.parse::<Selector>().unwrap().matches_words(&labels), wanted, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_reason() {
        for (text, why) in [
            ("=x", "a key is missing"),
            ("a,,b", "a key is missing"),
            ("a b", "cannot contain ' '"),
            ("a in (b", "not closed"),
            ("a)", "not open"),
            ("a in ((b))", "opened twice"),
            ("a of (b)", "neither `in` nor `notin`"),
            ("(a)", "behind `in`"),
            ("a=b=c", "cannot contain '='"),
            ("!!a", "cannot contain '!'"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn selectors() -> impl Strategy<Value = Selector> {
        let values = || btree_set("[a-c]{0,2}", 1..4);
        let operator = prop_oneof![
            Just(Operator::Exists),
            Just(Operator::Missing),
            values().prop_map(Operator::In),
            values().prop_map(Operator::NotIn),
        ];
        let requirement = ("[a-d]{1,2}", operator).prop_map(|(key, operator)| Requirement { key, operator });
        prop::collection::vec(requirement, 0..4).prop_map(Selector)
    }

    proptest! {
        #[test]
        fn a_selector_is_read_as_it_is_written(selector in selectors()) {
            prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c=!(), in]{0,24}") {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
            }
        }

        #[test]
        fn an_operator_and_its_opposite_split_everything(
            key in "[a-d]", values in btree_set("[a-c]", 1..3), labels in btree_set("[a-d]=[a-c]", 0..5),
        ) {
            let one = |operator| Selector(vec![Requirement { key: key.clone(), operator }]);
            let selects = |operator| one(operator).matches_words(&labels);
            prop_assert_ne!(selects(Operator::In(values.clone())), selects(Operator::NotIn(values)));
            prop_assert_ne!(selects(Operator::Exists), selects(Operator::Missing));
        }
    }
}
