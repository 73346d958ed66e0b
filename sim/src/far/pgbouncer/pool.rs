//! One pool: server connections, and the login that adds another.

use std::time::Duration;

/// How long a login takes that ends well.
const LOGIN: Duration = Duration::from_millis(20);

/// What a server makes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It lets it in.
    Answers,
    /// It does not.
    Refuses,
    /// It accepts it and says nothing.
    Silent,
}

/// The settings that count here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// `default_pool_size`.
    pub(crate) size: u32,
    /// `min_pool_size`.
    pub(crate) min: u32,
    /// `server_login_retry`.
    pub(crate) retry: Duration,
    /// `server_connect_timeout`.
    pub(crate) connect: Duration,
    /// `query_wait_timeout`.
    pub(crate) wait: Duration,
    /// Whether a server connection belongs to a session.
    pub(crate) sessions: bool,
}

impl Limits {
    /// From settings, by name.
    pub(crate) fn of(setting: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str, default: u32| {
            setting(name).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let seconds = |name: &str, default: f64| {
            let told = setting(name).and_then(|text| text.parse().ok());
            Duration::from_secs_f64(told.unwrap_or(default))
        };
        Self {
            size: number("default_pool_size", 20),
            min: number("min_pool_size", 0),
            retry: seconds("server_login_retry", 15.0),
            connect: seconds("server_connect_timeout", 15.0),
            wait: seconds("query_wait_timeout", 120.0),
            sessions: setting("pool_mode").is_none_or(|mode| mode == "session"),
        }
    }
}

/// A login in flight: when it ends, and why it fails.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Login {
    ends: Duration,
    fails: Option<&'static str>,
}

/// The server connections of a database's user.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pool {
    login: Option<Login>,
    pub(super) idle: u32,
    pub(super) active: u32,
    /// Why the last login failed; none where it ended well.
    failed: Option<&'static str>,
    /// When it began.
    tried: Duration,
}

impl Pool {
    /// How many logins are in flight; there is never more than one.
    pub(super) fn logins(&self) -> u32 {
        u32::from(self.login.is_some())
    }

    /// Why a client is sent away that finds no connection here.
    pub(super) fn refuses(&self) -> Option<String> {
        let failed = self.failed.filter(|_| self.idle + self.active == 0)?;
        let cached = format!("cached error: {failed} (server_login_retry)");
        Some(format!("server login has been failing, {cached}"))
    }

    /// A pause closes what is idle and what logs in; the latter counts as failed.
    pub(super) fn pause(&mut self) {
        self.idle = 0;
        if self.login.take().is_some() {
            self.failed = Some("pause mode");
        }
    }

    /// The server is gone, and every connection with it; a login is answered by what is there now.
    pub(super) fn lose(&mut self) {
        (self.idle, self.active) = (0, 0);
        if self.login.take().is_some() {
            self.failed = Some("connect failed");
        }
    }

    /// Begins a login, if there may be one more and none is in flight.
    pub(super) fn launch(&mut self, now: Duration, limits: &Limits, reach: Reach) {
        let soon = self.failed.is_some() && now.saturating_sub(self.tried) < limits.retry;
        if soon || self.login.is_some() || self.idle + self.active >= limits.size {
            return;
        }
        let (takes, fails) = match reach {
            Reach::Answers => (LOGIN, None),
            Reach::Refuses => (Duration::ZERO, Some("connect failed")),
            Reach::Silent => (limits.connect, Some("connect timeout")),
        };
        self.tried = now;
        self.login = Some(Login { ends: now + takes, fails });
    }

    /// A login whose time has come ends.
    pub(super) fn finish(&mut self, now: Duration) {
        let Some(login) = self.login.filter(|login| login.ends <= now) else { return };
        (self.login, self.failed) = (None, login.fails);
        self.idle += u32::from(login.fails.is_none());
    }
}
