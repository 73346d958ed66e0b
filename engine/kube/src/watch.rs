//! A watch: the history from a version on, then every change as it comes.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use tokio::time::Instant;

use crate::bounds::Held;
use crate::store::{Object, event};
use crate::{Api, ApiError, Filter};

/// Changes looked at under one lock, so that a far-behind watcher does not hold writers up.
const BATCH: usize = 256;

/// A watcher is only a cursor in the history: however slow, it delays nobody.
struct Watcher {
    api: Api,
    filter: Filter,
    changes: tokio::sync::watch::Receiver<u64>,
    /// Everything up to this version was seen.
    seen: u64,
    /// Objects to be sent before anything else, the last one first.
    first: Vec<Object>,
    end: Instant,
    over: bool,
    _held: Held,
}

/// How long a watch lasts that names no end: this, and up to as long again, so that those who
/// began together do not all begin anew together.
const TIME_MIN: u64 = 30 * 60;

/// The most bytes that are put together before they are sent; a single object may be longer.
const FRAME_BYTES: usize = 1 << 20;

/// The events after `since`, one JSON object a line; with no `since`, what exists comes first.
pub(crate) fn events(
    api: Api,
    filter: Filter,
    since: Option<u64>,
    timeout: Option<Duration>,
    held: Held,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    let changes = api.subscribe();
    let (seen, first) = match since {
        Some(since) => (since, Vec::new()),
        None => {
            let list = api.read(|store| store.list(&filter));
            (list.version, list.items.into_iter().rev().collect())
        }
    };
    let usual = Duration::from_secs(TIME_MIN + api.read(|store| store.scattered(TIME_MIN)));
    let now = Instant::now();
    let end = now.checked_add(timeout.unwrap_or(usual)).unwrap_or(now + usual);
    let watcher = Watcher { api, filter, changes, seen, first, end, over: false, _held: held };
    stream::unfold(watcher, |mut watcher| async {
        let lines = watcher.next().await?;
        Some((Ok(Frame::data(Bytes::from(lines.concat()))), watcher))
    })
}

impl Watcher {
    /// The next lines, at least one; none at the end.
    async fn next(&mut self) -> Option<Vec<String>> {
        if self.over {
            return None;
        }
        if !self.first.is_empty() {
            return Some(self.first_lines());
        }
        loop {
            // Marked before reading, so that a change during the read is not missed.
            let newest = *self.changes.borrow_and_update();
            match self.api.read(|store| store.events(&self.filter, self.seen, BATCH)) {
                Err(expired) => return Some(self.end_with(&expired)),
                Ok((lines, seen)) => {
                    self.seen = seen;
                    if !lines.is_empty() {
                        return Some(lines);
                    }
                }
            }
            if self.seen < newest {
                continue;
            }
            tokio::time::timeout_at(self.end, self.changes.changed()).await.ok()?.ok()?;
        }
    }

    fn first_lines(&mut self) -> Vec<String> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < FRAME_BYTES
            && let Some(object) = self.first.pop()
        {
            bytes += object.json().len();
            lines.push(event("ADDED", object.json()));
        }
        lines
    }

    fn end_with(&mut self, error: &ApiError) -> Vec<String> {
        self.over = true;
        vec![event("ERROR", &error.status().to_string())]
    }
}
