//! The way to a server for a test that listens to the sessions, or changes what they send.

use std::sync::Arc;

use postgres::sql::{Query, Statement};
use postgres::{Boxed, ConnectOptions, Failure, Network, Row, Session};

/// What a test does between a client and the server.
pub(crate) trait Tap: Send + Sync + 'static {
    /// The settings of a session, as they are sent.
    fn settings(&self, settings: &str) -> String {
        settings.to_owned()
    }

    /// Hears a query.
    fn query(&self, _query: &Query) {}

    /// The statements, as they are sent.
    fn statements(&self, statements: &[Statement]) -> Vec<Statement> {
        statements.to_vec()
    }
}

/// The network with a tap.
pub(crate) struct Tapped<T> {
    network: Network,
    pub(crate) tap: Arc<T>,
}

struct TappedSession<T>(Box<dyn Session>, Arc<T>);

impl<T> Tapped<T> {
    pub(crate) fn new(tap: T) -> Arc<Self> {
        Arc::new(Self { network: Network::default(), tap: Arc::new(tap) })
    }
}

impl<T: Tap> postgres::Server for Tapped<T> {
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
        settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = self.network.connect(options, &self.tap.settings(settings)).await?;
            Ok(Box::new(TappedSession(session, self.tap.clone())) as Box<dyn Session>)
        })
    }
}

impl<T: Tap> Session for TappedSession<T> {
    fn query<'a>(&'a self, query: Query<'a>) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        self.1.query(&query);
        self.0.query(query)
    }

    fn execute<'a>(&'a self, statements: &'a [Statement]) -> Boxed<'a, Result<(), Failure>> {
        let sent = self.1.statements(statements);
        Box::pin(async move { self.0.execute(&sent).await })
    }
}
