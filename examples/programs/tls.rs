//! Connects over TLS, with a certificate authority and a client certificate of its own. The files are read
//! again for each new connection, so rotated ones are used without a restart.
//!
//! Without `--endpoint` the embedded server runs behind TLS here; on your etcd the files are yours.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::{fs, io, net::Ipv4Addr, path::Path, sync::Arc};

use planlease::{Config, Coordinator, Endpoint, Error, KeyPair, Secret, Tls};
use planlease_embedded::{Options, Server};
use planlease_examples::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the server ends with the process")]
async fn main() -> Result {
    let folder = tempfile::tempdir()?;
    issue_certificates(folder.path())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint: Endpoint = format!("https://localhost:{}", listener.local_addr()?.port()).parse()?;
    let server = Server::open(Options::in_memory(1)).await?;
    let acceptor = acceptor(folder.path())?;
    let connections = TcpListenerStream::new(listener).then(move |stream| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(stream?).await }
    });
    // A handshake that fails ends its connection, and not the server.
    let connections = connections.filter_map(|accepted| accepted.ok().map(Ok::<_, io::Error>));
    tokio::spawn(server.serve(connections, std::future::pending()));

    let file = |name: &str| Secret::File(folder.path().join(name));
    let config = Config::with_endpoints(vec![endpoint]);
    let authority = Tls::default().ca(file("ca.pem"));
    let client = KeyPair { certificate: file("client.pem"), key: file("client-key.pem") };

    let coordinator = Coordinator::connect(config.clone().tls(authority.clone().identity(client))).await?;
    println!("connected, generation {}", coordinator.generation());

    let without = config.tls(authority).operation_timeout(std::time::Duration::from_secs(3));
    match Coordinator::connect(without).await {
        Err(Error::Tls(_) | Error::Unreachable(_)) => println!("refused without a client certificate"),
        other => return Err(format!("connected without a client certificate: {other:?}").into()),
    }
    Ok(())
}

/// Issues `ca.pem`, and `server` and `client` with their keys.
fn issue_certificates(folder: &Path) -> Result {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.pem())?;
    for name in ["server", "client"] {
        let key = rcgen::KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem())?;
    }
    Ok(())
}

/// The server's side: its certificate, and clients of the same authority only.
fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
    let clients = WebPkiClientVerifier::builder(Arc::new(trusted)).build()?;
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server-key.pem"))?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()]; // gRPC.
    Ok(TlsAcceptor::from(Arc::new(config)))
}
