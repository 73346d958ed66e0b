//! Workload statuses.

/// What `juju status` shows for a unit or an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Works; the message is often empty.
    Active(String),
    /// Waits for a person.
    Blocked(String),
    /// Waits for another unit, application or service.
    Waiting(String),
    /// Works on itself.
    Maintenance(String),
}

impl Status {
    /// Active without a message.
    pub fn active() -> Self {
        Self::Active(String::new())
    }

    /// Blocked, with what a person has to do.
    pub fn blocked(message: impl Into<String>) -> Self {
        Self::Blocked(message.into())
    }

    /// Waiting, with what is waited for.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self::Waiting(message.into())
    }

    /// Maintenance, with what is being done.
    pub fn maintenance(message: impl Into<String>) -> Self {
        Self::Maintenance(message.into())
    }

    /// Juju's word: `active`, `blocked`, `waiting` or `maintenance`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Blocked(_) => "blocked",
            Self::Waiting(_) => "waiting",
            Self::Maintenance(_) => "maintenance",
        }
    }

    /// The words beside it; may be empty.
    pub fn message(&self) -> &str {
        match self {
            Self::Active(m) | Self::Blocked(m) | Self::Waiting(m) | Self::Maintenance(m) => m,
        }
    }

    /// The status of Juju's word, or `None` for words a charm cannot set.
    pub fn from_word(word: &str, message: &str) -> Option<Self> {
        let message = message.to_owned();
        match word {
            "active" => Some(Self::Active(message)),
            "blocked" => Some(Self::Blocked(message)),
            "waiting" => Some(Self::Waiting(message)),
            "maintenance" => Some(Self::Maintenance(message)),
            _ => None,
        }
    }

    /// The one to show: blocked before maintenance before waiting before active; the
    /// first of equals.
    pub fn worst(statuses: impl IntoIterator<Item = Self>) -> Option<Self> {
        statuses.into_iter().min_by_key(Self::priority)
    }

    fn priority(&self) -> u8 {
        match self {
            Self::Blocked(_) => 0,
            Self::Maintenance(_) => 1,
            Self::Waiting(_) => 2,
            Self::Active(_) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_worst_is_shown() {
        let all = [
            Status::active(),
            Status::waiting("a"),
            Status::blocked("b"),
            Status::maintenance("c"),
            Status::blocked("d"),
        ];
        assert_eq!(Status::worst(all), Some(Status::blocked("b")));
        assert_eq!(Status::worst([]), None);
    }
}
