//! Numbers that must be different but need not be secret: cluster, member and lease ids, all from a seed.
//!
//! A lease id that was used before the server was opened the last time must not come again, or a client that
//! slept through it would take another client's lease for its own. So the number of the opening goes into the
//! sequence.

/// A sequence of ids.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    /// The sequence of one opening of a server.
    pub(crate) fn new(seed: u64, opening: u64) -> Self {
        Self { state: mix(seed) ^ mix(opening.rotate_left(32)) }
    }

    /// The next positive id that is not taken.
    pub(crate) fn next(&mut self, taken: impl Fn(i64) -> bool) -> i64 {
        loop {
            self.state = self.state.wrapping_add(GOLDEN);
            let id = i64::try_from(mix(self.state) >> 1).expect("63 bits");
            if id != 0 && !taken(id) {
                return id;
            }
        }
    }
}

/// The id of the cluster that a seed makes; never 0.
pub(crate) fn cluster_id(seed: u64) -> u64 {
    mix(seed.wrapping_add(GOLDEN)) | 1
}

/// The id of the only member of a cluster; never 0.
pub(crate) fn member_id(cluster_id: u64) -> u64 {
    mix(cluster_id) | 1
}

/// 2^64 divided by the golden ratio, the step of the SplitMix64 generator.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: a bijection that spreads every bit over all others.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positive_and_differ_within_and_between_openings() {
        let ids = |opening| {
            let mut ids = Ids::new(7, opening);
            std::iter::repeat_with(move || ids.next(|_| false)).take(1000)
        };
        let all: std::collections::BTreeSet<_> = (0..5).flat_map(ids).collect();
        assert_eq!(all.len(), 5000);
        assert!(all.iter().all(|id| *id > 0));
        assert_ne!(cluster_id(0), cluster_id(1));
    }
}
