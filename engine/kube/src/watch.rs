//! A watch: the history from a version on, then every change as it comes.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use tokio::time::Instant;

use crate::store::event;
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
    /// Lines to be sent before any other.
    first: Vec<String>,
    end: Option<Instant>,
    over: bool,
}

/// The events after `since`, one JSON object a line; with no `since`, what exists comes first.
pub(crate) fn events(
    api: Api,
    filter: Filter,
    since: Option<u64>,
    timeout: Option<Duration>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    let changes = api.subscribe();
    let (seen, first) = match since {
        Some(since) => (since, Vec::new()),
        None => {
            let list = api.read(|store| store.list(&filter));
            let lines = list.items.iter().map(|object| event("ADDED", object.json())).collect();
            (list.version, lines)
        }
    };
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let watcher = Watcher { api, filter, changes, seen, first, end, over: false };
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
            return Some(std::mem::take(&mut self.first));
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
            let changed = self.changes.changed();
            match self.end {
                None => changed.await.ok()?,
                Some(end) => tokio::time::timeout_at(end, changed).await.ok()?.ok()?,
            }
        }
    }

    fn end_with(&mut self, error: &ApiError) -> Vec<String> {
        self.over = true;
        vec![event("ERROR", &error.status().to_string())]
    }
}
