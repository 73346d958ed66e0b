//! A PgBouncer process: what it read, and whom it lets in.

use std::collections::BTreeMap;

use pgbouncer::{Database, Entry, Ini, Userlist};
use postgres::scram;
use secrecy::ExposeSecret;

use crate::pod::{Container, File, Folder, Owner};
use crate::world::State;

/// Settings that PgBouncer takes at its start only.
const FIXED: [&str; 4] = ["listen_addr", "listen_port", "so_reuseport", "unix_socket_dir"];

/// The database that is none: the console.
const CONSOLE: &str = "pgbouncer";

/// The modes of TLS with which a server without it is of no use; none here has it.
const INSISTS: [&str; 3] = ["require", "verify-ca", "verify-full"];

/// Whether a password fits what is listed for its user.
fn proves(listed: &str, password: &str) -> bool {
    listed == password || scram::matches(listed, password)
}

/// A running process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    path: String,
    pub(crate) ini: Ini,
    /// What the configuration was read from.
    text: String,
    fixed: BTreeMap<&'static str, Option<String>>,
    users: Option<String>,
}

fn text<'a>(files: &'a BTreeMap<String, File>, path: &str) -> Option<&'a str> {
    files.get(path)?.text()
}

/// A configuration, its text and the list of users that it names.
type Read = (Ini, String, Option<String>);

fn read(path: &str, files: &BTreeMap<String, File>) -> Result<Read, String> {
    let content = text(files, path).ok_or_else(|| format!("{path} does not exist"))?;
    let ini: Ini = content.parse().map_err(|error| format!("{path}: {error}"))?;
    let users = ini.settings.get("auth_file").and_then(|path| text(files, path));
    let users = users.map(str::to_owned);
    Ok((ini, content.to_owned(), users))
}

impl Process {
    /// Starts with a configuration, if it may write where its log and its socket go.
    pub(crate) fn start(path: &str, container: &Container) -> Result<Self, String> {
        let process = Self::load(path, &container.files)?;
        let setting = |key: &str| process.ini.settings.get(key);
        let above = |key: &str| Some(setting(key)?.rsplit_once('/')?.0);
        let open = |folder: Folder| folder.owner == Owner::Postgres || folder.mode & 0o002 != 0;
        let own = |folder: &str| container.folder(folder).is_some_and(open);
        let folders = [above("logfile"), above("pidfile"), setting("unix_socket_dir")];
        if let Some(folder) = folders.into_iter().flatten().find(|folder| !own(folder)) {
            return Err(format!("{folder} is not to be written to"));
        }
        process.check_tls(&container.files)?;
        Ok(process)
    }

    /// Whether clients can be served with TLS where they shall be.
    fn check_tls(&self, files: &BTreeMap<String, File>) -> Result<(), String> {
        let setting = |key: &str| self.ini.settings.get(key);
        if setting("client_tls_sslmode").is_none_or(|mode| mode == "disable") {
            return Ok(());
        }
        let keys = ["client_tls_key_file", "client_tls_cert_file", "client_tls_ca_file"];
        for key in keys {
            let path = setting(key).ok_or_else(|| format!("TLS needs {key}"))?;
            let pem = text(files, path).filter(|text| text.starts_with("-----BEGIN "));
            pem.ok_or_else(|| format!("{path} is no {key}"))?;
        }
        Ok(())
    }

    /// Whether another process may listen on the same port.
    pub(crate) fn shares_port(&self) -> bool {
        self.setting("so_reuseport") == Some("1")
    }

    fn load(path: &str, files: &BTreeMap<String, File>) -> Result<Self, String> {
        let (ini, text, users) = read(path, files)?;
        let fixed = FIXED.map(|key| (key, ini.settings.get(key).map(str::to_owned)));
        Ok(Self { path: path.to_owned(), ini, text, fixed: fixed.into(), users })
    }

    /// Reads the configuration again; a bad one is not taken.
    pub(crate) fn reload(&mut self, files: &BTreeMap<String, File>) -> Result<(), String> {
        (self.ini, self.text, self.users) = read(&self.path, files)?;
        Ok(())
    }

