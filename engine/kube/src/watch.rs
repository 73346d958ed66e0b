//! A watch: the history from a version on, then every change as it comes.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::time::Instant;

use crate::bounds::Held;
use crate::list_options::ListOptions;
use crate::store::{Object, event};
use crate::{Api, ApiError, Filter};

/// Changes looked at under one lock, so that a far-behind watcher does not hold writers up.
const BATCH: usize = 256;

/// How often a watcher with bookmarks gets one, and how long before its end.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// A watcher is only a cursor in the history: however slow, it delays no other.
struct Watcher {
    api: Api,
    filter: Filter,
    changes: tokio::sync::watch::Receiver<u64>,
    /// Everything up to this version was seen.
    seen: u64,
    /// Objects to be sent before anything else, the last one first.
    first: Vec<Object>,
    /// Whether the end of the initial events is to be marked.
    told: bool,
    /// When its next bookmark is due; never without a time.
    bookmark: Option<Instant>,
    end: Instant,
    over: bool,
    _held: Held,
}

/// How long a watch lasts that names no end: this, and up to as long again, so that those who
/// began together do not all begin anew together.
const TIME_MIN: u64 = 30 * 60;

/// The most bytes that are put together before they are sent; a single object may be longer.
const FRAME_BYTES: usize = 1 << 20;

/// The events after the version in `options`, one JSON object a line; where there is none, what
/// exists comes first.
pub(crate) fn events(
    api: Api,
    filter: Filter,
    options: &ListOptions,
    held: Held,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<>, ApiError> {
    let changes = api.subscribe();
    let list = api.read(|store| store.list(&filter));
    let (seen, first) = match (options.initial, options.version) {
        (Some(true), Some(asked)) if asked > list.version => {
            return Err(ApiError::TooLargeVersion { asked, newest: list.version });
        }
        (Some(true), _) | (None, None) => (list.version, list.items.into_iter().rev().collect()),
        (Some(false), None) => (list.version, Vec::new()),
        (_, Some(since)) => (since, Vec::new()),
    };
    let usual = Duration::from_secs(TIME_MIN + api.read(|store| store.scattered(TIME_MIN)));
    let now = Instant::now();
    let end = now.checked_add(options.timeout.unwrap_or(usual)).unwrap_or(now + usual);
    let told = options.initial != Some(true) || !options.bookmarks;
    let bookmark = options.bookmarks.then(|| next_bookmark(now, end)).flatten();
    let over = false;
    let watcher =
        Watcher { api, filter, changes, seen, first, told, bookmark, end, over, _held: held };
    Ok(stream::unfold(watcher, |mut watcher| async {
        let lines = watcher.next().await?;
        Some((Ok(Frame::data(Bytes::from(lines.concat()))), watcher))
    }))
}

/// When a watcher's next bookmark is due, at the latest before its end.
fn next_bookmark(now: Instant, end: Instant) -> Option<Instant> {
    let last = end.checked_sub(BOOKMARK_BEFORE_END).filter(|last| *last > now)?;
    Some(last.min(now + BOOKMARK_EVERY))
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
        if !std::mem::replace(&mut self.told, true) {
            return Some(vec![self.bookmark_line(true)]);
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
            let until = self.bookmark.map_or(self.end, |bookmark| bookmark.min(self.end));
            match tokio::time::timeout_at(until, self.changes.changed()).await {
                Ok(changed) => changed.ok()?,
                Err(_) if until < self.end => {
                    self.bookmark = next_bookmark(until, self.end);
                    return Some(vec![self.bookmark_line(false)]);
                }
                Err(_) => return None,
            }
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

    /// How far the watcher is; `first` says that it has seen what there was at its beginning.
    fn bookmark_line(&self, first: bool) -> String {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if first {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let kind = self.filter.kind;
        let object = json!({
            "kind": kind.name(), "apiVersion": kind.api_version(), "metadata": metadata,
        });
        event("BOOKMARK", &object.to_string())
    }

    fn end_with(&mut self, error: &ApiError) -> Vec<String> {
        self.over = true;
        vec![event("ERROR", &error.status().to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{Gate, Limits};
    use crate::{ApiOptions, Kind};
    use futures_util::StreamExt;

    /// How many frames a watch without events has, and how long it lasts.
    async fn watch(seed: u64, bookmarks: bool) -> (usize, Duration) {
        let api = Api::new(ApiOptions::new(([10, 0, 0, 1].into(), 9), seed));
        let seat = Gate::new(Limits::default()).enter([10, 1, 0, 2].into()).unwrap();
        let options = ListOptions { version: Some(1), bookmarks, ..ListOptions::default() };
        let filter = Filter::all(Kind::Pod, "lab");
        let begun = Instant::now();
        let frames = events(api, filter, &options, seat.watch().unwrap()).unwrap();
        (frames.count().await, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_names_no_end_has_one() {
        let mut ends = std::collections::BTreeSet::new();
        for seed in 0..9 {
            let (frames, lasted) = watch(seed, false).await;
            assert_eq!(frames, 0);
            assert!((30 * 60..60 * 60).contains(&lasted.as_secs()), "{lasted:?}");
            ends.insert(lasted.as_secs());
        }
        assert!(ends.len() > 5, "all begin anew together: {ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_is_told_every_minute_how_far_it_is() {
        let (frames, lasted) = watch(1, true).await;
        let minutes = usize::try_from(lasted.as_secs() / 60).unwrap();
        assert!((minutes..=minutes + 1).contains(&frames), "{frames} in {lasted:?}");
    }
}
