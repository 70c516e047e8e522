//! Pools: how many tasks that use one may be in progress at once, across plans and hosts; and which permits a
//! start takes.
//!
//! A pool of size n has permits with the numbers from 0. A start takes the permits that it needs in the
//! transaction that writes the task's record: it compares that each is free, and that the pool is defined as
//! it was read. Each permit is a key on the lease of its claim, whose name ends with that lease.
//!
//! Where a pool was made smaller while permits were taken, those with high numbers are still taken for a
//! while. So a start takes permits below [`PoolView::open`] only: as many as there is room for beside those
//! above. No other start takes any above either, so what was counted there can only get less.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    change::Entry,
    codec::{self, FormatVersion},
    counted::counted,
    extra::Extra,
    id::{LeaseId, PlanName, PoolName, TaskId},
    keys::Key,
    revision::Revision,
    time::WallTime,
};

/// The largest size of a pool: all its permits are read before a start. A stored definition with more of them
/// is not readable.
pub const MAX_POOL: u32 = 1_000;

/// The most pools that one task can use, and the most permits that it can take in all: each is compared in
/// the transaction that starts it, beside what it depends on.
pub const MAX_USES: (usize, u32) = (4, 12);

/// The longest description of a pool, in bytes.
pub const MAX_DESCRIPTION: usize = 1_000;

/// The pools that a task uses, and how many permits of each it takes. Written as a list of names, or as a map
/// with numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Pools(BTreeMap<PoolName, u32>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Names(Vec<PoolName>),
    Permits(BTreeMap<PoolName, u32>),
}

impl TryFrom<Written> for Pools {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let pools = match written {
            Written::Permits(pools) => pools,
            Written::Names(names) => {
                let count = names.len();
                let pools: BTreeMap<_, _> = names.into_iter().map(|name| (name, 1)).collect();
                if pools.len() < count {
                    return Err("a pool is named twice: write { name = 2 } for two permits".to_owned());
                }
                pools
            }
        };
        Self::new(pools)
    }
}

impl Pools {
    /// These permits of these pools.
    ///
    /// # Errors
    /// Why a task cannot take that many, as a sentence.
    pub fn new(pools: BTreeMap<PoolName, u32>) -> Result<Self, String> {
        if let Some((name, _)) = pools.iter().find(|(_, permits)| **permits == 0) {
            return Err(format!(
                "pool {name}: 0 permits bound nothing; leave the pool out, or take at least 1"
            ));
        }
        let permits = pools.values().fold(0, |sum: u32, permits| sum.saturating_add(*permits));
        if pools.len() > MAX_USES.0 || permits > MAX_USES.1 {
            return Err(format!(
                "{} of {}: a task can take at most {} permits of at most {} pools",
                counted(usize::try_from(permits).unwrap_or(usize::MAX), "permit"),
                counted(pools.len(), "pool"),
                MAX_USES.1,
                MAX_USES.0
            ));
        }
        Ok(Self(pools))
    }

    /// Whether none is used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pools, each with how many permits of it are taken.
    pub fn iter(&self) -> impl Iterator<Item = (&PoolName, u32)> {
        self.0.iter().map(|(name, permits)| (name, *permits))
    }
}

impl fmt::Display for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, permits)) in self.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            name.fmt(f)?;
            if permits > 1 {
                write!(f, " ({permits} permits)")?;
            }
        }
        Ok(())
    }
}

/// The definition of a pool (`pools/{pool}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// How many permits it has, at most [`MAX_POOL`]; 0 lets nothing start.
    #[serde(deserialize_with = "bounded")]
    pub size: u32,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who defined it last.
    pub by: String,
    /// When.
    pub at: WallTime,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Reads the size of a pool, which is counted through before each start.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let size = u32::deserialize(deserializer)?;
    if size > MAX_POOL {
        return Err(D::Error::custom(format!("a pool of {size} permits; at most {MAX_POOL} can be used")));
    }
    Ok(size)
}

/// Who has a permit (`pools/{pool}/permits/{number}/{lease}`), for people: the key counts, whatever its
/// value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// The plan of the task.
    pub plan: PlanName,
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: u32,
    /// The claimant.
    pub by: String,
    /// Since when.
    pub since: WallTime,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The permits of a claim, as its task's record has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// The lease that their keys hang on: that of the claim.
    pub lease: LeaseId,
    /// The numbers of the permits, by pool.
    pub taken: BTreeMap<PoolName, Vec<u32>>,
}

