//! What a client may have under way at once, and for how long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The bounds on connections and requests. The times are those of kube-apiserver, but for that of
/// the headers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections in all beyond those that each address may have whatever others do.
    pub shared: usize,
    /// Connections that an address may have whatever others do.
    pub reserved: usize,
    /// Connections of one address.
    pub connections_each: usize,
    /// Watches of one address.
    pub watches_each: usize,
    /// Bodies that are being read of one address.
    pub bodies_each: usize,
    /// Lists that one address has not read to their end: each holds the objects as they were.
    pub lists_each: usize,
    /// Until the TLS handshake is done.
    pub handshake: Duration,
    /// Until a request's headers are there, counted from the last answer: longer than
    /// kube-apiserver keeps a connection on which nothing is asked, which is 90 s. Clients keep
    /// theirs as long, and a request that meets the closing of its connection fails.
    pub headers: Duration,
    /// Until a request's body is there.
    pub body: Duration,
    /// How long a peer may leave an answer unread, watches included.
    pub unread: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4096,
            shared: 1024,
            reserved: 8,
            connections_each: 256,
            watches_each: 128,
            bodies_each: 32,
            lists_each: 16,
            handshake: Duration::from_secs(32),
            headers: Duration::from_secs(95),
            body: Duration::from_secs(60),
            unread: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Bounds that leave a process which may have `open_files` open three quarters of them.
    pub fn within(open_files: u64) -> Limits {
        let files = usize::try_from(open_files).unwrap_or(usize::MAX);
        let usual = Limits::default();
        Limits {
            connections: usual.connections.min(files / 4),
            shared: usual.shared.min(files / 8),
            ..usual
        }
    }
}

/// Counts what each address has under way.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    counts: Mutex<HashMap<IpAddr, Counts>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    connections: usize,
    watches: usize,
    bodies: usize,
    lists: usize,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Connection,
    Watch,
    Body,
    List,
}

impl Counts {
    fn of(&mut self, what: What) -> &mut usize {
        match what {
            What::Connection => &mut self.connections,
            What::Watch => &mut self.watches,
            What::Body => &mut self.bodies,
            What::List => &mut self.lists,
        }
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Arc<Gate> {
        Arc::new(Gate { limits, counts: Mutex::default() })
    }

    /// Lets a connection in; none when its address, or all together, have as many as they may.
    pub(crate) fn enter(self: &Arc<Gate>, address: IpAddr) -> Option<Seat> {
        {
            let counts = self.counts();
            let beyond = |count: &Counts| count.connections.saturating_sub(self.limits.reserved);
            let all: usize = counts.values().map(|count| count.connections).sum();
            let shared: usize = counts.values().map(beyond).sum();
            let own = counts.get(&address).map_or(0, |count| count.connections);
            let fits = own < self.limits.reserved || shared < self.limits.shared;
            (fits && all < self.limits.connections).then_some(())?;
        }
        let held = self.hold(address, What::Connection, self.limits.connections_each)?;
        Some(Seat(Arc::new(held)))
    }

    fn hold(self: &Arc<Gate>, address: IpAddr, what: What, most: usize) -> Option<Held> {
        let mut counts = self.counts();
        let count = counts.entry(address).or_default().of(what);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Held { gate: self.clone(), address, what })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, Counts>> {
        // A count is whole after every step.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of what an address may have; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    gate: Arc<Gate>,
    address: IpAddr,
    what: What,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count.of(self.what) -= 1;
            if *count == Counts::default() {
                counts.remove(&self.address);
            }
        }
    }
}

/// A connection that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Seat(Arc<Held>);

impl Seat {
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.gate.limits
    }

    /// One watch more; none when the address has as many as it may.
    pub(crate) fn watch(&self) -> Option<Held> {
        let most = self.limits().watches_each;
        self.0.gate.hold(self.0.address, What::Watch, most)
    }

    /// One list more; none when the address leaves as many unread as it may.
    pub(crate) fn list(&self) -> Option<Held> {
        let most = self.limits().lists_each;
        self.0.gate.hold(self.0.address, What::List, most)
    }

    /// One body more to be read; none when the address sends as many as it may.
    pub(crate) fn body(&self) -> Option<Held> {
        let most = self.limits().bodies_each;
        self.0.gate.hold(self.0.address, What::Body, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 1, 0, last])
    }

    fn gate() -> Arc<Gate> {
        let limits = Limits {
            connections: 12,
            shared: 4,
            reserved: 2,
            connections_each: 5,
            watches_each: 1,
            bodies_each: 1,
            lists_each: 1,
            ..Limits::default()
        };
        Gate::new(limits)
    }

    /// As many connections as an address gets now.
    fn all(gate: &Arc<Gate>, last: u8) -> Vec<Seat> {
        std::iter::from_fn(|| gate.enter(address(last))).take(100).collect()
    }

    #[test]
    fn one_address_never_takes_what_another_needs() {
        let gate = gate();
        let greedy = all(&gate, 1);
        assert_eq!(greedy.len(), 5, "no more than one address may have");
        assert_eq!(all(&gate, 2).len(), 3, "its own two and the last shared one");
        let second = all(&gate, 2);
        assert_eq!(all(&gate, 3).len(), 2, "its own, although nothing is left to share");
        drop(greedy);
        assert_eq!(all(&gate, 3).len(), 5);
        drop(second);
        assert!(gate.counts().is_empty(), "nothing is remembered of who has left");
    }

    #[test]
    fn there_is_an_end_to_all_together() {
        let gate = gate();
        let seats: Vec<Seat> = (1..=20).flat_map(|last| all(&gate, last)).collect();
        assert_eq!(seats.len(), 12);
    }

    #[test]
    fn watches_and_bodies_are_counted_by_address() {
        let gate = gate();
        let seats = all(&gate, 1);
        let watch = seats[0].watch().unwrap();
        assert!(seats[1].watch().is_none());
        assert!(seats[1].body().is_some());
        drop(watch);
        assert!(seats[1].watch().is_some());
    }

    #[test]
    fn an_idle_connection_outlives_its_clients_patience() {
        // As long as Go's clients keep one; they close it, and never meet its closing.
        assert!(Limits::default().headers > Duration::from_secs(90));
    }

    #[test]
    fn most_files_are_left_for_everything_else() {
        assert_eq!(Limits::within(1024).connections, 256);
        assert_eq!(Limits::within(u64::MAX).connections, 4096);
    }
}
