//! Where the API is and how a pod proves who it is.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// The folder that Kubernetes mounts into every container.
const SERVICE_ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// Why the process is not recognised as one in a pod.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One of the two variables is missing or not usable.
    #[error("cannot find the Kubernetes API: {0} is not set to a usable value in this container")]
    Environment(&'static str),
    /// A file of the service account is missing.
    #[error("cannot read {path}: this container has no service account")]
    ServiceAccount {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// All that a client needs to know.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// An address or a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The bearer token.
    pub token: SecretString,
    /// The certificates that are trusted.
    pub ca_pem: String,
    /// The namespace of objects that live in one.
    pub namespace: String,
}

impl ClusterConfig {
    /// Reads what Kubernetes gives every container: two variables through `env`, and three
    /// files below `root` (`/` in a container).
    ///
    /// # Errors
    /// [`ConfigError`] when one of the five is missing.
    pub fn in_cluster(
        root: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<ClusterConfig, ConfigError> {
        let variable = |name: &'static str| {
            env(name).filter(|value| !value.is_empty()).ok_or(ConfigError::Environment(name))
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let port = port.parse().map_err(|_| ConfigError::Environment("KUBERNETES_SERVICE_PORT"))?;
        let file = |name: &str| {
            let path = root.join(SERVICE_ACCOUNT).join(name);
            std::fs::read_to_string(&path)
                .map_err(|source| ConfigError::ServiceAccount { path, source })
        };
        Ok(ClusterConfig {
            host,
            port,
            token: SecretString::from(file("token")?.trim()),
            ca_pem: file("ca.crt")?,
            namespace: file("namespace")?.trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn env(name: &str) -> Option<String> {
        match name {
            "KUBERNETES_SERVICE_HOST" => Some("10.152.183.1".to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_container_tells_all_five() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(SERVICE_ACCOUNT);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [("token", "abc\n"), ("ca.crt", "PEM"), ("namespace", "dev")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let config = ClusterConfig::in_cluster(root.path(), env).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("10.152.183.1", 443));
        assert_eq!(config.token.expose_secret(), "abc");
        assert_eq!(config.namespace, "dev");
        assert!(!format!("{config:?}").contains("abc"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = ClusterConfig::in_cluster(root.path(), |_| None).unwrap_err();
        assert!(error.to_string().contains("KUBERNETES_SERVICE_HOST"));
        let error = ClusterConfig::in_cluster(root.path(), env).unwrap_err();
        assert!(error.to_string().contains("serviceaccount/token"));
    }
}
