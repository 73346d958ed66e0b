//! A PgBouncer process: what it read, which logins it accepts, and what its clients do.

mod pool;
mod traffic;

use std::collections::BTreeMap;
use std::time::Duration;

use pgbouncer::{Database, Entry, Ini, IniError, KEYS, Key, Kind, Reload, Userlist, Version};
use postgres::{Failure, scram};
use secrecy::ExposeSecret;

use crate::far::disk::{Disk, File, Folder, Owner};
use crate::far::postgresql::Cluster;

pub(crate) use pool::{Limits, Reach};
pub(crate) use traffic::{Answer, Id, Request, Traffic};

/// The database that is none: the console.
pub(crate) const CONSOLE: &str = "pgbouncer";

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
    version: Version,
    pub(crate) ini: Ini,
    /// What the configuration was read from.
    text: String,
    /// What is taken at the start only.
    fixed: BTreeMap<&'static str, Option<String>>,
    users: Option<String>,
    tls: Tls,
    /// Its clients and whether it holds them; a reload goes on with that.
    pub(crate) traffic: Traffic,
}

/// With what TLS a process serves and reaches servers. What cannot be taken leaves it as it was,
/// whatever the settings say then.
#[derive(Debug, Clone, PartialEq)]
struct Tls {
    /// The mode for clients and the certificate, where there is TLS.
    clients: Option<(String, String)>,
    /// The mode for servers.
    servers: String,
}

fn text<'a>(files: &'a BTreeMap<String, File>, path: &str) -> Option<&'a str> {
    files.get(path)?.text()
}

fn read(path: &str, files: &BTreeMap<String, File>) -> Result<String, String> {
    let content = text(files, path).ok_or_else(|| format!("{path} does not exist"))?;
    Ok(content.to_owned())
}

/// What a PgBouncer of a version makes of a configuration: as far as it was read, and what was
/// wrong with the rest.
fn parse(text: &str, version: Version) -> (Ini, Result<(), String>) {
    let whole = text.parse::<Ini>();
    let line = match &whole {
        Ok(_) => text.lines().count() + 1,
        Err(
            IniError::Syntax(line)
            | IniError::Section(line)
            | IniError::Entry { line, .. }
            | IniError::Setting { line, .. },
        ) => *line,
    };
    let unknown = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        Key::find(name).is_ok_and(|key| !key.known_to(version))
    };
    let strange = text.lines().position(unknown).map_or(usize::MAX, |index| index + 1);
    let read = line.min(strange);
    let before: String = text.lines().take(read - 1).map(|line| format!("{line}\n")).collect();
    let error = match whole {
        _ if strange < line => Err(format!("{version} does not know what line {strange} sets")),
        Err(error) => Err(error.to_string()),
        Ok(_) => Ok(()),
    };
    (before.parse().unwrap_or_default(), error)
}

/// The list of users that a configuration names.
fn listed(ini: &Ini, files: &BTreeMap<String, File>) -> Option<String> {
    ini.settings.get("auth_file").and_then(|path| text(files, path)).map(str::to_owned)
}

/// A number of seconds in six digits, as C's `%g` has it.
fn brief(seconds: f64) -> String {
    if seconds < 1e6 { seconds.to_string() } else { format!("{seconds:.5e}").replace('e', "e+0") }
}

/// Whether OpenSSL has such ciphers, for all that is known here.
fn are_ciphers(text: &str) -> bool {
    ["default", "secure", "normal", "fast"].contains(&text)
        || text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_:!+@=".contains(&b))
}

/// What PgBouncer's program says of a configuration with nowhere to listen.
pub(crate) fn trial(text: &str, version: Version) -> String {
    let (ini, error) = parse(text, version);
    let tls = error.and_then(|()| Tls::of(&ini, &BTreeMap::new()));
    let (level, said) = match tls {
        Ok(_) => ("FATAL", "nowhere to listen on".to_owned()),
        Err(why) => ("ERROR", why),
    };
    format!("2026-11-28 15:00:00.000 UTC [7] {level} {said}\n")
}

