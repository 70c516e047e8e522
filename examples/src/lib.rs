//! What the examples share: where their plans are stored, and a small plan.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process,
};

use planlease::{Config, Coordinator, Endpoint, Namespace, PlanName, PlanSpec};
use planlease_embedded::{Listen, Options, Server};
use tokio::task::JoinHandle;

/// What an example returns: any error ends it, with its text.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where an example stores its plans: the etcd of `--endpoint URL`, else an embedded server in this process.
#[derive(Debug)]
pub struct Store {
    endpoint: Endpoint,
    server: Option<JoinHandle<()>>,
}

impl Store {
    /// Reads the command line, and starts the embedded server if no endpoint is named.
    ///
    /// # Errors
    /// If the arguments are not understood, or the server cannot be started.
    #[expect(clippy::disallowed_methods, reason = "the store owns the task of its server")]
    pub async fn from_arguments() -> Result<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if let [flag, endpoint] = arguments.as_slice()
            && flag == "--endpoint"
        {
            return Ok(Self { endpoint: endpoint.parse()?, server: None });
        }
        if !arguments.is_empty() {
            return Err("usage: [--endpoint URL]; without one an embedded server is started".into());
        }
        let server = Server::open(Options::in_memory(1)).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = Listen::Tcp { addr: address, allow_remote: false }.bind().await?;
        let endpoint = bound.url().parse()?;
        let serving = server.serve_on(bound, std::future::pending());
        let server = tokio::spawn(async move {
            // It ends with the process.
            let _ = serving.await;
            server.close().await;
        });
        Ok(Self { endpoint, server: Some(server) })
    }

    /// The configuration for this store. Each run has a namespace of its own, so that an example can be
    /// repeated on an etcd.
    ///
    /// # Errors
    /// Never: a process id makes a valid name.
    pub fn config(&self) -> Result<Config> {
        let namespace = Namespace::new(format!("example-{}", process::id()))?;
        Ok(Config::with_endpoints(vec![self.endpoint.clone()]).namespace(namespace))
    }

    /// Connects with that configuration.
    ///
    /// # Errors
    /// As [`Coordinator::connect`].
    pub async fn connect(&self) -> Result<Coordinator> {
        Ok(Coordinator::connect(self.config()?).await?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// A plan in Markdown, as people write it: the second task waits for the first, the third for both.
pub const RELEASE: &str = "\
# Plan: Release 1.4

## Phase 1: Prepare
- [ ] 1.1 Write the changelog
- [ ] 1.2 Build the packages (depends: 1.1)

## Phase 2: Publish
- [ ] 2.1 Upload (depends: 1.1, 1.2)
";

/// Imports [`RELEASE`] as the plan `release`.
///
/// # Errors
/// As [`planlease::Admin::import`].
pub async fn import_release(coordinator: &Coordinator) -> Result<PlanName> {
    let plan = PlanName::new("release")?;
    coordinator.admin().import(&plan, &release()?, |_| {}).await?;
    Ok(plan)
}

/// [`RELEASE`], parsed.
///
/// # Errors
/// Never: it is a plan.
pub fn release() -> Result<PlanSpec> {
    Ok(planlease_formats::parse("release.md", RELEASE.as_bytes())?.spec)
}
