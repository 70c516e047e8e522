//! `pool`: how many permits a pool has, and who has them.

use planlease_core::{
    PoolName,
    pool::{PoolRecord, PoolView, PoolsView},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Document, each};
use crate::time::Time;

/// The pools of a namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PoolList {
    pub(crate) pools: Vec<PoolDetail>,
}

/// A pool with the permits that are taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PoolDetail {
    pub(crate) pool: PoolName,
    /// How many permits it has. Absent if it is not defined, or cannot be read.
    pub(crate) size: Option<u32>,
    /// How many of them are taken; more than there are after it was made smaller.
    pub(crate) used: u32,
    /// How many a start could take.
    pub(crate) free: u32,
    pub(crate) description: Option<String>,
    /// The operator that defined it last.
    pub(crate) by: Option<String>,
    pub(crate) since: Option<Time>,
    /// Why its definition cannot be read. Absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unreadable: Option<String>,
    pub(crate) permits: Vec<PermitDetail>,
}

/// A permit that is taken.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PermitDetail {
    pub(crate) number: u32,
    pub(crate) plan: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) by: Option<String>,
    pub(crate) since: Option<Time>,
    /// The lease that it goes with.
    pub(crate) lease: String,
}

/// What became of a pool's definition.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PoolChanged {
    pub(crate) pool: PoolName,
    /// Its size before; absent if it was not defined.
    pub(crate) before: Option<u32>,
    /// Its size now; absent if it was deleted.
    pub(crate) size: Option<u32>,
    /// How many permits are taken.
    pub(crate) used: u32,
    /// Whether nothing was changed, since it was only asked what would be.
    pub(crate) dry_run: bool,
}

impl PoolDetail {
    /// Of this pool.
    #[must_use]
    pub fn new(name: &PoolName, view: &PoolView) -> Self {
        let record = match &view.definition {
            Some((_, Ok(record))) => Some(record),
            _ => None,
        };
        let unreadable = match &view.definition {
            Some((_, Err(why))) => Some(why.clone()),
            _ => None,
        };
        let permits = view.permits.iter().map(|(number, permit)| {
            let record = permit.record.as_ref();
            PermitDetail {
                number: *number,
                plan: record.map(|record| record.plan.to_string()),
                task: record.map(|record| record.task.to_string()),
                attempt: record.map(|record| record.attempt),
                by: record.map(|record| record.by.clone()),
                since: record.map(|record| record.since.into()),
                lease: permit.lease.to_string(),
            }
        });
        Self {
            pool: name.clone(),
            size: record.map(|record| record.size),
            used: view.used(),
            free: view.size().saturating_sub(view.used()),
            description: record.and_then(|record| record.description.clone()),
            by: record.map(|record| record.by.clone()),
            since: record.map(|record| record.at.into()),
            unreadable,
            permits: permits.collect(),
        }
    }
}

impl PoolList {
    /// Of these pools.
    #[must_use]
    pub fn new(pools: &PoolsView) -> Self {
        Self { pools: pools.0.iter().map(|(name, view)| PoolDetail::new(name, view)).collect() }
    }
}

impl PoolChanged {
    /// A pool that has this size now, or would have.
    #[must_use]
    pub fn set(pool: &PoolName, before: Option<&PoolRecord>, size: u32, used: u32, dry_run: bool) -> Self {
        Self { pool: pool.clone(), before: before.map(|record| record.size), size: Some(size), used, dry_run }
    }

    /// A pool that was deleted, or would be.
    #[must_use]
    pub fn deleted(pool: &PoolName, before: Option<u32>, dry_run: bool) -> Self {
        Self { pool: pool.clone(), before, size: None, used: 0, dry_run }
    }
}

impl Document for PoolList {
    const SCHEMA: Option<&'static str> = Some("planlease.pools.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.pool.v1", &self.pools)
    }
}

impl Document for PoolDetail {
    const SCHEMA: Option<&'static str> = Some("planlease.pool.v1");
}

impl Document for PoolChanged {
    const SCHEMA: Option<&'static str> = Some("planlease.pool_changed.v1");
}