impl Tls {
    fn of(ini: &Ini, files: &BTreeMap<String, File>) -> Result<Self, String> {
        let setting = |key: &str| ini.settings.get(key);
        let ciphers = ["client_tls_ciphers", "server_tls_ciphers"].map(setting);
        if let Some(strange) = ciphers.into_iter().flatten().find(|text| !are_ciphers(text)) {
            return Err(format!("invalid ciphers: {strange}"));
        }
        let servers = setting("server_tls_sslmode").unwrap_or("prefer").to_owned();
        let mode = setting("client_tls_sslmode").unwrap_or("disable");
        if mode == "disable" {
            return Ok(Self { clients: None, servers });
        }
        let pem = |key: &str| {
            let path = setting(key).ok_or_else(|| format!("TLS needs {key}"))?;
            let pem = text(files, path).filter(|text| text.starts_with("-----BEGIN "));
            pem.ok_or_else(|| format!("{path} is no {key}"))
        };
        let certificate = pem("client_tls_cert_file")?.to_owned();
        pem("client_tls_key_file")?;
        pem("client_tls_ca_file")?;
        Ok(Self { clients: Some((mode.to_owned(), certificate)), servers })
    }
}

impl Process {
    /// Starts with a configuration, if it may write where its log and its socket go.
    pub(crate) fn start(path: &str, disk: &Disk, version: Version) -> Result<Self, String> {
        let process = Self::load(path, disk, version)?;
        let setting = |key: &str| process.ini.settings.get(key);
        let above = |key: &str| Some(setting(key)?.rsplit_once('/')?.0);
        let open = |folder: Folder| folder.owner == Owner::Postgres || folder.mode & 0o002 != 0;
        let own = |folder: &str| disk.folder(folder).is_some_and(open);
        let folders = [above("logfile"), above("pidfile"), setting("unix_socket_dir")];
        if let Some(folder) = folders.into_iter().flatten().find(|folder| !own(folder)) {
            return Err(format!("{folder} is not to be written to"));
        }
        Ok(process)
    }

    /// Whether another process may listen on the same port.
    pub(crate) fn shares_port(&self) -> bool {
        self.setting("so_reuseport") == Some("1")
    }

    fn load(path: &str, disk: &Disk, version: Version) -> Result<Self, String> {
        let files = &disk.files;
        let text = read(path, files)?;
        let (ini, error) = parse(&text, version);
        error.map_err(|error| format!("{path}: {error}"))?;
        let fixed = KEYS.iter().filter(|key| key.reload == Reload::Restart);
        let fixed = fixed.map(|key| (key.name, ini.settings.get(key.name).map(str::to_owned)));
        let tls = Tls::of(&ini, files)?;
        let users = listed(&ini, files);
        let (path, fixed) = (path.to_owned(), fixed.collect());
        Ok(Self { path, version, fixed, ini, text, users, tls, traffic: Traffic::default() })
    }

    /// Reads the configuration again. Of a bad one it takes what comes before the bad line, and
    /// defaults for the rest; databases stay.
    pub(crate) fn reload(&mut self, files: &BTreeMap<String, File>) -> Result<(), String> {
        let text = read(&self.path, files)?;
        let (mut ini, error) = parse(&text, self.version);
        if error.is_ok() {
            // Users go only when there is another list.
            self.users = listed(&ini, files).or(self.users.take());
            self.text = text;
        } else {
            let known: Vec<Entry> = ini.databases.iter().map(|own| own.entry.clone()).collect();
            let stay = self.ini.databases.iter().filter(|old| !known.contains(&old.entry));
            ini.databases.extend(stay.cloned());
            if !text.lines().any(|line| line.trim() == "[pgbouncer]") {
                ini.settings = self.ini.settings.clone();
            }
        }
        self.ini = ini;
        self.traffic.reload();
        let tls = Tls::of(&self.ini, files);
        if let Ok(tls) = &tls {
            self.tls = tls.clone();
        }
        error.and(tls.map(drop))
    }

    /// A setting as its console shows it: of TLS, what was asked for.
    pub(crate) fn setting(&self, key: &str) -> Option<&str> {
        match self.fixed.get(key) {
            Some(fixed) => fixed.as_deref(),
            None => self.ini.settings.get(key),
        }
    }

