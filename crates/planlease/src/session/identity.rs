//! The identity of a process: what its session shows to others.

use std::collections::BTreeMap;

use planlease_core::{OrchestratorId, offer::Offer};

use crate::{error::Error, etcd::Etcd};

/// The identity of a process.
///
/// ```
/// use planlease::Identity;
///
/// let identity = Identity::of_process().label("zone", "b").endpoint("http://10.0.0.7:8080".to_owned());
/// assert_eq!(identity.labels["zone"], "b");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Identity {
    /// The orchestrator's name. `None`: made of host, pid and a random part. It names one incarnation: a new
    /// process needs a new one.
    pub id: Option<OrchestratorId>,
    /// The host's name.
    pub host: String,
    /// The boot of the host, where it is known.
    pub boot_id: Option<String>,
    /// The process.
    pub pid: u32,
    /// What its user says about it.
    pub labels: BTreeMap<String, String>,
    /// Where it can be reached.
    pub endpoint: Option<String>,
    /// What it runs, if it is an orchestrator that runs commands.
    pub offer: Option<Offer>,
}

impl Identity {
    /// This process on this host, from the operating system.
    #[must_use]
    pub fn of_process() -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            id: None,
            host: host.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned()),
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            pid: std::process::id(),
            labels: BTreeMap::new(),
            endpoint: None,
            offer: None,
        }
    }

    /// Sets the orchestrator's name. It names one incarnation: a new process needs a new one.
    #[must_use]
    pub fn id(self, id: impl Into<Option<OrchestratorId>>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Sets the host's name.
    #[must_use]
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// Sets the process id.
    #[must_use]
    pub fn pid(self, pid: u32) -> Self {
        Self { pid, ..self }
    }

    /// Adds something that its user says about it.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Replaces what its user says about it.
    #[must_use]
    pub fn labels(self, labels: BTreeMap<String, String>) -> Self {
        Self { labels, ..self }
    }

    /// Sets where it can be reached.
    #[must_use]
    pub fn endpoint(self, endpoint: impl Into<Option<String>>) -> Self {
        Self { endpoint: endpoint.into(), ..self }
    }

    /// Sets what it runs.
    #[must_use]
    pub fn offer(self, offer: impl Into<Option<Offer>>) -> Self {
        Self { offer: offer.into(), ..self }
    }

    /// The name that is given; else one made of host, pid and a random part.
    pub(super) fn name(&self, etcd: &Etcd) -> Result<OrchestratorId, Error> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let host: String = self.host.chars().filter(|c| !c.is_control() && *c != '/').take(64).collect();
        let random = etcd.random().uuid().simple().to_string();
        let host = host.trim_start_matches('-');
        Ok(OrchestratorId::new(format!("{host}-{}-{}", self.pid, &random[..8]))?)
    }
}
