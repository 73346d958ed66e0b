//! A control plane: etcd, kube-apiserver and the controller manager, for clients in its network.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube_api::Authority;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::access::{Access, Administrator};
use super::program::Program;

const HOST: &str = "127.0.0.1";
const PORT: u16 = 6443;
/// Services get their addresses here, as they do from the engine.
pub(super) const SERVICES: &str = "10.152.183.0/24";
/// The address of the API among them.
const SERVICE: &str = "10.152.183.1";
/// How long the API may take to be ready on a busy machine.
pub(super) const READY_BOUND: Duration = Duration::from_secs(180);
/// The pause between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The programs at work; dropping it ends them.
pub struct ControlPlane {
    folder: PathBuf,
    authority: String,
    administrator: Administrator,
    programs: Vec<Program>,
}

impl ControlPlane {
    /// Starts them with their files in `folder`.
    ///
    /// # Errors
    /// When one ends, or the API is not ready after three minutes; its last words are printed.
    pub async fn start(folder: &Path) -> Result<Self> {
        let token = secret()?;
        let authority = write_files(folder, &token)?;
        let programs = vec![
            Program::start(folder, "etcd", &etcd(folder))?,
            Program::start(folder, "kube-apiserver", &apiserver(folder))?,
        ];
        let administrator = Administrator::new((HOST.to_owned(), PORT), &authority, &token)?;
        let folder = folder.to_owned();
        let mut started = Self { folder, authority, administrator, programs };
        started.until("/readyz", &mut [], |_| true).await?;
        let arguments = controllers(&started.folder);
        started.programs.push(Program::start(
            &started.folder,
            "kube-controller-manager",
            &arguments,
        )?);
        Ok(started)
    }

    /// A namespace for a suite, with its accounts.
    ///
    /// # Errors
    /// When the API refuses, or the controller manager does nothing.
    pub async fn access(&mut self) -> Result<Access> {
        let tokens = self.administrator.namespace().await?;
        // Pods can only be made where the controller manager has made the usual account.
        let path = "/api/v1/namespaces/lab/serviceaccounts/default";
        self.until(path, &mut [], |_| true).await?;
        let (host, port, authority) = (HOST.to_owned(), PORT, self.authority.clone());
        let kubeconfig = self.folder.join("kubeconfig");
        Ok(Access { host, port, authority, tokens, kubeconfig })
    }

    /// Makes an object in the collection at `path`.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<()> {
        self.administrator.create(path, object).await.map(drop)
    }

    /// Waits until what is at `path` is as wanted, while these programs run too.
    pub(super) async fn until(
        &mut self,
        path: &str,
        others: &mut [Program],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + READY_BOUND;
        loop {
            let found = self.administrator.get(path).await;
            if found.as_ref().is_ok_and(|text| wanted(text)) {
                return Ok(());
            }
            for program in self.programs.iter_mut().chain(others.iter_mut()) {
                program.check()?;
            }
            if Instant::now() > end {
                let all = self.programs.iter().chain(others.iter());
                let words: Vec<String> = all.map(Program::last_words).collect();
                bail!("{path} is not there in time: {found:?}\n{}", words.join("\n"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A text that cannot be guessed.
fn secret() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes keys, certificates, tokens and who shows which; gives the authority's certificate.
fn write_files(folder: &Path, token: &str) -> Result<String> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let authority = Authority::generate()?;
    let addresses: [IpAddr; 3] = [HOST.parse()?, super::ADDRESS.parse()?, SERVICE.parse()?];
    let server = authority.issue(&addresses)?;
    write("ca.pem", authority.cert_pem())?;
    write("server.pem", &server.cert_pem)?;
    write("server.key", server.key_pem.expose_secret())?;
    let accounts = KeyPair::generate()?;
    write("accounts.key", &accounts.serialize_pem())?;
    write("accounts.pub", &accounts.public_key_pem())?;
    // Kubelet trusts this very certificate, whose holder may do everything.
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    client.distinguished_name.push(DnType::OrganizationName, "system:masters");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    write("apiserver.pem", &client.self_signed(&key)?.pem())?;
    write("apiserver.key", &key.serialize_pem())?;
    let kubelet = secret()?;
    let user = format!("system:node:{}", super::NODE);
    let tokens =
        format!("{token},administrator,1,system:masters\n{kubelet},{user},2,system:nodes\n");
    write("tokens.csv", &tokens)?;
    write("kubeconfig", &kubeconfig(folder, token))?;
    write("kubelet.kubeconfig", &kubeconfig(folder, &kubelet))?;
    Ok(authority.cert_pem().to_owned())
}

/// What tools read to find the API and their credentials.
fn kubeconfig(folder: &Path, token: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "here", "cluster": {
            "server": format!("https://{HOST}:{PORT}"),
            "certificate-authority": folder.join("ca.pem"),
        }}],
        "users": [{ "name": "bearer", "user": { "token": token } }],
        "contexts": [{ "name": "here", "context": { "cluster": "here", "user": "bearer" } }],
    });
    config.to_string()
}

/// Options with their values.
fn options(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn etcd(folder: &Path) -> Vec<String> {
    let (clients, peers) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    let mut all = options(&[
        ("data-dir", &file(folder, "etcd")),
        ("listen-client-urls", clients),
        ("advertise-client-urls", clients),
        ("listen-peer-urls", peers),
        ("initial-advertise-peer-urls", peers),
        ("initial-cluster", &format!("default={peers}")),
    ]);
    // It lives in memory, and no longer than the suite.
    all.push("--unsafe-no-fsync".to_owned());
    all
}

fn apiserver(folder: &Path) -> Vec<String> {
    options(&[
        ("etcd-servers", "http://127.0.0.1:2379"),
        ("advertise-address", super::ADDRESS),
        ("secure-port", &PORT.to_string()),
        ("tls-cert-file", &file(folder, "server.pem")),
        ("tls-private-key-file", &file(folder, "server.key")),
        ("token-auth-file", &file(folder, "tokens.csv")),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &file(folder, "accounts.pub")),
        ("service-account-signing-key-file", &file(folder, "accounts.key")),
        ("service-cluster-ip-range", SERVICES),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
        ("kubelet-client-certificate", &file(folder, "apiserver.pem")),
        ("kubelet-client-key", &file(folder, "apiserver.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
    ])
}

fn controllers(folder: &Path) -> Vec<String> {
    options(&[
        ("kubeconfig", &file(folder, "kubeconfig")),
        ("service-account-private-key-file", &file(folder, "accounts.key")),
        ("root-ca-file", &file(folder, "ca.pem")),
        ("use-service-account-credentials", "true"),
        ("leader-elect", "false"),
        ("bind-address", HOST),
        // Volumes are folders of the node.
        ("enable-hostpath-provisioner", "true"),
    ])
}
