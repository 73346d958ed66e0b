//! How a client deals with a server that does not answer.

use super::*;
use crate::Boxed;

/// A server that lets everybody in and answers nothing, as one whose commits wait for a standby.
struct Silent;

impl Server for Silent {
    fn connect<'a>(
        &'a self,
        _options: &'a ConnectOptions,
        _settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async { Ok(Box::new(Silent) as Box<dyn Session>) })
    }
}

impl Session for Silent {
    fn query<'a>(
        &'a self,
        _text: &'a str,
        _parameters: &'a [&'a str],
    ) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(std::future::pending())
    }

    fn execute<'a>(&'a self, _text: &'a str) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(std::future::pending())
    }
}

fn options() -> ConnectOptions {
    ConnectOptions {
        host: "pg-primary".to_owned(),
        port: 5432,
        user: "operator".parse().unwrap(),
        password: "secret".to_owned().into(),
        database: "postgres".parse().unwrap(),
        timeout: Duration::from_secs(3),
        ca: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_waits_for_a_standby_does_not_hold_the_hook() {
    let options = options();
    let client = Client::over(Arc::new(Silent), &options).await.unwrap();
    let read = client.server_version().await.unwrap_err();
    assert!(read.is_transient(), "{read}");
    let written = client.run_text("create the user a", "CREATE ROLE a").await.unwrap_err();
    assert!(written.is_transient(), "{written}");
}

#[track_caller]
fn check(code: Option<&str>, transient: bool, away: bool) {
    let source = Failure::new(code, "refused");
    let error = Error::Statement { what: "drop the schema".to_owned(), source };
    assert_eq!((error.is_transient(), error.is_away()), (transient, away), "{code:?}");
}

#[test]
fn what_a_database_lacks_is_not_taken_for_a_server_that_is_away() {
    check(None, true, true);
    check(Some("57P01"), true, true);
    check(Some("08006"), true, true);
    check(Some(READ_ONLY), true, true);
    // No room for locks, and a statement that took too long.
    check(Some("53200"), true, false);
    check(Some("57014"), true, false);
    check(Some("42501"), false, false);
}

/// A session that meets another's change of the same object so many times.
struct Busy(std::sync::Mutex<u32>);

impl Session for Busy {
    fn query<'a>(
        &'a self,
        _text: &'a str,
        _parameters: &'a [&'a str],
    ) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(std::future::pending())
    }

    fn execute<'a>(&'a self, _text: &'a str) -> Boxed<'a, Result<(), Failure>> {
        let mut left = self.0.lock().unwrap();
        let met = *left > 0;
        *left = left.saturating_sub(1);
        let collision = || Failure::new(Some("XX000"), "ERROR: tuple concurrently updated");
        Box::pin(async move { if met { Err(collision()) } else { Ok(()) } })
    }
}

#[tokio::test]
async fn a_statement_that_meets_anothers_change_is_sent_again() {
    for (met, done) in [(0, true), (9, true), (10, false)] {
        let session: Box<dyn Session> = Box::new(Busy(met.into()));
        let client =
            Client { session, ..Client::over(Arc::new(Silent), &options()).await.unwrap() };
        assert_eq!(client.run_text("grant", "GRANT a TO b").await.is_ok(), done, "{met}");
    }
    let other = Failure::new(Some("XX000"), "ERROR: cache lookup failed");
    assert!(!other.is_collision());
}
