//! How a client deals with a server that does not answer.

use std::sync::Mutex;

use super::*;
use crate::Boxed;

/// A server that accepts every login and answers no query. A statement meets another's change of the
/// same object so many times; without a number it waits without end, as a commit does for a standby.
#[derive(Clone)]
struct Stub(Option<Arc<Mutex<u32>>>);

impl Server for Stub {
    fn connect<'a>(
        &'a self,
        _options: &'a ConnectOptions,
        _settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Session>) })
    }
}

impl Session for Stub {
    fn query<'a>(&'a self, _query: Query<'a>) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(std::future::pending())
    }

    fn execute<'a>(&'a self, _statements: &'a [Statement]) -> Boxed<'a, Result<(), Failure>> {
        let Some(left) = &self.0 else { return Box::pin(std::future::pending()) };
        let mut left = left.lock().unwrap();
        let met = *left > 0;
        *left = left.saturating_sub(1);
        let collision = || Failure::new(Some("XX000"), "ERROR: tuple concurrently updated");
        Box::pin(async move { if met { Err(collision()) } else { Ok(()) } })
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

fn some() -> [Statement; 1] {
    [Statement::CreateGroup("a".parse().unwrap())]
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_waits_for_a_standby_does_not_hold_the_hook() {
    let options = options();
    let client = Client::over(Arc::new(Stub(None)), &options).await.unwrap();
    let read = client.server_version().await.unwrap_err();
    assert!(read.is_transient(), "{read}");
    let written = client.run("create the user a", &some()).await.unwrap_err();
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

#[tokio::test]
async fn a_statement_that_meets_anothers_change_is_sent_again() {
    for (met, done) in [(0, true), (9, true), (10, false)] {
        let busy = Stub(Some(Arc::new(met.into())));
        let client = Client::over(Arc::new(busy), &options()).await.unwrap();
        assert_eq!(client.run("grant", &some()).await.is_ok(), done, "{met}");
    }
    let other = Failure::new(Some("XX000"), "ERROR: cache lookup failed");
    assert!(!other.is_collision());
}

#[test]
fn a_segments_name_tells_where_it_begins() {
    let check = |digits: &str, expected| assert_eq!(segment_start(digits), expected, "{digits}");
    check("0000000000000001", Some(SEGMENT));
    check("00000000000000FF", Some(255 * SEGMENT));
    check("0000000200000003", Some((2 << 32) + 3 * SEGMENT));
    // No segment of 16 MiB has such a name.
    check("0000000000000100", None);
    check("000000", None);
    check("backup_label.old", None);
}
