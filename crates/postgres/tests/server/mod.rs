//! A real PostgreSQL in a folder of its own, for tests.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postgres::{Client, ConnectOptions, Readiness};
use tokio_postgres::NoTls;

/// A running server; dropping it stops it and removes its data.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

pub(crate) const OPERATOR_PASSWORD: &str = "operator-secret";

/// The folder with `initdb` and `postgres`.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("TALISMAN_POSTGRES_BIN") {
        return folder.into();
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin"))))
        .collect();
    found.sort();
    let (_, newest) = found.pop().expect(
        "no PostgreSQL found: install the Debian package `postgresql` or set TALISMAN_POSTGRES_BIN",
    );
    newest
}

/// PostgreSQL refuses root, so under root it runs as `nobody`.
fn as_ordinary_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(None, false, &[]).await
    }

    /// A server with these settings.
    pub(crate) async fn start_set(settings: &[&str]) -> Self {
        Self::start_with(None, false, settings).await
    }

    /// A server that waits for a primary to follow.
    pub(crate) async fn start_standby() -> Self {
        Self::start_with(None, true, &[]).await
    }

    /// A server whose certificate is for `localhost`, and that certificate.
    pub(crate) async fn start_with_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let pair = (certificate.clone(), made.signing_key.serialize_pem());
        (Self::start_with(Some(pair), false, &[]).await, certificate)
    }

    async fn start_with(tls: Option<(String, String)>, standby: bool, settings: &[&str]) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("talisman-pg").tempdir().unwrap();
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        }
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, OPERATOR_PASSWORD).unwrap();
        let made = as_ordinary_user(&programs.join("initdb"))
            .args(["--username=operator", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--pwfile"])
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (name, text) in tls.iter().flat_map(|(c, k)| [("server.crt", c), ("server.key", k)]) {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(data.join(name), text).unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(data.join(name), mode).unwrap();
            if is_root() {
                std::os::unix::fs::chown(data.join(name), Some(65534), Some(65534)).unwrap();
            }
        }
        if standby {
            std::fs::write(data.join("standby.signal"), "").unwrap();
        }
        let ssl = if tls.is_some() { "ssl=on" } else { "ssl=off" };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = as_ordinary_user(&programs.join("postgres"))
            .args([
                "-c",
                "fsync=off",
                "-c",
                "log_statement=all",
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "autovacuum=off",
                "-c",
                ssl,
            ])
            .args(["-c", &format!("port={port}"), "-c", "unix_socket_directories="])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .arg("-D")
            .arg(&data)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { process, folder, port };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        let options = self.options("operator", OPERATOR_PASSWORD, "postgres");
        for _ in 0..1200 {
            match Client::connect(&options).await {
                Ok(_) => return,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL did not start: {}", self.log());
    }

    /// Whether it lets sessions in, asked without a password.
    pub(crate) async fn readiness(&self, user: &str, database: &str) -> Readiness {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).dbname(database);
        postgres::readiness(config, None).await
    }

    /// Begins a smart shutdown, which waits for the sessions that are open.
    pub(crate) fn shut_down(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn options(&self, user: &str, password: &str, database: &str) -> ConnectOptions {
        ConnectOptions {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: user.parse().unwrap(),
            password: password.to_owned().into(),
            database: database.parse().unwrap(),
            timeout: Duration::from_secs(5),
            ca: None,
        }
    }

    pub(crate) async fn operator(&self) -> Client {
        let options = self.options("operator", OPERATOR_PASSWORD, "postgres");
        Client::connect(&options).await.unwrap()
    }

    /// Runs SQL as a client would; the first column of the last rows comes back as texts.
    pub(crate) async fn sql(
        &self,
        user: &str,
        password: &str,
        database: &str,
        text: &str,
    ) -> Result<Vec<String>, String> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database);
        let told = |error: tokio_postgres::Error| {
            error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
        };
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(told)?;
        let task = tokio::spawn(connection);
        let rows = client.simple_query(text).await.map_err(told);
        drop(client);
        task.await.unwrap().map_err(told)?;
        Ok(rows?
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect())
    }

    /// A session of the operator's, without the pinned options.
    pub(crate) async fn session(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("operator").password(OPERATOR_PASSWORD);
        let (client, connection) = config.dbname("postgres").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Queries without the pinned session options, as a pooler does: the first column.
    pub(crate) async fn ask(
        &self,
        (user, password): (&str, &str),
        database: &str,
        query: &str,
        parameter: &str,
    ) -> Result<Vec<String>, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        let task = tokio::spawn(connection);
        let rows = client.query(query, &[&parameter]).await;
        drop(client);
        task.await.unwrap()?;
        rows?.iter().map(|row| row.try_get(0)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown; a plain kill would leave its children.
        let pid = self.process.id().to_string();
        let _status = Command::new("kill").args(["-INT", &pid]).status();
        let _status = self.process.wait();
    }
}