impl Permits {
    /// The keys of these permits.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let of = |(pool, numbers): (&PoolName, &Vec<u32>)| {
            let (pool, lease) = (pool.clone(), self.lease);
            numbers.clone().into_iter().map(move |number| Key::Permit(pool.clone(), number, lease))
        };
        self.taken.iter().flat_map(of)
    }
}

/// Why a task cannot take the permits that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolWait {
    /// No operator has defined the pool, or it was deleted.
    Unknown(PoolName),
    /// Its definition cannot be read, for this reason.
    Unreadable(PoolName, String),
    /// The pool is smaller than what the task needs.
    TooSmall {
        /// The pool.
        pool: PoolName,
        /// How many permits it has.
        size: u32,
        /// How many the task needs.
        needs: u32,
    },
    /// Too few permits are free.
    Full {
        /// The pool.
        pool: PoolName,
        /// How many permits it has.
        size: u32,
        /// How many of them are taken; more than there are after it was made smaller.
        used: u32,
        /// How many the task needs.
        needs: u32,
        /// The first of those that have one, as `plan/task`.
        users: Vec<String>,
    },
}

impl PoolWait {
    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PoolName {
        let (Self::Unknown(pool)
        | Self::Unreadable(pool, _)
        | Self::TooSmall { pool, .. }
        | Self::Full { pool, .. }) = self;
        pool
    }

    /// Whether it ends by itself, when other tasks end. Else an operator has to act.
    #[must_use]
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Full { size, .. } if *size > 0)
    }
}

impl fmt::Display for PoolWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(pool) => write!(f, "pool {pool} is not defined"),
            Self::Unreadable(pool, why) => write!(f, "the definition of pool {pool} cannot be read: {why}"),
            Self::TooSmall { pool, size, needs } => {
                write!(f, "pool {pool} has {size} of the {needs} permits that the task needs")
            }
            Self::Full { pool, size, used, users, needs } => {
                write!(f, "waits for ")?;
                if *needs > 1 {
                    write!(f, "{needs} permits of ")?;
                }
                write!(f, "pool {pool} ({used} of {size} in use")?;
                if !users.is_empty() {
                    let more = usize::try_from(*used).unwrap_or(usize::MAX).saturating_sub(users.len());
                    write!(f, ": {}", users.join(", "))?;
                    if more > 0 {
                        write!(f, " and {more} more")?;
                    }
                }
                f.write_str(")")
            }
        }
    }
}

/// How long a process that waits lets others go first when a pool has room again, so that not all of them try
/// at once: up to 50 ms, less for plans of a higher priority, and half as long after each 10 s of waiting.
/// After a minute the priority makes no difference: who waits longest tries first.
#[must_use]
pub fn patience(priority: i32, waited: Duration, lease: LeaseId, at: Revision) -> Duration {
    let waited = u32::try_from(waited.as_secs() / 10).unwrap_or(u32::MAX).min(6);
    let level = if waited == 6 { 0 } else { priority.clamp(-4, 4) };
    let longest = Duration::from_millis(50) / (1 << waited);
    let longest = match u32::try_from(level) {
        Ok(above) => longest / (1 + above),
        Err(_) => longest * (1 + level.unsigned_abs()),
    };
    // A share of it that differs from process to process and from time to time.
    let mixed =
        (lease.to_wire().cast_unsigned() ^ at.to_wire().cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    longest * u32::try_from(mixed >> 48).unwrap_or(0) / (1 << 16)
}

/// A permit that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitView {
    /// The lease that it hangs on.
    pub lease: LeaseId,
    /// The revision since which its attempt has it.
    pub since: Revision,
    /// Who has it, if that can be read.
    pub record: Option<PermitRecord>,
}

/// A pool, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolView {
    /// Its definition, with the revision that wrote it; or why it cannot be read. `None` if there is none.
    pub definition: Option<(Revision, Result<PoolRecord, String>)>,
    /// The permits that are taken, by their numbers.
    pub permits: BTreeMap<u32, PermitView>,
}

/// How many of those that have a permit are named.
const NAMED: usize = 3;

impl PoolView {
    /// How many permits it has; 0 if it is not defined, or not readable.
    #[must_use]
    pub fn size(&self) -> u32 {
        match &self.definition {
            Some((_, Ok(record))) => record.size,
            _ => 0,
        }
    }

    /// How many permits are taken.
    #[must_use]
    pub fn used(&self) -> u32 {
        u32::try_from(self.permits.len()).unwrap_or(u32::MAX)
    }

    /// Up to which number starts take permits: as many as there is room for beside those that are taken
    /// above.
    #[must_use]
    pub fn open(&self) -> u32 {
        let mut open = self.size();
        while open > 0 {
            let above = u32::try_from(self.permits.range(open..).count()).unwrap_or(u32::MAX);
            if open.saturating_add(above) <= self.size() {
                break;
            }
            open -= 1;
        }
        open
    }

