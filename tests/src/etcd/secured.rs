//! Members whose client ports speak TLS: what they show, what they ask for, and how the harness itself
//! reaches them.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use etcd_client::{ConnectOptions, Identity, TlsOptions};

use super::{Member, Place};
use crate::certificates::{A_DAY, Authority, Certified};

/// How the members of a cluster are secured.
#[derive(Debug)]
pub struct Secured {
    /// Who issues their certificates, and those of their clients.
    pub authority: Authority,
    /// Whether they ask their clients for a certificate.
    pub asks: bool,
}

impl Secured {
    /// With a new authority.
    #[must_use]
    pub fn new(asks: bool) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { authority: Authority::new("an authority"), asks })
    }

    /// A certificate for a server on this host.
    #[must_use]
    pub fn server(&self, lifetime: Option<Duration>) -> Certified {
        self.authority.issue("server", &[Ipv4Addr::LOCALHOST.into()], lifetime)
    }

    /// A certificate for a client.
    #[must_use]
    pub fn client(&self, name: &str, lifetime: Option<Duration>) -> Certified {
        self.authority.issue(name, &[], lifetime)
    }

    /// Writes the certificate of the authority into a file `ca.crt`; its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn write_ca(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join("ca.crt");
        crate::certificates::replace(&path, &self.authority.pem()).expect("space for a certificate");
        path
    }
}

impl Place {
    /// The flags; writes the files that they name.
    pub(super) fn security(&self) -> Vec<String> {
        let Some((folder, secured)) = &self.secured else { return Vec::new() };
        let own = secured.authority.issue(&self.name, &[IpAddr::V4(self.ip())], Some(A_DAY));
        let (certificate, key) = own.write(folder, &self.name).expect("space for a certificate");
        let mut flags =
            vec![format!("--cert-file={}", certificate.display()), format!("--key-file={}", key.display())];
        if secured.asks {
            let ca = secured.write_ca(folder);
            flags.extend(["--client-cert-auth".to_owned(), format!("--trusted-ca-file={}", ca.display())]);
        }
        flags
    }

    /// How the harness connects to it.
    pub(super) fn options(&self, limit: Duration) -> ConnectOptions {
        let options = ConnectOptions::new().with_timeout(limit).with_connect_timeout(limit);
        let Some((_, secured)) = &self.secured else { return options };
        let Certified { certificate, key } = secured.client("root", Some(A_DAY));
        let ca = etcd_client::Certificate::from_pem(secured.authority.pem());
        options.with_tls(TlsOptions::new().ca_certificate(ca).identity(Identity::from_pem(certificate, key)))
    }
}

impl Member {
    /// From now on it shows this certificate to new connections: a member reads its files at each handshake.
    ///
    /// # Panics
    /// If it does not speak TLS.
    pub fn show(&self, certified: &Certified) {
        let (folder, _) = self.place.secured.as_ref().expect("a member that speaks TLS");
        certified.write(folder, &self.place.name).expect("space for a certificate");
    }
}
