//! The watches of one stream, each with our number and the server's: etcd takes the numbers that it is asked
//! for, its proxy (`etcd grpc-proxy`) gives numbers of its own, and answers in any order.
//!
//! The first answer shows which of the two it is. Until then, and behind a proxy, one watch is requested at a
//! time, so that each answer has one question.

use std::collections::{BTreeMap, VecDeque};

use planlease_core::keys::KeyRange;

use super::watch_spec::WatchSpec;

/// Our number of a watch that is asked for only to see whether the stream is alive. Those of callers are
/// positive.
const PING: i64 = 0;

/// What is to be sent.
#[derive(Clone, Debug)]
pub(super) enum Send {
    Create(WatchSpec),
    /// By the server's number.
    Cancel(i64),
}

/// The watches of one stream, by our numbers and by the server's.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Whether the server gives numbers of its own; `None` before its first answer.
    assigned: Option<bool>,
    /// What our watches are over.
    ranges: BTreeMap<i64, KeyRange>,
    /// Ours by the server's, where it gives its own.
    ours: BTreeMap<i64, i64>,
    /// The one that is asked for and not there yet, where one is at a time.
    asked: Option<i64>,
    /// Those that are asked for later.
    later: VecDeque<WatchSpec>,
}

impl Numbers {
    /// Another watch.
    pub(super) fn add(&mut self, spec: WatchSpec) -> Vec<Send> {
        self.ranges.insert(spec.id, spec.range.clone());
        if self.assigned == Some(false) {
            return vec![Send::Create(spec)];
        }
        self.later.push_back(spec);
        self.next().into_iter().collect()
    }

    /// One watch less.
    pub(super) fn remove(&mut self, id: i64) -> Vec<Send> {
        self.ranges.remove(&id);
        self.later.retain(|spec| spec.id != id);
        if self.assigned == Some(false) {
            return vec![Send::Cancel(id)];
        }
        // One that is asked for at this moment is ended when it is there.
        let theirs = self.ours.iter().find_map(|(theirs, ours)| (*ours == id).then_some(*theirs));
        self.ours.retain(|_, ours| *ours != id);
        theirs.map(Send::Cancel).into_iter().collect()
    }

    /// A watch is there, under this number of the server's: ours, and what is to be sent now.
    pub(super) fn created(&mut self, theirs: i64) -> (i64, Vec<Send>) {
        if self.assigned == Some(false) {
            return (theirs, Vec::new());
        }
        let id = self.asked.take().unwrap_or(theirs);
        if self.assigned.is_none() {
            self.assigned = Some(id != theirs);
        }
        let mut send = Vec::new();
        if self.assigned == Some(false) {
            if !self.ranges.contains_key(&id) {
                send.push(Send::Cancel(theirs));
            }
            send.extend(self.later.drain(..).map(Send::Create));
            return (id, send);
        }
        if self.ranges.contains_key(&id) {
            self.ours.insert(theirs, id);
        } else {
            send.push(Send::Cancel(theirs)); // Not wanted any more, or a question whether the stream is alive.
        }
        send.extend(self.next());
        (id, send)
    }

    /// Our number of a watch that the server speaks of; `None` if there is none. Negative ones are the
    /// stream's.
    pub(super) fn ours(&self, theirs: i64) -> Option<i64> {
        match self.assigned {
            Some(true) if theirs >= 0 => self.ours.get(&theirs).copied(),
            _ => Some(theirs),
        }
    }

    /// Whether a key is one that the watch was asked for; any is, of a watch that is over.
    pub(super) fn covers(&self, id: i64, key: &[u8]) -> bool {
        self.ranges.get(&id).is_none_or(|range| match range.end.is_empty() {
            true => range.start == key,
            false => range.contains(key),
        })
    }

    /// Asks whether the stream is alive. `None` where the server can be asked for its progress; a proxy
    /// cannot.
    pub(super) fn ping(&mut self) -> Option<Vec<Send>> {
        if self.assigned != Some(true) {
            return None;
        }
        if self.asked.is_none()
            && self.later.is_empty()
            && let Some(range) = self.ranges.values().next()
        {
            self.later.push_back(WatchSpec::of_the_future(PING, range.clone()));
        }
        Some(self.next().into_iter().collect())
    }

    fn next(&mut self) -> Option<Send> {
        if self.asked.is_some() {
            return None;
        }
        let spec = self.later.pop_front()?;
        self.asked = Some(spec.id);
        Some(Send::Create(spec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(id: i64) -> WatchSpec {
        WatchSpec::of_the_future(id, KeyRange { start: format!("k{id}").into_bytes(), end: Vec::new() })
    }

    fn said(send: &[Send]) -> String {
        let one = |send: &Send| match send {
            Send::Create(spec) => format!("+{}", spec.id),
            Send::Cancel(theirs) => format!("-{theirs}"),
        };
        send.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn etcd_takes_our_numbers() {
        let mut numbers = Numbers::default();
        assert_eq!(said(&numbers.add(watch(5))), "+5");
        assert_eq!(said(&numbers.add(watch(6))), "", "not before the first answer");
        assert_eq!(said(&numbers.add(watch(7))), "");
        assert_eq!(said(&numbers.remove(7)), "");
        let (id, send) = numbers.created(5);
        assert_eq!((id, said(&send).as_str()), (5, "+6"));
        assert_eq!(said(&numbers.add(watch(8))), "+8", "at once from now on");
        assert_eq!((numbers.created(6).0, numbers.created(8).0, numbers.ours(8)), (6, 8, Some(8)));
        assert!(numbers.covers(8, b"k8") && !numbers.covers(8, b"k5"));
        assert_eq!(said(&numbers.remove(8)), "-8");
        assert!(numbers.ping().is_none());
    }

    #[test]
    fn a_proxy_gives_its_own() {
        let mut numbers = Numbers::default();
        assert_eq!(said(&numbers.add(watch(1))), "+1");
        numbers.add(watch(2));
        numbers.add(watch(3));
        let (id, send) = numbers.created(0);
        assert_eq!((id, said(&send).as_str()), (1, "+2"));
        assert_eq!((numbers.ours(0), numbers.ours(1), numbers.ours(-1)), (Some(1), None, Some(-1)));
        assert_eq!(said(&numbers.remove(2)), "", "its number is not known yet");
        let (id, send) = numbers.created(1);
        assert_eq!((id, said(&send).as_str()), (2, "-1 +3"));
        assert_eq!(numbers.created(2).0, 3);
        assert_eq!(
            (numbers.ours(2), said(&numbers.remove(1)).as_str(), numbers.ours(0)),
            (Some(3), "-0", None)
        );
        // One more watch, which is ended at once, shows whether it is alive.
        assert_eq!(said(&numbers.ping().unwrap()), "+0");
        assert_eq!(said(&numbers.ping().unwrap()), "", "asked already");
        let (id, send) = numbers.created(7);
        assert_eq!((id, said(&send).as_str(), numbers.ours(7)), (PING, "-7", None));
    }
}
