//! Names: what identifies a plan, a task, an orchestrator, and which texts are allowed for that.
//!
//! A name is checked once, where it enters; after that the type vouches for it. Odd characters are fine (keys
//! are percent-encoded, see [`crate::keys`]); what is refused would not survive a terminal, a command line or
//! a key.

use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} {rule}")]
pub struct InvalidName {
    /// What the text was meant to name: `plan name`, `task id`, …
    pub kind: &'static str,
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// The rule that it breaks, as the rest of a sentence.
    pub rule: Cow<'static, str>,
}

/// The rule that all names share: 1 to `max` bytes, no control characters, no `/` (it separates a plan from a
/// task on command lines), no blank at either end, no `-` at the start (it would read as a flag).
fn check(kind: &'static str, text: &str, max: usize) -> Result<(), InvalidName> {
    let rule: Cow<'static, str> = if text.is_empty() {
        "is empty".into()
    } else if text.len() > max {
        format!("has {} bytes; at most {max} are allowed", text.len()).into()
    } else if text.chars().any(char::is_control) {
        "contains a control character".into()
    } else if text.contains('/') {
        "contains a `/`, which is kept for separating a plan from a task".into()
    } else if text.trim() != text {
        "begins or ends with a blank".into()
    } else if text.starts_with('-') {
        "begins with `-`, which would read as a flag".into()
    } else {
        return Ok(());
    };
    Err(InvalidName { kind, text: text.chars().take(80).collect(), rule })
}

/// The text as one word of a shell's command line: as it is where no shell takes it for more, else in quotes.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '%' | '+' | ',');
    if text.chars().all(is_plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")).into() }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the text and wraps it.
            ///
            /// # Errors
            /// [`InvalidName`] with the rule that the text breaks; nothing else can go wrong.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                check($kind, text.as_ref(), $max)?;
                Ok(Self(text.as_ref().into()))
            }

            /// The name as a person can paste it into a command line, in quotes where a shell would take it
            /// for more than a word.
            #[must_use]
            pub fn quoted(&self) -> Cow<'_, str> {
                quoted(&self.0)
            }

            /// Checks that something new may be called so. `.` and `..` may not: in paths and in addresses
            /// they stand for folders, so a client would ask for something else. What has such a name already
            /// keeps it.
            ///
            /// # Errors
            /// [`InvalidName`] for these two.
            pub fn check_new(&self) -> Result<(), InvalidName> {
                if !matches!(self.as_str(), "." | "..") {
                    return Ok(());
                }
                let rule = "stands for a folder in paths and addresses; nothing new can be called so".into();
                Err(InvalidName { kind: $kind, text: self.as_str().to_owned(), rule })
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// Names a plan within its namespace. Invariant: 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    PlanName, "plan name", 128
}
name! {
    /// Names a task within its plan, as `2.3`. Invariant: 1 to 64 bytes that satisfy the rule of all names.
    ///
    /// Sorts number by number: `1.10` comes after `1.9`.
    TaskId, "task id", 64
}
name! {
    /// Names one *incarnation* of an orchestrator: a new process gets a new identity, so that what a crashed
    /// process left behind is never taken for the work of its successor. Invariant: 1 to 128 bytes.
    #[derive(PartialOrd, Ord)]
    OrchestratorId, "orchestrator id", 128
}
name! {
    /// Separates teams that share one etcd: nothing is ever read or written across namespaces. 1 to 64 bytes.
    Namespace, "namespace", 64
}
name! {
    /// Names a host, as the operating system does. 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    HostName, "host name", 128
}
name! {
    /// Names a worktree on its host. 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    WorktreeName, "worktree name", 128
}
name! {
    /// Names a lock, of a plan or of a namespace. 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    LockName, "lock name", 128
}
name! {
    /// Names a pool. 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    PoolName, "pool name", 128
}
name! {
    /// Names a hook. 1 to 128 bytes that satisfy the rule of all names.
    #[derive(PartialOrd, Ord)]
    HookName, "hook name", 128
}

impl Ord for TaskId {
    fn cmp(&self, other: &Self) -> Ordering {
        natural(&self.0, &other.0)
    }
}

impl PartialOrd for TaskId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Compares part by part between the dots, numbers as numbers; equal only if the texts are equal.
fn natural(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal; // Most of those that are compared are looked for.
    }
    // The parts before the first difference are equal.
    let common = a.bytes().zip(b.bytes()).take_while(|(l, r)| l == r).count();
    let same = a.as_bytes()[..common].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    parts(&a[same..], &b[same..]).then_with(|| a.cmp(b)) // `01` and `1` are different texts.
}

