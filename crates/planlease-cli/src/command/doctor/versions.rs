//! Which etcd has which bugs that matter here, from its own changelogs.

use planlease::version_numbers;

/// A bug, and the patch release of each minor version that fixed it. `None`: that minor version never had
/// it.
struct Bug {
    what: &'static str,
    fixed: [Option<u32>; 3],
}

/// The minor versions of [`Bug::fixed`].
const MINORS: [u32; 3] = [4, 5, 6];

const BUGS: [Bug; 7] = [
    Bug { what: "watches repeat events", fixed: [Some(24), Some(8), None] },
    Bug { what: "watches go back in time after a snapshot", fixed: [Some(25), Some(8), None] },
    Bug { what: "a former leader revokes leases", fixed: [Some(31), Some(13), None] },
    Bug { what: "watches miss deletions at a compaction", fixed: [Some(36), Some(18), None] },
    Bug { what: "renewals of revoked leases succeed", fixed: [Some(38), Some(23), Some(5)] },
    Bug { what: "reads are stale after a pause", fixed: [Some(42), Some(28), Some(9)] },
    Bug { what: "nested transactions get around permissions", fixed: [Some(44), Some(30), Some(11)] },
];

/// The known bugs of a version that matter here; empty for one that is recommended.
pub(super) fn bugs(version: &str) -> Vec<&'static str> {
    let [major, minor, patch] = version_numbers(version);
    if major != 3 {
        return Vec::new();
    }
    let column = MINORS.iter().position(|known| *known == minor);
    let mut bugs: Vec<&str> = BUGS
        .iter()
        .filter(|bug| column.and_then(|column| bug.fixed[column]).is_some_and(|fixed| patch < fixed))
        .map(|bug| bug.what)
        .collect();
    if minor <= 4 {
        bugs.push("it gets no more corrections");
    }
    bugs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recommended_versions_have_no_known_bugs_and_older_ones_do() {
        for version in ["3.5.30", "3.5.31", "3.6.11", "3.7.0", "3.5.30+embedded"] {
            assert_eq!(bugs(version), Vec::<&str>::new(), "{version}");
        }
        assert_eq!(bugs("3.4.23").len(), 8);
        assert_eq!(bugs("3.5.29"), ["nested transactions get around permissions"]);
        assert_eq!(bugs("3.6.8").len(), 2);
        assert_eq!(bugs("3.4.45"), ["it gets no more corrections"]);
    }
}
