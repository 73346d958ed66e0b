//! The way to a member that may speak TLS.

use std::fmt::{Debug, Display, Formatter};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http1_client::{Boxed, Stream, Tcp, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a handshake on the loopback address may take: a member that speaks none may wait
/// for the end of a line that never comes.
const LOCAL_HANDSHAKE: Duration = Duration::from_secs(1);

/// TLS to a member's port, and the CA that it is verified with.
///
/// At a loopback address the member of the own pod answers, which nothing can overhear: there, a
/// member that has not yet loaded its TLS configuration is asked in clear, and its certificate is
/// `localhost`'s. To no other host anything goes in clear.
pub(crate) struct Tls {
    tcp: Tcp,
    name: ServerName<'static>,
    connector: TlsConnector,
    local: bool,
}

impl Debug for Tls {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({self})")
    }
}

impl Display for Tls {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.tcp, f)
    }
}

impl Tls {
    /// TLS to this port, verified with these CAs, in PEM.
    pub(crate) fn new(tcp: Tcp, authorities: &str) -> io::Result<Self> {
        let local = tcp.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let name = if local { "localhost".to_owned() } else { tcp.host.clone() };
        let name = ServerName::try_from(name).map_err(invalid)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tcp, name, connector: TlsConnector::from(Arc::new(config)), local })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.tcp.host.as_str(), self.tcp.port)).await?;
        let handshake = self.connector.connect(self.name.clone(), stream);
        if !self.local {
            return Ok(Box::new(handshake.await?));
        }
        match tokio::time::timeout(LOCAL_HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) if speaks_tls(&error) => Err(error),
            _ => self.tcp.dial().await,
        }
    }
}

/// Whether a handshake failed at a server that speaks TLS, for instance for its certificate.
fn speaks_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.is_some_and(|error| !matches!(error, rustls::Error::InvalidMessage(_)))
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl Transport for Tls {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(self.connect())
    }
}

/// A way on which nothing can be sent, and why.
#[derive(Debug)]
pub(crate) struct Nowhere {
    pub(crate) tcp: Tcp,
    pub(crate) why: String,
}

impl Display for Nowhere {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.tcp, f)
    }
}

impl Transport for Nowhere {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        let error = io::Error::new(io::ErrorKind::InvalidInput, self.why.clone());
        Box::pin(async { Err(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rest;
    use rustls::pki_types::PrivateKeyDer;
    use serde_json::json;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;

    /// A self-signed certificate for these names, and its key.
    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn acceptor((certificate, key): &(String, String)) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> bool {
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap_or_default();
        let is_http = String::from_utf8_lossy(&asked[..length]).contains(" HTTP/1.1");
        if is_http {
            let said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            drop(stream.write_all(said).await);
        }
        is_http
    }

    /// A member that speaks TLS, or clear text, at a loopback address. For each connection it
    /// reports whether a request came, and whether it could be read on the way.
    async fn member(tls: Option<TlsAcceptor>) -> (u16, JoinHandle<Vec<(bool, bool)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            // The last one says nothing, which is the end.
            while let Ok((stream, _)) = listener.accept().await {
                let mut first = [0];
                if stream.peek(&mut first).await.unwrap_or_default() == 0 {
                    break;
                }
                let clear = first[0] != 0x16;
                let asked = match &tls {
                    None => answer(stream).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer(stream).await,
                        Err(_) => false,
                    },
                };
                seen.push((asked, clear));
            }
            seen
        });
        (port, task)
    }

    async fn seen(port: u16, task: JoinHandle<Vec<(bool, bool)>>) -> Vec<(bool, bool)> {
        drop(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        task.await.unwrap()
    }

    fn rest(host: &str, port: u16, authority: &str) -> Rest {
        let password = "secret".to_owned().into();
        Rest::trusting(host, port, authority).with_login("patroni", password)
    }

    #[tokio::test]
    async fn a_member_is_known_by_its_certificate() {
        let own = pair(&["localhost"]);
        let (port, task) = member(Some(acceptor(&own))).await;
        for host in ["127.0.0.1", "localhost"] {
            rest(host, port, &own.0).patch_config(&json!({})).await.unwrap();
        }
        let stranger = pair(&["localhost"]);
        for host in ["127.0.0.1", "localhost"] {
            let answer = rest(host, port, &stranger.0).patch_config(&json!({})).await;
            assert!(matches!(answer, Err(crate::Error::Connect { .. })), "{answer:?}");
        }
        assert_eq!(
            seen(port, task).await,
            [(true, false), (true, false), (false, false), (false, false)]
        );
    }

    #[tokio::test]
    async fn a_certificate_of_another_name_is_refused() {
        let other = pair(&["pg-1"]);
        let (port, task) = member(Some(acceptor(&other))).await;
        let answer = rest("localhost", port, &other.0).patch_config(&json!({})).await;
        assert!(answer.is_err());
        assert_eq!(seen(port, task).await, [(false, false)]);
    }

    #[tokio::test]
    async fn only_the_own_member_is_spoken_to_in_clear() {
        let (authority, _) = pair(&["localhost"]);
        let (port, task) = member(None).await;
        rest("127.0.0.1", port, &authority).patch_config(&json!({})).await.unwrap();
        let answer = rest("localhost", port, &authority).patch_config(&json!({})).await;
        assert!(answer.is_err(), "a name may lead anywhere");
        let seen = seen(port, task).await;
        assert_eq!(seen.iter().filter(|(asked, _)| *asked).count(), 1, "{seen:?}");
    }

    #[tokio::test]
    async fn nothing_is_sent_where_the_authority_is_none() {
        let (port, task) = member(None).await;
        let nonsense = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";
        let answer = rest("127.0.0.1", port, nonsense).patch_config(&json!({})).await;
        assert!(matches!(answer, Err(crate::Error::Connect { .. })), "{answer:?}");
        assert_eq!(seen(port, task).await, []);
    }
}