    /// Who has its permits, the first ones first.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        let name = |permit: &PermitView| match &permit.record {
            Some(record) => format!("{}/{}", record.plan, record.task),
            None => format!("lease {}", permit.lease),
        };
        self.permits.values().map(name).collect()
    }

    /// What keeps a task that needs this many of its permits from starting.
    fn wait(&self, pool: &PoolName, needs: u32) -> Option<PoolWait> {
        let size = match &self.definition {
            None => return Some(PoolWait::Unknown(pool.clone())),
            Some((_, Err(why))) => return Some(PoolWait::Unreadable(pool.clone(), why.clone())),
            Some((_, Ok(record))) => record.size,
        };
        if size > 0 && size < needs {
            return Some(PoolWait::TooSmall { pool: pool.clone(), size, needs });
        }
        let used = self.used();
        (self.free().count() < usize::try_from(needs).unwrap_or(usize::MAX)).then(|| {
            let users = self.users().into_iter().take(NAMED).collect();
            PoolWait::Full { pool: pool.clone(), size, used, needs, users }
        })
    }

    /// The numbers of the permits that a start can take.
    fn free(&self) -> impl Iterator<Item = u32> {
        (0..self.open()).filter(|number| !self.permits.contains_key(number))
    }
}

/// Pools of a namespace, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolsView(pub BTreeMap<PoolName, PoolView>);

impl PoolsView {
    /// What these keys say.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        let mut pools = Self::default();
        for (key, entry) in entries {
            pools.apply(&key, Some(&entry));
        }
        pools
    }

    /// Applies a change of one key; other keys change nothing.
    pub fn apply(&mut self, key: &Key, entry: Option<&Entry>) {
        let name = match key {
            Key::Pool(pool) => {
                let definition = |entry: &Entry| {
                    let record = codec::decode(&entry.value).map_err(|error| error.to_string());
                    (entry.modified, record)
                };
                self.0.entry(pool.clone()).or_default().definition = entry.map(definition);
                pool
            }
            Key::Permit(pool, number, lease) => {
                let permits = &mut self.0.entry(pool.clone()).or_default().permits;
                match entry {
                    Some(entry) => {
                        let record = codec::decode(&entry.value).ok();
                        permits.insert(*number, PermitView { lease: *lease, since: entry.modified, record });
                    }
                    None if permits.get(number).is_some_and(|permit| permit.lease == *lease) => {
                        permits.remove(number);
                    }
                    None => {}
                }
                pool
            }
            _ => return,
        };
        if self.0.get(name).is_some_and(|pool| *pool == PoolView::default()) {
            self.0.remove(name);
        }
    }

    /// What keeps a task that uses these pools from starting; the first that does.
    #[must_use]
    pub fn wait(&self, uses: &Pools) -> Option<PoolWait> {
        let none = PoolView::default();
        uses.iter().find_map(|(name, needs)| self.0.get(name).unwrap_or(&none).wait(name, needs))
    }

    /// The permits that a start takes, by pool. Those that are its own already come first: an earlier attempt
    /// of the same task under the same session left them, and would wait for itself otherwise. `random`
    /// returns a number below the one that it is given: starts of different processes take different permits
    /// where several are free.
    ///
    /// # Errors
    /// What it has to wait for.
    pub fn take(
        &self,
        uses: &Pools,
        is_own: impl Fn(&PermitView) -> bool,
        mut random: impl FnMut(usize) -> usize,
    ) -> Result<BTreeMap<PoolName, Vec<u32>>, PoolWait> {
        let mut others = self.clone();
        others.0.values_mut().for_each(|pool| pool.permits.retain(|_, permit| !is_own(permit)));
        if let Some(wait) = others.wait(uses) {
            return Err(wait);
        }
        let mut taken = BTreeMap::new();
        for (name, needs) in uses.iter() {
            let is_taken =
                |number: &u32| self.0.get(name).is_some_and(|pool| pool.permits.contains_key(number));
            let open = others.0.get(name).into_iter().flat_map(PoolView::free);
            let (own, mut free): (Vec<u32>, Vec<u32>) = open.partition(is_taken);
            let needs = usize::try_from(needs).unwrap_or(usize::MAX);
            let mut numbers: Vec<u32> = own.into_iter().take(needs).collect();
            while numbers.len() < needs && !free.is_empty() {
                let at = random(free.len()).min(free.len() - 1);
                numbers.push(free.swap_remove(at));
            }
            taken.insert(name.clone(), numbers);
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
