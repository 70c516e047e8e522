//! Warnings that a client can cause again and again: the first one is logged, the others are counted.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often the counts are logged.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// How many kinds of warnings are counted separately. There are as many as there are reasons, for each user
/// of the host.
const KINDS: usize = 256;

/// The warnings since the counts were logged.
#[derive(Debug, Default)]
pub(crate) struct Repeated(Mutex<BTreeMap<Kind, Counted>>);

/// Why, and of which user, where that is known.
type Kind = (String, Option<u32>);

#[derive(Debug, Default)]
struct Counted {
    /// How many were not logged.
    more: u64,
    /// The peer of the last one.
    last: String,
}

impl Repeated {
    /// Whether this one is to be logged: it is the first of its kind in this time. Else it is counted.
    pub(crate) fn is_first(&self, why: &str, uid: Option<u32>, peer: &dyn Display) -> bool {
        let mut kinds = self.kinds();
        let kind = (why.to_owned(), uid);
        let full = kinds.len() >= KINDS && !kinds.contains_key(&kind);
        let kind = if full { ("many reasons".to_owned(), None) } else { kind };
        match kinds.get_mut(&kind) {
            Some(counted) => {
                counted.more += 1;
                counted.last = peer.to_string();
                false
            }
            None => {
                kinds.insert(kind, Counted::default());
                true
            }
        }
    }

    /// Logs how many there were besides the logged ones.
    pub(crate) fn report(&self) {
        let counted: Vec<_> = {
            let mut kinds = self.kinds();
            kinds.retain(|_, counted| counted.more > 0);
            let take = |counted: &mut Counted| (std::mem::take(&mut counted.more), counted.last.clone());
            kinds.iter_mut().map(|((why, _), counted)| (why.clone(), take(counted))).collect()
        };
        for (why, (count, last)) in counted {
            tracing::warn!(count, why, last, "more of the same");
        }
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_logged_and_the_others_are_counted() {
        let repeated = Repeated::default();
        let first = |why: &str, uid| repeated.is_first(why, uid, &"someone");
        assert!(first("a", None) && first("b", None) && first("a", Some(1)));
        assert!(!first("a", None) && !first("a", None) && !first("a", Some(1)));
        let more = |repeated: &Repeated| repeated.kinds().values().map(|counted| counted.more).sum::<u64>();
        assert_eq!(more(&repeated), 3);
        repeated.report();
        assert_eq!(more(&repeated), 0);
        assert!(first("b", None), "it had not come again");
        assert!(!first("a", None), "it goes on");
    }

    #[test]
    fn the_kinds_are_bounded() {
        let repeated = Repeated::default();
        let logged = (0..10_000).filter(|n| repeated.is_first(&n.to_string(), None, &"someone")).count();
        assert_eq!(logged, KINDS + 1);
    }
}
