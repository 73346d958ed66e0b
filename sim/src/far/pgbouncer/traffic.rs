//! Clients of a PgBouncer process, and how it holds them and ends, as time goes on.
//!
//! As in PgBouncer 1.24 (`janitor.c`, `objects.c`, `admin.c`), for the pause of a whole process.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pool::{Limits, Pool, Reach};

/// A client's or a console's number.
pub(crate) type Id = u64;
/// A row of an answer, by column.
pub(crate) type Row = BTreeMap<String, String>;
/// What a session is answered.
pub(crate) type Answer = Result<Vec<Row>, String>;
/// A pool's database and user.
pub(crate) type PoolName = (String, String);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// To be let in, for which a new pool needs a connection.
    Welcome,
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// Any query.
    Query,
}

#[derive(Debug, Clone, PartialEq)]
struct Client {
    pool: PoolName,
    linked: bool,
    transaction: bool,
    asks: Option<Asks>,
}

#[derive(Debug, Clone, PartialEq)]
struct Asks {
    request: Request,
    since: Duration,
    waits: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Console {
    administers: bool,
    awaits_pause: bool,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Traffic {
    paused: bool,
    ends: bool,
    ended: bool,
    /// What `SET` has changed.
    set: BTreeMap<String, String>,
    pools: BTreeMap<PoolName, Pool>,
    clients: BTreeMap<Id, Client>,
    consoles: BTreeMap<Id, Console>,
    answers: BTreeMap<Id, Answer>,
    next: Id,
}

impl Traffic {
    /// Whether clients are held.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a client holds a server connection.
    pub(crate) fn is_active(&self) -> bool {
        self.pools.values().any(|pool| pool.active > 0)
    }

    /// Server connections, those that log in among them.
    pub(crate) fn connections(&self) -> u32 {
        self.pools.values().map(|pool| pool.idle + pool.active + pool.logins()).sum()
    }

    /// Logins in flight.
    pub(crate) fn logins(&self) -> u32 {
        self.pools.values().map(Pool::logins).sum()
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nobody gets in any more.
    pub(crate) fn ends(&self) -> bool {
        self.ends || self.ended
    }

    /// What `SET` has made of a setting.
    pub(crate) fn set(&self, name: &str) -> Option<&String> {
        self.set.get(name)
    }

    /// What `SET` has changed is as in the file again.
    pub(crate) fn reload(&mut self) {
        self.set.clear();
    }

    /// A signal.
    pub(crate) fn signal(&mut self, signal: &str) {
        match signal {
            "SIGTERM" if self.ends => self.end(),
            "SIGTERM" => self.ends = true,
            // One that ends does not resume.
            "SIGUSR2" if !self.ends => self.paused = false,
            "SIGUSR1" => self.paused = true,
            _ => {}
        }
    }

    /// The process ends, and every client with it.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        for id in self.clients.keys().chain(self.consoles.keys()) {
            // What was answered before that is on its way.
            let why = || Err("server closed the connection unexpectedly".to_owned());
            self.answers.entry(*id).or_insert_with(why);
        }
    }

    fn enter(&mut self) -> Option<Id> {
        if self.ends() {
            return None;
        }
        self.next += 1;
        Some(self.next)
    }

    /// A client whose password fits; its first answer says that it is in.
    pub(crate) fn connect(&mut self, pool: PoolName, now: Duration) -> Option<Id> {
        let id = self.enter()?;
        self.pools.entry(pool.clone()).or_default();
        let asks = Some(Asks { request: Request::Welcome, since: now, waits: false });
        self.clients.insert(id, Client { pool, linked: false, transaction: false, asks });
        Some(id)
    }

    /// A console.
    pub(crate) fn open_console(&mut self, administers: bool) -> Option<Id> {
        let id = self.enter()?;
        self.consoles.insert(id, Console { administers, awaits_pause: false });
        Some(id)
    }

    /// A client or a console goes.
    pub(crate) fn leave(&mut self, id: Id) {
        self.consoles.remove(&id);
        self.answers.remove(&id);
        let Some(client) = self.clients.remove(&id).filter(|client| client.linked) else { return };
        let Some(pool) = self.pools.get_mut(&client.pool) else { return };
        pool.active = pool.active.saturating_sub(1);
        pool.idle += u32::from(!client.transaction);
    }

    /// A client asks.
    pub(crate) fn ask(&mut self, id: Id, request: Request, now: Duration) {
        match self.clients.get_mut(&id).filter(|_| !self.ended) {
            Some(client) => client.asks = Some(Asks { request, since: now, waits: false }),
            None => drop(self.answers.insert(id, Err("connection closed".to_owned()))),
        }
    }

    /// What it was answered, once.
    pub(crate) fn answer(&mut self, id: Id) -> Option<Answer> {
        self.answers.remove(&id)
    }

    /// The server of a database is gone: every connection with it, and clients that have one.
    pub(crate) fn lose(&mut self, database: &str, why: &str) {
        for ((name, _), pool) in &mut self.pools {
            if name == database {
                pool.lose();
            }
        }
        let linked = |client: &&mut Client| client.linked && client.pool.0 == database;
        let mut lost = Vec::new();
        for (id, client) in &mut self.clients {
            if linked(&client) {
                lost.push(*id);
            }
        }
        for id in lost {
            self.cut(id, why.to_owned());
        }
    }

    fn cut(&mut self, id: Id, why: String) {
        self.clients.remove(&id);
        self.answers.insert(id, Err(why));
    }

    /// Lets everything happen that happens by now.
    pub(crate) fn turn(&mut self, now: Duration, limits: &Limits, reach: &dyn Fn(&str) -> Reach) {
        if self.ended {
            return;
        }
        let clients = &self.clients;
        for (name, pool) in &mut self.pools {
            pool.finish(now);
            if self.paused {
                pool.pause();
            } else if pool.idle + pool.active < limits.min
                && clients.values().any(|client| client.pool == *name)
            {
                pool.launch(now, limits, reach(&name.0));
            }
        }
        let mut asking: Vec<(Duration, Id)> = Vec::new();
        for (id, client) in &self.clients {
            asking.extend(client.asks.as_ref().map(|asks| (asks.since, *id)));
        }
        asking.sort_unstable();
        for (since, id) in asking {
            if now.saturating_sub(since) > limits.wait {
                self.cut(id, "query_wait_timeout".to_owned());
            } else {
                self.serve(id, now, limits, reach);
            }
        }
        if self.paused && self.pools.values().all(|pool| pool.active == 0) {
            for (id, console) in &mut self.consoles {
                if std::mem::take(&mut console.awaits_pause) {
                    self.answers.insert(*id, Ok(Vec::new()));
                }
            }
        }
        if self.ends && self.clients.is_empty() && self.consoles.is_empty() {
            self.end();
        }
    }

    /// A client that asks gets its answer, waits, or is sent away.
    fn serve(&mut self, id: Id, now: Duration, limits: &Limits, reach: &dyn Fn(&str) -> Reach) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(pool) = self.pools.get_mut(&client.pool) else { return };
        let Some(asks) = client.asks.as_mut() else { return };
        if !client.linked {
            let waited = std::mem::replace(&mut asks.waits, true);
            if self.paused {
                return;
            }
            if pool.idle == 0 {
                // A client that is let in waits, whatever became of the last login.
                let sent = !waited && asks.request != Request::Welcome;
                let why = pool.refuses().filter(|_| sent);
                pool.launch(now, limits, reach(&client.pool.0));
                if let Some(why) = why {
                    self.cut(id, why);
                }
                return;
            }
            (pool.idle, pool.active, client.linked) = (pool.idle - 1, pool.active + 1, true);
        }
        match asks.request {
            Request::Begin => client.transaction = true,
            Request::Commit => client.transaction = false,
            Request::Query | Request::Welcome => {}
        }
        let stays = client.transaction || (limits.sessions && asks.request != Request::Welcome);
        if !stays {
            (pool.idle, pool.active, client.linked) = (pool.idle + 1, pool.active - 1, false);
        }
        client.asks = None;
        self.answers.insert(id, Ok(Vec::new()));
    }
}