    /// A setting as it is in force.
    pub(crate) fn setting(&self, key: &str) -> Option<&str> {
        match self.fixed.get(key) {
            Some(fixed) => fixed.as_deref(),
            None => self.ini.settings.get(key),
        }
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> Option<u16> {
        self.setting("listen_port")?.parse().ok()
    }

    /// Whether its configuration is what its files say.
    pub(crate) fn is_current(&self, files: &BTreeMap<String, File>) -> bool {
        let users = self.ini.settings.get("auth_file").and_then(|path| text(files, path));
        let taken =
            self.fixed.iter().all(|(key, fixed)| self.ini.settings.get(key) == fixed.as_deref());
        taken && text(files, &self.path) == Some(&self.text) && users == self.users.as_deref()
    }

    /// What the user list holds for a user.
    pub(crate) fn listed(&self, user: &str) -> Option<String> {
        let secret = Userlist::find(self.users.as_deref()?, user)?;
        Some(secret.expose_secret().to_owned())
    }

    /// The entry for a database.
    pub(crate) fn entry(&self, name: &str) -> Option<&Database> {
        let named = |database: &&Database| match &database.entry {
            Entry::Named(own) => own.as_str() == name,
            Entry::Fallback => false,
        };
        let fallback = |database: &&Database| database.entry == Entry::Fallback;
        let all = &self.ini.databases;
        all.iter().find(named).or_else(|| all.iter().find(fallback))
    }

    /// Whether a client gets a server connection, or why not.
    pub(crate) fn login(
        &self,
        state: &State,
        user: &str,
        password: &str,
        name: &str,
    ) -> Result<(), String> {
        if name == CONSOLE {
            return self.console(user, password);
        }
        if self.setting("server_tls_sslmode").is_some_and(|mode| INSISTS.contains(&mode)) {
            return Err("server refuses TLS".to_owned());
        }
        let entry = self.entry(name).ok_or("no such database")?;
        let database = entry.dbname.as_ref().map_or(name, |own| own.as_str());
        let host = entry.host.as_str().split(',').next().unwrap_or_default();
        let app = state.server_behind(host).ok_or("no such server")?;
        let cluster = state.clusters.get(&app).ok_or("no such server")?;
        let listed = self.users.as_deref().and_then(|list| Userlist::find(list, user));
        let verifier = match listed {
            Some(secret) => secret.expose_secret().to_owned(),
            None => self.look_up(cluster, entry, database, user)?,
        };
        if !proves(&verifier, password) {
            return Err("SASL authentication failed".to_owned());
        }
        // What the client showed opens only a server that has the same verifier.
        let role = cluster.roles.get(user).and_then(|role| role.verifier.as_ref());
        if verifier != password && role != Some(&verifier) {
            return Err("server: SASL authentication failed".to_owned());
        }
        cluster.login(user, password, database).map_err(|error| format!("server: {error}"))
    }

    /// Whether the console opens to somebody, or why not.
    fn console(&self, user: &str, password: &str) -> Result<(), String> {
        let named = |key: &str| {
            let all = self.setting(key).unwrap_or_default();
            all.split(',').any(|name| name.trim() == user)
        };
        match self.listed(user).filter(|listed| proves(listed, password)) {
            Some(_) if named("admin_users") || named("stats_users") => Ok(()),
            Some(_) => Err("not allowed".to_owned()),
            None => Err("SASL authentication failed".to_owned()),
        }
    }

    /// Asks the server for a client's verifier.
    fn look_up(
        &self,
        cluster: &crate::sql::Cluster,
        entry: &Database,
        database: &str,
        user: &str,
    ) -> Result<String, String> {
        let caller = entry.auth_user.as_ref().ok_or("no auth_user")?.as_str();
        let query = self.setting("auth_query").ok_or("no auth_query")?;
        if !query.contains(&format!("{caller}.get_auth")) {
            return Err("auth_query asks another function".to_owned());
        }
        let global = self.setting("auth_dbname");
        let database = match entry.auth_dbname.as_ref().map(|own| own.as_str()).or(global) {
            Some(other) => {
                let other = self.entry(other).ok_or("auth_dbname has no entry")?;
                other.dbname.as_ref().map_or(database, |own| own.as_str())
            }
            None => database,
        };
        let list = self.users.as_deref().ok_or("no auth_file")?;
        let secret = Userlist::find(list, caller).ok_or("auth_user is not in auth_file")?;
        cluster
            .login(caller, secret.expose_secret(), database)
            .map_err(|error| format!("auth_query: {error}"))?;
        let found = cluster.look_up((caller, caller), database, user);
        found.flatten().map(str::to_owned).ok_or_else(|| "no such user".to_owned())
    }
}