/// The same, but `01` and `1` are equal.
fn parts(a: &str, b: &str) -> Ordering {
    fn number(part: &str) -> Option<&str> {
        let digits = part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty();
        digits.then(|| part.trim_start_matches('0'))
    }
    let mut left = a.split('.');
    let mut right = b.split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(l), Some(r)) => match (number(l), number(r)) {
                (Some(ln), Some(rn)) => ln.len().cmp(&rn.len()).then_with(|| ln.cmp(rn)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => l.cmp(r),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// An etcd lease id; shown and stored in keys as etcd's own tools do, in lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LeaseId(i64);

impl LeaseId {
    /// Wraps the id that etcd uses on the wire; `None` for 0, which etcd uses for "no lease", and below,
    /// where etcd makes none and its tools disagree on how to write one.
    #[must_use]
    pub fn from_wire(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The id as etcd uses it on the wire.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for LeaseId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            kind: "lease id",
            text: text.chars().take(80).collect(),
            rule: "is not a positive number of up to 16 hex digits".into(),
        };
        i64::from_str_radix(text, 16).ok().and_then(Self::from_wire).ok_or_else(invalid)
    }
}

impl TryFrom<String> for LeaseId {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<LeaseId> for String {
    fn from(id: LeaseId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_odd_characters_are_kept_as_they_are() {
        for text in ["a", "fix: the “bug” #42 (ü)", "..", "%2F", "a b", "日本", "x'y\"z"] {
            assert_eq!(PlanName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_break_a_rule_are_refused_with_the_rule() {
        for (text, rule) in [
            ("", "is empty"),
            ("a/b", "contains a `/`"),
            ("a\nb", "control character"),
            (" a", "blank"),
            ("-a", "flag"),
            (&"x".repeat(129), "has 129 bytes"),
        ] {
            let error = PlanName::new(text).unwrap_err().to_string();
            assert!(error.contains(rule), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_name_is_one_word_on_a_command_line() {
        let quoted = |text| PlanName::new(text).unwrap().quoted().into_owned();
        for text in ["release", "1.2", "日本", "ci-1_b@host"] {
            assert_eq!(quoted(text), text);
        }
        for (text, shown) in [
            ("a b", "'a b'"),
            ("$(touch pwned)", "'$(touch pwned)'"),
            ("x;reboot", "'x;reboot'"),
            ("it's", r"'it'\''s'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_the_rule_says() {
        assert!(PlanName::new("x".repeat(128)).is_ok());
        assert!(TaskId::new("x".repeat(64)).is_ok() && TaskId::new("x".repeat(65)).is_err());
    }

    #[test]
    fn parts_of_task_ids_that_are_no_numbers_sort_as_text() {
        let mut ids = ["b", "aa", "1b", "12", "2"].map(|text| TaskId::new(text).unwrap());
        ids.sort();
        assert_eq!(ids.map(|id| id.to_string()), ["2", "12", "1b", "aa", "b"]);
    }

    #[test]
    fn task_ids_sort_number_by_number() {
        let mut ids: Vec<TaskId> = ["1.10", "1.9", "2.1", "1.9.1", "10.1", "V1", "1.9.10", "1.9.2"]
            .iter()
            .map(|text| TaskId::new(text).unwrap())
            .collect();
        ids.sort();
        let sorted: Vec<&str> = ids.iter().map(TaskId::as_str).collect();
        assert_eq!(sorted, ["1.9", "1.9.1", "1.9.2", "1.9.10", "1.10", "2.1", "10.1", "V1"]);
    }

    #[test]
    fn what_two_ids_begin_with_alike_makes_no_difference() {
        let mut ids = vec![String::new()];
        let mut longest = 0..1;
        for _ in 0..4 {
            let longer: Vec<_> = ids[longest]
                .iter()
                .flat_map(|id| ["0", "1", "é", "."].map(|next| format!("{id}{next}")))
                .collect();
            longest = ids.len()..ids.len() + longer.len();
            ids.extend(longer);
        }
        for a in &ids {
            for b in &ids {
                assert_eq!(natural(a, b), parts(a, b).then_with(|| a.cmp(b)), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn lease_ids_read_back_what_they_show() {
        let id = LeaseId::from_wire(0x694d_7eab).unwrap();
        assert_eq!((id.to_string().as_str(), id.to_wire()), ("694d7eab", 0x694d_7eab));
        assert_eq!("694d7eab".parse::<LeaseId>().unwrap(), id);
        assert!("0".parse::<LeaseId>().is_err());
        assert!("xyz".parse::<LeaseId>().is_err());
    }
}