/// Consoles.
impl Traffic {
    /// A console's command; one that has to wait is answered later.
    pub(crate) fn command(&mut self, id: Id, text: &str) {
        let Some(console) = self.consoles.get_mut(&id).filter(|_| !self.ended) else {
            self.answers.insert(id, Err("connection closed".to_owned()));
            return;
        };
        let refused = |why: &str| Err(why.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["SHOW", "POOLS"] => Ok(self.show_pools()),
            ["SHOW", "STATE"] => Ok(self.show_state()),
            _ if !console.administers => refused("admin access needed"),
            ["PAUSE"] if self.paused => refused("already suspended/paused"),
            ["PAUSE"] => {
                (self.paused, console.awaits_pause) = (true, true);
                return;
            }
            ["RESUME"] if self.ends => refused("pooler is shutting down"),
            ["RESUME"] if !self.paused => refused("pooler is not paused/suspended"),
            ["RESUME"] => {
                self.paused = false;
                Ok(Vec::new())
            }
            ["SHUTDOWN", "WAIT_FOR_CLIENTS"] => {
                self.ends = true;
                Ok(Vec::new())
            }
            ["SET", name, "=", value] => {
                self.set.insert((*name).to_owned(), (*value).to_owned());
                Ok(Vec::new())
            }
            _ => refused("no simulation of this command"),
        };
        self.answers.insert(id, answer);
    }

    fn show_state(&self) -> Vec<Row> {
        let row = |key: &str, yes: bool| {
            let value = if yes { "yes" } else { "no" };
            [("key", key), ("value", value)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        };
        vec![row("active", !self.paused), row("paused", self.paused), row("suspended", false)]
    }

    fn show_pools(&self) -> Vec<Row> {
        let row = |(name, pool): (&PoolName, &Pool)| {
            let here = || self.clients.values().filter(|client| client.pool == *name);
            let waits = |client: &&Client| {
                client.asks.as_ref().is_some_and(|asks| asks.waits) && !client.linked
            };
            let waiting = here().filter(waits).count();
            let [database, user] = [("database", &name.0), ("user", &name.1)]
                .map(|(column, text)| (column.to_owned(), text.clone()));
            let counts = [
                ("cl_active", (here().count() - waiting).to_string()),
                ("cl_waiting", waiting.to_string()),
                ("sv_active", pool.active.to_string()),
                ("sv_idle", pool.idle.to_string()),
                ("sv_login", pool.logins().to_string()),
            ];
            let counts = counts.map(|(column, count)| (column.to_owned(), count));
            counts.into_iter().chain([database, user]).collect()
        };
        self.pools.iter().map(row).collect()
    }
}
