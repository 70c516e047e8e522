//! Certificates of tests: an authority, and what it issues to servers and clients.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};

/// How long a certificate is valid where a test does not say.
pub const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate authority for this test only.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If there is no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = named(name, &[], A_DAY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a server or a client of that name, which may be at these addresses, valid
    /// from a minute ago until `lifetime` from now. With no lifetime it has expired half a minute ago.
    ///
    /// # Panics
    /// If there is no randomness.
    #[must_use]
    pub fn issue(&self, name: &str, addresses: &[IpAddr], lifetime: Option<Duration>) -> Certified {
        let mut params = named(name, addresses, lifetime.unwrap_or_default());
        if lifetime.is_none() {
            params.not_after -= Duration::from_secs(30);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Certified { certificate, key: key.serialize_pem() }
    }
}

impl Certified {
    /// Writes both into files `NAME.crt` and `NAME.key`, each replaced in one step as tools that rotate
    /// certificates do.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        replace(&key, &self.key)?;
        replace(&certificate, &self.certificate)?;
        Ok((certificate, key))
    }
}

/// Replaces a file in one step.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)
}

fn named(name: &str, addresses: &[IpAddr], lifetime: Duration) -> CertificateParams {
    let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("addresses are names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    #[expect(clippy::disallowed_methods, reason = "certificates are valid by the wall clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + now;
    params.not_before = now - Duration::from_secs(60);
    params.not_after = now + lifetime;
    params
}