    /// What the console shows of the settings.
    pub(crate) fn shown(&self) -> BTreeMap<String, String> {
        let known = KEYS.iter().filter(|key| key.known_to(self.version));
        let pair = |key: &'static Key| {
            let value = self.setting(key.name).or(key.default).unwrap_or_default();
            let value = match key.kind {
                Kind::Seconds(_) => value.parse().map_or_else(|_| value.to_owned(), brief),
                Kind::Mode => u32::from_str_radix(value, 8).unwrap_or_default().to_string(),
                _ => value.to_owned(),
            };
            (key.name.to_owned(), value)
        };
        known.map(pair).collect()
    }

    /// What the console at this address shows, with this certificate or none.
    pub(crate) fn ask(
        &self,
        user: &str,
        password: &str,
        certificate: Option<&str>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let refused = |why: String| Failure::new(Some("08P01"), why);
        match (&self.tls.clients, certificate) {
            (Some((mode, _)), None) if mode == "require" => {
                return Err(refused("SSL required".to_owned()));
            }
            (None, Some(_)) => return Err(Failure::new(None, "server does not support TLS")),
            (Some((_, own)), Some(asked)) if own != asked => {
                return Err(Failure::new(None, "another certificate"));
            }
            _ => {}
        }
        self.console(user, password).map_err(refused)?;
        Ok(self.shown())
    }

    /// As a charm takes it to be that believes that files are in force; else as it is.
    pub(crate) fn as_believed(&self, disk: &Disk, believes: bool) -> Self {
        let mut process = self.clone();
        if believes && let Ok(read) = Self::load(&self.path, disk, self.version) {
            process = read;
        }
        process
    }

    /// Whether it listens on this address and no other process of its pod does.
    pub(crate) fn listens_on(&self, address: &str) -> bool {
        let all = self.setting("listen_addr").unwrap_or_default();
        all.split(',').any(|own| own.trim() == address)
    }

    /// Whether it gives a user of the console an administrator's rights.
    pub(crate) fn administers(&self, user: &str) -> bool {
        let all = self.setting("admin_users").unwrap_or_default();
        all.split(',').any(|name| name.trim() == user)
    }

    /// The settings that count for pools, as they are in force.
    fn limits(&self) -> Limits {
        let set = |name: &str| self.traffic.set(name).cloned();
        Limits::of(|name| set(name).or_else(|| self.setting(name).map(str::to_owned)))
    }

    /// Lets happen what happens by now to its clients; `reach` finds the server at a host.
    pub(crate) fn turn(&mut self, now: Duration, reach: impl Fn(&str) -> Reach) {
        let limits = self.limits();
        let mut traffic = std::mem::take(&mut self.traffic);
        traffic.turn(now, &limits, &|database| {
            self.entry(database).map_or(Reach::Refuses, |entry| reach(entry.host.as_str()))
        });
        self.traffic = traffic;
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> Option<u16> {
        self.setting("listen_port")?.parse().ok()
    }

    /// Whether its configuration is what its files say.
    pub(crate) fn is_current(&self, files: &BTreeMap<String, File>) -> bool {
        let users = listed(&self.ini, files).is_none_or(|users| self.users == Some(users));
        let tls = Tls::of(&self.ini, files).is_ok_and(|tls| tls == self.tls);
        let taken =
            self.fixed.iter().all(|(key, fixed)| self.ini.settings.get(key) == fixed.as_deref());
        taken && tls && text(files, &self.path) == Some(&self.text) && users
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

    /// Whether a client gets a server connection, or why not; `reach` finds the server at a host.
    pub(crate) fn login<'a>(
        &self,
        reach: impl FnOnce(&str) -> Option<&'a Cluster>,
        user: &str,
        password: &str,
        name: &str,
    ) -> Result<(), String> {
        if self.tls.clients.as_ref().is_some_and(|(mode, _)| mode == "require") {
            return Err("SSL required".to_owned());
        }
        if name == CONSOLE {
            return self.console(user, password);
        }
        if INSISTS.contains(&self.tls.servers.as_str()) {
            return Err("server refuses TLS".to_owned());
        }
        let entry = self.entry(name).ok_or("no such database")?;
        let database = entry.dbname.as_ref().map_or(name, |own| own.as_str());
        let host = entry.host.as_str().split(',').next().unwrap_or_default();
        let cluster = reach(host).ok_or("no such server")?;
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

    /// Whether the console accepts a login, or why not.
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
        cluster: &Cluster,
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
