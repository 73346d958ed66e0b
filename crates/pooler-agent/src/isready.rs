//! Whether PostgreSQL lets sessions in is still what the charm saw: a Pebble check of the unit.
//!
//! No databag changes when a server goes and comes back, and a hook sees it at one moment only. So
//! the check asks as `pg_isready` does, and fails when the answer is another one than the last
//! hook's: Juju then sends the charm an event, whatever happened between two hooks.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use postgres::Readiness;

/// The word by which the program starts as this.
pub const WORD: &str = "isready";

/// How long the server may take to answer; the check's own time-out is longer.
const ANSWER: Duration = Duration::from_secs(2);

/// What the charm's last hook saw of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It answered, if only to refuse the login.
    Ready,
    /// It did not answer, or said that it starts or stops.
    Away,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Away => "away",
        })
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ready" => Ok(Self::Ready),
            "away" => Ok(Self::Away),
            _ => Err(format!("cannot check PostgreSQL: {text:?} is neither ready nor away")),
        }
    }
}

/// Where the server is and as whom it is asked, by libpq's variables.
pub const HOST: &str = "PGHOST";
/// The port.
pub const PORT: &str = "PGPORT";
/// A role that may log in to the database; its password is not needed.
pub const USER: &str = "PGUSER";
/// The database.
pub const DATABASE: &str = "PGDATABASE";
/// The file with the CA certificates of PostgreSQL, in PEM, where it offers TLS.
pub const CA: &str = "PGSSLROOTCERT";

/// Succeeds while the server is as the last hook saw it.
pub(crate) fn run(seen: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let seen: Seen = seen.parse()?;
    let needed = |name: &str| {
        variable(name).ok_or_else(|| format!("cannot check PostgreSQL: {name} is not set"))
    };
    let (host, port) = (needed(HOST)?, needed(PORT)?);
    let number = port.parse();
    let number = number.map_err(|_| format!("cannot check PostgreSQL: {port:?} is no port"))?;
    let mut config = tokio_postgres::Config::new();
    config.host(&host).port(number).user(needed(USER)?).dbname(needed(DATABASE)?);
    let ca = variable(CA).map(|path| read(Path::new(&path))).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot check PostgreSQL: {error}"))?;
    let now = runtime.block_on(async {
        match tokio::time::timeout(ANSWER, postgres::readiness(config, ca.as_deref())).await {
            Ok(Readiness::Ready) => Seen::Ready,
            Ok(Readiness::Away) | Err(_) => Seen::Away,
        }
    });
    if now == seen {
        return Ok(());
    }
    Err(format!("PostgreSQL at {host}:{port} is {now} and was {seen} at the last hook"))
}

fn read(ca: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(ca);
    text.map_err(|error| format!("cannot check PostgreSQL: {}: {error}", ca.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seen: &str, port: &str, left_out: &str, expected: Option<&str>) {
        let variables = [(HOST, "127.0.0.1"), (PORT, port), (USER, "u"), (DATABASE, "d")];
        let set = variables.into_iter().filter(|(name, _)| *name != left_out);
        let set: Vec<_> = set.collect();
        let said = run(seen, |name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(said.err().as_deref(), expected);
    }

    #[test]
    fn what_is_no_check_is_named() {
        check("up", "1", "", Some("cannot check PostgreSQL: \"up\" is neither ready nor away"));
        check("away", "x", "", Some("cannot check PostgreSQL: \"x\" is no port"));
        check("away", "1", USER, Some("cannot check PostgreSQL: PGUSER is not set"));
    }

    #[test]
    fn a_server_that_is_not_there_is_away() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = port.to_string();
        check("away", &port, "", None);
        let said = format!("PostgreSQL at 127.0.0.1:{port} is away and was ready at the last hook");
        check("ready", &port, "", Some(&said));
    }
}
