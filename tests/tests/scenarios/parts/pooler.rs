//! The real PgBouncer in a pod, as clients reach it.

use std::collections::BTreeMap;
use std::time::Duration;

use postgres::Boxed;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::pgbouncer::{Answer, Pooler, Row, Session};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The PgBouncer in a pod.
pub(super) struct Real {
    host: String,
    /// The address of the server.
    server: String,
    /// The port of what stands before the server and may fall silent.
    port: OnceCell<u16>,
    silent: watch::Sender<bool>,
}

/// A connection; dropping it closes it.
struct Open {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error in the server's words where it has some.
fn text(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

impl Session for Open {
    fn asks<'a>(&'a self, question: &'a str) -> Boxed<'a, Answer> {
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                let named = row.columns().iter().enumerate();
                let value = |index| row.get(index).unwrap_or_default().to_owned();
                Some(
                    named.map(|(index, column)| (column.name().to_owned(), value(index))).collect(),
                )
            }
            _ => None,
        };
        Box::pin(async move {
            let answer = self.client.simple_query(question).await.map_err(text)?;
            Ok(answer.into_iter().filter_map(row).collect::<Vec<Row>>())
        })
    }
}

/// Hands connections on to the server; those that come while it is silent get no answer, and end
/// when it is no more.
async fn stand_before(listener: TcpListener, server: String, silent: watch::Receiver<bool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (server, mut silent) = (server.clone(), silent.clone());
        tokio::spawn(async move {
            if *silent.borrow() {
                silent.wait_for(|silent| !silent).await.ok();
                return;
            }
            if let Ok(mut server) = TcpStream::connect((server.as_str(), 5432)).await {
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
        });
    }
}

impl Real {
    /// The one at an address, and its server.
    pub(super) fn of(host: &str, server: &str) -> Self {
        let (host, server) = (host.to_owned(), server.to_owned());
        Self { host, server, port: OnceCell::new(), silent: watch::channel(false).0 }
    }

    async fn open(
        &self,
        port: u16,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Open, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Open { client, task })
    }

    async fn settings(&self, port: u16) -> Option<BTreeMap<String, String>> {
        let console = self.open(port, "looker", "looker", "pgbouncer").await.ok()?;
        let rows = console.asks("SHOW CONFIG").await.ok()?;
        Some(rows.into_iter().map(|row| (row["key"].clone(), row["value"].clone())).collect())
    }

    async fn place_before(&self) -> u16 {
        let begin = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(stand_before(listener, self.server.clone(), self.silent.subscribe()));
            port
        };
        *self.port.get_or_init(|| begin).await
    }
}

impl Pooler for Real {
    fn shows<'a>(&'a self, port: u16) -> Boxed<'a, BTreeMap<String, String>> {
        Box::pin(async move {
            let asked = timeout(PATIENCE, self.settings(port)).await;
            asked.ok().flatten().unwrap_or_default()
        })
    }

    fn enters<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, bool> {
        let question = if database == "pgbouncer" { "SHOW VERSION" } else { "SELECT 1" };
        let asks = async move {
            let open = self.open(port, user, password, database).await.ok()?;
            open.asks(question).await.ok()
        };
        Box::pin(async { matches!(timeout(PATIENCE, asks).await, Ok(Some(_))) })
    }

    fn opens<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, String>> {
        Box::pin(async move {
            let open = self.open(port, user, password, database).await.map_err(text)?;
            Ok(Box::new(open) as Box<dyn Session>)
        })
    }

    fn behind_silence(&self) -> Boxed<'_, (String, u16)> {
        Box::pin(async { ("127.0.0.1".to_owned(), self.place_before().await) })
    }

    fn silence(&self, silent: bool) -> Boxed<'_, ()> {
        Box::pin(async move { self.silent.send_modify(|now| *now = silent) })
    }
}
